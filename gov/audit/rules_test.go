package audit_test

import (
	"slices"
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/ledger"
)

var (
	raise      = govtest.Act(action.Set, action.Args{Setting: "rules", Value: "2"})
	raiseAgain = govtest.Act(action.Set, action.Args{Setting: "rules", Value: "3"})
)

// A network that began by rules 1 goes on by them under this program, and follows rules 2 from the vote on that says so.
// An audit repeats both.
func TestANetworkGoesOnByItsRulesUntilMembersRaiseThem(t *testing.T) {
	n := govtest.New(t)
	c := n.Constitution()
	c.Rules = 1
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	n.C = c
	a := n.Genesis()
	decided := func(actions ...action.Action) *constitution.Constitution {
		t.Helper()
		p := n.Propose(n.Members[0], actions...)
		n.Vote(n.Members[0], p.ID, envelope.Yes)
		if out := n.Vote(n.Members[1], p.ID, envelope.Yes); out.State != table.Accepted {
			t.Fatalf("%+v", out)
		}
		s := n.Store.Snapshot()
		defer s.Release()
		core, err := table.LoadCore(s)
		if err != nil {
			t.Fatal(err)
		}
		return core
	}
	queue := func(n string) action.Action {
		return govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: n})
	}
	if c := decided(queue("7")); c.Rules != 1 || len(c.Added()) != 0 || c.Limits.Queue != 7 {
		t.Errorf("rules %d, %v", c.Rules, c.Added())
	}
	if c := decided(raise); c.Rules != 2 || len(c.Added()) == 0 {
		t.Errorf("rules %d, %v", c.Rules, c.Added())
	}
	if c := decided(govtest.Act(action.Set, action.Args{Setting: "voting.minimum_seconds", Value: "60"})); c.Voting.MinimumSeconds != 60 || c.Limits.Queue != 7 {
		t.Errorf("%+v", c)
	}
	if c := decided(raiseAgain); c.Rules != 3 || c.Voting.MinimumSeconds != 60 || c.Keys.Window != 1000 || c.Recovery.Unattended != constitution.No {
		t.Errorf("%+v", c)
	}
	if err := govtest.Audit(audit.New(audit.Config{Verifiers: govtest.Verifiers}), n.Batches(slices.Repeat([]table.NodeRecord{a}, len(n.Records))...), false); err != nil {
		t.Error(err)
	}
}

// The network of the golden ledger can follow rules 2. (Nobody has its members' keys any more, so no vote can be added.)
func TestTheGoldenConstitutionCanBeRaised(t *testing.T) {
	a := audit.New(audit.Config{Verifiers: govtest.Verifiers})
	if _, err := ledger.Audit(t.Context(), golden(t, "testdata/golden/v1"), "ledger", a, nil); err != nil {
		t.Fatal(err)
	}
	old := a.Constitution()
	next, effects, err := decide.Apply(decide.Present{Constitution: old, Now: uint64(govtest.Start.UnixMilli())}, []action.Action{raise})
	if err != nil || next.Rules != 2 || next.Version != old.Version+1 || len(effects) != 1 {
		t.Fatalf("%v, effects %v", err, effects)
	}
	if again, err := constitution.Decode(next.Canonical()); err != nil || again.Digest() != next.Digest() {
		t.Errorf("it does not come back: %v", err)
	}
}
