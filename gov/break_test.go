package gov

import (
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// A node that waits at a place which a vote has removed goes on waiting, whatever else is decided meanwhile: once it is
// retired, its key is refused for ever, even after a vote for it.
func TestANodeThatWaitsAtARemovedPlaceIsAdmittedByTheNextVote(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	n.admit(n.node(n.members[1], "b:1"))
	n.decide(act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1"}))
	back := n.node(n.members[1], "b:1")
	claims := n.claims(back)
	if err := n.transact(func(tx *store.Tx) error { return PendNode(tx, back, claims) }); err != nil {
		t.Fatal(err)
	}
	n.decide(act(action.Set, action.Args{Setting: "limits.queue", Value: "5000"}))
	if s := n.states()[back.ID]; s != Pending {
		t.Errorf("after a decision about something else the node is %s", s)
	}
	n.decide(act(action.AddNode, action.Args{Owner: "beta", Address: "b:1"}))
	if err := n.transact(func(tx *store.Tx) error { return AdmitNode(tx, back, claims) }); err != nil {
		t.Errorf("after a vote for it: %v", err)
	}
	n.audited(first)
}

// The node that begins a recovery needs no vote, so a place that was removed before does not count against it later.
func TestADecisionAfterARecoveryLeavesItsNode(t *testing.T) {
	n := newNetwork(t)
	n.genesis()
	n.admit(n.node(n.members[1], "b:1"))
	n.decide(act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1"}))
	back := n.node(n.members[1], "b:1")
	claims := n.claims(back)
	if err := n.transact(func(tx *store.Tx) error {
		if err := RecoverNode(tx, back, claims); err != nil {
			return err
		}
		_, sealed, err := keys.NewEpoch(2, n.c.Recipients(), n.c.Shares.Threshold)
		if err != nil {
			return err
		}
		return WriteEpoch(tx, sealed)
	}); err != nil {
		t.Fatal(err)
	}
	out, err := n.submit(n.signProposal(n.members[0], act(action.Set, action.Args{Setting: "limits.queue", Value: "5000"})))
	if err != nil {
		t.Fatalf("nothing can be proposed after the recovery: %v", err)
	}
	n.vote(n.members[0], out.ID, envelope.Yes)
	if out := n.vote(n.members[1], out.ID, envelope.Yes); out.State != Accepted {
		t.Errorf("outcome %+v", out)
	}
	if s := n.states()[back.ID]; s != Trusted {
		t.Errorf("after a decision about something else the node is %s", s)
	}
	// By a vote about itself it goes.
	n.admit(n.node(n.members[0], "a:1"))
	n.decide(act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1"}))
	if s := n.states()[back.ID]; s != Retired {
		t.Errorf("after a vote to remove it the node is %s", s)
	}
}

// What a vote has removed, its owner does not bring back alone, though the policy admits nodes without a vote.
func TestTheOwnerOfARemovedPlaceDoesNotUndoTheVoteAlone(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	n.admit(n.node(n.members[1], "b:1"))
	n.decide(act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1"}))
	out := n.propose(n.members[1], act(action.AddNode, action.Args{Owner: "beta", Address: "b:1"}))
	if out.State != Open {
		t.Fatalf("the removed member's own proposal is %s without a vote", out.State)
	}
	n.vote(n.members[0], out.ID, envelope.Yes)
	if out = n.vote(n.members[1], out.ID, envelope.Yes); out.State != Accepted {
		t.Errorf("after two votes of three it is %s", out.State)
	}
	n.audited(first)
}

// To remove a policy is to set another one in its place, so it needs what setting one needs.
func TestAStrictSetPolicyIsNotWalkedAroundByRemovePolicy(t *testing.T) {
	n := newNetwork(t)
	n.c.Policies = map[string]string{"set_policy": policy.Unanimous, "add_code": "votes.yes >= 2 && votes.no == 0", PolicyDefault: policy.OneOfN}
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	n.genesis()
	out := n.propose(n.members[0], act(action.RemovePolicy, action.Args{Policy: "add_code"}))
	n.vote(n.members[0], out.ID, envelope.Yes)
	if out := n.vote(n.members[1], out.ID, envelope.Yes); out.State == Accepted {
		t.Error("two of three remove a policy where setting one needs all three")
	}
}
