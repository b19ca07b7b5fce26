package replica

import (
	"context"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/store"
)

// opening keeps the nodes of a network that go on together after all of them have stopped (package resume) from sealing anything but one
// transaction first: it announces the epoch that is sealed under from then on. It is over with the first batch of a view since they began.
type opening struct {
	view  uint64   // the least such view; 0 if there is nothing to open
	first *pending // the transaction, nil while this node has none to commit
}

// Open is Do for the transaction that opens the network; see Config.Opening.
func (r *Replica) Open(ctx context.Context, run func(tx *store.Tx) ([]byte, error)) (adapter.Result, error) {
	done := make(chan adapter.Result, 1)
	first := &pending{item: &Item{
		Run: run, Until: ctx.Done(), Done: func(results []adapter.Result) { done <- results[0] }, results: make([]adapter.Result, 1), open: 1,
	}}
	r.exec.tasks.put(task{do: func(x *executor) {
		if x.lease.opening.cancel(); x.lease.opening.view != 0 {
			x.lease.opening.first = first
			return
		}
		first.fail(fmt.Errorf("%w: the network is open", coco.ErrNotCommitted))
	}})
	select {
	case result := <-done:
		return result, result.Err
	case <-ctx.Done():
		return adapter.Result{}, fmt.Errorf("%w: not committed in time: %w", coco.ErrUnknown, ctx.Err())
	}
}

// cancel sends the transaction back.
func (o *opening) cancel() {
	if p := o.first; p != nil {
		o.first = nil
		p.fail(fmt.Errorf("%w: this node does not lead any more", coco.ErrNotCommitted))
	}
}

// open executes the transaction that opens the network, if it is there.
func (x *executor) open() error {
	p := x.lease.opening.first
	if x.lease.opening.first = nil; p == nil {
		return nil
	}
	return x.execute(func(_ *permit, set *store.Set, batch *sealed) { x.runOwn(set, p, batch) })
}

// opens has this node learn which secret a batch is sealed under that opens a network, or has opened it earlier: that batch announces its own epoch.
func (x *executor) opens(b *batch.Batch) error {
	_, err := x.codec.keys.Of(b.Header.Epoch)
	if o := x.lease.opening.view; err == nil && (o == 0 || b.Header.View < o) {
		return nil
	}
	public, err := b.PublicRecords()
	if err == nil {
		err = x.hooks.Opens(public)
	}
	return err
}

// opened lets everything be sealed again once a batch is committed that opens the network.
func (x *executor) opened(view uint64) {
	if o := x.lease.opening.view; o != 0 && view >= o {
		x.lease.opening.view = 0
		x.queue.wake()
	}
}
