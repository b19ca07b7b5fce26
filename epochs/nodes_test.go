package epochs

import (
	"maps"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// A node that is no seat's, such as a second one of a member, leaves the committee as it is. The epoch ends with it all the same: it was given the secret.
func TestEveryNodeThatComesOrGoesEndsTheEpoch(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	nodes := map[coco.NodeID]string{first.ID: first.Address}
	e := &Driver{Nodes: func() map[coco.NodeID]string { return maps.Clone(nodes) }}
	due := func() (is bool) {
		t.Helper()
		n.Read(func(r store.Reader) {
			value, _ := r.Get(table.EpochsTable, table.EpochKey(table.LastEpoch(r)))
			rec, err := table.DecodeEpoch(value)
			if err == nil {
				is, err = e.changed(r, rec)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		return is
	}
	announce := func() {
		t.Helper()
		if err := n.Transact(func(tx *store.Tx) error { _, _, err := ceremony.Announce(tx); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if due() {
		t.Error("another epoch is due as soon as the network has begun")
	}
	second := n.Node(n.Members[0], "second:1") // of the same member
	n.Admit(second)
	nodes[second.ID] = second.Address
	for range 2 { // the second time it is remembered
		if !due() {
			t.Error("a node has come, and the epoch goes on")
		}
	}
	announce()
	if due() {
		t.Error("one node ends two epochs")
	}
	n.Decide(govtest.Act(action.RemoveNode, action.Args{Node: second.ID.String()}))
	delete(nodes, second.ID)
	if !due() {
		t.Error("a node is gone, and what is written from then on opens by the secret that it has")
	}
	announce()
	if due() {
		t.Error("the same node ends another epoch")
	}
	// The first node of another member brings a ceremony, which announces an epoch itself.
	other := n.Node(n.Members[1], "other:1")
	n.Admit(other)
	nodes[other.ID] = other.Address
	if due() {
		t.Error("an epoch of its own is due, though a ceremony is needed")
	}
}

func TestByRules2NodesThatComeAndGoEndNoEpoch(t *testing.T) {
	n := govtest.New(t).ByRules2()
	n.Genesis()
	n.Admit(n.Node(n.Members[0], "second:1"))
	n.Read(func(r store.Reader) {
		if changed, settled, err := nodesChanged(r, 1); changed || !settled || err != nil {
			t.Errorf("by rules 2: %t, %t, %v", changed, settled, err)
		}
	})
}
