package snapshot

import (
	"errors"
	"fmt"
	"io"

	"github.com/cocoframework/coco/canon"
)

// maxItem bounds a key or value. It is above what a batch can carry.
const maxItem = 256 << 20

// rowReader reads the rows, which are a CBOR sequence (RFC 8742): the name of a table (text) is followed
// by key and value (bytes) of each of its rows in turn. Tables stand in the order of their names, rows
// in that of their keys; a table without rows is left out. Lengths are in their shortest form.
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
	if canon.MajorOf(first) == canon.Text {
		name, err := r.item(first, canon.Text, maxName)
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
	k, err := r.item(first, canon.Bytes, maxItem)
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
		value, err = r.item(first, canon.Bytes, maxItem)
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

// item reads the rest of an item, given its first byte.
func (r *rowReader) item(first byte, major canon.Major, limit int) ([]byte, error) {
	var head [canon.MaxHead]byte
	head[0] = first
	size := canon.HeadLength(first)
	for i := 1; i < size; i++ {
		b, err := r.in.ReadByte()
		if err != nil {
			return nil, early(err)
		}
		head[i] = b
	}
	n, _, err := canon.CutHead(head[:size], major)
	if err != nil {
		return nil, err
	}
	if n > uint64(limit) {
		return nil, fmt.Errorf("an item of %d bytes, at most %d are possible", n, limit)
	}
	return readN(r.in, int(n))
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
