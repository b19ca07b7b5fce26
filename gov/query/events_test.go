package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

func TestEventsAreWhatHappenedBetweenTwoSeqnosInOrder(t *testing.T) {
	id := func(n byte) coco.Digest { return coco.Digest{n} }
	h := happened{
		versions: []wire.ConstitutionVersion{{Version: 1, Since: 1}, {Version: 2, Since: 12, Proposal: id(2), Number: 2}},
		pending:  []wire.Node{{OwnerName: "Beta", Address: "b:1", State: "pending", Since: 17}},
	}
	for _, p := range []wire.Proposal{
		{
			ID: id(3), Number: 3, State: "open", ProposerName: "Beta", Kinds: []string{"add_code", "set"}, Since: 15,
			Ballots: []wire.Ballot{{Name: "Alpha", Vote: "yes", Since: 16, Counts: true}, {Name: "Beta", Vote: "withdraw", Since: 16}},
		},
		{ID: id(2), Number: 2, State: "rejected", Reason: "two members voted no", ProposerName: "Alpha", Kinds: []string{"set"}, Since: 9, Decided: 12},
		{ID: id(1), Number: 1, State: "withdrawn", ProposerName: "Alpha", Kinds: []string{"set"}, Since: 5, Decided: 6},
	} {
		h.decisions = append(h.decisions, ofProposal(p)...)
	}
	for _, tc := range []struct {
		after, to uint64
		want      string
	}{
		{0, 17, "constitution #0,proposed #1,decided #1,proposed #2,decided #2,constitution #2,proposed #3,voted #3,pending-node #0"},
		{12, 17, "proposed #3,voted #3,pending-node #0"},
		{15, 17, "voted #3,pending-node #0"},
		{12, 15, "proposed #3"},
		{17, 18, ""},
	} {
		var names []string
		for _, e := range h.copy().between(tc.after, tc.to) {
			names = append(names, fmt.Sprintf("%s #%d", e.Event, e.Number))
		}
		if got := strings.Join(names, ","); got != tc.want {
			t.Errorf("after %d up to %d: %s, want %s", tc.after, tc.to, got, tc.want)
		}
	}
	for _, e := range h.copy().between(11, 15) {
		want := map[string]string{
			"decided": "#2 is rejected: two members voted no", "proposed": "Beta proposes #3: add-code, set",
			"constitution": "constitution 2 (00000000) is in force",
		}
		if e.Text != want[e.Event] {
			t.Errorf("%s is told as %q, want %q", e.Event, e.Text, want[e.Event])
		}
	}
}

// copy is for a test that asks more than once: between takes what it gets.
func (h happened) copy() *happened {
	h.decisions = slices.Clone(h.decisions)
	return &h
}
