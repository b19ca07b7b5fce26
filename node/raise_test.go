package node_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/wire"
)

// byRules2 has a network begin by rules 2, which know encryption keys for X25519 only.
func byRules2(t *testing.T, nodes int) *network {
	t.Helper()
	var shares []*keys.MemberKey
	n := newNetworkWith(t, 1, nodes, func(c *constitution.Constitution) {
		c.Rules = 2
		for i := range c.Members {
			key, err := keys.NewMemberKey(keys.X25519)
			if err != nil {
				t.Fatal(err)
			}
			shares = append(shares, key)
			c.Members[i].EncryptionKey = key.Public()
		}
	})
	for i, m := range n.Members {
		m.Share = shares[i]
	}
	n.governs()
	return n
}

// page is the constitution as a node shows it.
func (n *network) page(i int) string {
	n.t.Helper()
	page, err := get(n.client(i, i), "/node/constitution")
	if err != nil {
		n.t.Fatal(err)
	}
	return page
}

// A node of which the others have not heard, since each of them was started after it went, may come back with an older program, which rules that it does not know would
// stop for good. The vote that would let them take effect is refused, is not recorded, and takes effect when it is cast again after the node is back.
func TestRulesDoNotRiseBeforeEveryNodeHasToldThatItKnowsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := byRules2(t, 5)
		defer n.close()
		n.open()
		time.Sleep(3 * time.Second) // all of them vote
		n.Crash(4)
		for i := range 4 {
			n.Crash(i)
			n.World.Restart(hostName(i))
			n.waitReady(n.Start(i, n.Join((i+1)%4, (i+2)%4)))
			time.Sleep(3 * time.Second)
		}
		raise := action.Action{Kind: action.Set, Args: action.Args{Setting: "rules", Value: "3"}}
		out := n.propose(n.Members[0], 0, time.Hour, raise)
		for _, m := range n.Members[:2] {
			time.Sleep(10 * time.Millisecond)
			if out, _ = n.vote(m, 0, out.ID, envelope.Yes); out.State != table.Open {
				t.Fatalf("less than half of the votes made the proposal %s", out.State)
			}
		}
		if _, err := n.vote(n.Members[2], 1, out.ID, envelope.Yes); err == nil || !strings.Contains(err.Error(), "have not told that theirs does") || !strings.Contains(err.Error(), hostName(4)) || strings.Contains(err.Error(), hostName(3)) {
			t.Fatalf("with a node that nobody has heard of the deciding vote: %v", err)
		}
		n.decideAll(action.Action{Kind: action.Rotate}) // nothing else is held up
		if !strings.Contains(n.page(0), "rules = 2\n") {
			t.Fatal("rules 3 are in force")
		}
		n.World.Restart(hostName(4))
		n.waitReady(n.Start(4, n.Join(0)))
		out, err := n.vote(n.Members[2], 1, out.ID, envelope.Yes)
		if err != nil || out.State != table.Accepted {
			t.Fatalf("once all nodes are there the same vote: %s, %v", out.State, err)
		}
		time.Sleep(time.Second)
		for i := range 5 {
			if !strings.Contains(n.page(i), "rules = 3\n") {
				t.Errorf("node %d does not go by rules 3", i)
			}
		}
		n.audit()
	})
}

// A network that began by rules 2 makes a committee after its members have voted for rules 3. They recover it with what the committee opens: the epochs since, and those before that were shared.
func TestANetworkOfRules2MakesACommitteeAfterAVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := byRules2(t, 3)
		defer n.close()
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
