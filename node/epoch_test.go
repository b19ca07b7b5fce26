package node_test

import (
	"testing"
	"time"

	"github.com/cocoframework/coco/node"
)

// A node that was cut off while an epoch began counts for the majority again once it is back: one crash of three is
// one that the network survives.
func TestANodeThatMissedAnEpochIsAVoterStill(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		time.Sleep(time.Second)
		n.World.Partition(hostName(2), hostName(0))
		n.World.Partition(hostName(2), hostName(1))
		n.decide(setThreshold("3"))
		acked := n.busy(2 * time.Second)
		n.Crash(0)
		n.World.Heal(hostName(2), hostName(1))
		time.Sleep(time.Minute)
		if _, err := put(n.client(1, 1), "after", "x"); err != nil {
			t.Fatalf("two of three nodes are there for a minute: %v", err)
		}
		acked["after"] = "x"
		n.check(acked, 1, 2)
		n.sameState(1, 2)
	})
}

// One epoch after the other is announced, and the leader goes away right after each, before or after it has handed out the
// secret; a node that comes back joins in between.
func TestEpochsThatBeginWhileLeadersGo(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		service := n.serviceCertificate().Raw
		acked := n.busy(time.Second)
		for round := range 8 {
			l := n.leader()
			a, b := (l+1)%3, (l+2)%3
			for _, v := range []string{"3", "1", "2"}[:1+round%3] {
				n.decideAt(l, setThreshold(v))
			}
			if round%3 != 2 {
				n.decideAt(l, setThreshold([]string{"2", "2"}[round%2]))
			}
			time.Sleep(time.Duration(round*70) * time.Millisecond)
			n.Crash(l)
			for k, v := range n.busyAt(a, 3*time.Second) {
				acked[k] = v
			}
			n.World.Restart(hostName(l))
			n.waitReady(n.Start(l, func(c *node.Config) { n.Join(a, b)(c); c.Service = service }))
			for k, v := range n.busyAt(b, time.Second) {
				acked[k] = v
			}
		}
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
		n.audit()
	})
}
