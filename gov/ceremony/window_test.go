package ceremony_test

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/keys/dkg"
)

// How long a phase waits for those who can speak and do not is counted in transactions of the ledger, which all see alike, and not on a clock of one node.
func TestAPhaseWaitsForItsWindowOfTransactions(t *testing.T) {
	const window = 25
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	w.Decide(govtest.Act(action.Set, action.Args{Setting: "keys.window", Value: "25"}))
	rec := w.begin()
	if rec.Session.Window != window {
		t.Fatalf("the window is of %d transactions", rec.Session.Window)
	}
	phase := func() (p dkg.Phase) {
		w.running(func(c *ceremony.Running) { p, _ = c.Ceremony.Phase() })
		return p
	}
	began := phase()
	for w.Store.Committed()+1 < rec.Since+window {
		if w.closable() {
			t.Fatalf("the phase could be closed in transaction %d: it began in %d, and its window is of %d", w.Store.Committed()+1, rec.Since, window)
		}
		if err := w.close(); !errors.Is(err, coco.ErrInvalid) {
			t.Fatalf("it was closed early: %v", err)
		}
		w.Put()
	}
	if !w.closable() {
		t.Fatal("its window is over, and it goes on")
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if now := w.ceremony(); now.Ended == 0 || began != dkg.Registering || len(now.Faults) != 3 {
		t.Errorf("nobody registered, and the ceremony %+v goes on", now)
	}
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}
