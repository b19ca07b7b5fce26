package node_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
)

// logOf is a durable log of a machine.
type logOf struct{ entries []consensus.Entry }

func (m *logOf) ViewOf(index uint64) (uint64, bool) {
	if index == 0 || index > uint64(len(m.entries)) {
		return 0, false
	}
	return m.entries[index-1].View, true
}

func (m *logOf) Read(from, to uint64, _ int) ([]consensus.Entry, error) {
	return slices.Clone(m.entries[from-1 : to-1]), nil
}

// A change of members that was cut off the log must not keep its proposer, once it leads again,
// from making changes: replica/loop.go gives no permit to execute until the change is proposed.
func TestChangeOfMembersThatWasCutOffBlocksNoLaterOne(t *testing.T) {
	machines := map[consensus.ID]*raft.Machine{}
	logs := map[consensus.ID]*logOf{}
	for id := consensus.ID(1); id <= 3; id++ {
		logs[id] = &logOf{}
		m, err := raft.New(raft.Config{Self: id, Voters: []consensus.ID{1, 2, 3}, Log: logs[id], ElectionTicks: 10, HeartbeatTicks: 1})
		if err != nil {
			t.Fatal(err)
		}
		machines[id] = m
	}
	type letter struct {
		from, to consensus.ID
		data     []byte
	}
	everybody := func(consensus.ID, consensus.ID) bool { return true }
	up := everybody
	settle := func() {
		for {
			var wire []letter
			busy := false
			for id := consensus.ID(1); id <= 3; id++ {
				m := machines[id]
				for {
					out, ok, err := m.Ready()
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					busy = true
					for _, msg := range out.Messages {
						wire = append(wire, letter{id, msg.To, msg.Data})
					}
					if out.Append != nil {
						for _, e := range out.Append.Entries {
							logs[id].entries = append(logs[id].entries[:e.Index-1], e)
						}
						if err := m.Appended(out.Append); err != nil {
							t.Fatal(err)
						}
					}
					if _, err := m.Apply(out); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, l := range wire {
				if up(l.from, l.to) {
					_ = machines[l.to].Step(l.from, l.data)
				}
			}
			if !busy {
				return
			}
		}
	}
	elect := func(id consensus.ID, voters ...consensus.ID) {
		t.Helper()
		for range 11 {
			for _, v := range voters {
				machines[v].Tick()
			}
		}
		for range 20 { // others may stand at the same time
			_ = machines[id].Campaign()
			settle()
			if machines[id].State().Role == consensus.Leader {
				return
			}
		}
		t.Fatalf("%d does not lead: %+v", id, machines[id].State())
	}
	elect(1)
	up = func(a, b consensus.ID) bool { return a != 1 && b != 1 }
	for range 2 {
		view, index, _ := machines[1].Next()
		if err := machines[1].Propose(view, index, []byte("batch")); err != nil {
			t.Fatal(err)
		}
		settle()
	}
	if _, err := machines[1].ProposeChange(raft.Change{AddLearner: []consensus.ID{4}}); err != nil {
		t.Fatal(err)
	}
	settle()
	elect(2, 3)
	up = everybody
	for range 3 {
		machines[2].Tick()
		settle()
	}
	up = func(a, b consensus.ID) bool { return a != 2 && b != 2 }
	elect(1, 3)
	if _, err := machines[1].ProposeChange(raft.Change{AddLearner: []consensus.ID{4}}); errors.Is(err, coco.ErrBusy) {
		t.Errorf("log of %d entries, all applied; a change is refused: %v", len(logs[1].entries), err)
	}
}

// Each of two nodes can be spared, but not both.
func TestTwoNodesThatRetireAtOnceLeaveANetwork(t *testing.T) {
	simulate(t, 4, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		time.Sleep(5 * time.Second)
		lead := n.leader()
		n.Crash((lead + 1) % 4)
		time.Sleep(5 * time.Second)
		var wait sync.WaitGroup
		agreed := 0
		for _, i := range []int{(lead + 2) % 4, (lead + 3) % 4} {
			c := n.officer(n.Members[i], i)
			wait.Go(func() {
				resp, err := c.Post("https://node/node/retire", "", nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					agreed++
				}
			})
		}
		wait.Wait()
		time.Sleep(10 * time.Second)
		for _, i := range n.Running() {
			if n.Node(i).Ended() {
				n.Forget(i)
			}
		}
		if _, err := put(n.client(lead, lead), "after", "value"); err != nil {
			t.Errorf("after the leader let %d nodes go: %v", agreed, err)
		}
	})
}

// entry reads one entry of a node's ledger.
func (n *network) entry(i int, index uint64) batch.Entry {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(i)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	entries, err := log.Read(index, index+1, 0)
	if err != nil {
		n.t.Fatal(err)
	}
	return entries[0]
}

func TestALearnerThatIsFarBehindDoesNotVote(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.waitReady(n.Start(0, n.Found))
		n.waitReady(n.Start(1, n.Join(0)))
		time.Sleep(time.Second)
		for i := range 100 { // one after the other: as many entries
			if _, err := put(n.client(0, 0), fmt.Sprint("key", i), "value"); err != nil {
				t.Fatal(err)
			}
		}
		before, _ := n.lastMembers(0)
		const behind = 5 * time.Second // until it has the first entry on its disk
		n.World.SetSyncDelay(hostName(2), behind)
		r := n.Start(2, n.Join(0))
		for range 10_000 {
			if n.changesAfter(before) > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		for range 200 { // a learner is one change, a voter takes two more
			if changes := n.changesAfter(before); changes != 1 {
				t.Fatalf("%d changes of members while the joiner has nothing on its disk; it must become a learner and nothing else", changes)
			}
			time.Sleep(behind / 250)
		}
		n.World.SetSyncDelay(hostName(2), 0)
		n.waitReady(r)
		for range 100 {
			if n.changesAfter(before) == 3 {
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
		t.Error("it caught up, but did not become a voter")
	})
}

// changesAfter counts the changes of members in the first node's ledger, after an entry.
func (n *network) changesAfter(index uint64) (count int) {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(0)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	for at := index + 1; at <= log.Last(); at++ {
		entries, err := log.Read(at, at+1, 0)
		if err != nil {
			n.t.Fatal(err)
		}
		if entries[0].Kind == batch.KindMembers {
			count++
		}
	}
	return count
}
