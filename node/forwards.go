package node

import (
	"fmt"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/fair"
)

// forwards are the calls that wait for the leader's answer. They are bounded like the leader's own queue,
// and as fair: what a follower has on its way is memory here, whatever the leader does.
type forwards struct {
	mu    sync.Mutex
	next  uint64
	open  map[uint64]*forward
	calls *fair.Shares // nil until bound
	bytes *fair.Shares
}

type forward struct {
	to   coco.NodeID
	done chan []adapter.Result // buffered

	caller       coco.ActorID
	calls, bytes int
}

var (
	errForwardsFull  = fmt.Errorf("%w: too many calls of this node wait for the leader", coco.ErrBusy)
	errForwardsShare = fmt.Errorf("%w: this organisation has its share of the calls that wait for the leader already", coco.ErrBusy)
)

// bound says how many calls, and of how many bytes, may be on their way. It is called once, before add.
func (f *forwards) bound(calls, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.bytes = fair.New(calls), fair.New(bytes)
}

func (f *forwards) add(to coco.NodeID, it *item) (uint64, *forward, error) {
	fw := &forward{to: to, done: make(chan []adapter.Result, 1), caller: it.caller(), calls: it.size(), bytes: it.payload()}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.calls.Full(fw.calls) || f.bytes.Full(fw.bytes):
		return 0, nil, errForwardsFull
	case !f.calls.Fits(fw.caller, fw.calls) || !f.bytes.Fits(fw.caller, fw.bytes):
		return 0, nil, errForwardsShare
	}
	f.calls.Take(fw.caller, fw.calls)
	f.bytes.Take(fw.caller, fw.bytes)
	f.next++
	f.open[f.next] = fw
	return f.next, fw, nil
}

func (f *forwards) take(id uint64, from coco.NodeID) *forward {
	f.mu.Lock()
	defer f.mu.Unlock()
	fw := f.open[id]
	if fw == nil || fw.to != from {
		return nil
	}
	f.remove(id, fw)
	return fw
}

func (f *forwards) remove(id uint64, fw *forward) {
	delete(f.open, id)
	f.calls.Give(fw.caller, fw.calls)
	f.bytes.Give(fw.caller, fw.bytes)
}

// fail answers everything that waits for a node: nobody can say what became of it.
func (f *forwards) fail(to coco.NodeID, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, fw := range f.open {
		if fw.to == to {
			f.remove(id, fw)
			fw.done <- []adapter.Result{{Err: err}}
		}
	}
}

// waiting is how many calls are on their way, and of how many bytes.
func (f *forwards) waiting() (calls, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		return 0, 0
	}
	return f.calls.Used(), f.bytes.Used()
}
