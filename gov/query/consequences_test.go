package query

import (
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/consequence"
	"github.com/cocoframework/coco/gov/govtest"
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
	for _, kind := range action.Kinds() {
		if deeds[kind] == "" {
			t.Errorf("no words for %s", kind)
		}
	}
}
