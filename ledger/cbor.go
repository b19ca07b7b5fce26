package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
)

// The few forms of CBOR that batches use, encoded and decoded without reflection and without an
// allocation for each record: unsigned integers, byte strings, arrays and maps, with lengths in
// their shortest form (RFC 8949, section 4.2.1). Anything else is refused, so that whatever decodes
// encodes to the same bytes.
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5
	majorMask  = 7 << 5
)

var (
	errTruncated = errors.New("the bytes end early")
	errForm      = errors.New("not the expected CBOR item, or not its shortest form")
)

// headSize returns the number of bytes that appendHead appends.
func headSize(n uint64) int {
	switch {
	case n < 24:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	case n < 1<<32:
		return 5
	}
	return 9
}

// bytesSize returns the encoded size of a byte string of n bytes.
func bytesSize(n int) int { return headSize(uint64(n)) + n }

// appendHead appends the head of an item: its major type and its number.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return append(b, major|25, byte(n>>8), byte(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// appendBytes appends a byte string.
func appendBytes(b, s []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(s))), s...)
}

// takeHead reads the head of an item of the major type.
func takeHead(b []byte, major byte) (n uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, errTruncated
	}
	if b[0]&majorMask != major {
		return 0, nil, errForm
	}
	info, b := b[0]&^majorMask, b[1:]
	if info < 24 {
		return uint64(info), b, nil
	}
	if info > 27 {
		return 0, nil, errForm
	}
	size := 1 << (info - 24)
	if len(b) < size {
		return 0, nil, errTruncated
	}
	for _, c := range b[:size] {
		n = n<<8 | uint64(c)
	}
	if headSize(n) != 1+size {
		return 0, nil, errForm
	}
	return n, b[size:], nil
}

// takeBytes reads a byte string. It aliases b.
func takeBytes(b []byte) (s, rest []byte, err error) {
	n, b, err := takeHead(b, majorBytes)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(b)) {
		return nil, nil, errTruncated
	}
	return b[:n:n], b[n:], nil
}

// takeDigest reads a byte string of 32 bytes.
func takeDigest(b []byte, d *coco.Digest) (rest []byte, err error) {
	s, rest, err := takeBytes(b)
	if err != nil {
		return nil, err
	}
	if len(s) != len(d) {
		return nil, errForm
	}
	copy(d[:], s)
	return rest, nil
}

// corrupt returns an error of kind coco.ErrCorrupt about the thing.
func corrupt(thing string, cause error) error {
	return fmt.Errorf("%w: %s: %w", coco.ErrCorrupt, thing, cause)
}
