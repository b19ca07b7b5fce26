package replica

import (
	"fmt"
	"math"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/fair"
)

// The queue holds what waits for the executor. It is bounded in calls and in bytes of their payloads,
// and fair to callers in both directions: none may fill it (package fair), and the executor is given items of
// all in turn (deficit round robin: Shreedhar and Varghese, 1995), so that how long a caller waits depends
// on how much it sent itself and on how many other callers there are, not on how much those have sent.
//
// One caller's items stay in order. Work of the node's own goes first: it is little, and nodes that
// join or leave must not wait behind callers that overload the network.

const (
	// callBytes is how many bytes of payload count as much as one call, when turns are dealt.
	callBytes = 4 << 10
	// quantum is how many calls of a caller are removed in one turn.
	quantum = 64
	// maxOwn bounds the work of the node's own that waits: joiners, mostly, of which a node serves
	// maxJoiners at a time.
	maxOwn = 1024
)

var (
	errQueueFull = fmt.Errorf("%w: the leader's queue is full", coco.ErrBusy)
	errShareFull = fmt.Errorf("%w: this organisation has its share of the leader's queue already", coco.ErrBusy)
)

// queue is safe for concurrent use; items MUST be removed by one goroutine only.
type queue struct {
	ready chan struct{} // holds a token while items wait

	mu    sync.Mutex
	own   []*Item
	lines map[coco.ActorID]*line
	ring  []*line // those that are not empty
	turn  int     // in ring
	calls *fair.Shares
	bytes *fair.Shares
}

// line is what waits of one caller.
type line struct {
	caller  coco.ActorID
	items   []*Item
	credit  int  // how many calls may still be removed
	serving bool // its turn has begun
}

func newQueue(calls, bytes int) *queue {
	return &queue{ready: make(chan struct{}, 1), lines: map[coco.ActorID]*line{}, calls: fair.New(calls), bytes: fair.New(bytes)}
}

// put adds an item, or fails at once with coco.ErrBusy if there is no room for it. All calls of an item are of one caller.
func (q *queue) put(it *Item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it.Run != nil {
		if len(q.own) >= maxOwn {
			return errQueueFull
		}
		q.own = append(q.own, it)
		q.wake()
		return nil
	}
	it.bytes = it.payload()
	caller, calls, bytes := it.caller(), it.size(), it.bytes
	switch {
	case q.calls.Full(calls) || q.bytes.Full(bytes):
		return errQueueFull
	case !q.calls.Fits(caller, calls) || !q.bytes.Fits(caller, bytes):
		return errShareFull
	}
	q.calls.Take(caller, calls)
	q.bytes.Take(caller, bytes)
	l := q.lines[caller]
	if l == nil {
		l = &line{caller: caller}
		q.lines[caller] = l
		q.ring = append(q.ring, l)
	}
	l.items = append(l.items, it)
	q.wake()
	return nil
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// remove removes and returns the items of one batch: at least one, if there is any, and no more once they
// reach a limit. Work of the node's own is a batch by itself.
func (q *queue) remove(most Limits) []*Item {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []*Item
	var got Limits
	add := func(it *Item) (full bool) {
		out = append(out, it)
		got.Count += it.size()
		got.Bytes += it.bytes
		return got.Count >= most.Count || got.Bytes >= most.Bytes
	}
	full := false
	for len(q.own) > 0 && !full {
		full = add(q.own[0])
		q.own[0] = nil
		q.own = q.own[1:]
	}
	full = full || len(out) > 0 // what is decided about the network holds for all calls after it
	for len(q.ring) > 0 && !full {
		if it := q.next(); it != nil {
			full = add(it)
		}
	}
	if len(q.own)+len(q.ring) > 0 {
		q.wake()
	}
	return out
}

// next removes one item of the caller whose turn it is. If the caller's credit is too small, it ends the turn and returns nil.
func (q *queue) next() *Item {
	l := q.ring[q.turn]
	if !l.serving {
		l.serving = true
		l.credit += quantum
	}
	it := l.items[0]
	if it.cost() > l.credit {
		l.serving = false
		q.turn = (q.turn + 1) % len(q.ring)
		return nil
	}
	l.credit -= it.cost()
	l.items[0] = nil
	l.items = l.items[1:]
	q.calls.Give(l.caller, it.size())
	q.bytes.Give(l.caller, it.bytes)
	if len(l.items) == 0 { // a caller without waiting calls keeps no credit
		delete(q.lines, l.caller)
		q.ring = append(q.ring[:q.turn], q.ring[q.turn+1:]...)
		if q.turn >= len(q.ring) {
			q.turn = 0
		}
	}
	return it
}

// drain removes everything.
func (q *queue) drain() []*Item {
	var out []*Item
	for {
		items := q.remove(Limits{Count: math.MaxInt, Bytes: math.MaxInt})
		if len(items) == 0 {
			return out
		}
		out = append(out, items...)
	}
}

// Load is what waits for execution, and what may.
type Load struct{ Calls, Bytes, MaxCalls, MaxBytes int }

func (q *queue) load() Load {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Load{q.calls.Used() + len(q.own), q.bytes.Used(), q.calls.Limit(), q.bytes.Limit()}
}

func (it *Item) caller() coco.ActorID { return it.Calls[0].Caller.Actor }

func (it *Item) size() int { return max(1, len(it.Calls)) }

func (it *Item) payload() (n int) {
	for _, c := range it.Calls {
		n += len(c.Payload)
	}
	return n
}

// cost is how much of its caller's credit an item uses, in calls.
func (it *Item) cost() int { return it.size() + it.bytes/callBytes }
