package ceremony_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
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

// Nodes that lost power within a moment of a new committee may have kept no packages, and are trusted still. The key cannot be shared anew: after two attempts a new one is made.
func TestNodesThatLostTheirPackagesMakeANewKey(t *testing.T) {
	w := newWorld(t)
	b := w.join(1, "b:1")
	c := w.join(2, "c:1")
	before := w.run()
	for _, id := range []coco.NodeID{b.ID, c.ID} {
		w.memory[id].packages = nil
	}
	w.Decide(action.Action{Kind: action.Refresh})
	w.expect(table.RefreshVoted, false)
	if n := w.attempts(4, func(int, coco.NodeID) bool { return false }); n != 3 {
		t.Errorf("the ceremony that made a committee is attempt %d, expected the third", n)
	}
	if after := w.newest(); after.Version != before.Version+1 {
		t.Errorf("key version %d after %d", after.Version, before.Version)
	}
	w.same(w.recovered(w.Members[1], w.Members[2]))
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

// One attempt that too few seats took part in says nothing: they may have been cut off. The key stays.
func TestSeatsThatWereCutOffOnceKeepTheirKey(t *testing.T) {
	w := newWorld(t)
	b := w.join(1, "b:1")
	c := w.join(2, "c:1")
	before := w.run()
	w.Decide(action.Action{Kind: action.Refresh})
	if n := w.attempts(4, func(attempt int, id coco.NodeID) bool { return attempt == 1 && (id == b.ID || id == c.ID) }); n != 2 {
		t.Errorf("the ceremony that made a committee is attempt %d, expected the second", n)
	}
	if after := w.newest(); after.Version != before.Version {
		t.Errorf("key version %d after %d", after.Version, before.Version)
	}
}
