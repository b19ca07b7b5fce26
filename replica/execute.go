package replica

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/store"
)

// execute runs one batch on top of the head, seals it and hands it to the loop. The permit stays if
// nothing of it became a transaction.
func (x *executor) execute(items []*Item) error {
	if !x.rules.Trusted {
		for _, it := range items {
			it.refuse(fmt.Errorf("%w: this node was replaced, and another one will lead", coco.ErrNotCommitted))
		}
		x.lease.end(nil)
		return nil
	}
	p := x.lease.permit
	set := x.store.Begin(p.view, x.now())
	batch := &sealed{view: p.view, first: set.First()}
	calls := make(map[string][]*adapter.Call, len(x.ledgers.list))
	for _, it := range items {
		it.start()
		if it.Run != nil {
			x.runOwn(set, it, batch)
			continue
		}
		calls[it.Ledger] = append(calls[it.Ledger], x.ledgers.admit(&x.rules, it, batch)...)
	}
	x.ledgers.execute(p, x.clock.Elapsed, set, calls, batch)
	if set.Len() == 0 {
		x.conclude(batch)
		return nil
	}
	return x.seal(set, batch)
}

// now returns the time of the next batch, in milliseconds since 1970.
func (x *executor) now() uint64 {
	now := x.time.now(x.clock.Now(), x.clock.Elapsed(), x.progress.clocks.Load(), x.rules.Alone)
	return max(now, x.chain.head().Time)
}

// watchClock compares this machine's clock with the time that the next batch would get, and tells the operator once for
// each time that they part. As long as no quorum has told its time, only the leader knows what that would be.
func (x *executor) watchClock() {
	day := x.clock.Now()
	if _, ok := x.progress.clocks.Load().Agreed(0); !ok && x.lease.permit == nil {
		return
	}
	now := x.now()
	behind := time.Duration(day.UnixMilli()-int64(now)) * time.Millisecond
	x.progress.lag.Store(int64(behind))
	side := sideOf(behind)
	if side == x.time.told {
		return
	}
	x.time.told = side
	switch side {
	case clockAhead:
		x.log.Error("this machine's clock is ahead of the ledger's time, and no quorum of the nodes' clocks is: compare the nodes' clocks", logevent.ClockAhead.Attr(),
			"clock", day.UnixMilli(), "ledger", now)
	case clockBehind:
		x.log.Error("this machine's clock is behind the ledger's time: compare the nodes' clocks", logevent.ClockBehind.Attr(),
			"clock", day.UnixMilli(), "ledger", now)
	default:
		x.log.Info("this machine's clock and the ledger's time agree again", "clock", day.UnixMilli(), "ledger", now)
	}
}

// runOwn executes a transaction of this node's own, or one that another node asked for.
func (x *executor) runOwn(set *store.Set, it *Item, batch *sealed) {
	p := &pending{item: it}
	if err := x.rules.checkNode(it.Node); err != nil {
		p.result.Err = err
		batch.waiting = append(batch.waiting, p)
		return
	}
	tx := set.Begin()
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

// conclude answers the callers of an execution that left no transaction: with the last sealed
// batch, or at once if everything is committed.
func (x *executor) conclude(batch *sealed) {
	if last := x.chain.last(); last != nil {
		last.waiting = append(last.waiting, batch.waiting...)
		return
	}
	batch.answer()
}

// seal makes a ledger batch of an executed set, installs its writes and gives the permit back.
func (x *executor) seal(set *store.Set, b *sealed) error {
	p := x.lease.permit
	known := x.progress.known.Load()
	if known >= p.index {
		x.drop(b, fmt.Errorf("%w: another leader took over during the execution", coco.ErrNotCommitted))
		return nil
	}
	entry, err := x.codec.seal(b, set, p, x.chain.head(), known)
	if err != nil {
		return err
	}
	if err := x.codec.fits(entry); err != nil {
		x.drop(b, err) // what was sealed never leaves the enclave, so its slot can be given out again
		return nil
	}
	if err := set.Install(); err != nil {
		return err
	}
	if x.time.anchor == 0 {
		x.time.set(b.end.Time, x.clock.Elapsed())
	}
	if b.own {
		if err := x.readRules(); err != nil {
			return err
		}
	}
	b.at = x.clock.Elapsed()
	x.chain.seal(b)
	x.lease.end(&entry)
	return nil
}

// drop gives up an execution whose slot is gone, and the permit with it.
func (x *executor) drop(batch *sealed, err error) {
	batch.fail(err)
	x.ledgers.rollback(x.store.Newest())
	x.lease.end(nil)
}
