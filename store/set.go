package store

import (
	"cmp"
	"crypto/rand"
	"io"
	"math"
	"slices"
)

// Record is what one transaction of a set leaves behind, in the form that the ledger keeps.
type Record struct {
	Public  []byte // encoded writes to public tables; empty if there are none
	Private []byte // encoded writes to private tables
	Claims  []byte // what a receipt proves beside the writes
}

// Set is a batch of transactions on top of the newest state. It belongs to the writer's goroutine
// and ends by Install or by being dropped.
type Set struct {
	store   *Store
	tables  map[string]*table // the store's
	view    uint64
	now     uint64
	first   uint64
	records []Record
	over    []map[string]*entry // by table index: the set's own writes
	order   []*entry            // the same, in the order of first writing
	spare   []entry             // memory for the next transaction's writes
	open    bool
	twice   *entry // a row of an archive that two transactions wrote
	size    int    // bytes of the records
	limit   int    // of size; 0: none
}

// entry is a pending write.
type entry struct {
	table   *table
	key     string
	value   []byte
	deleted bool
}

// Begin opens a transaction set over the newest state: view is the leader's, now the time in
// milliseconds since 1970. Writer only.
func (s *Store) Begin(view, now uint64) *Set {
	return &Set{store: s, tables: s.tables, view: view, now: now, first: s.newest + 1, over: make([]map[string]*entry, len(s.list))}
}

// First returns the seqno of the set's first transaction.
func (b *Set) First() uint64 { return b.first }

// Next returns the seqno that the next transaction gets.
func (b *Set) Next() uint64 { return b.first + uint64(len(b.records)) }

// View returns the view that the set executes in.
func (b *Set) View() uint64 { return b.view }

// Time returns the batch's time in milliseconds since 1970. It never decreases from batch to batch.
func (b *Set) Time() uint64 { return b.now }

// Rand returns the source of randomness that transactions may use: they execute once.
func (b *Set) Rand() io.Reader { return rand.Reader }

// Len returns the number of committed transactions.
func (b *Set) Len() int { return len(b.records) }

// Size returns how many bytes the records of the committed transactions have.
func (b *Set) Size() int { return b.size }

// Bound says how many bytes the records may have together. Set and Tx do not enforce it: see Tx.Fits.
func (b *Set) Bound(bytes int) { b.limit = bytes }

// recordOverhead is what a record adds to its contents where it is sealed, at most: three lengths and a hash.
const recordOverhead = 64

// Records returns what the transactions leave behind, in order.
func (b *Set) Records() []Record { return b.records }

// Begin opens a transaction, which sees the earlier ones. Only one may be open at a time, and it
// MUST NOT be used after Commit or Abort, but for its Seqno.
func (b *Set) Begin() *Tx { return b.begin(b.tables) }

func (b *Set) begin(tables map[string]*table) *Tx {
	if b.open {
		panic("store: a transaction of this set is open")
	}
	b.open = true
	t := &Tx{set: b, tables: tables, seqno: b.Next(), writes: b.spare[:0]}
	t.whole = t
	return t
}

// Get implements Reader: it sees the committed transactions of the set.
func (b *Set) Get(name string, key []byte) ([]byte, bool) { return b.get(named(b.tables, name), key) }

func (b *Set) get(t *table, key []byte) ([]byte, bool) {
	if e := b.over[t.index][string(key)]; e != nil {
		return e.value, !e.deleted
	}
	return t.rows[string(key)].at(math.MaxUint64) // the writer may read its own map unlocked
}

// Range implements Reader.
func (b *Set) Range(name string, from, to []byte, fn func(key, value []byte) bool) {
	b.scan(named(b.tables, name), from, to, fn)
}

func (b *Set) scan(t *table, from, to []byte, fn func(key, value []byte) bool) {
	var own []*entry
	for _, e := range b.over[t.index] {
		own = appendInRange(own, e, from, to)
	}
	merge(t, own, from, to, fn)
}

func appendInRange(own []*entry, e *entry, from, to []byte) []*entry {
	if e.key >= string(from) && (to == nil || e.key < string(to)) {
		own = append(own, e)
	}
	return own
}

// merge ranges over a table with pending writes laid over it. Later entries of a key win.
func merge(t *table, own []*entry, from, to []byte, fn func(key, value []byte) bool) {
	slices.SortStableFunc(own, func(a, b *entry) int { return cmp.Compare(a.key, b.key) })
	stopped := false
	emit := func(e *entry) bool {
		stopped = !e.deleted && !fn([]byte(e.key), e.value)
		return !stopped
	}
	take := func() *entry { // the last of those with the first key
		n := 1
		for n < len(own) && own[n].key == own[0].key {
			n++
		}
		e := own[n-1]
		own = own[n:]
		return e
	}
	t.scan(from, to, math.MaxUint64, func(key, value []byte) bool {
		for len(own) > 0 && own[0].key < string(key) {
			if !emit(take()) {
				return false
			}
		}
		if len(own) > 0 && own[0].key == string(key) {
			return emit(take())
		}
		stopped = !fn(key, value)
		return !stopped
	})
	for !stopped && len(own) > 0 {
		emit(take())
	}
}

// Install puts the set's writes into the store as one batch. It does nothing for an empty set.
func (b *Set) Install() error {
	if b.open {
		panic("store: a transaction of this set is open")
	}
	if len(b.records) == 0 {
		return nil
	}
	if e := b.twice; e != nil { // Apply would not see it here, but it would on the other nodes
		return errArchive(e.table.Name, []byte(e.key))
	}
	writes := make([]Write, len(b.order))
	slices.SortStableFunc(b.order, func(x, y *entry) int { return cmp.Compare(x.table.index, y.table.index) })
	for i, e := range b.order {
		writes[i] = Write{Table: e.table.Name, Key: []byte(e.key), Value: e.value, Delete: e.deleted}
	}
	return b.store.Apply(b.Next()-1, writes)
}

// Tx is one transaction of a set, or a part of one: see In.
type Tx struct {
	set    *Set
	tables map[string]*table // those that it may name; nil once it has ended
	whole  *Tx               // the transaction that this is a part of, as a rule itself; all that follows is the whole's
	seqno  uint64
	writes []entry
	index  map[cell]int // of writes; built once there are many
	claims []byte
}

type cell struct {
	table *table
	key   string
}

// indexFrom is the number of writes from which a map beats looking through them.
const indexFrom = 12

// Seqno returns the seqno that the transaction gets when committed, or has got.
func (t *Tx) Seqno() uint64 { return t.whole.seqno }

// View is Set.View.
func (t *Tx) View() uint64 { return t.set.view }

// Time is Set.Time.
func (t *Tx) Time() uint64 { return t.set.now }

// Rand is Set.Rand.
func (t *Tx) Rand() io.Reader { return t.set.Rand() }

func (t *Tx) find(tab *table, key []byte) *entry {
	if t.index != nil {
		if i, ok := t.index[cell{tab, string(key)}]; ok {
			return &t.writes[i]
		}
		return nil
	}
	for i := range t.writes {
		if e := &t.writes[i]; e.table == tab && e.key == string(key) {
			return e
		}
	}
	return nil
}

// Get implements Reader.
func (t *Tx) Get(name string, key []byte) ([]byte, bool) {
	tab := named(t.tables, name)
	if e := t.whole.find(tab, key); e != nil {
		return e.value, !e.deleted
	}
	return t.set.get(tab, key)
}

// Range implements Reader.
func (t *Tx) Range(name string, from, to []byte, fn func(key, value []byte) bool) {
	tab := named(t.tables, name)
	var own []*entry
	for _, e := range t.set.over[tab.index] {
		own = appendInRange(own, e, from, to)
	}
	writes := t.whole.writes
	for i := range writes {
		if writes[i].table == tab {
			own = appendInRange(own, &writes[i], from, to)
		}
	}
	merge(tab, own, from, to, fn)
}

// Put writes a key. The value is kept: the caller MUST NOT modify it afterwards.
func (t *Tx) Put(name string, key, value []byte) {
	t.whole.write(named(t.tables, name), key, value, false)
}

// Delete removes a key, whether or not it exists.
func (t *Tx) Delete(name string, key []byte) {
	t.whole.write(named(t.tables, name), key, nil, true)
}

func (t *Tx) write(tab *table, key, value []byte, deleted bool) {
	if e := t.find(tab, key); e != nil {
		e.value, e.deleted = value, deleted
		return
	}
	t.writes = append(t.writes, entry{tab, string(key), value, deleted})
	switch n := len(t.writes); {
	case t.index != nil:
		t.index[cell{tab, string(key)}] = n - 1
	case n >= indexFrom:
		t.index = make(map[cell]int, 2*n)
		for i, e := range t.writes {
			t.index[cell{e.table, e.key}] = i
		}
	}
}

// Claim says what a receipt of this transaction proves beside its writes. At most one call.
func (t *Tx) Claim(claims []byte) {
	t.entire()
	t.claims = claims
}

// entryOverhead is what a write adds to key, value and the table's name where it is encoded, at most.
const entryOverhead = 16

// Size returns how many bytes the transaction's record has at most, if it is committed as it is.
func (t *Tx) Size() int {
	n := recordOverhead + len(t.whole.claims)
	for _, e := range t.whole.writes {
		n += entryOverhead + len(e.table.Name) + len(e.key) + len(e.value)
	}
	return n
}

// Fits reports whether the transaction, with so many further bytes, can be committed within the bound of the set; and
// if not, whether it could be within that of an empty one.
func (t *Tx) Fits(more int) (now, alone bool) {
	b, n := t.set, t.Size()+more
	return b.limit == 0 || b.size+n <= b.limit, b.limit == 0 || n <= b.limit
}

// Commit merges the transaction into the set as its next seqno.
func (t *Tx) Commit() {
	t.entire()
	b := t.set
	r := Record{
		Public:  encodeEntries(t.writes, false),
		Private: encodeEntries(t.writes, true),
		Claims:  t.claims,
	}
	b.records = append(b.records, r)
	b.size += recordOverhead + len(r.Public) + len(r.Private) + len(r.Claims)
	for _, e := range t.writes {
		over := b.over[e.table.index]
		if over == nil {
			over = map[string]*entry{}
			b.over[e.table.index] = over
		}
		if old := over[e.key]; old != nil {
			if e.table.Archive {
				b.twice = old
			}
			old.value, old.deleted = e.value, e.deleted
			continue
		}
		p := &entry{e.table, e.key, e.value, e.deleted}
		over[e.key] = p
		b.order = append(b.order, p)
	}
	t.Abort()
}

// Abort drops the transaction.
func (t *Tx) Abort() {
	t.entire()
	clear(t.writes)
	t.set.spare, t.set.open = t.writes, false
	t.tables, t.writes, t.index, t.claims = nil, nil, nil, nil
}

// entire panics for a part of a transaction: only the owner of the whole ends it.
func (t *Tx) entire() {
	if t.whole != t {
		panic("store: a part of a transaction can neither claim for it nor commit nor abort it")
	}
}
