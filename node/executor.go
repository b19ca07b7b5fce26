package node

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
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

// position is where a prefix of the ledger ends.
type position struct {
	index uint64      // of the last entry
	chain coco.Digest // over all entries up to it
	tree  merkle.Frontier
	seqno uint64 // of the last transaction
	time  uint64 // of the last batch
}

// sealed is a batch that is executed but not committed.
type sealed struct {
	end     position
	view    uint64
	first   uint64
	at      time.Duration // when, by Clock.Elapsed
	own     bool          // it holds a transaction of the node's own
	waiting []*pending    // complete once it is committed
}

// item is a list of calls that arrived together, in order, for one adapter; or work of the node's own.
type item struct {
	ledger string
	calls  []*adapter.Call
	run    func(tx *store.Tx) ([]byte, error) // one transaction of the node's own; calls is empty then
	done   func([]adapter.Result)             // called once, from the executor's goroutine; must not block

	results []adapter.Result
	open    int
}

// pending is one call of an item.
type pending struct {
	item   *item
	at     int
	result adapter.Result
}

func (p *pending) finish(r adapter.Result) {
	it := p.item
	it.results[p.at] = r
	if it.open--; it.open == 0 {
		it.done(it.results)
	}
}

// permit allows the executor to seal one batch for one slot of the log.
type permit struct {
	view, index uint64
	between     []consensus.Entry // entries since the last batch that carry no transactions
}

// task is what the loop asks of the executor. One field is set.
type task struct {
	permit  *permit
	revoke  bool            // give the permit back
	commit  *commitTask     // apply committed entries
	flush   bool            // this node no longer leads: calls that wait go elsewhere
	inspect func(*executor) // run on the executor's goroutine
}

type commitTask struct {
	entries []consensus.Entry
	token   any // handed back to the loop when applied
}

type namedLedger struct {
	name   string
	ledger adapter.Ledger
}

type executor struct {
	log    *slog.Logger
	clock  host.Clock
	store  *store.Store
	keys   *keyring
	signer crypto.Signer
	self   coco.NodeID
	limits limits

	ledgers []namedLedger // in the order of the binary's list
	history *history
	facts   *facts
	meter   *meter

	tasks *mailbox[task]
	queue chan *item
	loop  *mailbox[event]

	known        *atomic.Uint64 // highest index known to be committed
	appliedIndex *atomic.Uint64 // applied.index, for everybody

	permit   *permit
	applied  position
	anchor   anchor // by the last batch of another node, or by this node's first
	warned   bool   // of a wrong clock
	view     uint64 // of the last applied batch
	batch    uint64 // index of the last applied batch
	spec     []*sealed
	kept     map[*adapter.Call]*pending
	governed func() // the network's own tables changed
}

// maxBatch is how large a sealed batch can be: it travels in one frame, with what consensus adds.
const maxBatch = channel.DefaultMaxFrame - 1<<20

// limits bound one batch.
type limits struct {
	count int // transactions
	bytes int // of payloads
}

func (x *executor) head() position {
	if n := len(x.spec); n > 0 {
		return x.spec[n-1].end
	}
	return x.applied
}

// run executes until ctx ends or something is broken beyond repair.
func (x *executor) run(ctx context.Context) error {
	tick := x.clock.NewTicker(time.Second)
	defer tick.Stop()
	defer x.abandon()
	for {
		queue := x.queue
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
		case it := <-queue:
			if err := x.execute(it); err != nil {
				return err
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

// abandon tells everybody who still waits that the outcome is unknown here.
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
	for {
		select {
		case it := <-x.queue:
			it.refuse(fmt.Errorf("%w: this node does not lead any more", coco.ErrNotCommitted))
		default:
			return
		}
	}
}

func (it *item) size() int { return max(1, len(it.calls)) }

func (it *item) refuse(err error) {
	results := make([]adapter.Result, it.size())
	for i := range results {
		results[i].Err = err
	}
	it.done(results)
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
	case t.inspect != nil:
		t.inspect(x)
	case t.commit != nil:
		for _, e := range t.commit.entries {
			if err := x.commit(e); err != nil {
				return err
			}
		}
		x.appliedIndex.Store(x.applied.index)
		x.loop.put(event{applied: t.commit})
	}
	return nil
}

// flush sends back the calls that ledgers kept and those in the queue. Sealed batches stay: they
// may still be committed by the next leader.
func (x *executor) flush() error {
	for _, l := range x.ledgers {
		x.settle(l.ledger.Rollback(x.store.Newest()), nil)
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
		if k, ok := l.ledger.(adapter.Keeper); ok && k.Ready() {
			return x.execute(nil)
		}
	}
	return nil
}

// gather takes what waits in the queue, up to the limits of a batch.
func (x *executor) gather(first *item) []*item {
	if first == nil {
		return nil
	}
	items, count, size := []*item{first}, 0, 0
	for it := first; ; {
		count += it.size()
		for _, c := range it.calls {
			size += len(c.Payload)
		}
		if count >= x.limits.count || size >= x.limits.bytes {
			return items
		}
		select {
		case it = <-x.queue:
			items = append(items, it)
		default:
			return items
		}
	}
}

// execute runs one batch on top of head, seals it and hands it to the loop. The permit stays if
// nothing of it became a transaction.
func (x *executor) execute(first *item) error {
	items := x.gather(first)
	now := max(x.now(), x.head().time)
	set := x.store.Begin(x.permit.view, now)
	batch := &sealed{view: x.permit.view, first: set.First()}

	calls := make(map[string][]*adapter.Call, len(x.ledgers))
	for _, it := range items {
		it.open = it.size()
		it.results = make([]adapter.Result, it.open)
		if it.run != nil {
			x.runOwn(set, it, batch)
			continue
		}
		for i, c := range it.calls {
			x.kept[c] = &pending{item: it, at: i}
		}
		calls[it.ledger] = append(calls[it.ledger], it.calls...)
	}
	for _, l := range x.ledgers {
		if c := calls[l.name]; len(c) > 0 || len(x.kept) > 0 {
			x.settle(l.ledger.Execute(set, c), batch)
		}
	}
	if set.Len() == 0 {
		x.conclude(batch)
		return nil
	}
	return x.seal(set, batch)
}

// clockSlack is how far a leader's time of day may run ahead of the ledger's, beyond the time that
// has passed since this node learnt the latter.
const clockSlack = 10 * time.Minute

// anchor ties the ledger's time to the clock that nobody sets.
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
			x.log.Error("this machine's clock is far ahead of the ledger's time: set it right", "clock", now, "ledger", x.head().time)
		}
		return latest
	}
	x.warned = false
	return now
}

// runOwn executes a transaction of the node's own.
func (x *executor) runOwn(set *store.Set, it *item, batch *sealed) {
	tx := set.Begin()
	p := &pending{item: it}
	reply, err := it.run(tx)
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

// settle moves outcomes from kept to the batch on whose commit they depend. A refusal depends on
// the state that it was decided on, so it waits for that state's commit, too.
func (x *executor) settle(outcomes []adapter.Outcome, batch *sealed) {
	for _, o := range outcomes {
		p := x.kept[o.Call]
		if p == nil {
			continue // nobody waits
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
func (x *executor) seal(set *store.Set, batch *sealed) error {
	start, p := x.head(), x.permit
	if x.known.Load() >= p.index {
		return x.drop(batch, fmt.Errorf("%w: another leader took over during the execution", coco.ErrNotCommitted))
	}
	for _, e := range p.between {
		if e.Index > start.index {
			start.chain = ledgerEntry(e).Chain(start.chain)
			start.index = e.Index
		}
	}
	if start.index+1 != p.index {
		return fmt.Errorf("%w: permit for index %d on top of entry %d", coco.ErrCorrupt, p.index, start.index)
	}
	epoch, keys := x.keys.current()
	records := make([]ledger.Record, set.Len())
	for i, r := range set.Records() {
		records[i] = ledger.Record(r)
	}
	end := start
	end.tree = start.tree.Clone()
	data, err := ledger.Seal(ledger.Header{
		View: p.view, Index: p.index, First: set.First(), Node: x.self, Time: set.Time(),
		Epoch: epoch, Committed: x.known.Load(), Prev: start.chain,
	}, records, &end.tree, keys, x.signer)
	if err != nil {
		return fmt.Errorf("seal batch %d: %w", p.index, err)
	}
	if len(data) > maxBatch {
		// What was sealed never leaves the enclave, so its slot can be given out again.
		return x.drop(batch, fmt.Errorf("%w: a batch of %d bytes, expected at most %d: lower limits.batch_bytes and the adapters' limits",
			coco.ErrInvalid, len(data), maxBatch))
	}
	entry := consensus.Entry{View: p.view, Index: p.index, Kind: consensus.Batch, Data: data}
	end.index, end.chain = p.index, ledgerEntry(entry).Chain(start.chain)
	end.seqno, end.time = set.Next()-1, set.Time()
	if err := set.Install(); err != nil {
		return err
	}
	if x.anchor.time == 0 {
		x.anchor = anchor{end.time, x.clock.Elapsed()}
	}
	batch.end, batch.at = end, x.clock.Elapsed()
	x.spec = append(x.spec, batch)
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
		x.settle(l.ledger.Rollback(x.store.Newest()), nil)
	}
	x.permit = nil
	x.loop.put(event{sealed: &sealedEvent{}})
	return nil
}

// commit takes one committed entry.
func (x *executor) commit(e consensus.Entry) error {
	if e.Index != x.applied.index+1 {
		return fmt.Errorf("%w: entry %d committed after %d", coco.ErrCorrupt, e.Index, x.applied.index)
	}
	if len(x.spec) > 0 && x.spec[0].end.index <= e.Index {
		if s := x.spec[0]; s.end.index == e.Index && s.view == e.View {
			x.spec = slices.Delete(x.spec, 0, 1)
			x.applied = s.end
			x.committed(s.view, s.first, s.own)
			x.meter.batch.observe(s.end.seqno - s.first + 1)
			x.meter.commit.observe(uint64(x.clock.Elapsed() - s.at))
			for _, p := range s.waiting {
				p.finish(p.result)
			}
			return nil
		}
		if err := x.rollback(); err != nil {
			return err
		}
	}
	if e.Kind != consensus.Batch {
		x.applied.chain = ledgerEntry(e).Chain(x.applied.chain)
		x.applied.index = e.Index
		return nil
	}
	return x.apply(e)
}

// committed publishes the batch that now ends applied; governed says that it changed the network's
// own tables.
func (x *executor) committed(view, first uint64, governed bool) {
	x.view, x.batch = view, x.applied.index
	x.store.Commit(x.applied.seqno)
	x.history.add(x.applied, view, first)
	c := adapter.Commit{View: view, First: first, Last: x.applied.seqno, Time: x.applied.time}
	for _, l := range x.ledgers {
		l.ledger.Committed(c)
	}
	if governed {
		x.governed()
	}
	x.facts.committed(coco.TxID{View: view, Seqno: x.applied.seqno})
}

// apply checks a batch of another node, or of this node's own ledger, and installs its writes.
func (x *executor) apply(e consensus.Entry) error {
	b, err := ledger.Decode(e.Data)
	if err != nil {
		return x.damaged(e.Index, err)
	}
	h := b.Header
	if h.Prev != x.applied.chain { // the last batch has confirmed everything before itself
		return x.damaged(max(x.batch, 1), fmt.Errorf("%w: batch %d does not follow what is before it", coco.ErrVerify, e.Index))
	}
	if h.View != e.View || h.Index != e.Index || h.First != x.applied.seqno+1 {
		return x.damaged(e.Index, fmt.Errorf("%w: batch of view %d, index %d, first seqno %d does not follow entry %d and seqno %d",
			coco.ErrVerify, h.View, h.Index, h.First, x.applied.index, x.applied.seqno))
	}
	end := x.applied
	end.tree = x.applied.tree.Clone()
	if err := b.VerifyRoot(&end.tree); err != nil {
		return x.damaged(e.Index, err)
	}
	keys, err := x.keys.of(h.Epoch)
	if err != nil {
		return x.damaged(e.Index, err)
	}
	records, err := b.Open(keys)
	if err != nil {
		return x.damaged(e.Index, err)
	}
	var writes []store.Write
	for _, r := range records {
		for _, part := range [2][]byte{r.Public, r.Private} {
			if writes, err = store.AppendWrites(writes, part); err != nil {
				return x.damaged(e.Index, err)
			}
		}
	}
	end.index, end.chain = e.Index, ledgerEntry(e).Chain(x.applied.chain)
	end.seqno, end.time = h.Last(), h.Time
	if err := x.store.Apply(end.seqno, writes); err != nil {
		return x.damaged(e.Index, err)
	}
	x.applied = end
	x.anchor = anchor{h.Time, x.clock.Elapsed()}
	x.committed(h.View, h.First, slices.ContainsFunc(writes, func(w store.Write) bool {
		return strings.HasPrefix(w.Table, "coco.")
	}))
	return nil
}

// damaged says that an entry of this node's ledger is not what the network committed.
func (x *executor) damaged(index uint64, err error) error {
	return &damageError{index: index, err: err}
}

// damageError asks for the ledger to be cut before an entry and fetched again.
type damageError struct {
	index uint64
	err   error
}

func (e *damageError) Error() string {
	return fmt.Sprintf("ledger entry %d is not what the network committed: %v", e.index, e.err)
}

func (e *damageError) Unwrap() error { return e.err }

// rollback drops everything that was sealed but will not be committed.
func (x *executor) rollback() error {
	x.log.Info("rolling back", "batches", len(x.spec), "to", x.applied.seqno)
	if err := x.store.Rollback(x.applied.seqno); err != nil {
		return err
	}
	lost := fmt.Errorf("%w: another leader took over", coco.ErrNotCommitted)
	for _, s := range x.spec {
		for _, p := range s.waiting {
			p.finish(adapter.Result{Err: lost})
		}
	}
	x.spec = nil
	for _, l := range x.ledgers {
		x.settle(l.ledger.Rollback(x.applied.seqno), nil)
	}
	return nil
}

func ledgerEntry(e consensus.Entry) ledger.Entry {
	return ledger.Entry{View: e.View, Index: e.Index, Kind: ledger.Kind(e.Kind), Data: e.Data}
}
