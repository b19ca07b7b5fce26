package replica

import (
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
)

// Item is a list of calls that arrived together, in order, for one adapter; or work of no adapter.
type Item struct {
	Node   coco.NodeID // that brought it; zero for this one
	Ledger string
	Calls  []*adapter.Call
	Done   func([]adapter.Result) // called once, from the executor's goroutine; must not block

	// Run is one transaction of no adapter; Ledger and Calls are empty then.
	Run func(tx *store.Tx) ([]byte, error)
	// By is the organisation that Run is done for; zero is the node itself.
	By coco.ActorID
	// Until is closed once nobody waits for Run any more; nil means never.
	Until <-chan struct{}

	results []adapter.Result
	open    int
}

func (it *Item) caller() coco.ActorID {
	if it.Run != nil {
		return it.By
	}
	return it.Calls[0].Caller.Actor
}

func (it *Item) size() int { return max(1, len(it.Calls)) }

func (it *Item) payload() (n int) {
	for _, c := range it.Calls {
		n += len(c.Payload)
	}
	return n
}

// start prepares an item for its calls' results.
func (it *Item) start() {
	it.open = it.size()
	it.results = make([]adapter.Result, it.open)
}

// pending is one call of an item, or the item's own work.
type pending struct {
	item   *Item
	at     int
	result adapter.Result
}

// call returns the call; nil for own work.
func (p *pending) call() *adapter.Call {
	if p.item.Run != nil {
		return nil
	}
	return p.item.Calls[p.at]
}

// abandoned reports whether nobody waits for the result any more.
func (p *pending) abandoned() bool {
	until := p.item.Until
	if c := p.call(); c != nil {
		until = c.Done
	}
	select {
	case <-until: // a nil channel never is ready
		return true
	default:
		return false
	}
}

// errAbandoned is the result of a call whose client has stopped waiting before the call was executed.
var errAbandoned = fmt.Errorf("%w: its client stopped waiting before it was executed", coco.ErrNotCommitted)

// finish answers the call. The item's last answer hands the item's results back.
func (p *pending) finish(r adapter.Result) {
	it := p.item
	it.results[p.at] = r
	if it.open--; it.open == 0 {
		it.Done(it.results)
	}
}

// fail answers the call with an error.
func (p *pending) fail(err error) { p.finish(adapter.Result{Err: err}) }

// Ledger is an adapter's ledger, by its name in the constitution.
type Ledger struct {
	Name   string
	Scope  *store.Scope // of its tables
	Ledger adapter.Ledger
}

// ledgers are the adapters' ledgers, and the calls that were given to them and have no outcome yet. Each such call is in kept
// exactly once, until its ledger returns an outcome or hands it back.
type ledgers struct {
	list  []Ledger // in the order of the binary's list
	first int      // of list, in the next batch
	kept  map[*adapter.Call]*pending

	overdue bool // some of kept may have timed out
}

func newLedgers(list []Ledger) ledgers {
	return ledgers{list: list, kept: map[*adapter.Call]*pending{}}
}

// What a ledger has executed when the permit's context ends is sealed like any batch, if this node still leads.
func (l Ledger) execute(p *permit, elapsed func() time.Duration, set *store.Set, calls adapter.Calls) []adapter.Outcome {
	part := set.Part(l.Scope)
	defer part.End()
	p.since.Store(int64(elapsed()))
	defer p.since.Store(0)
	return l.Ledger.Execute(p.ctx, part, calls)
}

// busy reports whether a ledger cannot execute calls now.
func (l Ledger) busy() bool {
	k, ok := l.Ledger.(adapter.Keeper)
	return ok && k.Busy()
}

// gathers reports whether the calls that wait for a ledger shall wait for more.
func (x *executor) gathers(of Ledger) bool {
	g, ok := of.Ledger.(adapter.Gatherer)
	return ok && g.Gathers(x.queue.waiting(of.Name))
}

// idle reports whether a ledger may have something to commit without a call.
func (l *ledgers) idle() bool { return slices.ContainsFunc(l.list, Ledger.idle) }

func (l Ledger) idle() bool {
	i, ok := l.Ledger.(adapter.Idler)
	return ok && i.Idle()
}

// ready reports whether a ledger has something for a batch, beside what waits in the queue.
func (l Ledger) ready() bool {
	k, ok := l.Ledger.(adapter.Keeper)
	return ok && k.Ready()
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
