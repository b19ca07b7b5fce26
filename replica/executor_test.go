package replica

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
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
		log: slog.New(slog.DiscardHandler), store: st, ledgers: newLedgers([]Ledger{{Name: "kv", Ledger: ledger}}),
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
	ledger.calls = x.ledgers.admit(&Rules{}, waits, &sealed{})

	if err := x.commit(t.Context(), consensus.Entry{View: 2, Index: 5, Kind: consensus.View}); err != nil {
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
	calls := l.admit(&Rules{}, it, batch)
	l.resolve([]adapter.Outcome{{Call: calls[0], Reply: []byte("a")}, {Call: calls[1], Err: coco.ErrInvalid}, {Call: &adapter.Call{}}}, batch)
	if *got != nil || len(batch.waiting) != 2 || len(l.kept) != 0 {
		t.Fatalf("%d of 2 calls wait for the batch, %d are kept, answered: %v", len(batch.waiting), len(l.kept), *got)
	}
	batch.answer()
	if r := *got; len(r) != 2 || string(r[0].Reply) != "a" || !errors.Is(r[1].Err, coco.ErrInvalid) {
		t.Errorf("answered %+v", r)
	}
}

func TestAnActorThatTheConstitutionDoesNotListIsRefusedWithTheBatch(t *testing.T) {
	l := newLedgers(nil)
	it, got := answers(2)
	it.Calls[0].Caller.Actor = coco.ActorID{1}
	it.Calls[1].Caller.Actor = coco.ActorID{2}
	batch := &sealed{}
	calls := l.admit(&Rules{Actors: map[coco.ActorID]struct{}{{2}: {}}}, it, batch)
	if len(calls) != 1 || calls[0].Caller.Actor != (coco.ActorID{2}) || len(l.kept) != 1 || len(batch.waiting) != 1 {
		t.Fatalf("%d calls admitted, %d kept, %d wait for the batch", len(calls), len(l.kept), len(batch.waiting))
	}
	l.abandon()
	batch.answer()
	if r := *got; len(r) != 2 || !errors.Is(r[0].Err, coco.ErrDenied) || !errors.Is(r[1].Err, coco.ErrNotCommitted) {
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
