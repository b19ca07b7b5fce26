package audit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// A node that its owner has retired does not come back by the policy add_node, which admits every other node of its owner.
func TestWhatHasLeftForGoodComesBackByAVoteOnly(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	b := n.Node(n.Members[1], "b:1")
	n.Admit(b)
	if err := n.Transact(func(tx *store.Tx) error { return members.LeaveNode(tx, b.ID) }); err != nil {
		t.Fatal(err)
	}
	again := n.Node(n.Members[1], "b:1")
	admit := func(rec table.NodeRecord) error {
		return n.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, rec, n.Claims(rec)) })
	}
	var refusal *members.Refusal
	if err := admit(again); !errors.As(err, &refusal) || refusal.Reason != members.NotVotedIn || !strings.Contains(err.Error(), "has left for good") {
		t.Errorf("without a vote: %v", err)
	}
	if err := admit(n.Node(n.Members[1], "b:2")); err != nil {
		t.Errorf("another node of its owner: %v", err)
	}
	n.Decide(govtest.Act(action.AddNode, action.Args{Owner: "beta", Address: "b:1"}))
	if err := admit(again); err != nil {
		t.Errorf("after a vote: %v", err)
	}
	n.Audited(a)
}

func TestANodeLeavesItsOwnPlaceAndNoOther(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	b, c := n.Node(n.Members[1], "b:1"), n.Node(n.Members[2], "c:1")
	n.Admit(b)
	n.Admit(c)
	retired := func(tx *store.Tx, rec table.NodeRecord) {
		if err := table.RetireNode(tx, rec.ID); err != nil {
			t.Fatal(err)
		}
	}
	place := func(tx *store.Tx, of table.NodeRecord, change func(*table.PlaceRecord)) {
		row := table.LeftPlace(&of, tx.Seqno())
		if change != nil {
			change(&row)
		}
		if err := table.Put(tx, table.PlacesTable, table.PlaceKey(row.Owner, row.Address), row); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		write func(*store.Tx)
		says  string
	}{
		"its own":        {func(tx *store.Tx) { retired(tx, b); place(tx, b, nil) }, ""},
		"another node's": {func(tx *store.Tx) { retired(tx, b); place(tx, c, nil) }, "is not its own"},
		"one that stays admitted": {func(tx *store.Tx) {
			retired(tx, b)
			place(tx, b, func(p *table.PlaceRecord) { p.Removed = false })
		}, "is not its own"},
		"and no node leaves": {func(tx *store.Tx) { place(tx, b, nil) }, "without a decision"},
	} {
		err := n.AuditWith(test.write, a)
		if (test.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
