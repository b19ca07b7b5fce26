package store

import (
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// Write is one change of a key.
type Write struct {
	Table  string
	Key    []byte
	Value  []byte
	Delete bool
}

// group is the writes of one table within a write set.
type group struct {
	table *table
	n     int
}

// encodeEntries returns the write set of the private or of the public tables.
//
// Write sets are deterministic CBOR (package canon): an array with one element for each table, in the
// order of their first write; each element is an array of the table's name (text) followed by key
// (bytes) and value (bytes, or null for a deletion) in turn. No writes at all encode as no bytes. The
// codec is by hand because every transaction passes it three times.
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
	out := canon.AppendHead(make([]byte, 0, size), canon.Array, uint64(len(groups)))
	for _, g := range groups {
		out = canon.AppendHead(out, canon.Array, uint64(1+2*g.n))
		out = canon.AppendText(out, g.table.Name)
		for i := range writes {
			if e := &writes[i]; e.table == g.table {
				out = appendPair(out, []byte(e.key), e.value, e.deleted)
			}
		}
	}
	return out
}

func appendPair(out, key, value []byte, deleted bool) []byte {
	out = canon.AppendBytes(out, key)
	if deleted {
		return append(out, canon.Null)
	}
	return canon.AppendBytes(out, value)
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

// count reads the head of an array or a string, which is never longer than what is left: every
// element and every byte takes at least one byte.
func (d *decoder) count(major canon.Major) (int, error) {
	n, rest, err := canon.CutHead(d.rest, major)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errWrites, err)
	}
	if n > uint64(len(rest)) {
		return 0, fmt.Errorf("%w: length %d exceeds the %d bytes left", errWrites, n, len(rest))
	}
	d.rest = rest
	return int(n), nil
}

func (d *decoder) bytes(major canon.Major) ([]byte, error) {
	n, err := d.count(major)
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
	tables, err := d.count(canon.Array)
	if err != nil {
		return nil, err
	}
	if tables == 0 {
		return nil, fmt.Errorf("%w: empty array, expected no bytes", errWrites)
	}
	seen := make([]string, 0, min(tables, 16))
	for range tables {
		n, err := d.count(canon.Array)
		if err != nil {
			return nil, err
		}
		if n < 3 || n%2 != 1 {
			return nil, fmt.Errorf("%w: table with %d elements, expected a name and pairs", errWrites, n)
		}
		name, err := d.bytes(canon.Text)
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
			if w.Key, err = d.bytes(canon.Bytes); err != nil {
				return nil, err
			}
			if len(d.rest) > 0 && d.rest[0] == canon.Null {
				d.rest, w.Delete = d.rest[1:], true
			} else if w.Value, err = d.bytes(canon.Bytes); err != nil {
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
