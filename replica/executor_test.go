package replica

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/store"
)

// keeping is a ledger that keeps the calls that it is given, until a rollback.
type keeping struct {
	adapter.Ledger
	calls []*adapter.Call
	to    []uint64 // of each rollback
}

func (k *keeping) Rollback(to uint64) (out []adapter.Outcome) {
	k.to = append(k.to, to)
	for _, c := range k.calls {
		out = append(out, adapter.Outcome{Call: c, Err: coco.ErrNotCommitted})
	}
	k.calls = nil
	return out
}

// answers makes an item of calls, whose results appear in the slice once all are there.
func answers(calls int) (*Item, *[]adapter.Result) {
	got := new([]adapter.Result)
	it := &Item{Done: func(r []adapter.Result) { *got = r }}
	for range calls {
		it.Calls = append(it.Calls, &adapter.Call{})
	}
	it.start()
	return it, got
}

// keep gives a ledger the calls of an item.
func (l *ledgers) keep(it *Item) []*adapter.Call {
	for i, c := range it.Calls {
		l.kept[c] = &pending{item: it, at: i}
	}
	return it.Calls
}

func TestAnotherLeadersEntryRollsBackTheStoreTheLedgersAndTheCalls(t *testing.T) {
	st := store.New()
	if err := st.Create(store.Table{Name: "kv.data"}); err != nil {
		t.Fatal(err)
	}
	for seqno := uint64(1); seqno <= 3; seqno++ { // the first is committed, two batches are sealed
		if err := st.Apply(seqno, []store.Write{{Table: "kv.data", Key: []byte("k"), Value: []byte{byte(seqno)}}}); err != nil {
			t.Fatal(err)
		}
	}
	st.Commit(1)
	ledger := &keeping{}
	rulesRead := 0
	x := &executor{
		queue: newQueue(1000, 1<<20),
		log:   slog.New(slog.DiscardHandler), store: st, ledgers: newLedgers([]Ledger{{Name: "kv", Ledger: ledger}}),
		hooks: Hooks{Rules: func(newest store.Reader, last Rules) (Rules, error) { rulesRead++; return last, nil }},
	}
	x.chain.begin(Position{Index: 4, Seqno: 1})
	committed, got := answers(2)
	for i := range committed.Calls {
		b := sealedAt(1, uint64(5+i), uint64(2+i))
		b.waiting = []*pending{{item: committed, at: i, result: adapter.Result{Reply: []byte("done")}}}
		x.chain.seal(b)
	}
	waits, kept := answers(1)
	ledger.calls = x.ledgers.keep(waits)

	if err := x.commit(t.Context(), consensus.Entry{View: 2, Index: 5, Kind: consensus.View}, nil); err != nil {
		t.Fatal(err)
	}
	if st.Newest() != 1 || len(ledger.to) != 1 || ledger.to[0] != 1 || rulesRead != 1 {
		t.Errorf("the store is at %d, the ledgers were rolled back to %v, the rules were read %d times; expected 1, [1], once", st.Newest(), ledger.to, rulesRead)
	}
	for _, results := range [][]adapter.Result{*got, *kept} {
		if len(results) == 0 {
			t.Error("calls were not answered")
		}
		for _, r := range results {
			if !errors.Is(r.Err, coco.ErrNotCommitted) {
				t.Errorf("a call is answered %+v, expected that it is not committed", r)
			}
		}
	}
	if x.chain.applied.Index != 5 || x.chain.head() != x.chain.applied || len(x.ledgers.kept) != 0 {
		t.Errorf("applied %d, head %d, %d calls kept", x.chain.applied.Index, x.chain.head().Index, len(x.ledgers.kept))
	}
}

func TestOutcomesWaitForTheBatchTheyDependOn(t *testing.T) {
	l := newLedgers(nil)
	it, got := answers(2)
	batch := &sealed{view: 1}
	calls := l.keep(it)
	l.resolve([]adapter.Outcome{{Call: calls[0], Reply: []byte("a")}, {Call: calls[1], Err: coco.ErrInvalid}, {Call: &adapter.Call{}}}, batch)
	if *got != nil || len(batch.waiting) != 2 || len(l.kept) != 0 {
		t.Fatalf("%d of 2 calls wait for the batch, %d are kept, answered: %v", len(batch.waiting), len(l.kept), *got)
	}
	batch.answer()
	if r := *got; len(r) != 2 || string(r[0].Reply) != "a" || !errors.Is(r[1].Err, coco.ErrInvalid) {
		t.Errorf("answered %+v", r)
	}
}

func TestAPermitIsGivenBackOnce(t *testing.T) {
	inbox := newMailbox[event]()
	l := lease{permit: newPermit(t.Context(), 1, 7, nil), loop: inbox}
	l.end(&consensus.Entry{Index: 7})
	l.end(nil)
	if events := inbox.receive(); len(events) != 1 || events[0].sealed == nil || events[0].sealed.entry.Index != 7 {
		t.Errorf("the loop received %d events, expected the filled permit", len(events))
	}
}

func TestASlotFollowsTheHeadAndTheEntriesBetween(t *testing.T) {
	between := []consensus.Entry{{View: 2, Index: 5}, {View: 2, Index: 6}}
	p := newPermit(t.Context(), 2, 7, between)
	var head Position
	head.Index = 4
	want := head.after(between[0]).after(between[1])
	if got := p.start(head); got != want {
		t.Errorf("the slot begins after index %d, expected %d and its digest", got.Index, want.Index)
	}
	if got := p.start(want); got != want {
		t.Errorf("entries that the head includes were added again: the slot begins after index %d, expected %d", got.Index, want.Index)
	}
}

// The rules that a vote leaves hold for what the leader executes after it, whenever that came.
func TestWhatARemovedNodeBroughtIsNotExecuted(t *testing.T) {
	removed, other := coco.NodeID{1}, coco.NodeID{2}
	rules := Rules{Nodes: map[coco.NodeID]struct{}{other: {}}}
	x := &executor{rules: rules, ledgers: newLedgers(nil)}
	for node, denied := range map[coco.NodeID]bool{removed: true, other: false, {}: false} {
		if err := rules.check(node, coco.Caller{}); errors.Is(err, coco.ErrBusy) != denied {
			t.Errorf("node %s: a call is answered %v", node.Short(), err)
		}

		st := store.New()
		if err := st.Create(store.Table{Name: "coco.test"}); err != nil {
			t.Fatal(err)
		}
		ran := false
		own, got := answers(0)
		own.Node, own.Run = node, func(*store.Tx) ([]byte, error) { ran = true; return nil, nil }
		own.start()
		batch := &sealed{}
		x.runOwn(st.Begin(1, 1), &pending{item: own}, batch)
		batch.answer()
		if ran == denied || errors.Is((*got)[0].Err, coco.ErrBusy) != denied {
			t.Errorf("node %s: its request ran: %v, answered %+v", node.Short(), ran, *got)
		}
	}
}

func TestCallsThatARemovedNodeBroughtAreSentBack(t *testing.T) {
	stays, leaves := coco.NodeID{1}, coco.NodeID{2}
	for _, from := range []coco.NodeID{stays, leaves} {
		ledger := &keeping{}
		x := &executor{
			queue: newQueue(1000, 1<<20),
			store: store.New(), ledgers: newLedgers([]Ledger{{Name: "kv", Ledger: ledger}}),
			rules: Rules{Nodes: map[coco.NodeID]struct{}{stays: {}, leaves: {}}},
			hooks: Hooks{Rules: func(_ store.Reader, last Rules) (Rules, error) {
				last.Nodes = map[coco.NodeID]struct{}{stays: {}}
				return last, nil
			}},
		}
		it, got := answers(1)
		it.Node = from
		ledger.calls = x.ledgers.keep(it)
		if err := x.readRules(); err != nil {
			t.Fatal(err)
		}
		if sent := len(*got) == 1 && errors.Is((*got)[0].Err, coco.ErrNotCommitted); sent != (from == leaves) {
			t.Errorf("a kept call of node %s: sent back is %v", from.Short(), sent)
		}
	}
}

// A node that is not trusted seals nothing but the batch by which it recovers the network.
func TestABatchOfARemovedNodeIsNoPartOfTheLedger(t *testing.T) {
	removed, other := coco.NodeID{1}, coco.NodeID{2}
	for name, c := range map[string]struct {
		after []coco.NodeID
		ok    bool
	}{
		"an ordinary batch": {[]coco.NodeID{other}, false},
		"it admits itself":  {[]coco.NodeID{removed, other}, false},
		"a recovery":        {[]coco.NodeID{removed}, true},
	} {
		x := &executor{queue: newQueue(1000, 1<<20), store: store.New(), hooks: Hooks{Rules: func(_ store.Reader, last Rules) (Rules, error) {
			last.Nodes = map[coco.NodeID]struct{}{}
			for _, id := range c.after {
				last.Nodes[id] = struct{}{}
			}
			return last, nil
		}}}
		if err := x.checkRecovery(batch.Header{Node: removed}); (err == nil) != c.ok || err != nil && !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
