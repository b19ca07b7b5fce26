package replica

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/store"
)

// The executor is the one goroutine that writes the store. On a leader it executes queued calls on
// top of the newest state, ahead of their commit, and seals them; on every node it takes committed
// entries in order. Two invariants carry it:
//
//   - head is applied plus the sealed batches in spec, in order: a batch is sealed on top of head,
//     so its previous-entry digest, its Merkle root and its seqnos follow from what comes before.
//   - A committed entry either is the first of spec (same view, same index), or proves that
//     nothing in spec will ever be committed; then the store is rolled back to applied.

// Position is where a prefix of the ledger ends.
type Position struct {
	Index uint64      // of the last entry
	Chain coco.Digest // over all entries up to it
	Tree  merkle.Frontier
	Seqno uint64 // of the last transaction
	Time  uint64 // of the last batch, in milliseconds since 1970
}

// sealed is a batch that is executed but not committed.
type sealed struct {
	end     Position
	view    uint64
	first   uint64
	epoch   uint64
	size    int           // of the batch, in bytes
	at      time.Duration // when, by Clock.Elapsed
	own     bool          // it holds a transaction of the node's own
	waiting []*pending    // complete once it is committed
}

// Item is a list of calls that arrived together, in order, for one adapter; or work of the node's own.
type Item struct {
	Ledger string
	Calls  []*adapter.Call
	Run    func(tx *store.Tx) ([]byte, error) // one transaction of the node's own; Calls is empty then
	Done   func([]adapter.Result)             // called once, from the executor's goroutine; must not block

	bytes   int // of the calls' payloads; the queue's
	results []adapter.Result
	open    int
}

// pending is one call of an item.
type pending struct {
	item   *Item
	at     int
	result adapter.Result
}

func (p *pending) finish(r adapter.Result) {
	it := p.item
	it.results[p.at] = r
	if it.open--; it.open == 0 {
		it.Done(it.results)
	}
}

// permit allows the executor to seal one batch for one slot of the log. The loop asks for it back when this
// node does not lead any more, or when an Execute takes too long.
type permit struct {
	view, index uint64
	between     []consensus.Entry // entries since the last batch that carry no transactions
	ctx         context.Context   // ends when the permit is asked back; Execute's
	end         context.CancelFunc
	since       atomic.Int64 // of the Execute under way, by Clock.Elapsed; 0 if there is none
}

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
	token   any // handed back to the loop when applied
}

// Ledger is an adapter's ledger, by its name in the constitution.
type Ledger struct {
	Name   string
	Scope  *store.Scope // of its tables
	Ledger adapter.Ledger
}

type executor struct {
	log      *slog.Logger
	clock    host.Clock
	store    *store.Store
	keys     Keys
	signer   crypto.Signer
	self     coco.NodeID
	hooks    Hooks
	maxBatch int

	ledgers  []Ledger // in the order of the binary's list
	history  *history.Index
	rules    Rules
	progress *progress
	meter    *meter

	tasks *mailbox[task]
	queue *queue
	loop  *mailbox[event]

	known        *atomic.Uint64 // highest index known to be committed
	appliedIndex *atomic.Uint64 // applied.Index, for every goroutine

	permit  *permit
	applied Position
	anchor  anchor // by the last batch of another node, or by this node's first
	warned  bool   // of a wrong clock
	batch   uint64 // index of the last applied batch
	spec    []*sealed
	kept    map[*adapter.Call]*pending
	ended   <-chan struct{} // when run is to end
}

// Limits bound one batch.
type Limits struct {
	Count int // transactions
	Bytes int // of payloads
}

func (x *executor) head() Position {
	if n := len(x.spec); n > 0 {
		return x.spec[n-1].end
	}
	return x.applied
}

// run executes until ctx ends or something is broken beyond repair.
func (x *executor) run(ctx context.Context) error {
	x.ended = ctx.Done()
	tick := x.clock.NewTicker(time.Second)
	defer tick.Stop()
	defer x.abandon()
	for {
		queue := x.queue.ready
		if x.permit == nil {
			queue = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-x.tasks.ready:
			for _, t := range x.tasks.take() {
				if err := x.do(t); err != nil {
					return err
				}
			}
			if err := x.executeReady(); err != nil {
				return err
			}
		case <-queue:
			if items := x.queue.take(x.rules.Limits); len(items) > 0 {
				if err := x.execute(items); err != nil {
					return err
				}
			}
		case <-tick.C():
			if x.permit != nil && len(x.kept) > 0 { // kept calls may have timed out
				if err := x.execute(nil); err != nil {
					return err
				}
			}
		}
	}
}

// abandon answers all callers that still wait: the outcome is unknown here.
func (x *executor) abandon() {
	err := fmt.Errorf("%w: this node stopped before the transaction was committed", coco.ErrUnknown)
	for _, s := range x.spec {
		for _, p := range s.waiting {
			p.finish(adapter.Result{Err: err})
		}
	}
	for _, p := range x.kept {
		p.finish(adapter.Result{Err: fmt.Errorf("%w: this node is stopping", coco.ErrNotCommitted)})
	}
	x.spec, x.kept = nil, nil
	x.drain()
}

// drain sends queued items back.
func (x *executor) drain() {
	for _, it := range x.queue.drain() {
		it.refuse(fmt.Errorf("%w: this node does not lead any more", coco.ErrNotCommitted))
	}
}

func (it *Item) refuse(err error) {
	it.Done(it.failed(err))
}

// failed returns an error as the result of each call.
func (it *Item) failed(err error) []adapter.Result {
	results := make([]adapter.Result, it.size())
	for i := range results {
		results[i].Err = err
	}
	return results
}

func (x *executor) do(t task) error {
	switch {
	case t.permit != nil:
		x.permit = t.permit
	case t.revoke:
		if x.permit != nil {
			x.permit = nil
			x.loop.put(event{sealed: &sealedEvent{}})
		}
	case t.flush:
		return x.flush()
	case t.do != nil:
		t.do(x)
	case t.commit != nil:
		for _, e := range t.commit.entries {
			if err := x.commit(e); err != nil {
				return err
			}
		}
		x.appliedIndex.Store(x.applied.Index)
		x.loop.put(event{applied: t.commit})
	}
	return nil
}

// flush sends back the calls that ledgers kept and those in the queue. Sealed batches stay: they
// may still be committed by the next leader.
func (x *executor) flush() error {
	for _, l := range x.ledgers {
		x.resolve(l.Ledger.Rollback(x.store.Newest()), nil)
	}
	x.drain()
	return nil
}

// executeReady runs kept calls that became executable.
func (x *executor) executeReady() error {
	if x.permit == nil || len(x.kept) == 0 {
		return nil
	}
	for _, l := range x.ledgers {
		if k, ok := l.Ledger.(adapter.Keeper); ok && k.Ready() {
			return x.execute(nil)
		}
	}
	return nil
}

func ledgerEntry(e consensus.Entry) batch.Entry {
	return batch.Entry{View: e.View, Index: e.Index, Kind: batch.Kind(e.Kind), Data: e.Data}
}
