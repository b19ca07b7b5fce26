package replica

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/pulse"
	"github.com/cocoframework/coco/store"
)

// batchTime is how long after its beginning a batch of calls begins no further call. Own work gets half of it.
const batchTime = 100 * time.Millisecond

// work fills the slot of the permit, if there is one and something can be executed. Own work and calls alternate while
// both wait.
func (x *executor) work() error {
	if x.lease.permit == nil {
		return nil
	}
	if x.lease.opening.view != 0 {
		return x.open()
	}
	calls := x.ledgers.overdue
	for _, of := range x.ledgers.list {
		calls = calls || !of.busy() && !x.gathers(of) && (x.queue.waiting(of.Name) > 0 || of.ready())
	}
	calls = calls && !x.rules.Unlisted
	var err error
	switch own := x.queue.waiting(own) > 0; {
	case own && !(x.lease.own && calls):
		x.lease.own = true
		err = x.execute(x.executeOwn)
	case calls:
		x.lease.own, x.ledgers.overdue = false, false
		err = x.execute(x.executeCalls)
	default:
		return nil
	}
	x.queue.wake() // to look again: the permit may still be there, and so may be what waits
	return err
}

// execute runs one batch on top of the head, seals it and hands it to the loop. The permit stays if nothing of it
// became a transaction.
func (x *executor) execute(fill func(*permit, *store.Set, *sealed)) error {
	if !x.rules.Trusted {
		for _, p := range x.queue.removeIf(func(*pending) bool { return true }) {
			p.fail(fmt.Errorf("%w: this node was replaced, and another one will lead", coco.ErrNotCommitted))
		}
		x.lease.end(nil)
		return nil
	}
	p := x.lease.permit
	set := x.store.Begin(p.view, x.now())
	set.Bound(x.codec.room())
	batch := &sealed{view: p.view, first: set.First()}
	fill(p, set, batch)
	x.follow(stepExecuted, batch)
	if set.Len() == 0 {
		x.conclude(batch)
		return nil
	}
	return x.seal(set, batch)
}

// executeOwn executes work of no adapter. What is decided about the network by it holds for all calls after it, so it is a
// batch by itself.
func (x *executor) executeOwn(_ *permit, set *store.Set, batch *sealed) {
	began := x.clock.Elapsed()
	last := began
	for range x.rules.Limits.Count {
		p := x.queue.next(own)
		if p == nil {
			return
		}
		if p.abandoned() {
			p.fail(errAbandoned)
			continue
		}
		x.runOwn(set, p, batch)
		now := x.clock.Elapsed()
		x.queue.charge(own, p.item.caller(), now-last, 0)
		if last = now; now-began >= batchTime/2 || set.Size() >= x.rules.Limits.Bytes {
			return
		}
	}
}

// executeCalls executes calls of all ledgers that are not busy, which share the batch: each gets an equal part of what those
// before it have left. Another one goes first in the next batch. A ledger without calls of its own is asked for those
// that it keeps, and for what it commits without any.
func (x *executor) executeCalls(p *permit, set *store.Set, batch *sealed) {
	l := &x.ledgers
	left := batchTime
	room := x.rules.Limits
	for i := range l.list {
		of := l.list[(l.first+i)%len(l.list)]
		if of.busy() || x.gathers(of) {
			continue
		}
		parts := len(l.list) - i
		d := &deal{
			executor: x, set: set, batch: batch, ledger: of.Name, began: x.clock.Elapsed(),
			time: left / time.Duration(parts), most: Limits{Count: max(1, room.Count/parts), Bytes: max(1, room.Bytes/parts)},
		}
		d.last = d.began
		d.written = set.Size()
		if x.queue.waiting(of.Name) == 0 && len(l.kept) == 0 && !of.idle() {
			continue
		}
		outcomes := of.execute(p, x.clock.Elapsed, set, adapter.Calls{Next: d.next, Back: d.back})
		d.settle()
		x.gathers(of)
		for _, o := range outcomes {
			if k := l.kept[o.Call]; k != nil && o.Beside > 0 {
				x.queue.charge(of.Name, k.item.caller(), o.Beside, 0)
			}
		}
		l.resolve(outcomes, batch)
		left = max(0, left-(d.last-d.began))
		room.Count, room.Bytes = max(0, room.Count-d.got.Count), max(0, room.Bytes-d.got.Bytes)
	}
	if n := len(l.list); n > 0 {
		l.first = (l.first + 1) % n
	}
}

// deal gives one ledger calls for one batch, and charges organisations for what those take.
type deal struct {
	*executor
	set    *store.Set
	batch  *sealed
	ledger string

	time    time.Duration // after which no further call is given
	most    Limits
	got     Limits
	written int           // of the set when the ledger's part began
	began   time.Duration // all times are of Clock.Elapsed
	last    time.Duration // when the last call was given, or settled
	of      *pending      // it, nil if it is settled
}

// next is adapter.Calls.Next. The first call is given whatever the limits are.
func (d *deal) next() *adapter.Call {
	d.settle()
	if d.got.Count > 0 && (d.got.Count >= d.most.Count || max(d.got.Bytes, d.set.Size()-d.written) >= d.most.Bytes || d.last-d.began >= d.time) {
		return nil
	}
	for {
		p := d.queue.next(d.ledger)
		if p == nil {
			return nil
		}
		c := p.call()
		if p.abandoned() {
			p.fail(errAbandoned)
			continue
		}
		if err := d.rules.check(p.item.Node, c.Caller); err != nil {
			p.result.Err = err
			d.batch.waiting = append(d.batch.waiting, p)
			continue
		}
		d.ledgers.kept[c] = p
		d.got.Count++
		d.got.Bytes += len(c.Payload)
		d.of = p
		return c
	}
}

// back is adapter.Calls.Back.
func (d *deal) back(c *adapter.Call) {
	p := d.ledgers.kept[c]
	if p == nil {
		panic("replica: a ledger hands back a call that it does not have")
	}
	delete(d.ledgers.kept, c)
	d.queue.back(p)
}

// settle charges the organisation of the last call for the time since.
func (d *deal) settle() {
	now := d.clock.Elapsed()
	if d.of != nil {
		d.queue.charge(d.ledger, d.of.item.caller(), now-d.last, len(d.of.call().Payload))
		d.of = nil
	}
	d.last = now
}

// watch is the ledger's time, and what the operator was told last of this machine's clock.
type watch struct {
	pulse.LedgerTime
	told pulse.Side
}

// now returns the time of the next batch, in milliseconds since 1970.
func (x *executor) now() uint64 {
	now := x.time.Now(x.clock.Now(), x.clock.Elapsed(), x.progress.clocks.Load(), x.rules.Alone)
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
	side := pulse.SideOf(behind)
	if side == x.time.told {
		return
	}
	x.time.told = side
	switch side {
	case pulse.Ahead:
		x.log.Error("this machine's clock is ahead of the ledger's time, and no quorum of the nodes' clocks is: compare the nodes' clocks", logevent.ClockAhead.Attr(),
			"clock", day.UnixMilli(), "ledger", now)
	case pulse.Behind:
		x.log.Error("this machine's clock is behind the ledger's time: compare the nodes' clocks", logevent.ClockBehind.Attr(),
			"clock", day.UnixMilli(), "ledger", now)
	default:
		x.log.Info("this machine's clock and the ledger's time agree again", "clock", day.UnixMilli(), "ledger", now)
	}
}

// runOwn executes a transaction of no adapter, which this node wants, or another one asked for.
func (x *executor) runOwn(set *store.Set, p *pending, batch *sealed) {
	if err := x.rules.checkNode(p.item.Node); err != nil {
		p.result.Err = err
		batch.waiting = append(batch.waiting, p)
		return
	}
	tx := set.Begin()
	reply, err := p.item.Run(tx)
	if now, _ := tx.Fits(0); err == nil && !now {
		err = fmt.Errorf("%w: the transaction does not fit into this batch", coco.ErrBusy)
	}
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
	if !x.time.Anchored() {
		x.time.Set(b.end.Time, x.clock.Elapsed())
	}
	if b.own {
		if err := x.readRules(); err != nil {
			return err
		}
	}
	b.at = x.clock.Elapsed()
	x.chain.seal(b)
	x.follow(stepSealed, b, "entry", entry.Index)
	x.lease.end(&entry)
	return nil
}

// drop gives up an execution whose slot is gone, and the permit with it.
func (x *executor) drop(batch *sealed, err error) {
	batch.fail(err)
	x.ledgers.rollback(x.store.Newest())
	x.lease.end(nil)
}
