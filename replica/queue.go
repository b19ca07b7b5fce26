package replica

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/fair"
)

// The queue holds what waits for the executor: calls in one lane for each ledger, and in a lane of its own the work that
// is no adapter's, such as votes and joins. It is bounded in calls and in bytes of their payloads, and fair to
// organisations in both directions: none may fill it (fair.Shares), and in each lane they get turns that cost what
// executing their calls cost (fair.Turns), so that how long one waits depends on how much it has sent itself and on how
// many others there are, not on how much those have sent.
//
// What one organisation has in a lane stays in order. Within the lane of own work, that of the node itself goes first: it
// is little.

const (
	// What a call costs beside the time that it takes: for being sealed, replicated and answered, and for each byte
	// of its payload.
	callCost = 5 * time.Microsecond
	byteCost = 5 * time.Nanosecond
	// maxOwn bounds the own work that waits.
	maxOwn = 1024
	// own is the lane of own work. No ledger has an empty name.
	own = ""
)

var (
	errQueueFull = fmt.Errorf("%w: the leader's queue is full", coco.ErrBusy)
	errShareFull = fmt.Errorf("%w: this organisation has its share of the leader's queue already", coco.ErrBusy)
)

// queue is safe for concurrent use; what waits MUST be removed by one goroutine only.
type queue struct {
	ready chan struct{} // holds a token after something was put

	mu    sync.Mutex
	lanes map[string]*lane // by ledger
	own   *fair.Shares     // of maxOwn
	calls *fair.Shares
	bytes *fair.Shares
}

// lane is what waits for one ledger, or as own work. It is guarded by the queue's mutex.
type lane struct {
	lines []*line // those that are not empty, in the order in which they began to wait
	turns *fair.Turns
}

// line is what waits of one organisation, in order.
type line struct {
	caller coco.ActorID
	waits  []*pending // the first is at head
	head   int
}

func (l *line) empty() bool { return l.head == len(l.waits) }

func (l *line) pop() *pending {
	p := l.waits[l.head]
	l.waits[l.head] = nil
	if l.head++; l.empty() {
		l.waits, l.head = l.waits[:0], 0
	}
	return p
}

func (l *line) pushFront(p *pending) {
	if l.head > 0 {
		l.head--
		l.waits[l.head] = p
		return
	}
	l.waits = slices.Insert(l.waits, 0, p)
}

func newQueue(calls, bytes int) *queue {
	return &queue{
		ready: make(chan struct{}, 1), lanes: map[string]*lane{},
		own: fair.New(maxOwn), calls: fair.New(calls), bytes: fair.New(bytes),
	}
}

// resize changes the bounds. What waits above them stays.
func (q *queue) resize(calls, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls.Resize(calls)
	q.bytes.Resize(bytes)
}

// put adds an item, or fails at once with coco.ErrBusy if there is no room for it. All calls of an item are of one caller.
func (q *queue) put(it *Item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	caller, calls, bytes := it.caller(), it.size(), it.payload()
	switch {
	case it.Run != nil:
		if !q.own.Fits(caller, 1) {
			return errQueueFull
		}
	case q.calls.Full(calls) || q.bytes.Full(bytes):
		return errQueueFull
	case !q.calls.Fits(caller, calls) || !q.bytes.Fits(caller, bytes):
		return errShareFull
	}
	it.start()
	l := q.line(it.Ledger, caller)
	for i := range calls {
		p := &pending{item: it, at: i}
		q.count(p, (*fair.Shares).Take)
		l.waits = append(l.waits, p)
	}
	q.wake()
	return nil
}

// line returns the line of a caller in a lane, which is made if there is none. The caller holds q.mu and adds to it.
func (q *queue) line(name string, caller coco.ActorID) *line {
	of := q.lanes[name]
	if of == nil {
		of = &lane{turns: fair.NewTurns()}
		q.lanes[name] = of
	}
	for _, l := range of.lines {
		if l.caller == caller {
			return l
		}
	}
	l := &line{caller: caller}
	of.lines = append(of.lines, l)
	return l
}

// count takes or gives back what one call holds. The caller holds q.mu.
func (q *queue) count(p *pending, change func(*fair.Shares, coco.ActorID, int)) {
	caller := p.item.caller()
	if p.item.Run != nil {
		change(q.own, caller, 1)
		return
	}
	change(q.calls, caller, 1)
	change(q.bytes, caller, len(p.call().Payload))
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// waiting returns how many calls wait in a lane.
func (q *queue) waiting(name string) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if of := q.lanes[name]; of != nil {
		for _, l := range of.lines {
			n += len(l.waits) - l.head
		}
	}
	return n
}

// next deals a turn: it removes and returns the first call of the organisation whose turn it is in a lane, or returns nil
// if nothing waits there.
func (q *queue) next(name string) *pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	of := q.lanes[name]
	if of == nil || len(of.lines) == 0 {
		return nil
	}
	at, first := 0, of.turns.Start(of.lines[0].caller)
	for i, l := range of.lines {
		if start := of.turns.Start(l.caller); start < first {
			at, first = i, start
		}
		if name == own && l.caller == (coco.ActorID{}) {
			at = i
			break
		}
	}
	l := of.lines[at]
	p := l.pop()
	if l.empty() {
		of.lines = slices.Delete(of.lines, at, at+1)
	}
	of.turns.Deal(l.caller)
	q.count(p, (*fair.Shares).Give)
	return p
}

// back puts a call that next has returned at the head of its caller's line, whether or not there is room for it.
func (q *queue) back(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count(p, (*fair.Shares).Take)
	q.line(p.item.Ledger, p.item.caller()).pushFront(p)
}

// charge says what a turn of an organisation in a lane took, and what it sent for it.
func (q *queue) charge(name string, caller coco.ActorID, took time.Duration, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if of := q.lanes[name]; of != nil {
		of.turns.Charge(caller, int64(max(0, took)+callCost+time.Duration(bytes)*byteCost))
	}
}

// removeIf removes and returns what waits and satisfies a condition.
func (q *queue) removeIf(gone func(*pending) bool) (out []*pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, of := range q.lanes {
		for _, l := range of.lines {
			kept := l.waits[:0]
			for _, p := range l.waits[l.head:] {
				if gone(p) {
					q.count(p, (*fair.Shares).Give)
					out = append(out, p)
					continue
				}
				kept = append(kept, p)
			}
			clear(l.waits[len(kept):])
			l.waits, l.head = kept, 0
		}
		of.lines = slices.DeleteFunc(of.lines, func(l *line) bool { return l.empty() })
	}
	return out
}

// Load is what waits for execution, and what may.
type Load struct{ Calls, Bytes, MaxCalls, MaxBytes int }

func (q *queue) load() Load {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Load{q.calls.Used() + q.own.Used(), q.bytes.Used(), q.calls.Limit(), q.bytes.Limit()}
}
