package replica

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/pulse"
)

// progress says how far this replica has come, to every goroutine, and wakes those that wait for a seqno.
type progress struct {
	known   atomic.Uint64                // highest index known to be committed; the loop's
	applied atomic.Uint64                // index of the last entry that is applied; the executor's
	last    atomic.Pointer[coco.TxID]    // committed and applied here
	clocks  atomic.Pointer[pulse.Clocks] // what the voters' have reached; the loop's
	lag     atomic.Int64                 // nanoseconds by which the ledger's time is behind this machine's clock; the executor's
	fresh   atomic.Int64                 // when the last round began that a quorum confirmed and this state holds, by Clock.Elapsed; 0 before. The loop's

	mu      sync.Mutex
	waiting []waiter // by seqno
}

type waiter struct {
	seqno uint64
	ready chan struct{}
}

func newProgress() *progress {
	p := &progress{}
	p.last.Store(&coco.TxID{})
	p.clocks.Store(&pulse.Clocks{})
	return p
}

// committed is called by the executor, in order.
func (p *progress) committed(id coco.TxID) {
	p.last.Store(&id)
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.waiting) && p.waiting[n].seqno <= id.Seqno {
		close(p.waiting[n].ready)
		n++
	}
	p.waiting = slices.Delete(p.waiting, 0, n)
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// reached returns a channel that closes once a seqno is committed and applied here.
func (p *progress) reached(seqno uint64) <-chan struct{} {
	if p.last.Load().Seqno >= seqno {
		return closed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Load().Seqno >= seqno {
		return closed
	}
	i, _ := slices.BinarySearchFunc(p.waiting, seqno+1, func(w waiter, n uint64) int {
		if w.seqno < n {
			return -1
		}
		return 1
	})
	w := waiter{seqno: seqno, ready: make(chan struct{})}
	p.waiting = slices.Insert(p.waiting, i, w)
	return w.ready
}
