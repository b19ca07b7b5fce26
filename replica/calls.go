package replica

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
)

// Item is a list of calls that arrived together, in order, for one adapter; or work of the node's own.
type Item struct {
	Node   coco.NodeID // that brought it; zero for this one
	Ledger string
	Calls  []*adapter.Call
	Run    func(tx *store.Tx) ([]byte, error) // one transaction of the node's own; Calls is empty then
	Done   func([]adapter.Result)             // called once, from the executor's goroutine; must not block

	bytes   int // of the calls' payloads; the queue's
	results []adapter.Result
	open    int
}

// start prepares an item for its calls' results.
func (it *Item) start() {
	it.open = it.size()
	it.results = make([]adapter.Result, it.open)
}

// refuse answers every call of an item that was not started with an error.
func (it *Item) refuse(err error) {
	results := make([]adapter.Result, it.size())
	for i := range results {
		results[i].Err = err
	}
	it.Done(results)
}

// pending is one call of an item.
type pending struct {
	item   *Item
	at     int
	result adapter.Result
}

// finish answers the call. The item's last answer hands the item's results back.
func (p *pending) finish(r adapter.Result) {
	it := p.item
	it.results[p.at] = r
	if it.open--; it.open == 0 {
		it.Done(it.results)
	}
}

// Ledger is an adapter's ledger, by its name in the constitution.
type Ledger struct {
	Name   string
	Scope  *store.Scope // of its tables
	Ledger adapter.Ledger
}

// ledgers are the adapters' ledgers, and the calls that were given to them and have no outcome yet. Each such call is in kept
// exactly once, until its ledger returns an outcome.
type ledgers struct {
	list []Ledger // in the order of the binary's list
	kept map[*adapter.Call]*pending
}

func newLedgers(list []Ledger) ledgers {
	return ledgers{list: list, kept: map[*adapter.Call]*pending{}}
}

// admit keeps the calls of an item that the rules permit, and returns them. The others wait in the batch with their refusal.
func (l *ledgers) admit(rules *Rules, it *Item, batch *sealed) []*adapter.Call {
	calls := it.Calls[:0:len(it.Calls)]
	for i, c := range it.Calls {
		p := &pending{item: it, at: i}
		if err := rules.check(it.Node, c.Caller); err != nil {
			p.result.Err = err
			batch.waiting = append(batch.waiting, p)
			continue
		}
		l.kept[c] = p
		calls = append(calls, c)
	}
	return calls
}

// execute executes calls of each ledger, by its name. A ledger without new calls is asked for those that it keeps. What a
// ledger has executed when the permit's context ends is sealed like any batch, if this node still leads.
func (l *ledgers) execute(p *permit, elapsed func() time.Duration, set *store.Set, calls map[string][]*adapter.Call, batch *sealed) {
	for _, of := range l.list {
		if c := calls[of.Name]; len(c) > 0 || len(l.kept) > 0 {
			l.resolve(of.execute(p, elapsed, set, c), batch)
		}
	}
}

func (l Ledger) execute(p *permit, elapsed func() time.Duration, set *store.Set, calls []*adapter.Call) []adapter.Outcome {
	part := set.Part(l.Scope)
	defer part.End()
	p.since.Store(int64(elapsed()))
	defer p.since.Store(0)
	return l.Ledger.Execute(p.ctx, part, calls)
}

// ready reports whether a ledger can execute a call that it keeps.
func (l *ledgers) ready() bool {
	if len(l.kept) == 0 {
		return false
	}
	for _, of := range l.list {
		if k, ok := of.Ledger.(adapter.Keeper); ok && k.Ready() {
			return true
		}
	}
	return false
}

// committed tells every ledger of a committed batch.
func (l *ledgers) committed(b Batch) {
	c := adapter.Commit{View: b.View, First: b.First, Last: b.Seqno, Time: b.Time}
	for _, of := range l.list {
		of.Ledger.Committed(c)
	}
}

// rollback tells every ledger that no batch above a seqno will be committed. Their kept calls are answered.
func (l *ledgers) rollback(to uint64) {
	for _, of := range l.list {
		l.resolve(of.Ledger.Rollback(to), nil)
	}
}

// keepsOf reports whether a ledger keeps a call that one of the nodes brought.
func (l *ledgers) keepsOf(nodes map[coco.NodeID]struct{}) bool {
	for _, p := range l.kept {
		if _, ok := nodes[p.item.Node]; ok {
			return true
		}
	}
	return false
}

// resolve moves outcomes from kept to the batch on whose commit they depend, or answers them at once if batch is nil. A
// refusal depends on the state that it was decided on, so it waits for that state's commit, too.
func (l *ledgers) resolve(outcomes []adapter.Outcome, batch *sealed) {
	for _, o := range outcomes {
		p := l.kept[o.Call]
		if p == nil {
			continue // no client waits
		}
		delete(l.kept, o.Call)
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

// abandon answers the kept calls of a node that stops.
func (l *ledgers) abandon() {
	for _, p := range l.kept {
		p.finish(adapter.Result{Err: fmt.Errorf("%w: this node is stopping", coco.ErrNotCommitted)})
	}
	l.kept = nil
}

// answer gives every call that waits for a sealed batch its result.
func (s *sealed) answer() {
	for _, p := range s.waiting {
		p.finish(p.result)
	}
}

// fail gives every call that waits for a sealed batch an error.
func (s *sealed) fail(err error) {
	for _, p := range s.waiting {
		p.finish(adapter.Result{Err: err})
	}
}
