package query

import (
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/consequence"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/wire"
)

func TestConsequencesAreSaidInWords(t *testing.T) {
	n := govtest.New(t)
	alpha, beta := n.Members[0].Actor(), n.Members[1].Actor()
	for want, x := range map[string]consequence.Consequence{
		"beta alone could remove any member":        {Form: consequence.Alone, Kinds: []action.Kind{action.RemoveMember}, Members: []coco.ActorID{beta}},
		"anybody could do anything, without a vote": {Form: consequence.Unvoted, Kinds: action.Kinds(), All: true, Everybody: true, Members: []coco.ActorID{alpha, beta}},
		"nobody could ever add any member":          {Form: consequence.Never, Kinds: []action.Kind{action.AddMember}},
		"alpha or beta alone could change settings and remove any node if no other member votes in time":                                                                         {Form: consequence.Silent, Kinds: []action.Kind{action.Set, action.RemoveNode}, Members: []coco.ActorID{alpha, beta}},
		"the encryption key of beta is for X25519: with 2 more such members a quantum computer could open what is recorded of the ledger":                                        {Form: consequence.Recorded, Members: []coco.ActorID{beta}, Lacking: 2},
		"a quantum computer could open what is recorded of the ledger: the encryption keys of alpha and beta are for X25519, and 2 members open it (X-Wing keys keep it closed)": {Form: consequence.Recorded, Members: []coco.ActorID{alpha, beta}},
	} {
		if got := consequenceOf(x, n.C); got.Text != want || len(got.Members) != len(x.Members) {
			t.Errorf("%q, expected %q", got.Text, want)
		}
	}
	few := n.Constitution()
	few.Members = append(few.Members, few.Members...)
	few.Shares.Threshold = 2
	x, _ := consequence.Few(few)
	if got, want := consequenceOf(x, few).Text, "2 of 6 members together open the whole ledger, fewer than a majority: set shares.threshold 4, in the same proposal or in another one, takes a majority for that"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	few.Shares.Threshold = 6
	x, _ = consequence.All(few)
	if got, want := consequenceOf(x, few).Text, "all 6 members are needed to open the ledger: one lost key keeps the network from being recovered, and one lost machine keeps what has expired from the nodes; set shares.threshold 4, in the same proposal or in another one, takes a majority for that"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	for _, kind := range action.Kinds() {
		if deeds[kind] == "" {
			t.Errorf("no words for %s", kind)
		}
	}
}

// What makes each member a recovery owner says so before members vote for it, and in what they have voted for.
func TestARecoveryOwnerIsSaidInWords(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	set := func(setting, value string) action.Action {
		return govtest.Act(action.Set, action.Args{Setting: setting, Value: value})
	}
	s := SimulationOf(n.Simulate(n.Members[0], set("shares.threshold", "1"), set("recovery.owner", `"each_member"`)), 1)
	const want = "RECOVERY OWNER: each of 3 members can open the whole ledger, and recover the network, alone"
	if len(s.Consequences) == 0 || s.Consequences[0].Text != want || s.Consequences[0].Form != formOwner || len(s.Consequences[0].Members) != 3 {
		t.Errorf("consequences %+v", s.Consequences)
	}
	said := false
	for _, e := range s.Effects {
		said = said || strings.HasPrefix(e.Text, "RECOVERY OWNER: ")
	}
	if !said {
		t.Errorf("effects %+v", s.Effects)
	}
	owner := n.Constitution()
	owner.Shares.Threshold, owner.Recovery.Owner = 1, constitution.EachMember
	fewer := owner.Draft()
	fewer.Members = fewer.Members[:2]
	if got := owners(fewer, owner); len(got) != 1 || got[0].Text != want || len(got[0].Members) != 3 {
		t.Errorf("a member comes, who is an owner like the others: %+v", got)
	}
	if got := append(owners(owner, owner), owners(owner, fewer)...); len(got) != 0 {
		t.Errorf("no member comes: %+v", got)
	}
	if s := SimulationOf(n.Simulate(n.Members[0], set("shares.threshold", "3")), 1); slices.ContainsFunc(s.Consequences, func(c wire.Consequence) bool { return c.Form == formOwner }) {
		t.Errorf("a threshold of 3: %+v", s.Consequences)
	}
}
