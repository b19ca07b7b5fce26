package node_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// simulateExpiry is simulate for a network whose nodes keep an epoch's secret for a minute after its end.
func simulateExpiry(t *testing.T, members int, test func(*testing.T, *network), change ...func(*constitution.Constitution)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetworkWith(t, 1, members, func(c *constitution.Constitution) {
			c.Keys.RetentionSeconds = 60
			for _, f := range change {
				f(c)
			}
		})
		defer n.close()
		n.governs()
		test(t, n)
	})
}

// aged writes a key several times, each time in an epoch of its own, and waits until the epochs have expired. It returns the transactions.
func (n *network) aged(epochs int) (ids []coco.TxID) {
	n.t.Helper()
	n.committee(0, wire.Keys{}, 20*time.Second)
	for e := range epochs {
		id, err := put(n.client(0, n.leader()), "key", fmt.Sprint("value", e))
		if err != nil {
			n.t.Fatal(err)
		}
		ids = append(ids, id)
		n.decideAll(action.Action{Kind: action.Rotate})
		time.Sleep(2 * time.Second)
	}
	c := n.client(0, n.leader())
	for range store.Retain { // what memory has of the past goes
		if _, err := put(c, "key", "newest"); err != nil {
			n.t.Fatal(err)
		}
	}
	n.expire()
	return ids
}

// expire waits until what has ended by now has expired. The epoch in use is that of the last batch.
func (n *network) expire() {
	n.t.Helper()
	c := n.client(0, n.leader())
	for range 15 {
		if _, err := put(c, "other", "value"); err != nil {
			n.t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
	}
	for _, i := range n.Running() {
		if held := n.metric(i, "epochs_held"); held != 1 {
			n.t.Fatalf("node %d holds %d epochs, expected the one in use", i+1, held)
		}
	}
}

// past reads what the key was as of a transaction.
func (n *network) past(at int, id coco.TxID) (string, error) {
	return get(n.client(at, at), fmt.Sprintf("/app/kv/key?at=%d", id.Seqno))
}

func TestSecretsExpireAndComeBackByParts(t *testing.T) {
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		n.open()
		ids := n.aged(3)
		for i := range 3 {
			for e, id := range ids {
				if v, err := n.past(i, id); err != nil || v != fmt.Sprint("value", e) {
					t.Errorf("node %d: epoch %d: %q, %v", i+1, e, v, err)
				}
			}
			for range 5 { // the node holds them for a while
				if _, err := n.past(i, ids[0]); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
			}
			if opened := n.metric(i, "epochs_opened_total"); opened != len(ids) {
				t.Errorf("node %d has had %d epochs opened, expected %d: each once", i+1, opened, len(ids))
			}
		}
		n.expire()
		if v, err := n.past(1, ids[1]); err != nil || v != "value1" {
			t.Errorf("after it has expired once more: %q, %v", v, err)
		}
		n.audit()
	})
}

// A node that restarts joins as another one. It is given what the others keep, and has the rest opened if it needs it, as has one whose disk is empty: to replay the ledger, or
// to begin with a snapshot, and to index what was before.
func TestANodeThatJoinsIsGivenWhatIsKept(t *testing.T) {
	for _, empty := range []bool{false, true} {
		t.Run(fmt.Sprint("empty disk ", empty), func(t *testing.T) {
			simulateExpiry(t, 3, func(t *testing.T, n *network) {
				n.open()
				ids := n.aged(4)
				n.Crash(2)
				if empty {
					n.World.SetFiles(hostName(2), nil)
				}
				n.rejoin(2, 0, 1)
				time.Sleep(20 * time.Second)
				for e, id := range ids {
					if v, err := n.past(2, id); err != nil || v != fmt.Sprint("value", e) {
						t.Errorf("epoch %d: %q, %v", e, v, err)
					}
				}
				for i := range 3 {
					t.Logf("node %d: opened %d, held %d, given %d", i+1, n.metric(i, "epochs_opened_total"), n.metric(i, "epochs_held"), n.metric(i, "parts_given_total"))
				}
				n.expire()
				n.sameState(0, 1, 2)
			})
		})
	}
}

// If fewer nodes of seats answer than open something, a read says whose are missing, and succeeds once they are back.
func TestAReadSaysWhoseNodesAreMissing(t *testing.T) {
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		n.open()
		ids := n.aged(1)
		for _, other := range []int{1, 2} {
			n.World.Partition(hostName(0), hostName(other))
		}
		var err error
		for range 3 {
			_, err = n.past(0, ids[0])
			time.Sleep(time.Second)
		}
		for _, want := range []string{"503", "member2 does not answer", "member3 does not answer"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("found %v, expected %q", err, want)
			}
		}
		for _, other := range []int{1, 2} {
			n.World.Heal(hostName(0), hostName(other))
		}
		time.Sleep(5 * time.Second)
		if v, err := n.past(0, ids[0]); err != nil || v != "value0" {
			t.Errorf("after they are back: %q, %v", v, err)
		}
	})
}

// Epochs of a committee that was replaced are opened by the archive of the newest one: by one that was shared anew, and by one with another key.
func TestEpochsOfEarlierCommitteesComeBack(t *testing.T) {
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		n.open()
		ids := n.aged(2)
		before := n.keys(0)
		n.decideAll(action.Action{Kind: action.Refresh})
		before = n.committee(0, before, 15*time.Second)
		i := n.leader()
		n.Crash(i)
		time.Sleep(15 * time.Second)
		n.rejoin(i, n.others(i)...)
		n.committee(i, before, 30*time.Second)
		n.expire()
		for i := range 3 {
			for e, id := range ids {
				if v, err := n.past(i, id); err != nil || v != fmt.Sprint("value", e) {
					t.Errorf("node %d: epoch %d: %q, %v", i+1, e, v, err)
				}
			}
			if opened := n.metric(i, "epochs_opened_total"); opened < len(ids) {
				t.Errorf("node %d has had %d epochs opened", i+1, opened)
			}
		}
	})
}

// Nodes that go on together after all have stopped hold what had not expired. They begin with a snapshot of an epoch that they hold, which the network has written in time, also if it was idle.
func TestNodesGoOnTogetherWithoutTheSecretsThatExpired(t *testing.T) {
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		n.open()
		ids := n.aged(3)
		time.Sleep(5 * time.Minute)
		n.blackout(n.all()...)
		for i := range 3 {
			n.waitReady(n.Node(i))
		}
		time.Sleep(20 * time.Second)
		for i := range 3 {
			for e, id := range ids {
				if v, err := n.past(i, id); err != nil || v != fmt.Sprint("value", e) {
					t.Errorf("node %d: epoch %d: %q, %v", i+1, e, v, err)
				}
			}
		}
		n.expire()
		n.sameState(0, 1, 2)
	}, func(c *constitution.Constitution) { c.Recovery.Unattended = constitution.Yes })
}

// A node with an empty disk indexes the past of earlier committees with one opening: the archive gives the epochs that the index comes to next along with the first.
func TestAnIndexOfManyOldEpochsTakesOneOpening(t *testing.T) {
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		n.open()
		ids := n.aged(5)
		before := n.keys(0)
		n.decideAll(action.Action{Kind: action.Refresh})
		n.committee(0, before, 15*time.Second)
		n.expire()
		leader := n.leader()
		joins := (leader + 1) % 3
		given := n.metric(leader, "parts_given_total")
		n.Crash(joins)
		n.World.SetFiles(hostName(joins), nil)
		n.rejoin(joins, n.others(joins)...)
		time.Sleep(20 * time.Second)
		if more := n.metric(leader, "parts_given_total") - given; more != 1 {
			t.Errorf("a seat's node gave its parts %d times, expected once", more)
		}
		opened := n.metric(joins, "epochs_opened_total")
		if opened < len(ids) {
			t.Errorf("the node has had %d epochs opened, expected %d at least", opened, len(ids))
		}
		for e, id := range ids {
			if v, err := n.past(joins, id); err != nil || v != fmt.Sprint("value", e) {
				t.Errorf("epoch %d: %q, %v", e, v, err)
			}
		}
		if again := n.metric(joins, "epochs_opened_total"); again != opened {
			t.Errorf("reading them took %d more", again-opened)
		}
		t.Logf("%d epochs by one opening", opened)
	})
}

// The node that asks, and the one that leads, go while an epoch is being opened; seats' nodes are lost, and the committee is replaced. Whoever is left opens it.
func TestAnEpochOpensWhateverGoesMeanwhile(t *testing.T) {
	long(t)
	for _, what := range []string{"asker", "leader", "seat", "refresh"} {
		t.Run(what, func(t *testing.T) {
			simulateExpiry(t, 5, func(t *testing.T, n *network) {
				n.open()
				ids := n.aged(2)
				asker := (n.leader() + 1) % 5
				for i := range 5 { // the answers wait
					if i != asker {
						n.World.Partition(hostName(asker), hostName(i))
					}
				}
				if _, err := n.past(asker, ids[0]); err == nil {
					t.Fatal("the epoch opens though nobody answers")
				}
				heal := func() {
					for i := range 5 {
						n.World.Heal(hostName(asker), hostName(i))
					}
				}
				gone := -1
				switch what {
				case "asker":
					gone = asker
					heal()
				case "leader":
					gone = n.leader()
					n.Crash(gone)
					heal()
				case "seat":
					gone = (asker + 2) % 5
					n.Crash(gone)
					heal()
				case "refresh":
					before := n.keys(n.leader())
					heal()
					n.decideAll(action.Action{Kind: action.Refresh})
					n.committee((asker+1)%5, before, 30*time.Second)
				}
				if gone == asker {
					n.Crash(asker)
				}
				time.Sleep(20 * time.Second)
				if gone >= 0 {
					n.rejoin(gone, n.others(gone)...)
				}
				time.Sleep(10 * time.Second)
				for i := range 5 {
					for e, id := range ids {
						if v, err := n.past(i, id); err != nil || v != fmt.Sprint("value", e) {
							t.Errorf("node %d: epoch %d: %q, %v", i+1, e, v, err)
						}
					}
				}
				n.expire()
				n.sameState(n.all()...)
				n.audit()
			})
		})
	}
}
