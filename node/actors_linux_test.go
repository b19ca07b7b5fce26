package node_test

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/wire"
)

var (
	actors      = flag.Int("actors", 12, "how many members a committee is made of")
	actorsNodes = flag.Int("actors-nodes", 3, "how many of them have a node")
)

// A committee of many members, most of whom have no node, is made by the nodes that there are, which speak for all. It is
// shared anew by those who have a node, if these are enough, and made anew otherwise. `make test-actors` says what it costs for fifty.
func TestACommitteeOfManyMembersIsMadeByTheNodesThereAre(t *testing.T) {
	long(t)
	synctest.Test(t, func(t *testing.T) {
		n := newNetworkWith(t, 1, *actorsNodes, func(c *constitution.Constitution) {
			c.Policies = map[string]string{constitution.PolicyDefault: policy.OneOfN, constitution.PolicyAddNode: constitution.AutomaticAddNode}
			for i := *actorsNodes; i < *actors; i++ {
				m := newMember(t, fmt.Sprintf("far%d", i))
				c.Members = append(c.Members, constitution.Member{Name: m.Name, Certificate: m.Cert, EncryptionKey: m.Share.Public()})
			}
		})
		defer n.close()
		n.governs()
		var first, second wire.Keys
		n.open()
		t.Logf("key generation of %d members with %d nodes: %v of processors, all nodes together", *actors, *actorsNodes, cost(func() { first = n.committee(0, wire.Keys{}, 15*time.Minute) }).Round(time.Millisecond))
		if len(first.Seats) != *actors || first.Threshold != *actors/2+1 || first.Dealt {
			t.Fatalf("the committee has %d seats, %d of which open the past", len(first.Seats), first.Threshold)
		}
		held := 0
		for _, s := range first.Seats {
			if s.Live {
				held++
			}
		}
		if held != *actorsNodes {
			t.Errorf("%d seats are live, expected those of the %d members with nodes", held, *actorsNodes)
		}
		acked := n.busy(time.Second)
		out := n.propose(n.Members[0], 0, time.Hour, action.Action{Kind: action.Refresh})
		if out, err := n.vote(n.Members[0], 0, out.ID, envelope.Yes); err != nil || out.State != table.Accepted {
			t.Fatalf("the vote to refresh: %s, %v", out.State, err)
		}
		t.Logf("the next committee after a vote: %v", cost(func() { second = n.committee(0, first, 15*time.Minute) }).Round(time.Millisecond))
		if same := held >= first.Threshold; len(second.Seats) != *actors || (second.Key == first.Key) != same {
			t.Errorf("after a vote to refresh with %d of %d seats held, %d needed, the key has version %d, before %d", held, *actors, first.Threshold, second.Key, first.Key)
		}
		n.check(acked, 0, 1)
		n.audit()
	})
}
