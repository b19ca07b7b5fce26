// Package sending counts the transactions that are under way on a node, by sender and nonce, and by hash. What is sent
// twice is known by it, and the sender's next nonce.
//
// Trust: enclave
package sending

import (
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// Tx is what is known of a transaction under way.
type Tx struct {
	Hash  common.Hash
	From  common.Address
	Nonce uint64
}

// Table counts transactions. It is safe for concurrent use.
type Table struct {
	mu     sync.Mutex
	turns  map[turn]int
	hashes map[common.Hash]int
}

type turn struct {
	from  common.Address
	nonce uint64
}

// New returns an empty table.
func New() *Table { return &Table{turns: map[turn]int{}, hashes: map[common.Hash]int{}} }

// Knows reports whether a transaction is under way.
func (t *Table) Knows(hash common.Hash) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hashes[hash] > 0
}

// Add counts transactions. Each MUST be removed once.
func (t *Table) Add(txs []Tx) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range txs {
		t.turns[turn{x.From, x.Nonce}]++
		t.hashes[x.Hash]++
	}
}

// Remove counts transactions no more.
func (t *Table) Remove(txs []Tx) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range txs {
		less(t.turns, turn{x.From, x.Nonce})
		less(t.hashes, x.Hash)
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
