package store

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/cocoframework/coco"
)

// Scope is the part of a store that one owner sees: the tables whose names begin with the owner's
// name and a dot.
//
//	store ── Scope("kv") ──┬── Snapshot, SnapshotAt   read what is committed, at any time
//	  │                    │
//	  └── Begin ── Set ────┴── Part   read and write, until the core ends it
//
// A scope resolves its tables once, when they are created, and everything that is made from it looks
// names up among those alone: a read costs what it costs without a scope. A table of another owner
// is a table that does not exist, so naming one panics, as for any Reader.
//
// Tables whose rows have audiences are apart: what is made from a scope names them through For only, for one actor and one
// audience at a time.
type Scope struct {
	store   *Store
	tables  map[string]*table // without audiences
	parties map[string]*table // with audiences
}

// Scope creates the tables of an owner and returns the scope of exactly these. It MUST NOT be called
// once a batch is applied. The error is coco.ErrInvalid if the owner has a scope already, or if a name
// does not begin with the owner's name and a dot.
func (s *Store) Scope(owner string, tables ...Table) (*Scope, error) {
	if owner == "" || strings.Contains(owner, ".") || s.scopes[owner] != nil {
		return nil, fmt.Errorf("%w: scope %q: expected a name without dots that is not taken", coco.ErrInvalid, owner)
	}
	for _, t := range tables {
		if !strings.HasPrefix(t.Name, owner+".") || t.Name == owner+"." {
			return nil, fmt.Errorf("%w: scope %q: table %q: expected a name that begins with %q", coco.ErrInvalid, owner, t.Name, owner+".")
		}
	}
	if err := s.Create(tables...); err != nil {
		return nil, err
	}
	c := &Scope{store: s, tables: make(map[string]*table, len(tables)), parties: map[string]*table{}}
	for _, t := range tables {
		if t.Audience {
			c.parties[t.Name] = s.tables[t.Name]
		} else {
			c.tables[t.Name] = s.tables[t.Name]
		}
	}
	s.scopes[owner] = c
	return c, nil
}

// Has reports whether a table without audiences belongs to the scope.
func (c *Scope) Has(table string) bool { return c.tables[table] != nil }

// HasAudiences reports whether a table whose rows have audiences belongs to the scope.
func (c *Scope) HasAudiences(table string) bool { return c.parties[table] != nil }

// Committed is Store.Committed.
func (c *Scope) Committed() uint64 { return c.store.Committed() }

// Oldest is Store.Oldest.
func (c *Scope) Oldest() uint64 { return c.store.Oldest() }

// Snapshot pins the newest committed state of the scope's tables.
func (c *Scope) Snapshot() *Snapshot { return c.store.snapshot(c.tables) }

// SnapshotAt is Store.SnapshotAt for the scope's tables.
func (c *Scope) SnapshotAt(seqno uint64) (*Snapshot, error) {
	return c.store.snapshotAt(c.tables, seqno)
}

// Newest pins the newest state of the scope's tables, committed or not, for a reader on another goroutine. Writer only.
// Once that state is rolled back, what the snapshot reads means nothing.
func (c *Scope) Newest() *Snapshot {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	return c.store.pin(c.tables, c.store.newest)
}

// Part is a transaction set as the owner of a scope may use it: to open transactions over its own
// tables. It belongs to the writer's goroutine until End.
type Part struct {
	set    *Set
	tables map[string]*table // nil once it has ended
}

// Part returns the part of the set that belongs to a scope.
func (b *Set) Part(c *Scope) *Part { return &Part{set: b, tables: c.tables} }

// End ends the use of the part: from then on every method that names a table panics.
func (p *Part) End() { p.tables = nil }

// First returns the seqno of the set's first transaction, of whatever scope.
func (p *Part) First() uint64 { return p.set.First() }

// Next returns the seqno that the next transaction gets.
func (p *Part) Next() uint64 { return p.set.Next() }

// Room returns how many bytes the records of further transactions may have, and of how many the set may hold. A set
// without a bound has room for everything.
func (p *Part) Room() (left, most int) {
	if p.set.limit == 0 {
		return math.MaxInt, math.MaxInt
	}
	return p.set.limit - p.set.size, p.set.limit
}

// View returns the view that the set executes in.
func (p *Part) View() uint64 { return p.set.View() }

// Time is Set.Time.
func (p *Part) Time() uint64 { return p.set.Time() }

// Rand is Set.Rand.
func (p *Part) Rand() io.Reader { return p.set.Rand() }

// Begin is Set.Begin for a transaction over the scope's tables.
func (p *Part) Begin() *Tx {
	if p.tables == nil {
		panic("store: this part of a transaction set has ended")
	}
	return p.set.begin(p.tables)
}

// Get implements Reader.
func (p *Part) Get(name string, key []byte) ([]byte, bool) {
	return p.set.get(named(p.tables, name), key)
}

// Range implements Reader.
func (p *Part) Range(name string, from, to []byte, fn func(key, value []byte) bool) {
	p.set.scan(named(p.tables, name), from, to, fn)
}

// In calls fn with the part of the transaction that belongs to a scope. The part MUST NOT be used after fn
// has returned; it can neither claim for the transaction nor commit nor abort it.
func (t *Tx) In(c *Scope, fn func(*Tx) error) error {
	part := &Tx{set: t.set, tables: c.tables, whole: t.whole}
	defer func() { part.tables = nil }()
	return fn(part)
}
