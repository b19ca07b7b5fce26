package decide_test

import (
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// A node that waits at a place which a vote has removed goes on waiting, whatever else is decided meanwhile: once it is
// retired, its key is refused for ever, even after a vote for it.
func TestANodeThatWaitsAtARemovedPlaceIsAdmittedByTheNextVote(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	n.Admit(n.Node(n.Members[1], "b:1"))
	n.Decide(govtest.Act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1", Unbalanced: true}))
	back := n.Node(n.Members[1], "b:1")
	claims := n.Claims(back)
	if err := n.Transact(func(tx *store.Tx) error { return members.PendNode(tx, back, claims) }); err != nil {
		t.Fatal(err)
	}
	n.Decide(govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "5000"}))
	if s := n.States()[back.ID]; s != table.Pending {
		t.Errorf("after a decision about something else the node is %s", s)
	}
	n.Decide(govtest.Act(action.AddNode, action.Args{Owner: "beta", Address: "b:1"}))
	if err := n.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, back, claims) }); err != nil {
		t.Errorf("after a vote for it: %v", err)
	}
	n.Audited(first)
}

// The node that begins a recovery needs no vote, so a place that was removed before does not count against it later.
func TestADecisionAfterARecoveryLeavesItsNode(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	n.Admit(n.Node(n.Members[1], "b:1"))
	n.Decide(govtest.Act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1", Unbalanced: true}))
	back := n.Node(n.Members[1], "b:1")
	claims := n.Claims(back)
	if err := n.Transact(func(tx *store.Tx) error {
		if err := members.RecoverNode(tx, back, claims); err != nil {
			return err
		}
		return n.Rotate(tx, n.C)
	}); err != nil {
		t.Fatal(err)
	}
	out, err := n.Submit(n.SignProposal(n.Members[0], govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "5000"})))
	if err != nil {
		t.Fatalf("nothing can be proposed after the recovery: %v", err)
	}
	n.Vote(n.Members[0], out.ID, envelope.Yes)
	if out := n.Vote(n.Members[1], out.ID, envelope.Yes); out.State != table.Accepted {
		t.Errorf("outcome %+v", out)
	}
	if s := n.States()[back.ID]; s != table.Trusted {
		t.Errorf("after a decision about something else the node is %s", s)
	}
	// By a vote about itself it goes.
	n.Admit(n.Node(n.Members[0], "a:1"))
	n.Decide(govtest.Act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1", Unbalanced: true}))
	if s := n.States()[back.ID]; s != table.Retired {
		t.Errorf("after a vote to remove it the node is %s", s)
	}
}

// What a vote has removed, its owner does not bring back alone, though the policy admits nodes without a vote.
func TestTheOwnerOfARemovedPlaceDoesNotUndoTheVoteAlone(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	n.Admit(n.Node(n.Members[1], "b:1"))
	n.Decide(govtest.Act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1", Unbalanced: true}))
	out := n.Propose(n.Members[1], govtest.Act(action.AddNode, action.Args{Owner: "beta", Address: "b:1"}))
	if out.State != table.Open {
		t.Fatalf("the removed member's own proposal is %s without a vote", out.State)
	}
	n.Vote(n.Members[0], out.ID, envelope.Yes)
	if out = n.Vote(n.Members[1], out.ID, envelope.Yes); out.State != table.Accepted {
		t.Errorf("after two votes of three it is %s", out.State)
	}
	n.Audited(first)
}

// To remove a policy is to set another one in its place, so it needs what setting one needs.
func TestAStrictSetPolicyIsNotWalkedAroundByRemovePolicy(t *testing.T) {
	n := govtest.New(t)
	n.C.Policies = map[string]string{"set_policy": policy.Unanimous, "add_code": "votes.yes >= 2 && votes.no == 0", constitution.PolicyDefault: policy.OneOfN}
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	out := n.Propose(n.Members[0], govtest.Act(action.RemovePolicy, action.Args{Policy: "add_code"}))
	n.Vote(n.Members[0], out.ID, envelope.Yes)
	if out := n.Vote(n.Members[1], out.ID, envelope.Yes); out.State == table.Accepted {
		t.Error("two of three remove a policy where setting one needs all three")
	}
}
