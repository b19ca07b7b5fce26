package store

import (
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
)

// Snapshot is a committed state, pinned until Release. It may be used by several goroutines.
type Snapshot struct {
	store   *Store
	tables  map[string]*table // those that it may name
	version uint64
}

// Snapshot pins the newest committed state.
func (s *Store) Snapshot() *Snapshot { return s.snapshot(s.tables) }

func (s *Store) snapshot(tables map[string]*table) *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pin(tables, s.committed.Load())
}

// SnapshotAt pins the state as of an older committed seqno. It fails with coco.ErrNotFound when
// that version is pruned or not committed yet.
func (s *Store) SnapshotAt(seqno uint64) (*Snapshot, error) { return s.snapshotAt(s.tables, seqno) }

func (s *Store) snapshotAt(tables map[string]*table, seqno uint64) (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.committed.Load(); seqno > c || seqno < s.base {
		return nil, fmt.Errorf("%w: the state at seqno %d: memory holds %d to %d", coco.ErrNotFound, seqno, s.base, c)
	}
	return s.pin(tables, seqno), nil
}

func (s *Store) pin(tables map[string]*table, v uint64) *Snapshot {
	s.pins[v]++
	return &Snapshot{store: s, tables: tables, version: v}
}

// Release lets the state be pruned. It MUST be called exactly once.
func (p *Snapshot) Release() {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pins[p.version]--; s.pins[p.version] == 0 {
		delete(s.pins, p.version)
	}
}

// Version returns the seqno that the snapshot stands for.
func (p *Snapshot) Version() uint64 { return p.version }

// Get implements Reader.
func (p *Snapshot) Get(name string, key []byte) ([]byte, bool) {
	return named(p.tables, name).get(key, p.version)
}

// Range implements Reader.
func (p *Snapshot) Range(name string, from, to []byte, fn func(key, value []byte) bool) {
	named(p.tables, name).scan(from, to, p.version, fn)
}

func (t *table) get(key []byte, at uint64) ([]byte, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows[string(key)].at(at)
}

// at returns the value of a chain as of a version. The caller holds the table's lock, or is the
// writer.
func (v *version) at(seqno uint64) ([]byte, bool) {
	for v != nil && v.seqno > seqno {
		v = v.older
	}
	if v == nil || v.deleted {
		return nil, false
	}
	return v.value, true
}

// scanStep is how many rows a scan copies under the table's lock at a time.
const scanStep = 128

// scan calls fn without holding the lock, so that a slow reader does not stop the writer.
func (t *table) scan(from, to []byte, at uint64, fn func(key, value []byte) bool) {
	t.scanRows(from, to, at, func(key string, value []byte) bool { return fn([]byte(key), value) })
}

func (t *table) scanRows(from, to []byte, at uint64, fn func(key string, value []byte) bool) {
	if t.keys == nil {
		panic("store: table " + t.Name + " is not ordered")
	}
	type row struct {
		key   string
		value []byte
	}
	rows := make([]row, 0, scanStep)
	pivot, end := string(from), false
	for !end {
		rows, end = rows[:0], true
		seen := 0
		t.mu.RLock()
		t.keys.Ascend(pivot, func(k string) bool {
			if to != nil && k >= string(to) {
				return false
			}
			if seen++; seen > scanStep {
				pivot, end = k, false
				return false
			}
			if v, ok := t.rows[k].at(at); ok {
				rows = append(rows, row{k, v})
			}
			return true
		})
		t.mu.RUnlock()
		for _, r := range rows {
			if !fn(r.key, r.value) {
				return
			}
		}
	}
}

// eachStep is how many rows Each looks at under the table's lock at a time.
const eachStep = 1024

// Each calls fn for every row of a table in the order of the keys, and ends with fn's first error. It
// does not stop the writer, however long it takes. Besides what fn keeps it needs memory for
// the names of all keys, if the table is not ordered.
func (p *Snapshot) Each(name string, fn func(key string, value []byte) error) (err error) {
	t := named(p.tables, name)
	if t.keys != nil {
		t.scanRows(nil, nil, p.version, func(key string, value []byte) bool {
			err = fn(key, value)
			return err == nil
		})
		return err
	}
	keys := t.keysAt(p.version)
	slices.Sort(keys)
	values := make([][]byte, 0, eachStep)
	for step := range slices.Chunk(keys, eachStep) {
		values = values[:0]
		t.mu.RLock()
		for _, k := range step {
			v, _ := t.rows[k].at(p.version)
			values = append(values, v)
		}
		t.mu.RUnlock()
		for i, k := range step {
			if err := fn(k, values[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// keysAt returns the keys that a pinned version has, in no order. It lets the writer in between steps:
// a map may change during an iteration, which still meets every key that stays, and those of a
// pinned version stay.
func (t *table) keysAt(version uint64) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var keys []string
	step := 0
	for k, v := range t.rows {
		if step++; step%eachStep == 0 {
			t.mu.RUnlock()
			t.mu.RLock()
		}
		if _, ok := v.at(version); ok {
			keys = append(keys, k)
		}
	}
	return keys
}
