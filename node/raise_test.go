package node_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/wire"
)

// A network that began by rules 2 makes a committee after its members have voted for rules 3. They recover it with what the committee opens: the epochs since, and those before that were shared.
func TestANetworkOfRules2MakesACommitteeAfterAVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shares []*keys.MemberKey
		n := newNetworkWith(t, 1, 3, func(c *constitution.Constitution) {
			c.Rules = 2
			for i := range c.Members { // rules 2 know no other algorithm
				key, err := keys.NewMemberKey(keys.X25519)
				if err != nil {
					t.Fatal(err)
				}
				shares = append(shares, key)
				c.Members[i].EncryptionKey = key.Public()
			}
		})
		defer n.close()
		for i, m := range n.Members {
			m.Share = shares[i]
		}
		n.governs()
		n.open()
		acked := n.busy(time.Second)
		n.decide(action.Action{Kind: action.Rotate})
		time.Sleep(20 * time.Second)
		if k := n.keys(0); k.Committee != 0 {
			t.Fatalf("by rules 2 there is a committee: %s", shown(k))
		}
		n.decide(action.Action{Kind: action.Set, Args: action.Args{Setting: "rules", Value: "3"}})
		if k := n.committee(0, wire.Keys{}, 20*time.Second); live(k) != everyMember || k.Committee != 1 {
			t.Errorf("after the vote: %s", shown(k))
		}
		n.decide(action.Action{Kind: action.Rotate})
		for k, v := range n.busy(time.Second) {
			acked[k] = v
		}
		n.audit()
		for i := range 3 {
			n.Crash(i)
			n.World.Restart(hostName(i))
		}
		n.waitReady(n.Start(0, n.Recover))
		n.check(acked, 0)
	})
}
