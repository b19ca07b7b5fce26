package decide_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
)

const week = 7 * 24 * time.Hour

// strict are policies that need something of the proposal beside votes, which its proposer chooses.
var strict = []string{
	"votes.yes == members.size() && proposal.expires - proposal.time >= 604800000",
	"votes.yes == members.size() && proposal.kinds.size() == 1 && proposal.actions.size() == 1",
	"closed && votes.no == 0 && proposal.expires - proposal.time >= 604800000",
	`votes.yes == members.size() && proposal.kinds.all(k, k == "add_code")`,
	`votes.by.exists(v, v.member == proposal.proposer && v.vote == "yes") && votes.no == 0 && closed`,
	"constitution.settings.limits.queue == 20000 && votes.yes == members.size()",
}

func network(t *testing.T, policies map[string]string) (*govtest.Network, table.NodeRecord) {
	n := govtest.New(t)
	n.C.Policies = policies
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	return n, n.Genesis()
}

// againstTheThird has the third member vote no and the others yes, as long as nothing is decided.
func againstTheThird(n *govtest.Network, p decide.Outcome) table.ProposalState {
	state := p.State
	for i, vote := range []envelope.Vote{envelope.No, envelope.Yes, envelope.Yes} {
		if state == table.Open {
			state = n.Vote(n.Members[2-i], p.ID, vote).State
		}
	}
	return state
}

func setPolicy(name, expression string) action.Action {
	return govtest.Act(action.SetPolicy, action.Args{Policy: name, Expression: expression})
}

// The proposer chooses when voting ends, what else the proposal holds, and who proposes it. None of that may keep a policy
// from deciding about its own replacement.
func TestAStrictPolicyIsNotReplacedAgainstItsOwnRule(t *testing.T) {
	weaker := setPolicy("add_code", policy.OneOfN)
	bundle := []action.Action{weaker, govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "77"})}
	for _, expression := range strict {
		for name, actions := range map[string][]action.Action{"alone": {weaker}, "in a bundle": bundle} {
			for _, d := range []time.Duration{time.Minute, 2 * week} {
				t.Run(fmt.Sprintf("%s %s %s", expression, name, d), func(t *testing.T) {
					n, first := network(t, map[string]string{"add_code": expression})
					raw := n.SignProposalUntil(n.Members[0], n.Now.Add(d), actions...)
					p, err := n.Submit(raw)
					if err != nil {
						t.Fatal(err)
					}
					againstTheThird(n, p)
					n.Now = n.Now.Add(d)
					n.Expire()
					if got := n.Load().Policies["add_code"]; got != expression {
						t.Errorf("two of three members replaced it, against a no, by %s", got)
					}
					n.Audited(first)

					// All members together can, whatever the policy says about their proposal.
					p, err = n.Submit(n.SignProposalUntil(n.Members[0], n.Now.Add(d), actions...))
					if err != nil {
						t.Fatal(err)
					}
					for _, m := range n.Members {
						if n.Load().Policies["add_code"] == expression {
							n.Vote(m, p.ID, envelope.Yes)
						}
					}
					if got := n.Load().Policies["add_code"]; got != policy.OneOfN {
						t.Errorf("all members together cannot replace it: %s", got)
					}
				})
			}
		}
	}
}

// A network of rules 1 goes on as its ledger says: there the policy decides only where it could accept the proposal.
func TestByRules1APolicyDecidesWhereItCouldAccept(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	n.C.Rules, n.C.Policies = 1, map[string]string{"add_code": strict[0]}
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	p := n.Propose(n.Members[0], setPolicy("add_code", policy.OneOfN))
	n.Vote(n.Members[0], p.ID, envelope.Yes)
	if out := n.Vote(n.Members[1], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Errorf("%+v", out)
	}
	n.Audited(first)
}

// If a member's leaving ended a policy for good, the others could replace it without being bound by it.
func TestMembersWhoLeaveDoNotTakeAStrictPolicyWithThem(t *testing.T) {
	n, first := network(t, map[string]string{"add_code": "votes.yes >= 3"})
	p := n.Propose(n.Members[0], govtest.Act(action.RemoveMember, action.Args{Actor: "gamma"}))
	n.Vote(n.Members[0], p.ID, envelope.Yes)
	n.Vote(n.Members[2], p.ID, envelope.No)
	if out := n.Vote(n.Members[1], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Errorf("all who stay want it: %+v", out)
	}
	n.Audited(first)

	n, first = network(t, map[string]string{"add_code": "votes.yes >= 4", "remove_member": policy.OneOfN, "add_member": policy.OneOfN})
	other := govtest.Issue(t, "delta", nil, true, nil)
	p = n.Propose(n.Members[0], govtest.Act(action.AddMember, action.Args{Name: "delta", Certificate: other.Cert.Raw, EncryptionKey: other.Encryption.Public()}))
	n.Vote(n.Members[0], p.ID, envelope.Yes)
	p = n.Propose(n.Members[0], govtest.Act(action.RemoveMember, action.Args{Actor: "delta"}))
	if out := n.Vote(n.Members[0], p.ID, envelope.Yes); out.State != table.Open {
		t.Errorf("one of four removes the fourth, and with it what add_code needs: %+v", out)
	}
	n.Vote(n.Members[1], p.ID, envelope.Yes)
	if out := n.Vote(n.Members[2], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Errorf("%+v", out)
	}
	n.Audited(first)
}

// Two of three members try random sequences of proposals, in every form, against a third that votes no on each. What
// needs the third must stay as it is. They may change everything else.
func TestNoSequenceOfProposalsWeakensAPolicyAgainstItsRule(t *testing.T) {
	lives := 24
	if testing.Short() {
		lives = 10
	}
	accepted := 0
	for seed := range uint64(lives) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		kept := strict[rnd.IntN(3)]
		if rnd.IntN(3) == 0 {
			kept = []string{policy.Unanimous, policy.MofN(3)}[rnd.IntN(2)]
		}
		// Members and their number are part of what a policy says, so who may change them is as strict.
		n, first := network(t, map[string]string{"add_code": kept, "remove_member": kept, "add_member": kept})
		var log []string
		for range 12 {
			actions := []action.Action{attack(rnd)}
			for rnd.IntN(3) == 0 {
				actions = append(actions, attack(rnd))
			}
			d := []time.Duration{time.Minute, time.Hour, 8 * 24 * time.Hour}[rnd.IntN(3)]
			p, err := n.Submit(n.SignProposalUntil(n.Members[rnd.IntN(2)], n.Now.Add(d), actions...))
			if err != nil {
				continue // it is not possible
			}
			log = append(log, fmt.Sprintf("%v within %s", actions, d))
			state := againstTheThird(n, p)
			if state == table.Open {
				n.Now = n.Now.Add(d)
				n.Expire()
			}
			if state == table.Accepted {
				accepted++
			}
			c := n.Load()
			for _, kind := range []string{"add_code", "upgrade", "remove_member", "remove_certificate", "add_member", "add_certificate"} {
				if _, got := c.PolicyOf(kind); got != kept {
					t.Fatalf("%s is decided by %s, and was by %s, against the third's vote, after\n%s", kind, got, kept, log)
				}
			}
		}
		n.Audited(first)
	}
	if accepted < lives {
		t.Errorf("%d proposals were accepted: the lives are too dull", accepted)
	}
}

// attack returns an action that two members might try.
func attack(rnd *rand.Rand) action.Action {
	weak := []string{policy.OneOfN, policy.Majority, policy.Veto, "true"}[rnd.IntN(4)]
	kinds := []string{"add_code", "upgrade", "remove_member", "remove_certificate", "add_member", "add_certificate", "set_policy", "remove_policy", "set", constitution.PolicyDefault}
	kind := kinds[rnd.IntN(len(kinds))]
	switch rnd.IntN(6) {
	case 0:
		return govtest.Act(action.RemovePolicy, action.Args{Policy: kind})
	case 1:
		return govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: fmt.Sprint(1 + rnd.IntN(3))})
	case 2:
		return govtest.Act(action.RemoveMember, action.Args{Actor: "gamma"})
	}
	return setPolicy(kind, weak)
}

// A simulation says that the policy which is replaced decides, too, and what is as good.
func TestASimulationNamesThePolicyThatIsReplaced(t *testing.T) {
	n, _ := network(t, map[string]string{"add_code": strict[1]})
	s := n.Simulate(n.Members[0], setPolicy("add_code", policy.OneOfN))
	if !slices.Contains(s.Policies, decide.PolicyUse{Kind: "set_policy", Policy: "add_code", Expression: strict[1], Unanimity: true}) || len(s.Enough) != 3 {
		t.Errorf("%+v", s)
	}
}

// The proposer chooses when voting ends, so an end that nobody could notice must not count as the others' consent.
func TestAVetoHoldsAgainstAShortTimeForVoting(t *testing.T) {
	remove := govtest.Act(action.RemoveMember, action.Args{Actor: "gamma"})
	for _, c := range []struct {
		policy string
		voting time.Duration // from when it is handed in
		signed time.Duration // before it is handed in
		want   table.ProposalState
	}{
		{policy.Veto, 2 * time.Second, 0, table.Rejected},
		{policy.Veto, 19 * time.Hour, 0, table.Rejected},
		{policy.Veto, 19 * time.Hour, 20 * 24 * time.Hour, table.Rejected},
		{policy.Veto, 21 * time.Hour, 0, table.Accepted},
		{policy.Veto, 21 * time.Hour, 20 * 24 * time.Hour, table.Accepted},
		{policy.Seconded, 21 * time.Hour, 0, table.Expired},
		{policy.Majority + " || " + policy.Veto, time.Hour, 0, table.Expired},
	} {
		n, first := network(t, map[string]string{"remove_member": c.policy})
		raw := n.SignProposalUntil(n.Members[1], n.Now.Add(c.signed+c.voting), remove)
		n.Now = n.Now.Add(c.signed)
		p, err := n.Submit(raw)
		if err != nil {
			t.Fatal(err)
		}
		if p.State == table.Open {
			n.Vote(n.Members[1], p.ID, envelope.Yes)
		}
		n.Now = n.Now.Add(c.voting)
		n.Expire()
		if got := n.Proposal(p.ID).State; got != c.want {
			t.Errorf("%s, voting for %s, signed %s before: %s, expected %s", c.policy, c.voting, c.signed, got, c.want)
		}
		n.Audited(first)
	}
}

// Whoever could shorten the time for voting by another policy than the veto's would go around the veto.
func TestAShorterTimeForVotingNeedsTheVeto(t *testing.T) {
	shorter := govtest.Act(action.Set, action.Args{Setting: constitution.MinimumVoting, Value: "0"})
	n, first := network(t, map[string]string{"remove_member": policy.Veto, "set": policy.OneOfN})
	p := n.Propose(n.Members[1], shorter)
	if state := n.Vote(n.Members[1], p.ID, envelope.Yes).State; state != table.Open {
		t.Fatalf("one member shortens the time for a veto: %s", state)
	}
	if state := n.Vote(n.Members[2], p.ID, envelope.No).State; state != table.Rejected {
		t.Errorf("after a veto: %s", state)
	}
	longer := n.Propose(n.Members[1], govtest.Act(action.Set, action.Args{Setting: constitution.MinimumVoting, Value: "90000"}))
	if state := n.Vote(n.Members[1], longer.ID, envelope.Yes).State; state != table.Accepted {
		t.Errorf("a longer time: %s", state)
	}
	n.Audited(first)
}
