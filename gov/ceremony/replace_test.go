package ceremony_test

import (
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/store"
)

// expect checks which ceremony is needed.
func (w *world) expect(cause table.CeremonyCause, newKey bool) {
	w.t.Helper()
	n := w.need()
	if n == nil || n.Cause != cause || (n.Session.Old == nil) != newKey {
		w.t.Fatalf("needed is %+v, expected a ceremony because of %q, a new key: %t", n, cause, newKey)
	}
}

// A network that began by rules 2 shares its epochs among the members until they vote for rules 3. Then a ceremony makes its first committee, whose archive carries the secrets before.
func TestANetworkOfRules2GetsACommitteeByAVote(t *testing.T) {
	w := newWorldOf(t, govtest.New(t).ByRules2())
	w.join(1, "b:1")
	if w.need() != nil {
		t.Fatal("by rules 2 a ceremony is needed")
	}
	w.Decide(govtest.Act(action.Set, action.Args{Setting: "rules", Value: "3"}))
	w.expect(table.NoCommittee, true)
	if err := w.Transact(func(tx *store.Tx) error { return w.Rotate(tx, w.Load()) }); err != nil {
		t.Fatalf("before there is a committee, no epoch begins: %v", err)
	}
	w.secrets[1], w.secrets[2] = [32]byte{1}, [32]byte{2} // what a node has of the epochs before
	rec := w.run()
	if rec.Number != 1 || rec.Version != 1 || rec.Ceremony != 1 {
		t.Errorf("committee %d, version %d, ceremony %d", rec.Number, rec.Version, rec.Ceremony)
	}
	if w.need() != nil {
		t.Error("another ceremony is needed")
	}
	w.same(w.recovered(w.Members[0], w.Members[1]))
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

// A member that was removed keeps its share of the old key. Nothing that is sealed afterwards is sealed to that key.
func TestARemovalMakesANewKey(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	before := w.run()
	w.Decide(govtest.Act(action.RemoveMember, action.Args{Actor: "gamma", Unbalanced: true}))
	w.expect(table.MembersChanged, true)
	after := w.run()
	if after.Version != before.Version+1 || after.Commitment[0] == before.Commitment[0] || len(after.Seats) != 2 {
		t.Errorf("key version %d after %d, %d seats", after.Version, before.Version, len(after.Seats))
	}
	if w.recovered(w.Members[2]) != nil {
		t.Error("the member that was removed opens the past")
	}
	w.same(w.recovered(w.Members[0], w.Members[1]))
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

func TestAMemberThatIsAddedGetsASeatOfTheSameKey(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	before := w.run()
	delta := govtest.Issue(t, "delta", nil, true, nil)
	w.Decide(govtest.Act(action.AddMember, action.Args{Name: "delta", Certificate: delta.Cert.Raw, EncryptionKey: delta.Encryption.Public()}))
	w.expect(table.MembersChanged, false)
	after := w.run()
	if after.Version != before.Version || after.Commitment[0] != before.Commitment[0] || len(after.Seats) != 4 {
		t.Errorf("key version %d after %d, %d seats", after.Version, before.Version, len(after.Seats))
	}
	w.same(w.recovered(w.Members[0], delta)) // which has no node, and opens with its own key all the same
	if n := w.need(); n != nil {
		t.Errorf("another ceremony is needed: %s", n.Cause)
	}
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

func TestAThresholdThatRisesMakesANewKey(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	w.run()
	for _, c := range []struct {
		threshold string
		newKey    bool
	}{{"3", true}, {"2", false}} {
		w.Decide(govtest.Act(action.Set, action.Args{Setting: "shares.threshold", Value: c.threshold}))
		w.expect(table.ThresholdChanged, c.newKey)
		w.run()
	}
	w.same(w.recovered(w.Members[0], w.Members[2]))
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

func TestAVoteRefreshesTheKey(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	before := w.run()
	w.Decide(action.Action{Kind: action.Refresh})
	w.expect(table.RefreshVoted, false)
	after := w.run()
	if after.Version != before.Version || after.Commitment[0] != before.Commitment[0] || after.Commitment[1] == before.Commitment[1] {
		t.Error("the key is not the same, or its shares are not new")
	}
	if w.need() != nil {
		t.Error("the vote is not met")
	}
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

// If fewer packages than the threshold are left, no share of the old key can be dealt, and the old archive does not open: the new one carries what the leader holds.
func TestTooFewPackagesMakeANewKey(t *testing.T) {
	w := newWorld(t)
	b := w.join(1, "b:1")
	c := w.join(2, "c:1")
	before := w.run()
	w.restart(b)
	w.restart(c)
	w.expect(table.SeatLost, true)
	after := w.run()
	if after.Version != before.Version+1 {
		t.Errorf("key version %d after %d", after.Version, before.Version)
	}
	w.same(w.recovered(w.Members[1], w.Members[2]))
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

// A resharing that half of the committee finished fails: the old committee stays in force whole, its shares are not mixed with the new ones, and the next attempt lets
// other nodes act for those who were silent.
func TestAResharingThatHalfOfTheCommitteeFinishedLeavesTheOldOne(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	c := w.join(2, "c:1")
	before := w.run()
	w.Decide(action.Action{Kind: action.Refresh})
	w.begin()
	for confirming := false; !confirming; {
		list := w.owed(all)
		for _, x := range list {
			if _, last := x.s.(*dkg.Confirm); last && x.from == c.ID {
				confirming = true
				continue // it is silent
			}
			if err := w.speak(x.from, x.raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused(t, w.close(), "cannot be closed before")
	w.pass(time.Minute)
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	failed := w.ceremony()
	if failed.State != table.CeremonyFailed || len(failed.Faults) != 1 || failed.Faults[0].Actor != w.Members[2].Actor() || failed.Faults[0].Phase != dkg.Confirming {
		t.Fatalf("%s, faults %v", failed.State, failed.Faults)
	}
	if w.newest().Number != before.Number {
		t.Error("another committee is in force")
	}
	if err := w.Transact(func(tx *store.Tx) error { return w.announce(tx) }); err != nil {
		t.Fatal(err)
	}
	w.same(w.recovered(w.Members[0], w.Members[2]))
	n := w.need()
	if n == nil || n.Cause != table.RefreshVoted {
		t.Fatalf("needed is %+v", n)
	}
	for i, actor := range n.Session.Receivers {
		if actor == w.Members[2].Actor() && n.Acting[i] == c.ID {
			t.Error("the node that was silent acts again, and there are others")
		}
	}
	w.run()
	if w.need() != nil {
		t.Error("the node that was silent is asked again and again")
	}
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

// What the members decide while a ceremony runs ends it, if its committee would not be theirs.
func TestACeremonyForOtherMembersEnds(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	w.begin()
	w.Decide(govtest.Act(action.RemoveMember, action.Args{Actor: "gamma", Unbalanced: true}))
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if c := w.ceremony(); c.State != table.CeremonyFailed || len(c.Faults) > 0 {
		t.Errorf("%s, faults %v", c.State, c.Faults)
	}
	w.run()
	if rec := w.newest(); len(rec.Seats) != 2 {
		t.Errorf("%d seats", len(rec.Seats))
	}
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

// A phase does not wait for a node that is not trusted any more.
func TestAPhaseEndsWithoutNodesThatAreGone(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	c := w.join(2, "c:1")
	w.begin()
	w.talk(func(id coco.NodeID) bool { return id != c.ID })
	if w.ceremony().State != table.CeremonyRuns {
		t.Fatal("it does not wait for the third")
	}
	w.restart(c)
	w.talk(func(coco.NodeID) bool { return false })
	if s := w.ceremony().State; s != table.CeremonyFailed {
		t.Fatalf("%s", s)
	}
	w.run()
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}
