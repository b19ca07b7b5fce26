package replica

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/store"
)

// task is what the loop asks of the executor. One field is set.
type task struct {
	permit *permit
	revoke bool            // give the permit back
	commit *commitTask     // apply committed entries
	flush  bool            // this node no longer leads: calls that wait go elsewhere
	do     func(*executor) // run on the executor's goroutine
}

type commitTask struct {
	entries []consensus.Entry
	token   any      // handed back to the loop when applied
	time    uint64   // of the last batch then, in milliseconds since 1970; the executor's
	held    []string // the nodes that hold all entries; for the log
}

// executor is the one goroutine that writes the store. On a leader it executes queued calls on top of the
// newest state, ahead of their commit, and seals them; on every node it applies committed entries in order.
type executor struct {
	log      *slog.Logger
	clock    host.Clock
	store    *store.Store
	history  *history.Index
	hooks    Hooks
	progress *progress
	meter    *meter

	tasks *mailbox[task]
	queue *queue

	lease   lease
	codec   codec
	chain   chain
	time    watch
	ledgers ledgers
	rules   Rules
}

// Limits bound one batch.
type Limits struct {
	Count int // transactions
	Bytes int // of payloads
	// QueueCalls and QueueBytes bound what waits for execution; zero for as before.
	QueueCalls, QueueBytes int
}

// run executes until ctx ends or something is broken beyond repair.
func (x *executor) run(ctx context.Context) error {
	tick := x.clock.NewTicker(time.Second)
	defer tick.Stop()
	defer x.abandon()
	if x.store.Committed() > 0 { // from a snapshot
		if err := x.readRules(); err != nil {
			return err
		}
	}
	for {
		queue := x.queue.ready
		if x.lease.permit == nil {
			queue = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-x.tasks.ready:
			for _, t := range x.tasks.receive() {
				if err := x.do(ctx, t); err != nil {
					return err
				}
			}
		case <-queue:
		case <-tick.C():
			x.watchClock()
			for _, p := range x.queue.removeIf((*pending).abandoned) {
				p.fail(errAbandoned)
			}
			x.ledgers.overdue = len(x.ledgers.kept) > 0 || x.ledgers.idle() // kept calls may have timed out
		}
		if err := x.work(); err != nil {
			return err
		}
	}
}

// abandon answers the calls that wait when this node stops. The outcome of those in sealed batches is unknown here.
func (x *executor) abandon() {
	for _, s := range x.chain.drop() {
		s.fail(fmt.Errorf("%w: this node stopped before the transaction was committed", coco.ErrUnknown))
	}
	x.ledgers.abandon()
	x.drain()
}

// drain sends queued items back.
func (x *executor) drain() {
	x.lease.opening.cancel()
	for _, p := range x.queue.removeIf(func(*pending) bool { return true }) {
		p.fail(fmt.Errorf("%w: this node does not lead any more", coco.ErrNotCommitted))
	}
}

func (x *executor) do(ctx context.Context, t task) error {
	switch {
	case t.permit != nil:
		x.lease.permit = t.permit
	case t.revoke:
		x.lease.end(nil)
	case t.flush:
		// Sealed batches stay: the next leader may commit them.
		x.ledgers.rollback(x.store.Newest())
		x.drain()
	case t.do != nil:
		t.do(x)
	case t.commit != nil:
		for _, e := range t.commit.entries {
			if err := x.commit(ctx, e, t.commit.held); err != nil {
				return err
			}
		}
		x.progress.applied.Store(x.chain.applied.Index)
		t.commit.time = x.chain.applied.Time
		x.lease.loop.put(event{applied: t.commit})
	}
	return nil
}
