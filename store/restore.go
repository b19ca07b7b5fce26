package store

import (
	"fmt"

	"github.com/cocoframework/coco"
)

// Restoration fills an empty store with the rows of a committed state. It belongs to the writer, and
// ends with Done or Drop; until then the store MUST NOT be used otherwise.
type Restoration struct {
	store *Store
	seqno uint64
	last  *table // that of the latest row, which is mostly that of the next
	err   error
}

// Restore begins to fill the store, whose tables are there and have no rows yet, with the state as of
// a committed seqno. What was before that seqno is unknown to the store from then on.
func (s *Store) Restore(seqno uint64) *Restoration {
	r := &Restoration{store: s, seqno: seqno}
	if s.newest != 0 || seqno == 0 {
		r.err = fmt.Errorf("%w: restoring the state at seqno %d on top of that at %d: expected an empty store and a seqno from 1", coco.ErrInvalid, seqno, s.newest)
	}
	return r
}

// Put adds a row; the order is of no importance. The value is kept: the caller MUST NOT modify it
// afterwards. The error is coco.ErrCorrupt for a row that such a state cannot have.
func (r *Restoration) Put(name, key string, value []byte) error {
	if r.err != nil {
		return r.err
	}
	t := r.last
	if t == nil || t.Name != name {
		if t = r.store.tables[name]; t == nil || t.Archive {
			return r.fail("a row of table %q, which this network does not have or does not keep in memory", name)
		}
		r.last = t
	}
	if t.rows[key] != nil {
		return r.fail("table %q has the row %.20x twice", name, key)
	}
	t.rows[key] = &version{seqno: r.seqno, value: value}
	if t.keys != nil {
		t.keys.Insert(key)
	}
	return nil
}

func (r *Restoration) fail(format string, args ...any) error {
	r.err = fmt.Errorf("%w: restoring the state at seqno %d: %s", coco.ErrCorrupt, r.seqno, fmt.Sprintf(format, args...))
	return r.err
}

// Done makes the rows the committed state. After an error the store has no rows.
func (r *Restoration) Done() error {
	if r.err != nil {
		r.Drop()
		return r.err
	}
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest, s.base = r.seqno, r.seqno
	s.committed.Store(r.seqno)
	return nil
}

// Drop ends the restoration and leaves the store empty.
func (r *Restoration) Drop() {
	if r.store.newest != 0 {
		return // it was not empty when this began
	}
	for _, t := range r.store.list {
		clear(t.rows)
		if t.keys != nil {
			t.keys.Clear()
		}
	}
}
