// Package store is the in-memory state of a node: named tables of versioned keys.
//
// A version is the seqno of the last transaction of the batch that wrote a value. One goroutine
// writes: on the leader it executes transaction sets on top of the newest state, ahead of their
// commit, and on a follower it applies the write sets of committed batches. Readers take a
// Snapshot of a committed version and never wait for an execution. When a leader loses its view,
// Rollback removes the versions that will not be committed.
//
// Versions older than the horizon (a number of batches and of bytes, or the oldest pinned snapshot) are pruned.
//
// The package does no input or output, starts no goroutine and reads no clock.
//
// Trust: enclave
package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/cocoframework/coco"
)

// Table declares a table.
type Table struct {
	Name    string
	Private bool // contents are encrypted wherever they leave the enclave
	Ordered bool // keys can be ranged over; costs a B-tree beside the map
	// Archive rows are written once and never change. They leave memory once the batch that wrote them
	// is behind the horizon, because the ledger still has them: reading one may find nothing, and
	// the reader then asks the ledger. They belong neither to the digest of the state nor to
	// snapshots on disk, so what a transaction does MUST NOT depend on them. Not with Ordered.
	Archive bool
	// Audience rows are seen and written by the actors of their audience alone, through Snapshot.For and Tx.For: for the
	// scope that they belong to there is no other way. See Audience. Neither with Archive nor without Private.
	Audience bool
	// Resident says that the owner's values are those of package resident: what the network has of rows whose contents are on the
	// nodes of their audience alone. Only with Audience.
	Resident bool
}

// Retain is the number of committed batches whose overwritten values stay readable.
const Retain = 256

// RetainBytes is how much these batches may have written, in bytes: where it is more, fewer batches are retained, but
// never fewer than retainLeast.
const (
	RetainBytes = 512 << 20
	retainLeast = 2
)

// rowOverhead is about what a version takes in memory beside its key and its value, in bytes.
const rowOverhead = 128

// Reader reads one state. Naming a table that was never created, or ranging over one that is not
// ordered, is a programming error and panics. Returned slices MUST NOT be modified.
type Reader interface {
	Get(table string, key []byte) (value []byte, ok bool)
	// Range calls fn for keys from <= key < to in order until fn returns false. A nil to has no
	// end. fn MUST NOT write to the transaction that it reads.
	Range(table string, from, to []byte, fn func(key, value []byte) bool)
}

// version is one value of a key. A chain is ordered newest first.
type version struct {
	seqno   uint64
	value   []byte
	deleted bool
	older   *version
}

type table struct {
	Table
	index int // position in Store.list

	mu   sync.RWMutex
	rows map[string]*version // guarded by mu, except for the writer's own reads
	keys *btree.Set[string]  // nil unless Ordered; guarded by mu
}

// applied remembers what a batch touched, for rolling back and for pruning.
type applied struct {
	last    uint64
	touched []touched
	bytes   int // of the rows that it wrote
}

// touched is a version that a batch added.
type touched struct {
	table   *table
	key     string
	version *version
}

// Store is the state of a node.
type Store struct {
	tables map[string]*table // fixed once the first batch is applied
	list   []*table
	scopes map[string]*Scope // by name

	committed atomic.Uint64

	mu   sync.Mutex
	pins map[uint64]int // snapshots in use by version
	base uint64         // oldest version that readers may ask for

	// The writer's own, unguarded.
	newest  uint64
	batches []applied // oldest first; those above base
	bytes   int       // of all batches
	retain  int       // RetainBytes, but for tests
}

// New returns an empty store.
func New() *Store {
	return &Store{tables: map[string]*table{}, scopes: map[string]*Scope{}, pins: map[uint64]int{}, retain: RetainBytes}
}

// Create adds tables. It MUST NOT be called once a batch is applied.
func (s *Store) Create(tables ...Table) error {
	for _, t := range tables {
		if t.Name == "" || s.tables[t.Name] != nil {
			return fmt.Errorf("%w: table %q is empty or exists already", coco.ErrInvalid, t.Name)
		}
		if t.Archive && t.Ordered {
			return fmt.Errorf("%w: table %q: an archive keeps no order of its keys", coco.ErrInvalid, t.Name)
		}
		if t.Audience && (t.Archive || !t.Private) {
			return fmt.Errorf("%w: table %q: rows with an audience are private, and no archive", coco.ErrInvalid, t.Name)
		}
		if t.Resident && !t.Audience {
			return fmt.Errorf("%w: table %q: rows that reside with their parties have an audience", coco.ErrInvalid, t.Name)
		}
		tab := &table{Table: t, index: len(s.list), rows: map[string]*version{}}
		if t.Ordered {
			tab.keys = new(btree.Set[string])
		}
		s.tables[t.Name] = tab
		s.list = append(s.list, tab)
	}
	return nil
}

// Tables returns the declarations of all tables, in order of creation.
func (s *Store) Tables() []Table {
	out := make([]Table, len(s.list))
	for i, t := range s.list {
		out[i] = t.Table
	}
	return out
}

// named returns a table by its name, from the tables that the caller may name.
func named(tables map[string]*table, name string) *table {
	t := tables[name]
	if t == nil {
		panic("store: no table " + name + " in this scope")
	}
	return t
}

// Committed returns the newest committed version.
func (s *Store) Committed() uint64 { return s.committed.Load() }

// Oldest returns the oldest version that readers may ask for. Whatever a batch up to it wrote to an
// archive has left memory; 0 means that nothing has.
func (s *Store) Oldest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

// Newest returns the newest version, committed or not. Writer only.
func (s *Store) Newest() uint64 { return s.newest }

// Apply installs the writes of one batch whose last transaction is seqno last. Later writes of a
// key win. Writer only. Values of archives are kept: the caller MUST NOT modify them afterwards. All others are copied: a
// row may stay for ever, and must not keep the batch or the request in memory that its value is a part of.
func (s *Store) Apply(last uint64, writes []Write) error {
	if last <= s.newest {
		return fmt.Errorf("%w: batch up to seqno %d applied on top of %d", coco.ErrCorrupt, last, s.newest)
	}
	for i := range writes {
		if s.tables[writes[i].Table] == nil {
			return fmt.Errorf("%w: write to table %q, which this network does not have", coco.ErrCorrupt, writes[i].Table)
		}
	}
	b := applied{last: last, touched: make([]touched, 0, len(writes))}
	for i := 0; i < len(writes); {
		t := s.tables[writes[i].Table]
		t.mu.Lock()
		for ; i < len(writes) && writes[i].Table == t.Name; i++ {
			w := &writes[i]
			key := string(w.Key)
			if t.Archive && (w.Delete || t.rows[key] != nil) {
				t.mu.Unlock()
				s.undo(b.touched)
				return errArchive(t.Name, w.Key)
			}
			value := w.Value
			if !t.Archive && value != nil {
				value = append(make([]byte, 0, len(value)), value...)
			}
			b.bytes += len(key) + len(value) + rowOverhead
			if v := t.put(last, key, value, w.Delete); v != nil {
				b.touched = append(b.touched, touched{t, key, v})
			}
		}
		t.mu.Unlock()
	}
	s.newest = last
	s.batches = append(s.batches, b)
	s.bytes += b.bytes
	return nil
}

func errArchive(table string, key []byte) error {
	return fmt.Errorf("%w: row %.20x of the archive %q is changed: its rows are written once", coco.ErrCorrupt, key, table)
}

// undo removes the versions of a batch that is not installed after all.
func (s *Store) undo(list []touched) {
	for _, r := range list {
		r.table.rollback(r.key, s.newest)
	}
}

// put adds a version of a key and returns it, or nil if the batch has written the key before. The
// caller holds t.mu.
func (t *table) put(seqno uint64, key string, value []byte, deleted bool) *version {
	head := t.rows[key]
	if head != nil && head.seqno == seqno {
		head.value, head.deleted = value, deleted
		return nil
	}
	v := &version{seqno: seqno, value: value, deleted: deleted, older: head}
	t.rows[key] = v
	if head == nil && t.keys != nil {
		t.keys.Insert(key)
	}
	return v
}

// Commit makes every batch up to seqno last readable and prunes what falls behind the horizon.
// Writer only.
func (s *Store) Commit(last uint64) {
	s.committed.Store(last)
	s.mu.Lock()
	horizon := last
	for v := range s.pins {
		horizon = min(horizon, v)
	}
	n := 0
	for keep := len(s.batches); keep > retainLeast && (keep > Retain || s.bytes > s.retain) && s.batches[n].last <= horizon; keep-- {
		s.bytes -= s.batches[n].bytes
		n++
	}
	if n > 0 {
		s.base = s.batches[n-1].last
	}
	s.mu.Unlock()
	for _, b := range s.batches[:n] {
		prune(b.touched)
	}
	s.batches = slices.Delete(s.batches, 0, n)
}

// prune drops what lies below versions that are the horizon now: no reader sees past them. A
// tombstone that newer versions lie on goes when the next one of these becomes the horizon. Rows of
// archives go themselves.
func prune(list []touched) {
	for i := 0; i < len(list); {
		t := list[i].table
		t.mu.Lock()
		for ; i < len(list) && list[i].table == t; i++ {
			v := list[i].version
			v.older = nil
			if (v.deleted || t.Archive) && t.rows[list[i].key] == v {
				t.remove(list[i].key)
			}
		}
		t.mu.Unlock()
	}
}

func (t *table) remove(key string) {
	delete(t.rows, key)
	if t.keys != nil {
		t.keys.Delete(key)
	}
}

// Rollback removes every version above seqno to, which MUST NOT be below the committed version.
// Writer only.
func (s *Store) Rollback(to uint64) error {
	if c := s.committed.Load(); to < c {
		return fmt.Errorf("%w: rollback to seqno %d, but %d is committed", coco.ErrInvalid, to, c)
	}
	n := len(s.batches)
	for ; n > 0 && s.batches[n-1].last > to; n-- {
		for _, r := range s.batches[n-1].touched {
			r.table.rollback(r.key, to)
		}
		s.bytes -= s.batches[n-1].bytes
		s.batches[n-1] = applied{}
	}
	s.batches = s.batches[:n]
	s.newest = min(s.newest, to)
	return nil
}

func (t *table) rollback(key string, to uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.rows[key]
	for v != nil && v.seqno > to {
		v = v.older
	}
	if v == nil {
		t.remove(key)
		return
	}
	t.rows[key] = v
}

// Digest returns a digest of the whole state at a committed version: every table by name, every
// key in order. Archives are not part of it. Equal states have equal digests on every node. It reads
// everything.
func (s *Store) Digest(p *Snapshot) coco.Digest {
	h := sha256.New()
	var n [8]byte
	field := func(b []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	list := slices.DeleteFunc(s.Tables(), func(t Table) bool { return t.Archive })
	slices.SortFunc(list, func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range list {
		field([]byte(t.Name))
		_ = p.Each(t.Name, func(key string, value []byte) error { // fn never fails
			field([]byte(key))
			field(value)
			return nil
		})
	}
	return coco.Digest(h.Sum(nil))
}
