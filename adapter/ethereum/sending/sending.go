// Package sending counts the transactions that are under way on a node, by sender and nonce, and by hash. What is sent
// twice is known by it, and the sender's next nonce.
//
// Trust: enclave
package sending

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Tx is what is known of a transaction under way.
type Tx struct {
	Hash  common.Hash
	From  common.Address
	Nonce uint64
	// Owner is whose request it is in, and Signed what is sent.
	Owner  [32]byte
	Signed *types.Transaction
}

// Table counts transactions. It is safe for concurrent use.
type Table struct {
	mu     sync.Mutex
	turns  map[turn]int
	hashes map[common.Hash]*held

	watches map[*Watch]struct{}
	waits   []Tx // see Hold
}

// held is a transaction, and in how many requests it is.
type held struct {
	tx    Tx
	count int
}

type turn struct {
	from  common.Address
	nonce uint64
}

// New returns an empty table.
func New() *Table {
	return &Table{turns: map[turn]int{}, hashes: map[common.Hash]*held{}, watches: map[*Watch]struct{}{}}
}

// Knows reports whether a transaction is under way.
func (t *Table) Knows(hash common.Hash) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hashes[hash] != nil
}

// Add counts transactions. Each MUST be removed once.
func (t *Table) Add(txs []Tx) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range txs {
		t.turns[turn{x.From, x.Nonce}]++
		if h := t.hashes[x.Hash]; h != nil {
			h.count++
			continue
		}
		t.hashes[x.Hash] = &held{x, 1}
		for w := range t.watches {
			if w.owner == x.Owner {
				t.tell(w, x.Hash)
			}
		}
	}
}

// Hold counts the transactions of a list that wait in the ledger for a block, in the place of those of the list before. It is called by one
// goroutine at a time.
func (t *Table) Hold(list []Tx) {
	if len(list) == 0 && len(t.waits) == 0 {
		return
	}
	t.Add(list)
	t.Remove(t.waits)
	t.waits = list
}

// Get returns what is under way by its hash.
func (t *Table) Get(hash common.Hash) (Tx, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.hashes[hash]; h != nil {
		return h.tx, true
	}
	return Tx{}, false
}

// Remove counts transactions no more.
func (t *Table) Remove(txs []Tx) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range txs {
		less(t.turns, turn{x.From, x.Nonce})
		if h := t.hashes[x.Hash]; h != nil {
			if h.count--; h.count <= 0 {
				delete(t.hashes, x.Hash)
			}
		}
	}
}

// less counts down, to no entry.
func less[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// Len returns how many different transactions are under way.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(len(t.hashes), len(t.turns))
}

// Next returns the first nonce of a sender, from one on, with which nothing is under way.
func (t *Table) Next(from common.Address, nonce uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.turns[turn{from, nonce}] > 0 {
		nonce++
	}
	return nonce
}

// Take is Next with that nonce counted as under way, until give is called, which MUST be once.
func (t *Table) Take(from common.Address, nonce uint64) (next uint64, give func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.turns[turn{from, nonce}] > 0 {
		nonce++
	}
	at := turn{from, nonce}
	t.turns[at]++
	return nonce, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		less(t.turns, at)
	}
}

// Of returns what is under way for an owner, in no order.
func (t *Table) Of(owner [32]byte) []Tx {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Tx
	for _, h := range t.hashes {
		if h.tx.Owner == owner {
			out = append(out, h.tx)
		}
	}
	return out
}

// Watch tells of the transactions of an owner that come to be under way. A reader that falls behind by more than the buffer
// loses it: C is closed.
type Watch struct {
	C <-chan common.Hash

	c     chan common.Hash
	owner [32]byte
	table *Table
}

// Watch begins to tell.
func (t *Table) Watch(owner [32]byte, buffer int) *Watch {
	c := make(chan common.Hash, max(buffer, 1))
	w := &Watch{C: c, c: c, owner: owner, table: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watches[w] = struct{}{}
	return w
}

// Close ends the watch. It may be called more than once.
func (w *Watch) Close() {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	w.table.end(w)
}

// tell is called under the lock.
func (t *Table) tell(w *Watch, hash common.Hash) {
	select {
	case w.c <- hash:
	default:
		t.end(w)
	}
}

func (t *Table) end(w *Watch) {
	if _, ok := t.watches[w]; ok {
		delete(t.watches, w)
		close(w.c)
	}
}
