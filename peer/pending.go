package peer

import (
	"fmt"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/fair"
	"github.com/cocoframework/coco/internal/trail"
)

// pending are the forwards that wait for the leader's reply. They are bounded like the leader's own
// queue, and as fair: what a follower has under way is its own memory, whatever the leader does.
type pending struct {
	mu    sync.Mutex
	open  map[uint64]*forward
	calls *fair.Shares // nil until bound
	bytes *fair.Shares
}

// forward is one list of calls under way.
type forward struct {
	to   coco.NodeID
	done chan []adapter.Result // buffered

	caller       coco.ActorID
	calls, bytes int
}

// ErrFull and ErrShare refuse a call because too many others wait for the leader: of all callers, or of its own.
var (
	ErrFull  = fmt.Errorf("%w: too many calls of this node wait for the leader", coco.ErrBusy)
	ErrShare = fmt.Errorf("%w: this organisation has its share of the calls that wait for the leader already", coco.ErrBusy)
)

// bound says how many calls, and of how many bytes, may be under way. It is called once, before add.
func (p *pending) bound(calls, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.bytes = fair.New(calls), fair.New(bytes)
}

// A forward's ID has a number that names it, and above that the milliseconds that its sender waits for the reply. A node
// that knows nothing of the latter sends the whole ID back as it came; from a node that knows nothing of it, it is 0.
const (
	numberBits  = 40
	maxPatience = 1<<(64-numberBits) - 1 // in milliseconds: 4.6 hours
)

// idOf returns the ID of the forward of a number.
func idOf(number uint64, patience time.Duration) uint64 {
	ms := uint64(min(max(patience.Milliseconds(), 1), maxPatience))
	return ms<<numberBits | number&(1<<numberBits-1)
}

// writeOf names the write that a node forwards under an ID.
func writeOf(from coco.NodeID, id uint64) trail.ID {
	return trail.OfForward(from, id&(1<<numberBits-1))
}

// patienceOf returns how long the sender of a forward waits, and whether it says so.
func patienceOf(id uint64) (time.Duration, bool) {
	ms := id >> numberBits
	return time.Duration(ms) * time.Millisecond, ms != 0
}

// add registers calls, which are of one caller, before they are sent. No other forward has had the number. Patience is how long their sender waits.
func (p *pending) add(to coco.NodeID, number uint64, calls []*adapter.Call, patience time.Duration) (uint64, *forward, error) {
	f := &forward{to: to, done: make(chan []adapter.Result, 1), caller: calls[0].Caller.Actor, calls: len(calls)}
	for _, c := range calls {
		f.bytes += len(c.Payload)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.calls.Full(f.calls) || p.bytes.Full(f.bytes):
		return 0, nil, ErrFull
	case !p.calls.Fits(f.caller, f.calls) || !p.bytes.Fits(f.caller, f.bytes):
		return 0, nil, ErrShare
	}
	p.calls.Take(f.caller, f.calls)
	p.bytes.Take(f.caller, f.bytes)
	id := idOf(number, patience)
	p.open[id] = f
	return id, f, nil
}

// remove ends a forward, and returns nil if there is none of this ID to this node.
func (p *pending) remove(id uint64, to coco.NodeID) *forward {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.open[id]
	if f == nil || f.to != to {
		return nil
	}
	p.release(id, f)
	return f
}

// release needs p.mu.
func (p *pending) release(id uint64, f *forward) {
	delete(p.open, id)
	p.calls.Give(f.caller, f.calls)
	p.bytes.Give(f.caller, f.bytes)
}

// fail ends everything that waits for a node with an error.
func (p *pending) fail(to coco.NodeID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, f := range p.open {
		if f.to == to {
			p.release(id, f)
			f.done <- []adapter.Result{{Err: err}}
		}
	}
}

// waiting returns how many calls are under way, and of how many bytes.
func (p *pending) waiting() (calls, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls == nil {
		return 0, 0
	}
	return p.calls.Used(), p.bytes.Used()
}
