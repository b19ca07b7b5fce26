package decide_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// spread is a network in which members have these numbers of nodes, in order.
func spread(t *testing.T, counts ...int) (*govtest.Network, table.NodeRecord) {
	n := govtest.New(t)
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	for i, count := range counts {
		for k := range count {
			if i+k > 0 {
				n.Admit(n.Node(n.Members[i], fmt.Sprintf("%s%d:1", n.Members[i].Name, k)))
			}
		}
	}
	return n, first
}

func place(kind action.Kind, owner, address string, unbalanced bool) action.Action {
	return govtest.Act(kind, action.Args{Owner: owner, Address: address, Unbalanced: unbalanced})
}

// What takes votes from others gives one organisation a larger share of those that are left.
func TestNoDecisionLeavesAQuorumToOneOrganisationUnlessItSaysSo(t *testing.T) {
	remove := func(member string) func(unbalanced bool) action.Action {
		return func(unbalanced bool) action.Action {
			return govtest.Act(action.RemoveMember, action.Args{Actor: member, Unbalanced: unbalanced})
		}
	}
	node := func(owner, address string) func(unbalanced bool) action.Action {
		return func(unbalanced bool) action.Action { return place(action.RemoveNode, owner, address, unbalanced) }
	}
	for _, c := range []struct {
		counts []int
		action func(unbalanced bool) action.Action
		ok     bool // without saying so
	}{
		{[]int{1, 1, 1}, remove("gamma"), true},
		{[]int{1, 1, 1}, node("gamma", "gamma0:1"), true},
		{[]int{1, 1, 0}, remove("beta"), false},
		{[]int{1, 1, 0}, node("beta", "beta0:1"), false},
		{[]int{2, 2, 1}, remove("beta"), false},
		{[]int{2, 2, 1}, remove("gamma"), true},
		{[]int{2, 2, 1}, node("alpha", "alpha1:1"), false}, // beta has half of four then
		{[]int{3, 1, 1}, remove("gamma"), true},            // two of alpha's nodes only learn
	} {
		n, first := spread(t, c.counts...)
		_, err := n.Submit(n.SignProposal(n.Members[0], c.action(false)))
		if why, coded := reason.Of(err); (err == nil) != c.ok || err != nil && (!coded || why.Code != reason.Unbalanced || !strings.Contains(err.Error(), action.UnbalancedSentence)) {
			t.Errorf("%v nodes, %s: %v", c.counts, c.action(false), err)
		}
		n.Decide(c.action(true))
		n.Audited(first)
	}
}

// Without a vote a member has up to nodes.automatic nodes, however it asks for more.
func TestAMembersNodesBeyondTheLimitNeedAVote(t *testing.T) {
	n, first := spread(t, 1, 1, 3)
	fourth := n.Node(n.Members[2], "gamma3:1")
	claims := n.Claims(fourth)
	admit := func() error {
		return n.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, fourth, claims) })
	}
	var refusal *members.Refusal
	if err := admit(); !errors.As(err, &refusal) || refusal.Reason != members.NotVotedIn || !strings.Contains(err.Error(), "nodes.automatic is 3") {
		t.Fatalf("the fourth node of one member: %v", err)
	}
	if err := n.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, n.Node(n.Members[2], "gamma2:1"), claims) }); err == nil {
		t.Fatal("claims of another node are accepted")
	}
	again := n.Node(n.Members[2], "gamma2:1")
	n.Admit(again) // in its place, which is no further one
	p := n.Propose(n.Members[2], place(action.AddNode, "gamma", "gamma3:1", false))
	if p.State != table.Open {
		t.Fatalf("a proposal for it is %s without a vote", p.State)
	}
	n.Vote(n.Members[2], p.ID, envelope.Yes)
	if out := n.Vote(n.Members[0], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Fatalf("%+v", out)
	}
	if err := admit(); err != nil {
		t.Errorf("after a vote: %v", err)
	}
	n.Audited(first)
}

// A member that runs nodes without a vote cannot have them vote without one, and a simulation says what a quorum would span.
func TestOnlyAVoteLetsANodeVoteThatGivesItsOwnerTooMuch(t *testing.T) {
	n, first := spread(t, 1, 1, 2)
	free := func() (free, all int) {
		n.Read(func(r store.Reader) {
			records, err := table.Nodes(r)
			if err != nil {
				t.Fatal(err)
			}
			voters, err := decide.Voters(r, n.Load(), records)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range voters {
				if all++; v.Free {
					free++
				}
			}
		})
		return free, all
	}
	if f, all := free(); f != 0 || all != 4 {
		t.Errorf("%d of %d nodes may vote whatever follows", f, all)
	}
	named := place(action.AddNode, "gamma", "gamma1:1", true)
	s := n.Simulate(n.Members[2], named)
	if s.Automatic || s.Votes.Total() != 3 || s.Votes.Spans() != 2 || s.VotesAfter.Total() != 4 || s.VotesAfter.Stops() != 1 {
		t.Errorf("automatic %v, votes %v, then %v", s.Automatic, s.Votes, s.VotesAfter)
	}
	n.Decide(named)
	if f, _ := free(); f != 1 {
		t.Errorf("%d nodes may vote whatever follows, expected the one that was voted for", f)
	}
	n.Audited(first)
}

// By rules 1 a network goes on as its ledger says, and no action has the argument.
func TestByRules1VotesInConsensusFollowTheNodes(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	n.C.Rules = 1
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	for k := range 5 {
		n.Admit(n.Node(n.Members[1], fmt.Sprintf("b%d:1", k)))
	}
	if n.C.Nodes.Automatic != constitution.AnyNodes {
		t.Errorf("by rules 1 %d nodes are automatic", n.C.Nodes.Automatic)
	}
	if _, err := n.Submit(n.SignProposal(n.Members[0], place(action.RemoveNode, "beta", "b0:1", true))); reasonOf(err) != reason.LaterRules {
		t.Errorf("an argument of later rules: %v", err)
	}
	n.Decide(govtest.Act(action.RemoveMember, action.Args{Actor: "beta"}))
	n.Audited(first)
}

func reasonOf(err error) reason.Code {
	why, _ := reason.Of(err)
	return why.Code
}

// By rules 2 members may change the ledger's keys whenever they want: nothing of the constitution changes, and an epoch is announced in the transaction that decides.
func TestMembersHaveANewEpochBegin(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	last := func() (epoch uint64) {
		n.Read(func(r store.Reader) { epoch = table.LastEpoch(r) })
		return epoch
	}
	version, epoch := n.Load().Version, last()
	if out := n.Decide(action.Action{Kind: action.Rotate}, action.Action{Kind: action.Rotate}); out.State != table.Accepted || !out.Rotates() || len(out.Effects) != 1 {
		t.Fatalf("the proposal is %s, effects %v", out.State, out.Effects)
	}
	if last() != epoch+1 || n.Load().Version != version {
		t.Errorf("epoch %d follows %d, and version %d of the constitution %d", last(), epoch, n.Load().Version, version)
	}
	n.Audited(first)
}

// By rules 3 members may have the committee's key shared anew: nothing of the constitution changes, no epoch is announced, and the tables say that a ceremony is wanted.
func TestMembersHaveTheKeySharedAnew(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	var epoch, voted uint64
	n.Read(func(r store.Reader) { epoch = table.LastEpoch(r) })
	out := n.Decide(action.Action{Kind: action.Refresh})
	if out.State != table.Accepted || out.Rotates() || len(out.Effects) != 1 || out.Effects[0].Kind != decide.KeyRefreshed || out.Version != 1 {
		t.Fatalf("the proposal is %s, effects %v", out.State, out.Effects)
	}
	n.Read(func(r store.Reader) {
		var err error
		if voted, err = table.RefreshVotedAt(r); err != nil || table.LastEpoch(r) != epoch {
			t.Errorf("epoch %d follows %d, %v", table.LastEpoch(r), epoch, err)
		}
	})
	if voted != uint64(len(n.Records)) {
		t.Errorf("voted in transaction %d, expected %d", voted, len(n.Records))
	}
	n.Audited(first)
}

func TestByRules2NoVoteSharesAKeyAnew(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	n.C.Rules = 2
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	if _, err := n.Submit(n.SignProposal(n.Members[0], action.Action{Kind: action.Refresh})); reasonOf(err) != reason.LaterKind {
		t.Errorf("error %v, expected that it is a kind of later rules", err)
	}
}

func TestByRules1NoVoteChangesTheKeys(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	n.C.Rules = 1
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	if _, err := n.Submit(n.SignProposal(n.Members[0], action.Action{Kind: action.Rotate})); reasonOf(err) != reason.LaterKind {
		t.Errorf("error %v, expected that it is a kind of later rules", err)
	}
}
