package node_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/node"
)

// Members who decide by the end of voting raise the rules while a node is away, of which nobody knows what its program knows. That waits for the node, and what others
// have proposed does not.
func TestARiseOfTheRulesThatWaitsForANodeHoldsUpNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shares []*keys.MemberKey
		n := newNetworkWith(t, 1, 5, func(c *constitution.Constitution) {
			c.Rules = 2
			for i := range c.Members {
				key, err := keys.NewMemberKey(keys.X25519)
				if err != nil {
					t.Fatal(err)
				}
				shares = append(shares, key)
				c.Members[i].EncryptionKey = key.Public()
			}
			c.Voting.MinimumSeconds = 60
			c.Policies = map[string]string{"default": "closed && votes.no == 0"}
		})
		for i, m := range n.Members {
			m.Share = shares[i]
		}
		n.governs()
		defer n.close()
		n.open()
		service := n.serviceCertificate().Raw
		n.Crash(4)
		for i := range 4 { // what the last one has told is forgotten
			n.Crash(i)
			n.World.Restart(hostName(i))
			n.waitReady(n.Start(i, n.Join((i+1)%4, (i+2)%4)))
			time.Sleep(3 * time.Second)
		}
		out := n.propose(n.Members[0], 0, 2*time.Minute, action.Action{Kind: action.Set, Args: action.Args{Setting: "rules", Value: "3"}})
		n.vote(n.Members[0], 0, out.ID, envelope.Yes)
		time.Sleep(time.Second)
		n.propose(n.Members[1], 0, 2*time.Minute, action.Action{Kind: action.Set, Args: action.Args{Setting: "limits.queue", Value: "5001"}})
		time.Sleep(5 * time.Minute)
		if page := n.page(0); !strings.Contains(page, "queue = 5001") || !strings.Contains(page, "rules = 2") {
			t.Fatalf("with a node away:\n%s", page)
		}
		n.World.Restart(hostName(4))
		n.waitReady(n.Start(4, func(c *node.Config) { n.Join(0)(c); c.Service = service }))
		time.Sleep(10 * time.Second)
		if page := n.page(0); !strings.Contains(page, "queue = 5001") || !strings.Contains(page, "rules = 3") {
			t.Fatalf("with every node:\n%s", page)
		}
		n.audit()
	})
}
