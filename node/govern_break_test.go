package node_test

import (
	"testing"
	"time"

	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/node"
)

func setThreshold(v string) action.Action {
	return action.Action{Kind: action.Set, Args: action.Args{Setting: "shares.threshold", Value: v}}
}

// A node that was cut off while an epoch began counts for the majority again once it is back: one crash of three is
// one that the network survives.
func TestANodeThatMissedAnEpochIsAVoterStill(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		time.Sleep(time.Second)
		n.world.Partition(hostName(2), hostName(0))
		n.world.Partition(hostName(2), hostName(1))
		n.decide(setThreshold("3"))
		acked := n.busy(2 * time.Second)
		n.crash(0)
		n.world.Heal(hostName(2), hostName(1))
		time.Sleep(time.Minute)
		if _, err := put(n.client(1, 1), "after", "x"); err != nil {
			t.Fatalf("two of three nodes are there for a minute: %v", err)
		}
		acked["after"] = "x"
		n.check(acked, 1, 2)
		n.sameState(1, 2)
	})
}

// Recovery works with the members that there are, also once those who began the network are gone.
func TestRecoveryByMembersWhoCameLater(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		acked := n.busy(time.Second)
		for _, name := range []string{"delta", "echo"} {
			m := newMember(t, name)
			n.decideAll(action.Action{Kind: action.AddMember, Args: action.Args{Name: name, Certificate: m.cert, EncryptionKey: m.share.Public()}},
				setThreshold([]string{"3", "2"}[len(n.members)-3]))
			n.members = append(n.members, m)
		}
		time.Sleep(2 * time.Second)
		_ = acked
		// As they leave, the later ones decide: the first two vote once more.
		n.decideAll(action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "member2"}},
			action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "member3"}})
		for _, i := range []int{1, 2} {
			select {
			case <-n.nodes[hostName(i)].done:
				delete(n.nodes, hostName(i))
			case <-time.After(time.Minute):
				t.Fatal("a removed member's node goes on")
			}
		}
		more := n.busyAt(0, 2*time.Second)
		for k, v := range more {
			acked[k] = v
		}
		n.crash(0)
		n.world.Restart(hostName(0))
		present := []*member{n.members[0], n.members[3], n.members[4]}
		n.members = present
		r := n.start(0, func(c *node.Config) {
			c.Approve = n.constitution.Digest()
			c.Recover = &node.Recover{Open: func(e *keys.SealedEpoch) (out []keys.Share, err error) {
				for _, m := range present {
					if s, err := e.OpenShare(m.Actor(), m.share); err == nil {
						out = append(out, s)
					}
				}
				return out, nil
			}}
		})
		n.waitReady(r)
		n.check(acked, 0)
	})
}

// decideAll is decide, with every member's vote.
func (n *network) decideAll(actions ...action.Action) {
	n.t.Helper()
	out := n.propose(n.members[0], 0, time.Hour, actions...)
	for _, m := range n.members {
		if out.State != gov.Open {
			break
		}
		time.Sleep(10 * time.Millisecond)
		var err error
		if out, err = n.vote(m, 0, out.ID, "yes"); err != nil {
			n.t.Fatal(err)
		}
	}
	if out.State != gov.Accepted {
		n.t.Fatalf("the proposal is %s: %s", out.State, out.Reason)
	}
}

// busyAt writes at one node.
func (n *network) busyAt(i int, d time.Duration) map[string]string {
	out := map[string]string{}
	c := n.client(i, i)
	for began := time.Now(); time.Since(began) < d; time.Sleep(20 * time.Millisecond) {
		key := "late" + time.Now().Format("150405.000000")
		if _, err := put(c, key, "x"); err == nil {
			out[key] = "x"
		}
	}
	return out
}

// The leader's own node, and another one, are removed at once: one vote, one effect, and the network goes on.
func TestTheLeaderAndAnotherNodeAreRemovedAtOnce(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		acked := n.busy(time.Second)
		l := n.leader()
		other := (l + 1) % 3
		left := (l + 2) % 3
		out := n.propose(n.members[0], left, time.Hour,
			action.Action{Kind: action.RemoveNode, Args: action.Args{Owner: n.members[l].name, Address: hostName(l) + peerPort}},
			action.Action{Kind: action.RemoveNode, Args: action.Args{Owner: n.members[other].name, Address: hostName(other) + peerPort}})
		for _, m := range n.members[:2] {
			var err error
			if out, err = n.vote(m, left, out.ID, "yes"); err != nil {
				t.Fatal(err)
			}
		}
		if out.State != gov.Accepted {
			t.Fatalf("%+v", out)
		}
		for _, i := range []int{l, other} {
			select {
			case <-n.nodes[hostName(i)].done:
				delete(n.nodes, hostName(i))
			case <-time.After(time.Minute):
				t.Fatal("a removed node goes on")
			}
		}
		more := n.busyAt(left, 2*time.Second)
		if len(more) == 0 {
			t.Fatal("the node that is left does not go on")
		}
		for k, v := range more {
			acked[k] = v
		}
		n.check(acked, left)
	})
}
