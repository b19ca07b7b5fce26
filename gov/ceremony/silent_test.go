package ceremony_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
)

// attempts runs ceremonies of which quiet nodes take no part, and returns how many there were until one made a committee; 0 if none did.
func (w *world) attempts(most int, quiet func(attempt int, id coco.NodeID) bool) int {
	w.t.Helper()
	for attempt := 1; attempt <= most; attempt++ {
		w.begin()
		up := func(id coco.NodeID) bool { return !quiet(attempt, id) }
		w.talk(up)
		for w.ceremony().State == table.CeremonyRuns { // a node is silent
			w.pass(2 * time.Minute)
			w.talk(up)
		}
		if w.ceremony().State == table.CeremonyDone {
			w.install()
			return attempt
		}
	}
	return 0
}

func TestAMemberWithTwoSilentNodesHoldsUpTwoCeremonies(t *testing.T) {
	w := newWorld(t)
	b := []coco.NodeID{w.join(1, "b:1").ID, w.join(1, "b:2").ID}
	w.join(2, "c:1")
	if n := w.attempts(6, func(_ int, id coco.NodeID) bool { return slices.Contains(b, id) }); n != 3 {
		t.Errorf("the ceremony that made a committee is attempt %d, expected the third: another member's node acts once both have failed", n)
	}
}

func TestNodesThatAreSilentInTurnHoldUpOneCeremonyEach(t *testing.T) {
	w := newWorld(t)
	b := []coco.NodeID{w.join(1, "b:1").ID, w.join(2, "c:1").ID}
	if n := w.attempts(6, func(attempt int, id coco.NodeID) bool { return id == b[attempt%2] }); n != 3 {
		t.Errorf("the ceremony that made a committee is attempt %d, expected the third: another member's node acts for both", n)
	}
}

func TestNodesThatWereAllSilentOnceActAgain(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	if n := w.attempts(4, func(attempt int, _ coco.NodeID) bool { return attempt < 3 }); n != 3 {
		t.Errorf("the ceremony that made a committee is attempt %d, expected the third", n)
	}
}
