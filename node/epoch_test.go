package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
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
	if testing.Short() {
		t.Skip("takes seconds")
	}
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		service := n.serviceCertificate().Raw
		acked := n.busy(time.Second)
		for round := range 8 {
			l := n.leader()
			a, b := (l+1)%3, (l+2)%3
			for _, v := range []string{"3", "2", "3", "2"}[:2+2*(round%2)] {
				n.decideAt(l, setThreshold(v))
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

// Epochs end by their length one after the other, as leaders come and go, and by a vote. All that was acknowledged is there, nodes
// agree, and an audit of the ledger finds nothing, also of one whose members hold no key.
func TestEpochsEndByTheirLengthAndByVote(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		n.decide(action.Action{Kind: action.Set, Args: action.Args{Setting: "epochs.transactions", Value: "100"}})
		service := n.serviceCertificate().Raw
		acked := map[string]string{}
		write := func(at, times int) {
			for k := range times {
				key := fmt.Sprintf("%d-%d-%d", at, len(acked), k)
				if _, err := put(n.client(at, at), key, "v"); err == nil {
					acked[key] = "v"
				}
			}
		}
		for range 3 {
			l := n.leader()
			write(l, 350)
			n.Crash(l)
			time.Sleep(10 * time.Second)
			write((l+1)%3, 150)
			n.World.Restart(hostName(l))
			n.waitReady(n.Start(l, func(c *node.Config) { n.Join((l+1)%3, (l+2)%3)(c); c.Service = service }))
		}
		before := n.metric(0, "epoch")
		if before < 5 { // a leader looks four times a second, and another quarter passes until a majority holds the next secret
			t.Errorf("after %d transactions the epoch is %d, and one ends after 100", len(acked), before)
		}
		// So that no epoch ends by its length beside the vote, which is made of transactions too.
		n.decide(action.Action{Kind: action.Set, Args: action.Args{Setting: "epochs.transactions", Value: "1000000"}})
		time.Sleep(20 * time.Second) // nor because a committee is replaced, as one is after a node has come back
		before = n.metric(n.leader(), "epoch")
		n.decide(action.Action{Kind: action.Rotate})
		time.Sleep(5 * time.Second)
		if after := n.metric(n.leader(), "epoch"); after != before+1 {
			t.Errorf("members voted for a new epoch, and the epoch is %d after %d", after, before)
		}
		write(0, 1)
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
		n.audit()
	})
}
