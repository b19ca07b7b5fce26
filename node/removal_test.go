package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/node"
)

func setThreshold(v string) action.Action {
	return action.Action{Kind: action.Set, Args: action.Args{Setting: "shares.threshold", Value: v}}
}

// decideAll is decide, with every member's vote.
func (n *network) decideAll(actions ...action.Action) {
	n.t.Helper()
	out := n.propose(n.Members[0], 0, time.Hour, actions...)
	for _, m := range n.Members {
		if out.State != table.Open {
			break
		}
		time.Sleep(10 * time.Millisecond)
		var err error
		if out, err = n.vote(m, 0, out.ID, "yes"); err != nil {
			n.t.Fatal(err)
		}
	}
	if out.State != table.Accepted {
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
		out := n.propose(n.Members[0], left, time.Hour,
			action.Action{Kind: action.RemoveNode, Args: action.Args{Owner: n.Members[l].Name, Address: hostName(l) + peerPort, Unbalanced: true}},
			action.Action{Kind: action.RemoveNode, Args: action.Args{Owner: n.Members[other].Name, Address: hostName(other) + peerPort}})
		for _, m := range n.Members[:2] {
			var err error
			if out, err = n.vote(m, left, out.ID, "yes"); err != nil {
				t.Fatal(err)
			}
		}
		if out.State != table.Accepted {
			t.Fatalf("%+v", out)
		}
		for _, i := range []int{l, other} {
			select {
			case <-n.Node(i).Done():
				n.Forget(i)
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

// A decision that was not committed is none: its leader, cut off with it, goes back to what was before, for the calls of the
// actor that it would have removed, too.
func TestADecisionThatIsRolledBackLeavesNothing(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		shop := newMember(t, "shop")
		n.decide(action.Action{Kind: action.AddParticipant, Args: action.Args{Name: "shop", Certificate: shop.Cert}})
		l := n.leader()
		a, b := (l+1)%3, (l+2)%3
		out := n.propose(n.Members[0], l, time.Hour, action.Action{Kind: action.RemoveParticipant, Args: action.Args{Actor: "shop"}},
			setThreshold("3"))
		if _, err := n.vote(n.Members[0], l, out.ID, "yes"); err != nil {
			t.Fatal(err)
		}
		n.World.Partition(hostName(l), hostName(a))
		n.World.Partition(hostName(l), hostName(b))
		voted, wrote := make(chan error, 1), make(chan error, 1)
		cutOff, elsewhere := n.clientOf(shop, l), n.clientOf(shop, a)
		second := n.Members[1]
		go func() {
			o, err := n.vote(second, l, out.ID, "yes")
			if err == nil {
				err = fmt.Errorf("it is %s", o.State)
			}
			voted <- err
		}()
		time.Sleep(20 * time.Millisecond)
		go func() {
			_, err := put(cutOff, "cut off", "x")
			wrote <- err
		}()
		var err error
		for range 50 { // until another one leads
			if _, err = put(elsewhere, "elsewhere", "x"); err == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("the participant, where nothing was decided: %v", err)
		}
		n.World.Heal(hostName(l), hostName(a))
		n.World.Heal(hostName(l), hostName(b))
		t.Logf("the vote: %v", <-voted)
		t.Logf("the write: %v", <-wrote)
		time.Sleep(2 * time.Second)
		text, err := get(n.officer(n.Members[0], a), "/gov/proposals/"+out.ID.String())
		if err != nil {
			t.Fatal(err)
		}
		decided := strings.Contains(text, `"accepted"`)
		for i := range 3 {
			_, err := put(n.clientOf(shop, i), fmt.Sprint("again", i), "x")
			if (err == nil) == decided {
				t.Errorf("decided: %v, and the participant at node %d: %v", decided, i+1, err)
			}
		}
		acked := n.busy(2 * time.Second)
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
		n.audit()
	})
}

// A vote removes a node while another one is down: what is left is no majority of itself. Whoever is removed goes on voting
// until the machine that was down is back, or the network would stop for ever by a vote.
func TestARemovalWhileAnotherNodeIsDownStopsNothingForEver(t *testing.T) {
	for what, a := range map[string]action.Action{
		"node":   {Kind: action.RemoveNode, Args: action.Args{Owner: "member2", Address: hostName(1) + peerPort}},
		"member": {Kind: action.RemoveMember, Args: action.Args{Actor: "member2"}},
	} {
		t.Run(what, func(t *testing.T) { testRemovalWhileAnotherNodeIsDown(t, a) })
	}
}

func testRemovalWhileAnotherNodeIsDown(t *testing.T, a action.Action) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		acked := n.busy(time.Second)
		service := n.serviceCertificate().Raw
		n.Crash(2)
		time.Sleep(5 * time.Second)
		n.decide(a)
		for k, v := range n.busyAt(0, 10*time.Second) {
			acked[k] = v
		}
		n.World.Restart(hostName(2))
		r := n.Start(2, func(c *node.Config) { n.Join(0)(c); c.Service = service })
		if !n.readyWithin(r, time.Minute) {
			t.Fatal("the machine that was down does not come back")
		}
		select {
		case <-n.Node(1).Done():
			n.Forget(1)
		case <-time.After(time.Minute):
			t.Error("the removed node goes on")
		}
		if _, err := put(n.client(0, 0), "after", "x"); err != nil {
			t.Fatal(err)
		}
		acked["after"] = "x"
		n.check(acked, 0, 2)
	})
}

// decideAt is decideAll at one node.
func (n *network) decideAt(at int, actions ...action.Action) {
	n.t.Helper()
	out := n.propose(n.Members[0], at, time.Hour, actions...)
	for _, m := range n.Members {
		if out.State != table.Open {
			break
		}
		time.Sleep(10 * time.Millisecond)
		var err error
		if out, err = n.vote(m, at, out.ID, "yes"); err != nil {
			n.t.Fatal(err)
		}
	}
	if out.State != table.Accepted {
		n.t.Fatalf("the proposal is %s: %s", out.State, out.Reason)
	}
}
