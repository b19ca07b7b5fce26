package node

import (
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/peer"
)

func TestANodeThatIsLeavingIsNoLeaderToForwardTo(t *testing.T) {
	trusted, leaving, stranger := coco.NodeID{1}, coco.NodeID{2}, coco.NodeID{3}
	d := newDirectory(map[coco.NodeID]string{trusted: "a:1"}, map[coco.NodeID]string{leaving: "b:1"})
	for _, c := range []struct {
		node     coco.NodeID
		standing peer.Standing
		leader   coco.NodeID
	}{
		{trusted, peer.Trusted, trusted},
		{leaving, peer.Leaving, coco.NodeID{}},
		{stranger, peer.Stranger, coco.NodeID{}},
	} {
		if got := d.standing(c.node); got != c.standing {
			t.Errorf("node %s has the standing %d, expected %d", c.node.Short(), got, c.standing)
		}
		if got := d.leader(consensus.IDOf(c.node)); got != c.leader {
			t.Errorf("node %s leads: work is forwarded to %s", c.node.Short(), got.Short())
		}
	}
}
