package replica

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/store"
)

// execute runs one batch on top of head, seals it and hands it to the loop. The permit stays if
// nothing of it became a transaction.
func (x *executor) execute(items []*Item) error {
	if !x.rules.Trusted {
		for _, it := range items {
			it.refuse(fmt.Errorf("%w: this node was replaced, and another one will lead", coco.ErrNotCommitted))
		}
		x.permit = nil
		x.loop.put(event{sealed: &sealedEvent{}})
		return nil
	}
	now := max(x.now(), x.head().Time)
	set := x.store.Begin(x.permit.view, now)
	batch := &sealed{view: x.permit.view, first: set.First()}

	calls := make(map[string][]*adapter.Call, len(x.ledgers))
	for _, it := range items {
		it.open = it.size()
		it.results = make([]adapter.Result, it.open)
		if it.Run != nil {
			x.runOwn(set, it, batch)
			continue
		}
		calls[it.Ledger] = append(calls[it.Ledger], x.permitted(it, batch)...)
	}
	for _, l := range x.ledgers {
		if c := calls[l.Name]; len(c) > 0 || len(x.kept) > 0 {
			x.resolve(x.executeIn(l, set, c), batch)
		}
	}
	if set.Len() == 0 {
		x.conclude(batch)
		return nil
	}
	return x.seal(set, batch)
}

// executeIn has one ledger execute its calls. What it has executed when its context ends is sealed like
// any batch, if this node still leads.
func (x *executor) executeIn(l Ledger, set *store.Set, calls []*adapter.Call) []adapter.Outcome {
	part := set.Part(l.Scope)
	defer part.End()
	x.permit.since.Store(int64(x.clock.Elapsed()))
	defer x.permit.since.Store(0)
	return l.Ledger.Execute(x.permit.ctx, part, calls)
}

// clockSlack is how far a leader's time of day may run ahead of the ledger's, beyond the time that
// has passed since this node learnt the latter.
const clockSlack = 10 * time.Minute

// anchor ties the ledger's time to the monotonic clock, which cannot be set.
type anchor struct {
	time    uint64 // of a batch, in milliseconds since 1970
	elapsed time.Duration
}

// now is the host's time of day, within what is plausible: a ledger's time never goes back, so
// one batch from the far future would stay.
func (x *executor) now() uint64 {
	now := uint64(max(0, x.clock.Now().UnixMilli()))
	if x.anchor.time == 0 {
		return now // a network begins with its founder's time, and goes on after a recovery with the recoverer's
	}
	latest := x.anchor.time + uint64((x.clock.Elapsed() - x.anchor.elapsed + clockSlack).Milliseconds())
	if now > latest {
		if !x.warned {
			x.warned = true
			x.log.Error("this machine's clock is far ahead of the ledger's time: set it right", logevent.ClockAhead.Attr(), "clock", now, "ledger", x.head().Time)
		}
		return latest
	}
	x.warned = false
	return now
}

// runOwn executes a transaction of the node's own.
func (x *executor) runOwn(set *store.Set, it *Item, batch *sealed) {
	tx := set.Begin()
	p := &pending{item: it}
	reply, err := it.Run(tx)
	if err != nil {
		tx.Abort()
		p.result.Err = err
	} else {
		p.result = adapter.Result{TxID: coco.TxID{View: set.View(), Seqno: tx.Seqno()}, Reply: reply}
		tx.Commit()
		batch.own = true
	}
	batch.waiting = append(batch.waiting, p)
}

// resolve moves outcomes from kept to the batch on whose commit they depend. A refusal depends on
// the state that it was decided on, so it waits for that state's commit, too.
func (x *executor) resolve(outcomes []adapter.Outcome, batch *sealed) {
	for _, o := range outcomes {
		p := x.kept[o.Call]
		if p == nil {
			continue // no client waits
		}
		delete(x.kept, o.Call)
		p.result = adapter.Result{TxID: o.TxID, Reply: o.Reply, Err: o.Err}
		if batch == nil {
			p.finish(p.result)
			continue
		}
		if o.Tx != nil {
			p.result.TxID = coco.TxID{View: batch.view, Seqno: o.Tx.Seqno()}
		}
		batch.waiting = append(batch.waiting, p)
	}
}

// conclude answers the callers of an execution that left no transaction: with the last sealed
// batch, or at once if everything is committed.
func (x *executor) conclude(batch *sealed) {
	if n := len(x.spec); n > 0 {
		last := x.spec[n-1]
		last.waiting = append(last.waiting, batch.waiting...)
		return
	}
	for _, p := range batch.waiting {
		p.finish(p.result)
	}
}

// seal makes a ledger batch of an executed set, installs its writes and gives up the permit.
func (x *executor) seal(set *store.Set, b *sealed) error {
	start, p := x.head(), x.permit
	if x.known.Load() >= p.index {
		return x.drop(b, fmt.Errorf("%w: another leader took over during the execution", coco.ErrNotCommitted))
	}
	for _, e := range p.between {
		if e.Index > start.Index {
			start.Chain = ledgerEntry(e).Chain(start.Chain)
			start.Index = e.Index
		}
	}
	if start.Index+1 != p.index {
		return fmt.Errorf("%w: permit for index %d on top of entry %d", coco.ErrCorrupt, p.index, start.Index)
	}
	epoch, keys := x.keys.Current()
	records := make([]batch.Record, set.Len())
	for i, r := range set.Records() {
		records[i] = batch.Record(r)
	}
	end := start
	end.Tree = start.Tree.Clone()
	data, err := batch.Seal(batch.Header{
		View: p.view, Index: p.index, First: set.First(), Node: x.self, Time: set.Time(),
		Epoch: epoch, Committed: x.known.Load(), Prev: start.Chain,
	}, records, &end.Tree, keys, x.signer)
	if err != nil {
		return fmt.Errorf("seal batch %d: %w", p.index, err)
	}
	if len(data) > x.maxBatch {
		// What was sealed never leaves the enclave, so its slot can be given out again.
		return x.drop(b, fmt.Errorf("%w: a batch of %d bytes, expected at most %d: lower limits.batch_bytes and the adapters' limits",
			coco.ErrInvalid, len(data), x.maxBatch))
	}
	entry := consensus.Entry{View: p.view, Index: p.index, Kind: consensus.Batch, Data: data}
	end.Index, end.Chain = p.index, ledgerEntry(entry).Chain(start.Chain)
	end.Seqno, end.Time = set.Next()-1, set.Time()
	if err := set.Install(); err != nil {
		return err
	}
	if x.anchor.time == 0 {
		x.anchor = anchor{end.Time, x.clock.Elapsed()}
	}
	if b.own {
		if err := x.readRules(); err != nil {
			return err
		}
	}
	b.end, b.at, b.epoch, b.size = end, x.clock.Elapsed(), epoch, len(data)
	x.spec = append(x.spec, b)
	x.permit = nil
	x.loop.put(event{sealed: &sealedEvent{entry: &entry}})
	return nil
}

// drop gives up an execution whose slot is gone, and the permit with it.
func (x *executor) drop(batch *sealed, err error) error {
	for _, p := range batch.waiting {
		p.finish(adapter.Result{Err: err})
	}
	for _, l := range x.ledgers {
		x.resolve(l.Ledger.Rollback(x.store.Newest()), nil)
	}
	x.permit = nil
	x.loop.put(event{sealed: &sealedEvent{}})
	return nil
}
