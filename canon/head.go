package canon

import (
	"encoding/binary"
	"errors"
)

// Major is the major type of an item, in the place where its first byte has it.
type Major byte

// The major types, RFC 8949, section 3.1.
const (
	Uint     Major = 0 << 5
	Negative Major = 1 << 5
	Bytes    Major = 2 << 5
	Text     Major = 3 << 5
	Array    Major = 4 << 5
	Map      Major = 5 << 5

	tag       Major = 6 << 5
	majorMask       = 7 << 5
)

// Null is the encoding of null.
const Null byte = 0xf6

const (
	false_ byte = 0xf4
	true_  byte = 0xf5
)

var errMajor = errors.New("not the expected CBOR item")

// MaxHead is the size in bytes of the longest head.
const MaxHead = 9

// MajorOf returns the major type of the item that begins with a byte.
func MajorOf(first byte) Major { return Major(first & majorMask) }

// HeadLength returns the size of the head that begins with a byte, for readers of streams. CutHead finds
// out whether such a head is allowed.
func HeadLength(first byte) int {
	if info := first &^ majorMask; info >= 24 && info <= 27 {
		return 1 + 1<<(info-24)
	}
	return 1
}

// HeadSize returns the number of bytes that AppendHead appends.
func HeadSize(n uint64) int {
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

// BytesSize returns the encoded size of n bytes, or of a text of n bytes.
func BytesSize(n int) int { return HeadSize(uint64(n)) + n }

// AppendHead appends the head of an item: its major type and its number.
func AppendHead(b []byte, major Major, n uint64) []byte {
	m := byte(major)
	switch {
	case n < 24:
		return append(b, m|byte(n))
	case n < 1<<8:
		return append(b, m|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, m|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, m|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, m|27), n)
}

// AppendBytes appends bytes.
func AppendBytes(b, s []byte) []byte {
	return append(AppendHead(b, Bytes, uint64(len(s))), s...)
}

// AppendText appends a text, which MUST be in UTF-8.
func AppendText(b []byte, s string) []byte {
	return append(AppendHead(b, Text, uint64(len(s))), s...)
}

// CutHead reads the head of an item of the major type, in its shortest form.
func CutHead(b []byte, major Major) (n uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, errTruncated
	}
	if MajorOf(b[0]) != major {
		return 0, nil, errMajor
	}
	info, b := b[0]&^majorMask, b[1:]
	if info < 24 {
		return uint64(info), b, nil
	}
	if info > 27 {
		return 0, nil, errors.New("a reserved or an indefinite length")
	}
	size := 1 << (info - 24)
	if len(b) < size {
		return 0, nil, errTruncated
	}
	for _, c := range b[:size] {
		n = n<<8 | uint64(c)
	}
	if HeadSize(n) != 1+size {
		return 0, nil, errForm
	}
	return n, b[size:], nil
}

// CutBytes reads bytes, which alias b.
func CutBytes(b []byte) (s, rest []byte, err error) { return cutString(b, Bytes) }

// CutText reads a text, which aliases b. It does not check that it is in UTF-8.
func CutText(b []byte) (s, rest []byte, err error) { return cutString(b, Text) }

func cutString(b []byte, major Major) (s, rest []byte, err error) {
	n, b, err := CutHead(b, major)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(b)) {
		return nil, nil, errTruncated
	}
	return b[:n:n], b[n:], nil
}

// CutFixed reads bytes into an array of their length, such as a digest: d MUST be its slice.
func CutFixed(b, d []byte) (rest []byte, err error) {
	s, rest, err := CutBytes(b)
	if err != nil {
		return nil, err
	}
	if len(s) != len(d) {
		return nil, errMajor
	}
	copy(d, s)
	return rest, nil
}
