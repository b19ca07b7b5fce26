package gov

import (
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/store"
)

// texts returns the texts within a decoded row. What is in bytes, such as an envelope, is not looked into.
func texts(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			out = append(out, texts(e)...)
		}
	case map[any]any:
		for k, e := range v {
			out = append(append(out, texts(k)...), texts(e)...)
		}
	}
	return out
}

// A sentence that is stored is compared when an audit repeats the decision: to reword it would make every ledger that
// holds it invalid. So the rows of decisions hold codes, names and ids.
func TestRowsOfDecisionsHoldNoSentences(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	one, two := n.propose(n.members[0], addCode(otherCode)), n.propose(n.members[1], addCode(otherCode))
	for _, id := range []coco.Digest{one.ID, two.ID} { // the second one fails
		n.vote(n.members[0], id, envelope.Yes)
		n.vote(n.members[1], id, envelope.Yes)
	}
	rejected := n.propose(n.members[0], act(action.Set, action.Args{Setting: "limits.queue", Value: "7"}))
	n.vote(n.members[1], rejected.ID, envelope.No)
	n.vote(n.members[2], rejected.ID, envelope.No)
	n.propose(n.members[0], act(action.Set, action.Args{Setting: "limits.queue", Value: "8"}))
	n.now = n.now.Add(8 * 24 * time.Hour)
	n.expire()
	found := map[string]bool{}
	n.read(func(r store.Reader) {
		for _, table := range []string{ProposalsTable, BallotsTable, PlacesTable, VersionsTable, NodesTable, SnapshotsTable} {
			r.Range(table, nil, nil, func(key, value []byte) bool {
				var v any
				if err := cbor.Unmarshal(value, &v); err != nil {
					t.Fatal(err)
				}
				for _, text := range texts(v) {
					found[text] = true
					if strings.Contains(text, " ") {
						t.Errorf("%s, row %.8x: %q", table, key, text)
					}
				}
				return true
			})
		}
	})
	for _, state := range []ProposalState{Accepted, Failed, Rejected, Expired} {
		if !found[string(state)] {
			t.Errorf("no proposal is %s", state)
		}
	}
	n.audited(first)
}
