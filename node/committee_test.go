package node_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/wire"
)

// keys asks a node for the committee.
func (n *network) keys(at int) wire.Keys {
	n.t.Helper()
	return n.keysBy(n.client(at, at))
}

func (n *network) keysBy(c *http.Client) wire.Keys {
	n.t.Helper()
	text, err := get(c, "/node/status")
	if err != nil {
		n.t.Fatal(err)
	}
	var s wire.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		n.t.Fatal(err)
	}
	if s.Keys == nil {
		return wire.Keys{} // the network has none yet
	}
	return *s.Keys
}

// committee waits until a node knows a whole committee that was made after another one.
func (n *network) committee(at int, after wire.Keys, within time.Duration) wire.Keys {
	n.t.Helper()
	c := n.client(at, at)
	for until := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		k := n.keysBy(c)
		if k.Whole && !k.Dealt && k.Committee > after.Committee {
			return k
		}
		if time.Now().After(until) {
			n.t.Fatalf("no committee after %d within %v: %s", after.Committee, within, shown(k))
		}
	}
}

func shown(k wire.Keys) string {
	b, err := json.Marshal(k)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// live lists the names of members whose seats are live.
func live(k wire.Keys) string {
	var names []string
	for _, s := range k.Seats {
		if s.Live {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

const everyMember = "member1 member2 member3"

// rejoin brings a crashed node back.
func (n *network) rejoin(i int, others ...int) {
	n.t.Helper()
	service := n.serviceNow(others[0]).Raw
	n.World.Restart(hostName(i))
	n.waitReady(n.Start(i, func(c *node.Config) { n.Join(others...)(c); c.Service = service }))
}

func TestANetworkMakesACommitteeAndReplacesIt(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		first := n.committee(0, wire.Keys{}, 10*time.Second)
		if live(first) != everyMember || first.Threshold != 2 || first.Dealt {
			t.Fatalf("the first committee is %s", shown(first))
		}
		acked := n.busy(time.Second)

		// A vote shares the same key anew.
		n.decide(action.Action{Kind: action.Refresh})
		refreshed := n.committee(0, first, 15*time.Second)
		if refreshed.Key != first.Key || live(refreshed) != everyMember {
			t.Errorf("after a vote to refresh: %s", shown(refreshed))
		}
		// So does a node that restarts: its package is lost.
		n.Crash(2)
		n.rejoin(2, 0, 1)
		restarted := n.committee(1, refreshed, 15*time.Second)
		if restarted.Key != first.Key || live(restarted) != everyMember {
			t.Errorf("after the restart of a node: %s", shown(restarted))
		}
		// A member that is added gets a seat. It has no node yet: another one acts for it, and forgets its package.
		delta := newMember(t, "delta")
		n.decide(action.Action{Kind: action.AddMember, Args: action.Args{Name: "delta", Certificate: delta.Cert, EncryptionKey: delta.Share.Public()}})
		added := n.committee(0, restarted, 15*time.Second)
		if added.Key != first.Key && added.Threshold == first.Threshold || len(added.Seats) != 4 || live(added) != everyMember {
			t.Errorf("after a member was added: %s", shown(added))
		}
		// A removal makes a new key.
		n.decideAll(action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "delta"}})
		removed := n.committee(0, added, 15*time.Second)
		if removed.Key <= added.Key || len(removed.Seats) != 3 || live(removed) != everyMember {
			t.Errorf("after a member was removed: %s", shown(removed))
		}
		for k, v := range n.busy(time.Second) {
			acked[k] = v
		}
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
		n.audit()
		n.trimmed(1)
	})
}

// trimmed checks that rows of epochs hold no more than is needed since their committees were replaced, by an audit of a node's ledger.
func (n *network) trimmed(i int) {
	n.t.Helper()
	auditor := audit.New(audit.Config{Constitution: n.Constitution.Digest()})
	if _, err := ledger.Audit(context.Background(), n.World.Host(hostName(i)).Disk, node.Dir, auditor, nil); err != nil {
		n.t.Fatal(err)
	}
	if due, err := ceremony.Trimmable(auditor.Tables()); err != nil || due {
		n.t.Errorf("rows of epochs can still be reduced: %t, %v", due, err)
	}
	rows, err := table.Epochs(auditor.Tables())
	if err != nil {
		n.t.Fatal(err)
	}
	reduced := 0
	for _, row := range rows {
		if _, is, err := archive.DigestOf(row.Sealed); err == nil && is {
			reduced++
		}
	}
	if reduced < 3 {
		n.t.Errorf("%d of %d epochs are reduced", reduced, len(rows))
	}
}

// A network of one organisation has a committee, too: its founder's node has dealt it.
func TestANetworkOfOneNodeHasACommittee(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		time.Sleep(20 * time.Second)
		k := n.keys(0)
		if !k.Dealt || !k.Whole || k.Committee != 1 || k.Threshold != 1 || len(k.Seats) != 1 || live(k) != "" {
			t.Errorf("the committee is %s", shown(k))
		}
		if _, err := put(n.client(0, 0), "k", "v"); err != nil {
			t.Error(err)
		}
		n.audit()
	})
}

// A node that is down holds a ceremony up for a while. Another one acts for its organisation then, and forgets the package; the node has its seat again once it is back.
func TestANodeThatIsDownIsPassedOver(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		before := n.committee(0, wire.Keys{}, 10*time.Second)
		n.Crash(2)
		n.decide(action.Action{Kind: action.Refresh})
		without := n.committee(0, before, 3*time.Minute)
		if live(without) != "member1 member2" || without.Key != before.Key {
			t.Errorf("while a node is down the committee is %s", shown(without))
		}
		if _, err := put(n.client(0, 0), "k", "v"); err != nil {
			t.Error(err)
		}
		n.rejoin(2, 0, 1)
		after := n.committee(0, without, 15*time.Second)
		if live(after) != everyMember || after.Key != before.Key {
			t.Errorf("once it is back the committee is %s", shown(after))
		}
		if n.metric(0, "ceremonies_failed_total") == 0 {
			t.Error("no ceremony has failed: the test shows nothing")
		}
		n.sameState(0, 1, 2)
		n.audit()
	})
}

// The leader, or another node, goes in each phase of a ceremony, which is longer than usual here. The network goes on and has a committee in the end.
func TestNodesThatGoInAnyPhaseOfACeremony(t *testing.T) {
	long(t)
	for _, leads := range []bool{true, false} {
		t.Run(map[bool]string{true: "the leader", false: "another node"}[leads], func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.governs()
				n.open()
				before := n.committee(0, wire.Keys{}, 10*time.Second)
				n.World.SetLink(sim.Link{Delay: 25 * time.Millisecond})
				acked := map[string]string{}
				for _, phase := range []string{"registering", "committing", "revealing", "judging", "confirming", "done"} {
					at := n.leader()
					n.decideAt(at, action.Action{Kind: action.Refresh})
					n.phase(at, phase)
					gone := at
					if !leads {
						gone = (at + 1) % 3
					}
					n.Crash(gone)
					a, b := (gone+1)%3, (gone+2)%3
					for k, v := range n.busyAt(a, 2*time.Second) {
						acked[k] = v
					}
					n.rejoin(gone, a, b)
					after := n.committee(a, before, 2*time.Minute)
					if live(after) != everyMember {
						t.Errorf("%s: the committee is %s", phase, shown(after))
					}
					before = after
				}
				n.check(acked, 0, 1, 2)
				n.sameState(0, 1, 2)
				n.audit()
			})
		})
	}
}

// phase waits until the ceremony that was voted for is in a phase.
func (n *network) phase(at int, phase string) {
	n.t.Helper()
	client := n.client(at, at)
	for range 500 {
		if c := n.keysBy(client).Ceremony; c != nil && c.Phase == phase {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.t.Fatalf("the ceremony is never %s", phase)
}
