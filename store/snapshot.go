package store

import (
	"fmt"

	"github.com/cocoframework/coco"
)

// Snapshot is a committed state, pinned until Release. It may be used by several goroutines.
type Snapshot struct {
	store   *Store
	version uint64
}

// Snapshot pins the newest committed state.
func (s *Store) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pin(s.committed.Load())
}

// SnapshotAt pins the state as of an older committed seqno. It fails with coco.ErrNotFound when
// that version is pruned or not committed yet.
func (s *Store) SnapshotAt(seqno uint64) (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.committed.Load(); seqno > c || seqno < s.base {
		return nil, fmt.Errorf("%w: the state at seqno %d: memory holds %d to %d", coco.ErrNotFound, seqno, s.base, c)
	}
	return s.pin(seqno), nil
}

func (s *Store) pin(v uint64) *Snapshot {
	s.pins[v]++
	return &Snapshot{store: s, version: v}
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
	return p.store.table(name).get(key, p.version)
}

// Range implements Reader.
func (p *Snapshot) Range(name string, from, to []byte, fn func(key, value []byte) bool) {
	p.store.table(name).scan(from, to, p.version, fn)
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
			if !fn([]byte(r.key), r.value) {
				return
			}
		}
	}
}
