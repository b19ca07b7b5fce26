package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// The rows are a CBOR sequence (RFC 8742): the name of a table (text) is followed by key and value
// (bytes) of each of its rows in turn. Tables stand in the order of their names, rows in that of
// their keys; a table without rows is left out. Lengths are in their shortest form.
const (
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorMask  = 7 << 5
)

// maxItem bounds a key or value. It is above what a batch can carry.
const maxItem = 256 << 20

// appendHead appends the head of an item: its major type and its length.
func appendHead(b []byte, major byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
}

// rowReader takes the sequence apart again.
type rowReader struct {
	in    source
	table string
	key   string
	keyed bool // key is set
}

// source is what rows are read from.
type source interface {
	io.Reader
	io.ByteReader
}

// next returns the next row. At the end it returns io.EOF.
func (r *rowReader) next() (table, key string, value []byte, err error) {
	first, err := r.in.ReadByte()
	if err != nil {
		return "", "", nil, err
	}
	if first&majorMask == majorText {
		name, err := r.item(first, majorText, maxName)
		if err != nil {
			return "", "", nil, err
		}
		if string(name) <= r.table {
			return "", "", nil, fmt.Errorf("table %q after %q", name, r.table)
		}
		r.table, r.keyed = string(name), false
		if first, err = r.in.ReadByte(); err != nil {
			return "", "", nil, early(err)
		}
	}
	k, err := r.item(first, majorBytes, maxItem)
	if err != nil {
		return "", "", nil, err
	}
	switch key := string(k); {
	case r.table == "":
		return "", "", nil, errors.New("a row before the first table")
	case r.keyed && key <= r.key:
		return "", "", nil, fmt.Errorf("table %q: rows are not in order", r.table)
	default:
		r.key, r.keyed = key, true
	}
	if first, err = r.in.ReadByte(); err == nil {
		value, err = r.item(first, majorBytes, maxItem)
	}
	return r.table, r.key, value, early(err)
}

// early says that the sequence must not end here.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errForm = errors.New("not the expected CBOR item, or not its shortest form")

// item reads the rest of an item, given its first byte.
func (r *rowReader) item(first, major byte, limit int) ([]byte, error) {
	if first&majorMask != major {
		return nil, errForm
	}
	n, size := int(first&^majorMask), 0 // size is that of the length after the first byte
	if n > 26 {
		return nil, errForm
	}
	if n >= 24 {
		size, n = 1<<(n-24), 0
	}
	for range size {
		b, err := r.in.ReadByte()
		if err != nil {
			return nil, early(err)
		}
		n = n<<8 | int(b)
	}
	var shortest [9]byte
	if len(appendHead(shortest[:0], major, n)) != 1+size {
		return nil, errForm
	}
	if n > limit {
		return nil, fmt.Errorf("an item of %d bytes, at most %d are possible", n, limit)
	}
	return readN(r.in, n)
}

// readN reads exactly n bytes. It allocates no more than a block ahead of what is there.
func readN(in io.Reader, n int) ([]byte, error) {
	b := make([]byte, min(n, blockSize))
	for done := 0; ; {
		if _, err := io.ReadFull(in, b[done:]); err != nil {
			return nil, early(err)
		}
		if done = len(b); done == n {
			return b, nil
		}
		more := make([]byte, min(n, 2*done))
		copy(more, b)
		b = more
	}
}
