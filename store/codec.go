package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/cocoframework/coco"
)

// Write is one change of a key.
type Write struct {
	Table  string
	Key    []byte
	Value  []byte
	Delete bool
}

// Write sets are deterministic CBOR (RFC 8949 §4.2.1): an array with one element per table, in the order of
// their first write; each element is an array of the table's name (text) followed by key (bytes)
// and value (bytes, or null for a deletion) in turn. No writes at all encode as no bytes. The codec is
// by hand because every transaction passes it three times.
const (
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborNull  = 0xf6
)

func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// group is the writes of one table within a write set.
type group struct {
	table *table
	n     int
}

func encodeEntries(writes []entry, private bool) []byte {
	var space [4]group
	groups, size := space[:0], 9
	for i := range writes {
		e := &writes[i]
		if e.table.Private != private {
			continue
		}
		size += len(e.key) + len(e.value) + 10
		j := 0
		for j < len(groups) && groups[j].table != e.table {
			j++
		}
		if j == len(groups) {
			groups = append(groups, group{table: e.table})
			size += len(e.table.Name) + 12
		}
		groups[j].n++
	}
	if len(groups) == 0 {
		return nil
	}
	out := appendHead(make([]byte, 0, size), cborArray, uint64(len(groups)))
	for _, g := range groups {
		out = appendHead(out, cborArray, uint64(1+2*g.n))
		out = appendHead(out, cborText, uint64(len(g.table.Name)))
		out = append(out, g.table.Name...)
		for i := range writes {
			if e := &writes[i]; e.table == g.table {
				out = appendPair(out, []byte(e.key), e.value, e.deleted)
			}
		}
	}
	return out
}

func appendPair(out, key, value []byte, deleted bool) []byte {
	out = append(appendHead(out, cborBytes, uint64(len(key))), key...)
	if deleted {
		return append(out, cborNull)
	}
	return append(appendHead(out, cborBytes, uint64(len(value))), value...)
}

// EncodeWrites is the inverse of DecodeWrites. The order of tables and keys is kept; writes of one
// table need not stand together.
func EncodeWrites(writes []Write) []byte {
	tables := map[string]*table{}
	entries := make([]entry, len(writes))
	for i, w := range writes {
		t := tables[w.Table]
		if t == nil {
			t = &table{Table: Table{Name: w.Table}}
			tables[w.Table] = t
		}
		entries[i] = entry{t, string(w.Key), w.Value, w.Delete}
	}
	return encodeEntries(entries, false)
}

type decoder struct{ rest []byte }

var errWrites = fmt.Errorf("%w: write set", coco.ErrCorrupt)

func (d *decoder) head(major byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, fmt.Errorf("%w: ends early", errWrites)
	}
	b := d.rest[0]
	if b&0xe0 != major {
		return 0, fmt.Errorf("%w: expected CBOR major type %d, found initial byte %#x", errWrites, major>>5, b)
	}
	info := b & 0x1f
	size := 0 // bytes of the length after the initial one
	if info >= 24 {
		size = 1 << (info - 24)
	}
	if info > 26 || len(d.rest) < 1+size {
		return 0, fmt.Errorf("%w: bad length after initial byte %#x", errWrites, b)
	}
	n, least := uint64(info), uint64(0)
	switch info {
	case 24:
		n, least = uint64(d.rest[1]), 24
	case 25:
		n, least = uint64(binary.BigEndian.Uint16(d.rest[1:])), math.MaxUint8+1
	case 26:
		n, least = uint64(binary.BigEndian.Uint32(d.rest[1:])), math.MaxUint16+1
	}
	d.rest = d.rest[1+size:]
	if n < least {
		return 0, fmt.Errorf("%w: length %d not in its shortest form", errWrites, n)
	}
	if n > uint64(len(d.rest)) { // every element and every byte takes at least one byte
		return 0, fmt.Errorf("%w: length %d exceeds the %d bytes left", errWrites, n, len(d.rest))
	}
	return int(n), nil
}

func (d *decoder) bytes(major byte) ([]byte, error) {
	n, err := d.head(major)
	if err != nil {
		return nil, err
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b, nil
}

// DecodeWrites decodes a write set. Keys and values are parts of b. The error is coco.ErrCorrupt.
func DecodeWrites(b []byte) ([]Write, error) { return AppendWrites(nil, b) }

// AppendWrites decodes a write set and appends it to out.
func AppendWrites(out []Write, b []byte) ([]Write, error) {
	if len(b) == 0 {
		return out, nil
	}
	d := decoder{b}
	tables, err := d.head(cborArray)
	if err != nil {
		return nil, err
	}
	if tables == 0 {
		return nil, fmt.Errorf("%w: empty array, expected no bytes", errWrites)
	}
	seen := make([]string, 0, min(tables, 16))
	for range tables {
		n, err := d.head(cborArray)
		if err != nil {
			return nil, err
		}
		if n < 3 || n%2 != 1 {
			return nil, fmt.Errorf("%w: table with %d elements, expected a name and pairs", errWrites, n)
		}
		name, err := d.bytes(cborText)
		if err != nil {
			return nil, err
		}
		table := string(name)
		if slices.Contains(seen, table) {
			return nil, fmt.Errorf("%w: table %q twice", errWrites, table)
		}
		seen = append(seen, table)
		for range n / 2 {
			w := Write{Table: table}
			if w.Key, err = d.bytes(cborBytes); err != nil {
				return nil, err
			}
			if len(d.rest) > 0 && d.rest[0] == cborNull {
				d.rest, w.Delete = d.rest[1:], true
			} else if w.Value, err = d.bytes(cborBytes); err != nil {
				return nil, err
			}
			out = append(out, w)
		}
	}
	if len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after its end", errWrites, len(d.rest))
	}
	return out, nil
}
