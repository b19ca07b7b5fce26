package replica

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/store"
)

// manual is a clock that calls move on.
type manual struct {
	host.Clock
	now time.Duration
}

func (c *manual) Elapsed() time.Duration { return c.now }
func (c *manual) Now() time.Time         { return time.UnixMilli(1_700_000_000_000).Add(c.now) }

// working is a ledger whose calls take as long as their Decoded says, and write their payload.
type working struct {
	adapter.Ledger
	name  string
	clock *manual
	runs  [][]byte // first bytes of the actors, by Execute
	busy  bool
	most  int   // calls of one Execute; 0: all
	wants int   // calls, before it executes any
	asked []int // by Gathers
}

func (w *working) Busy() bool  { return w.busy }
func (w *working) Ready() bool { return false }

func (w *working) Gathers(waiting int) bool {
	w.asked = append(w.asked, waiting)
	return waiting > 0 && waiting < w.wants
}

func (w *working) Execute(_ context.Context, set *store.Part, calls adapter.Calls) (out []adapter.Outcome) {
	var run []byte
	for c := calls.Next(); c != nil; c = calls.Next() {
		if w.most > 0 && len(out) == w.most {
			calls.Back(c)
			break
		}
		took, _ := c.Decoded.(time.Duration)
		w.clock.now += took
		tx := set.Begin()
		tx.Put(w.name+".data", []byte("k"), c.Payload)
		if fits, _ := tx.Fits(0); !fits {
			tx.Abort()
			calls.Back(c)
			break
		}
		tx.Commit()
		run = append(run, c.Caller.Actor[0])
		out = append(out, adapter.Outcome{Call: c, Tx: tx})
	}
	w.runs = append(w.runs, run)
	return out
}

// bench is an executor that leads, without consensus.
type bench struct {
	*executor
	t       *testing.T
	clock   *manual
	ledgers map[string]*working
	index   uint64
	votes   []int // index of each slot that own work filled
}

type oneKey struct{ keys *batch.Keys }

func (k oneKey) Current() (uint64, *batch.Keys) { return 1, k.keys }
func (k oneKey) Of(uint64) (*batch.Keys, error) { return k.keys, nil }
func (k oneKey) Use(uint64) bool                { return true }

func newBench(t *testing.T, limits Limits, names ...string) *bench {
	t.Helper()
	clock := &manual{}
	b := &bench{t: t, clock: clock, ledgers: map[string]*working{}}
	st := store.New()
	if _, err := st.Scope("coco", store.Table{Name: "coco.data"}); err != nil {
		t.Fatal(err)
	}
	var list []Ledger
	for _, name := range names {
		scope, err := st.Scope(name, store.Table{Name: name + ".data"})
		if err != nil {
			t.Fatal(err)
		}
		b.ledgers[name] = &working{name: name, clock: clock}
		list = append(list, Ledger{Name: name, Scope: scope, Ledger: b.ledgers[name]})
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.executor = &executor{
		log: slog.New(slog.DiscardHandler), clock: clock, store: st, progress: newProgress(), meter: newMeter(),
		queue: newQueue(100_000, 1<<30), lease: lease{loop: newMailbox[event]()},
		codec: codec{signer: signer, keys: oneKey{batch.NewKeys(1, [32]byte{1})}, maxBatch: 1 << 20}, ledgers: newLedgers(list),
		rules: Rules{Limits: limits, Trusted: true},
		hooks: Hooks{Rules: func(_ store.Reader, last Rules) (Rules, error) { return last, nil }},
	}
	return b
}

// slot gives the executor a slot and lets it work.
func (b *bench) slot() {
	b.t.Helper()
	if b.lease.permit == nil {
		b.index++
		b.lease.permit = newPermit(b.t.Context(), 1, b.index, nil)
	}
	if err := b.work(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) put(ledger string, caller, calls int, took time.Duration, size int) {
	b.t.Helper()
	it := waitingItem(caller, calls, size)
	it.Ledger = ledger
	for _, c := range it.Calls {
		c.Decoded = took
	}
	if err := b.queue.put(it); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) vote(by int, took time.Duration) {
	b.t.Helper()
	it := ownItem(by)
	it.Run = func(tx *store.Tx) ([]byte, error) {
		b.clock.now += took
		b.votes = append(b.votes, int(b.index))
		tx.Put("coco.data", []byte("k"), nil)
		return nil, nil
	}
	if err := b.queue.put(it); err != nil {
		b.t.Fatal(err)
	}
}

var roomy = Limits{Count: 2000, Bytes: 4 << 20}

func TestABatchEndsWithTheCallThatUsesUpItsTime(t *testing.T) {
	b := newBench(t, roomy, "kv")
	b.put("kv", 1, 100, 30*time.Millisecond, 10)
	b.slot()
	if n := len(b.ledgers["kv"].runs[0]); n != 4 {
		t.Errorf("a batch of %v has %d calls of 30 ms, expected 4", batchTime, n)
	}
}

func TestEachLedgerHasItsPartOfABatch(t *testing.T) {
	b := newBench(t, Limits{Count: 100, Bytes: 1 << 20}, "kv", "ethereum")
	b.put("ethereum", 1, 100, 30*time.Millisecond, 10)
	b.put("kv", 2, 1000, 10*time.Microsecond, 10)
	for range 4 {
		b.slot()
	}
	for name, w := range b.ledgers {
		for i, run := range w.runs {
			if len(run) == 0 {
				t.Errorf("%s has no part of batch %d", name, i+1)
			}
		}
	}
}

func TestABusyLedgerHoldsNoOtherUp(t *testing.T) {
	b := newBench(t, roomy, "kv", "ethereum")
	b.ledgers["ethereum"].busy = true
	b.put("ethereum", 1, 10, 0, 10)
	b.put("kv", 2, 1, 0, 10)
	b.slot()
	b.slot()
	if len(b.ledgers["ethereum"].runs) != 0 || len(b.ledgers["kv"].runs) != 1 {
		t.Errorf("the busy ledger executed %d times, the other one %d times; expected 0 and 1", len(b.ledgers["ethereum"].runs), len(b.ledgers["kv"].runs))
	}
	b.ledgers["ethereum"].busy = false
	b.slot()
	if runs := b.ledgers["ethereum"].runs; len(runs) != 1 || len(runs[0]) != 10 {
		t.Errorf("calls that waited for a busy ledger were executed as %v", runs)
	}
}

// A ledger that waits for more calls leaves them in the queue, whatever other ledgers do, and learns what an Execute has left.
func TestCallsWaitForMoreWhereTheirLedgerGathers(t *testing.T) {
	b := newBench(t, roomy, "kv", "ethereum")
	w := b.ledgers["ethereum"]
	w.wants, w.most = 12, 9
	b.put("ethereum", 1, 10, 0, 10)
	b.put("kv", 2, 1, 0, 10)
	b.slot()
	b.executor.ledgers.overdue = true
	b.slot()
	if len(w.runs) != 0 || len(b.ledgers["kv"].runs) == 0 {
		t.Fatalf("the ledger that gathers executed %v, the other one %v", w.runs, b.ledgers["kv"].runs)
	}
	b.put("ethereum", 2, 2, 0, 10)
	b.slot()
	// Those of the organisation that came last are not behind all others.
	if len(w.runs) != 1 || len(w.runs[0]) != 9 || slices.Index(w.runs[0], 2) > 1 {
		t.Errorf("executed %v, expected 9 calls with those of organisation 2 among the first", w.runs)
	}
	if left := w.asked[len(w.asked)-1]; left != 3 {
		t.Errorf("the ledger was told that %d calls are left, expected 3", left)
	}
}

// The ledger of a recovered network goes on with the recovery: a batch of this node before it is signed by a node that nobody has admitted, and every audit ends there.
func TestNoLedgerExecutesBeforeARecoveryHasListedTheNode(t *testing.T) {
	b := newBench(t, roomy, "kv")
	b.rules.Unlisted = true
	b.put("kv", 1, 1, 0, 10)
	b.executor.ledgers.overdue = true // as a ledger that is idle makes it: it has blocks to make without calls
	b.slot()
	if runs := b.ledgers["kv"].runs; len(runs) != 0 || b.lease.permit == nil {
		t.Fatalf("executed %v before the node was listed", runs)
	}
	b.hooks.Rules = func(_ store.Reader, last Rules) (Rules, error) {
		last.Unlisted = false
		return last, nil
	}
	b.vote(1, 0)
	b.slot()
	b.slot()
	if runs := b.ledgers["kv"].runs; len(b.votes) != 1 || b.votes[0] != 1 || len(runs) != 1 {
		t.Errorf("own work filled the slots %v and the ledger executed %v, expected the recovery in slot 1 and the ledger after it", b.votes, runs)
	}
}

// However small its batches are, a ledger's flood of one organisation does not keep another one's calls.
func TestSmallBatchesAreSharedByOrganisations(t *testing.T) {
	b := newBench(t, roomy, "ethereum")
	w := b.ledgers["ethereum"]
	w.most = 1
	b.put("ethereum", 1, 1000, time.Millisecond, 10)
	b.slot()
	b.put("ethereum", 2, 5, time.Millisecond, 10)
	for range 10 {
		b.slot()
	}
	var of [3]int
	for _, run := range w.runs[1:] {
		of[run[0]]++
	}
	if of[2] != 5 {
		t.Errorf("of ten batches of one call after it came, organisation 2 had %d, expected its 5", of[2])
	}
}

func TestVotesAndCallsAlternateWhenBothFlood(t *testing.T) {
	b := newBench(t, roomy, "kv")
	for range 500 {
		b.vote(1, 10*time.Millisecond)
	}
	b.put("kv", 2, 1000, 10*time.Millisecond, 10)
	for range 10 {
		b.slot()
	}
	slots := slices.Compact(slices.Clone(b.votes))
	if want := []int{1, 3, 5, 7, 9}; !slices.Equal(slots, want) {
		t.Errorf("votes filled the slots %v of 10, expected %v", slots, want)
	}
	if most := len(b.votes) / len(slots); time.Duration(most)*10*time.Millisecond > batchTime/2 {
		t.Errorf("a batch of votes has %d of 10 ms, expected %v at most", most, batchTime/2)
	}
}

func TestAnOrganisationWaitsForOneTurnOfAnother(t *testing.T) {
	b := newBench(t, roomy, "ethereum")
	b.put("ethereum", 1, 400, 90*time.Millisecond, 10)
	b.slot()
	b.put("ethereum", 2, 1, time.Microsecond, 10)
	b.slot()
	if run := b.ledgers["ethereum"].runs[1]; len(run) == 0 || run[0] != 2 {
		t.Errorf("after one batch of a heavy organisation came %v, expected organisation 2 first", run)
	}
}

func TestACallOfAnActorThatTheConstitutionDoesNotListIsRefusedWithTheBatch(t *testing.T) {
	b := newBench(t, roomy, "kv")
	b.rules.Actors = map[coco.ActorID]struct{}{{2}: {}}
	b.put("kv", 1, 1, 0, 10)
	b.put("kv", 2, 1, 0, 10)
	b.slot()
	if len(b.chain.sealed) != 1 || len(b.chain.sealed[0].waiting) != 2 {
		t.Fatalf("%d batches are sealed", len(b.chain.sealed))
	}
	for _, p := range b.chain.sealed[0].waiting {
		if who := p.item.caller()[0]; errors.Is(p.result.Err, coco.ErrDenied) != (who == 1) {
			t.Errorf("a call of organisation %d is answered %v", who, p.result.Err)
		}
	}
}

func TestCallsThatNobodyWaitsForAreNotExecuted(t *testing.T) {
	b := newBench(t, roomy, "kv")
	gone := make(chan struct{})
	it := waitingItem(1, 3, 10)
	for _, c := range it.Calls {
		c.Done = gone
	}
	var results []adapter.Result
	it.Done = func(r []adapter.Result) { results = r }
	if err := b.queue.put(it); err != nil {
		t.Fatal(err)
	}
	close(gone)
	b.slot()
	if len(results) != 3 || !errors.Is(results[0].Err, coco.ErrNotCommitted) {
		t.Errorf("answered %v", results)
	}
	for _, run := range b.ledgers["kv"].runs {
		if len(run) > 0 {
			t.Error("a call was executed that nobody waits for")
		}
	}
}

// TestABatchIsBoundedByWhatItsTransactionsWrite has calls whose writes are small one by one and too large together.
func TestABatchIsBoundedByWhatItsTransactionsWrite(t *testing.T) {
	b := newBench(t, Limits{Count: 2000, Bytes: 16 << 20}, "kv")
	b.put("kv", 1, 10, 0, 300<<10)
	for range 4 {
		b.slot()
	}
	var got []string
	for _, s := range b.chain.sealed {
		got = append(got, fmt.Sprint(len(s.waiting)))
		if s.size > b.codec.maxBatch {
			t.Errorf("a batch of %d bytes, expected %d at most", s.size, b.codec.maxBatch)
		}
	}
	if want := []string{"3", "3", "3", "1"}; !slices.Equal(got, want) {
		t.Errorf("batches of %v calls, expected %v", got, want)
	}
}
