package node_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/wire"
)

// votes returns how many votes in consensus each member has, by name, as a node knows.
func (n *network) votes(at int) map[string]int {
	n.t.Helper()
	body, err := get(n.client(at, at), "/node/nodes")
	if err != nil {
		n.t.Fatal(err)
	}
	var nodes []wire.Node
	if err := json.Unmarshal([]byte(body), &nodes); err != nil {
		n.t.Fatal(err)
	}
	out := map[string]int{}
	for _, x := range nodes {
		if x.Voter {
			out[x.OwnerName]++
		}
	}
	return out
}

// A member may start nodes without a vote. However many it starts, the network does not depend on it: killed all at
// once, they leave a quorum. Members may vote for that consequence by name.
func TestOneMembersNodesNeverHoldTheMajorityWithoutAVote(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		var more []*nettest.Node
		start := func(host string) *nettest.Node {
			r := n.StartOn(host, 2, n.Join(0, 1))
			more = append(more, r)
			return r
		}
		for _, host := range []string{"c1", "c2"} {
			if err := start(host).Await(2 * time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		start("c3")
		time.Sleep(time.Minute)
		if more[2].TakesPart() {
			t.Error("a fourth node of one member takes part without a vote")
		}
		for i := range 3 {
			if got := n.votes(i); got["member1"] != 1 || got["member2"] != 1 || got["member3"] != 1 {
				t.Fatalf("node %d says that the votes are %v", i, got)
			}
		}

		// A vote lets one of them vote.
		n.decide(action.Action{Kind: action.AddNode, Args: action.Args{Owner: "member3", Address: "c1" + peerPort, Unbalanced: true}})
		deadline := time.Now().Add(time.Minute)
		for n.votes(0)["member3"] != 2 && time.Now().Before(deadline) {
			time.Sleep(time.Second)
		}
		if got := n.votes(0); got["member3"] != 2 || got["member1"] != 1 {
			t.Errorf("after a vote for it the votes are %v", got)
		}
		n.decide(action.Action{Kind: action.RemoveNode, Args: action.Args{Owner: "member3", Address: "c1" + peerPort}})
		deadline = time.Now().Add(time.Minute)
		for n.votes(0)["member3"] != 1 && time.Now().Before(deadline) {
			time.Sleep(time.Second)
		}

		n.Crash(2)
		for _, host := range []string{"c2", "c3"} {
			n.World.Crash(host)
		}
		c := n.client(0, 0)
		var err error
		for range 60 {
			if _, err = put(c, "key", "value"); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if err != nil {
			t.Errorf("without the nodes of one member nothing is committed: %v", err)
		}
		for _, r := range more {
			r.Stop()
			<-r.Done()
		}
	})
}

// A node that only learns retires like any other: it gets the answer before the others close its connection.
func TestANodeThatOnlyLearnsRetires(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		n.Members = append(n.Members, n.Members[2]) // a second node of the third member
		learner := n.Start(3, n.Join(0, 1))
		n.waitReady(learner)
		time.Sleep(5 * time.Second)
		if status, answer := n.retire(3); status != http.StatusOK {
			t.Errorf("%d %s", status, answer)
		}
		select {
		case <-learner.Done():
			n.Forget(3)
		case <-time.After(time.Minute):
			t.Error("it goes on")
		}
	})
}
