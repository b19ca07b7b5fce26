// Package budget bounds the memory that replies take, from before they are built until their readers have taken them.
//
// A node has one Budget. Each request, and each connection that stays open, has a Claim on it, in the
// name of its caller. Memory is claimed before it is allocated: at once by an upper bound, or step by step while a
// reply grows in a Buffer. A claim that does not fit is refused with coco.ErrBusy at that moment, so what waits is
// bounded at all times, for the whole node and, by the rule of package fair, for each caller.
//
//	Budget ──┬── Claim of a request ────── Buffer: the reply, in parts
//	         └── Claim of a connection ──┬── messages under way, and a Buffer for each reply
//	                                     └── what waits for the connection's reader
//
// The first bytes of each claim are free (Free): small replies cost no look into the shared books, and are bounded
// by the number of requests.
//
// Trust: enclave
package budget

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/fair"
)

// Free is how many bytes of each claim are not counted.
const Free = 32 << 10

// Budget is memory that callers share. Its methods may be called concurrently.
type Budget struct {
	mu     sync.Mutex
	shares *fair.Shares // under mu; bytes

	refused atomic.Uint64
}

// New returns a budget of so many bytes.
func New(limit int) *Budget { return &Budget{shares: fair.New(limit)} }

// Claim returns a claim in the name of a caller. It holds nothing yet.
func (b *Budget) Claim(who coco.ActorID) *Claim { return &Claim{of: b, who: who} }

// Used is how many bytes all claims hold, beyond what is free.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shares.Used()
}

// Refused is how many claims did not fit so far.
func (b *Budget) Refused() uint64 { return b.refused.Load() }

// take counts n more bytes for a caller. must counts them even if they do not fit.
func (b *Budget) take(who coco.ActorID, n int, must bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if must || b.shares.Fits(who, n) {
		b.shares.Take(who, n)
		return nil
	}
	b.refused.Add(1)
	if b.shares.Full(n) {
		return fmt.Errorf("%w: replies that are being built, or wait for their readers, take %d of the %d bytes that the node has for them, and this one needs %d more: ask again in a moment, or for less at a time",
			coco.ErrBusy, b.shares.Used(), b.shares.Limit(), n)
	}
	return fmt.Errorf("%w: this organisation's replies have its share of the %d bytes that the node has for replies, and this one needs %d more: read the replies that wait, or ask for less at a time",
		coco.ErrBusy, b.shares.Limit(), n)
}

func (b *Budget) give(who coco.ActorID, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shares.Give(who, n)
}

// Claim is the part of a budget that one request or connection holds. Its methods may be called concurrently. A nil
// Claim has no bound: adapters have it in their tests.
type Claim struct {
	of  *Budget
	who coco.ActorID

	mu   sync.Mutex
	held int // under mu; bytes, the free ones too
}

// Take claims n bytes more. The error is of kind coco.ErrBusy and says what to do; nothing is taken then.
func (c *Claim) Take(n int) error { return c.take(n, false) }

// Must claims n bytes more even where they do not fit: they are in memory already.
func (c *Claim) Must(n int) { _ = c.take(n, true) }

func (c *Claim) take(n int, must bool) error {
	if c == nil || n <= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if more := counted(c.held+n) - counted(c.held); more > 0 {
		if err := c.of.take(c.who, more, must); err != nil {
			return err
		}
	}
	c.held += n
	return nil
}

// Give returns n bytes that were taken.
func (c *Claim) Give(n int) {
	if c == nil || n <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if less := counted(c.held) - counted(c.held-n); less > 0 {
		c.of.give(c.who, less)
	}
	c.held -= n
}

// Held is how many bytes the claim has.
func (c *Claim) Held() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// Release returns all that the claim has. The claim may be used again.
func (c *Claim) Release() { c.Give(c.Held()) }

// counted is what a claim of so many bytes counts as.
func counted(n int) int { return max(0, n-Free) }
