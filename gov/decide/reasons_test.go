package decide_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
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
	n := govtest.New(t)
	first := n.Genesis()
	one, two := n.Propose(n.Members[0], govtest.AddCode(govtest.OtherCode)), n.Propose(n.Members[1], govtest.AddCode(govtest.OtherCode))
	for _, id := range []coco.Digest{one.ID, two.ID} { // the second one fails
		n.Vote(n.Members[0], id, envelope.Yes)
		n.Vote(n.Members[1], id, envelope.Yes)
	}
	rejected := n.Propose(n.Members[0], govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "7"}))
	n.Vote(n.Members[1], rejected.ID, envelope.No)
	n.Vote(n.Members[2], rejected.ID, envelope.No)
	n.Propose(n.Members[0], govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "8"}))
	n.Now = n.Now.Add(8 * 24 * time.Hour)
	n.Expire()
	found := map[string]bool{}
	n.Read(func(r store.Reader) {
		for _, table := range []string{table.ProposalsTable, table.BallotsTable, table.PlacesTable, table.VersionsTable, table.NodesTable, table.SnapshotsTable} {
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
	for _, state := range []table.ProposalState{table.Accepted, table.Failed, table.Rejected, table.Expired} {
		if !found[string(state)] {
			t.Errorf("no proposal is %s", state)
		}
	}
	n.Audited(first)
}
