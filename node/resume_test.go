package node_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/resume"
	"github.com/cocoframework/coco/wire"
)

// simulateUnattended is simulate for a network whose nodes may go on by themselves.
func simulateUnattended(t *testing.T, members int, test func(*testing.T, *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetworkWith(t, 1, members, func(c *constitution.Constitution) { c.Recovery.Unattended = constitution.Yes })
		defer n.close()
		test(t, n)
	})
}

// others are the members but one.
func (n *network) others(i int) (out []int) {
	for k := range n.Members {
		if k != i {
			out = append(out, k)
		}
	}
	return out
}

// sealed reports whether a node has kept what it needs to go on.
func (n *network) sealed(i int) bool {
	f, err := n.World.Host(hostName(i)).Disk.Open(resume.File)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// blackout stops all nodes at once, and starts those given again.
func (n *network) blackout(again ...int) {
	for i := range n.Members {
		n.Crash(i)
	}
	for _, i := range again {
		n.World.Restart(hostName(i))
		n.Start(i, n.Join(n.others(i)...))
	}
}

func TestNodesGoOnTogetherAfterAllHaveStopped(t *testing.T) {
	for _, members := range []int{2, 3, 4, 5} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			simulateUnattended(t, members, func(t *testing.T, n *network) {
				n.open()
				time.Sleep(2 * time.Second)
				c := n.client(0, members-1)
				for i := range 20 {
					if _, err := put(c, fmt.Sprint("before", i), "value"); err != nil {
						t.Fatal(err)
					}
				}
				ids := make([]node.Info, members)
				all := make([]int, members)
				for i := range members {
					if ids[i], all[i] = n.Node(i).Info(), i; !n.sealed(i) {
						t.Fatalf("node %d has kept nothing", i)
					}
				}
				n.blackout(all...)
				for i := range members {
					if got := n.waitReady(n.Node(i)); got.ID != ids[i].ID {
						t.Errorf("node %d goes on as %s, expected %s", i, got.ID, ids[i].ID)
					}
				}
				time.Sleep(2 * time.Second) // until a majority was heard of
				c = n.client(0, members-1)
				for i := range 20 {
					if v, err := get(c, fmt.Sprint("/app/kv/before", i)); err != nil || v != "value" {
						t.Errorf("before%d: %q, %v", i, v, err)
					}
				}
				if _, err := put(c, "after", "value"); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				n.sameState(0, members-1)
			})
		})
	}
}

// Nodes that go on together begin with their own snapshots, and have what was committed before and after these.
func TestNodesThatGoOnBeginWithTheirOwnSnapshots(t *testing.T) {
	simulateUnattended(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		acked := n.busy(5 * time.Second)
		var logs []*said
		for i := range 3 {
			logs = append(logs, n.listen(i))
		}
		n.blackout(0, 1, 2)
		n.goesOn(acked, 0, 1, 2)
		for i, log := range logs {
			if !strings.Contains(log.String(), string(logevent.SnapshotLoaded)) {
				t.Errorf("node %d replayed its whole ledger:\n%s", i, log)
			}
		}
	})
}

// An audit of a long ledger takes longer than asking: where the network lives, the node reads nothing of what it had kept.
func TestANodeWithALongLedgerAsksFirstWhetherTheNetworkLives(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, values := range []int{1, 24} {
		t.Run(fmt.Sprint(values), func(t *testing.T) {
			simulateUnattended(t, 3, func(t *testing.T, n *network) {
				n.open()
				time.Sleep(2 * time.Second)
				c, value := n.client(0, 1), strings.Repeat("v", 900<<10)
				for i := range values {
					if _, err := put(c, fmt.Sprint("large", i), value); err != nil {
						t.Fatal(err)
					}
				}
				n.Crash(2)
				files := n.World.Files(hostName(2), "")
				files[resume.File] = []byte("something else")
				n.World.SetFiles(hostName(2), files)
				time.Sleep(5 * time.Second)
				n.World.Restart(hostName(2))
				read := false
				n.Alter = func(c *node.Config) { c.NotKept = func(error) { read = true } }
				n.waitReady(n.Start(2, n.Join(0, 1)))
				if long := values > 1; read == long {
					t.Errorf("it read what it had kept: %v", read)
				}
			})
		})
	}
}

// A node that recovered its network has settings from before any other node joined it. It finds these by its ledger: whether they have stopped like it, or go on.
func TestANodeThatIsToldOfNoOtherAsksThoseOfItsLedger(t *testing.T) {
	for name, stopped := range map[string][]int{"the network lives": {2}, "all have stopped": {0, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			simulateUnattended(t, 3, func(t *testing.T, n *network) {
				n.open()
				time.Sleep(2 * time.Second)
				for _, i := range stopped {
					n.Crash(i)
				}
				var first atomic.Pointer[resume.Waiting]
				n.Alter = func(c *node.Config) { c.Waits = func(w resume.Waiting) { first.CompareAndSwap(nil, &w) } }
				var started []*nettest.Node
				for _, i := range stopped {
					n.World.Restart(hostName(i))
					started = append(started, n.Start(i, n.Join(i)))
					time.Sleep(5 * time.Second)
				}
				for _, r := range started {
					n.waitReady(r)
				}
				switch w := first.Load(); {
				case len(stopped) == 1 && w != nil:
					t.Errorf("it waits to go on with others beside a network that lives: %+v", *w)
				case len(stopped) > 1 && (w == nil || w.Here != 1 || w.Nodes != 3 || w.Needed != 3 || len(w.Missing) != 2):
					t.Errorf("the first one says that it waits for %+v", w)
				}
			})
		})
	}
}

// all are all members.
func (n *network) all() []int {
	out := make([]int, len(n.Members))
	for i := range out {
		out[i] = i
	}
	return out
}

// underLoad opens a network whose nodes have all kept what they need, after a while of load.
func (n *network) underLoad(d time.Duration) *load {
	n.t.Helper()
	n.open()
	time.Sleep(2 * time.Second)
	l := n.load(4)
	time.Sleep(d)
	for i := range n.Members {
		if !n.sealed(i) {
			n.t.Fatalf("node %d has kept nothing", i)
		}
	}
	return l
}

// goesOn waits for nodes, and checks that they have what was acknowledged, and acknowledge more.
func (n *network) goesOn(acked map[string]string, nodes ...int) {
	n.t.Helper()
	for _, i := range nodes {
		n.waitReady(n.Node(i))
	}
	for _, i := range nodes {
		if _, err := put(n.client(i, i), fmt.Sprint("after", i), "value"); err != nil {
			n.t.Errorf("node %d: %v", i, err)
		}
	}
	time.Sleep(2 * time.Second)
	n.check(acked, nodes...)
	n.sameState(nodes...)
}

func TestNothingAcknowledgedIsLostWhenAllNodesLosePower(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	simulateUnattended(t, 3, func(t *testing.T, n *network) {
		l := n.underLoad(2 * time.Second)
		for round := range 3 {
			for i := range 3 {
				n.CrashTorn(i)
			}
			acked := l.end()
			for i := range 3 {
				n.World.Restart(hostName(i))
				n.Start(i, n.Join(n.others(i)...))
			}
			n.goesOn(acked, 0, 1, 2)
			if round < 2 {
				l = n.load(4)
				l.mu.Lock()
				maps.Copy(l.acked, acked)
				l.mu.Unlock()
				time.Sleep(time.Second)
			}
		}
		n.audit()
	})
}

// The nodes have the packages of their seats still: together they give the committee's key to another committee, and need not make a new one.
func TestTheCommitteeOutlivesALossOfPower(t *testing.T) {
	simulateUnattended(t, 3, func(t *testing.T, n *network) {
		n.governs()
		acked := n.underLoad(time.Second).end()
		before := n.committee(0, wire.Keys{}, 30*time.Second)
		time.Sleep(2 * time.Second)
		if got := n.metric(0, "is_sealed"); got != 1 {
			t.Errorf("coco_is_sealed is %d", got)
		}
		n.blackout(0, 1, 2)
		n.goesOn(acked, 0, 1, 2)
		n.decide(action.Action{Kind: action.Refresh})
		after := n.committee(0, before, time.Minute)
		if after.Key != before.Key {
			t.Errorf("the committee is %s, and was %s", shown(after), shown(before))
		}
	})
}

// What a node resumed with is sealed under a new epoch, from the first batch on, and in views that no earlier batch has.
func TestNothingIsSealedAgainUnderAnOldEpoch(t *testing.T) {
	simulateUnattended(t, 3, func(t *testing.T, n *network) {
		acked := n.underLoad(time.Second).end()
		before := n.lastBatch(0)
		n.blackout(0, 1, 2)
		n.goesOn(acked, 0, 1, 2)
		first := true
		for index := before.Index + 1; index <= n.lastBatch(0).Index; index++ {
			e := n.entry(0, index)
			if e.Kind != batch.KindBatch || e.View < before.View+1<<16 {
				continue
			}
			b, err := batch.Decode(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			if b.Header.Epoch <= before.Epoch {
				t.Errorf("batch %d of view %d is sealed in epoch %d, the last one before was %d", index, e.View, b.Header.Epoch, before.Epoch)
			}
			if public, err := b.PublicRecords(); first && (err != nil || len(public) != 1 || !strings.Contains(string(public[0]), table.EpochsTable)) {
				t.Errorf("the first batch announces no epoch: %d records, %v", len(public), err)
			}
			first = false
		}
		if first {
			t.Error("no batch was sealed")
		}
	})
}

// lastBatch returns the last batch of a node's ledger.
func (n *network) lastBatch(i int) batch.Header {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(i)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	last := log.Last()
	_ = log.Close()
	for ; last > 0; last-- {
		if e := n.entry(i, last); e.Kind == batch.KindBatch {
			b, err := batch.Decode(e.Data)
			if err != nil {
				n.t.Fatal(err)
			}
			return b.Header
		}
	}
	n.t.Fatal("no batch")
	panic("unreachable")
}

func TestOneRolledBackDiskLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for victim := range 3 {
		t.Run(hostName(victim), func(t *testing.T) {
			simulateUnattended(t, 3, func(t *testing.T, n *network) {
				l := n.underLoad(time.Second)
				old := n.World.Files(hostName(victim), "")
				time.Sleep(2 * time.Second)
				lags := (victim + 1) % 3 // has not what is acknowledged last: the disk that is rolled back and one other had it
				n.World.Isolate(hostName(lags))
				time.Sleep(4 * time.Second)
				for i := range 3 {
					n.Crash(i)
				}
				acked := l.end()
				n.World.SetFiles(hostName(victim), old)
				n.World.Rejoin(hostName(lags))
				for _, i := range []int{victim, lags} { // they come first
					n.World.Restart(hostName(i))
					n.Start(i, n.Join(n.others(i)...))
				}
				time.Sleep(time.Minute)
				for _, i := range []int{victim, lags} {
					if n.Node(i).TakesPart() {
						t.Fatalf("node %d goes on without the one that has everything", i)
					}
				}
				last := (victim + 2) % 3
				n.World.Restart(hostName(last))
				n.Start(last, n.Join(n.others(last)...))
				n.goesOn(acked, 0, 1, 2)
			})
		})
	}
}

func TestOneLostNodeOfFiveIsDoneWithout(t *testing.T) {
	long(t)
	for lost := range 5 {
		t.Run(hostName(lost), func(t *testing.T) {
			simulateUnattended(t, 5, func(t *testing.T, n *network) {
				acked := n.underLoad(time.Second).end()
				n.blackout(n.others(lost)...)
				n.goesOn(acked, n.others(lost)...)
				if lost > 1 {
					return
				}
				n.World.Restart(hostName(lost)) // it was not lost, after all: it joins, with another key
				n.Start(lost, n.Join(n.others(lost)...))
				n.goesOn(acked, n.all()...)
			})
		})
	}
}

// recoveredBy has members recover the network on a node's machine, under a new service. Nobody opens it: it is closed.
func (n *network) recoveredBy(i int) {
	n.t.Helper()
	closed := make(chan struct{})
	r := n.Start(i, func(c *node.Config) {
		n.Recover(c)
		c.Recover.Successor, c.Recover.Closed = true, func() { close(closed) }
	})
	select {
	case <-closed:
	case <-r.Done():
		n.t.Fatal(r.Err())
	case <-time.After(time.Minute):
		n.t.Fatal("the network is not recovered")
	}
}

// endRecovered checks that nodes end because members have recovered the network, and have removed what they had kept.
func (n *network) endRecovered(nodes ...int) {
	n.t.Helper()
	for _, i := range nodes {
		select {
		case <-n.Node(i).Done():
		case <-time.After(3 * time.Minute):
			n.t.Fatalf("node %d goes on", i)
		}
		recovered, ok := errors.AsType[*join.RecoveredError](n.Node(i).Err())
		if !ok || !recovered.Gone || recovered.Last == (coco.TxID{}) || n.sealed(i) {
			n.t.Errorf("node %d ended with %v; it has kept its state: %v", i, n.Node(i).Err(), n.sealed(i))
		}
		n.Forget(i)
	}
}

// Four of five nodes may go on by themselves. Once members have recovered the network from the fifth one's ledger, they do not.
func TestNodesDoNotGoOnBesideANetworkThatMembersHaveRecovered(t *testing.T) {
	long(t)
	t.Run("those that wait", func(t *testing.T) {
		simulateUnattended(t, 5, func(t *testing.T, n *network) {
			n.underLoad(time.Second).end()
			n.blackout()
			n.World.Restart(hostName(0))
			n.recoveredBy(0)
			for _, i := range n.others(0) {
				n.World.Restart(hostName(i))
				n.Start(i, n.Join(n.others(i)...))
			}
			n.endRecovered(n.others(0)...)
			if n.Node(0).Ended() {
				t.Errorf("the recovered node ended: %v", n.Node(0).Err())
			}
		})
	})
	t.Run("those that have gone on", func(t *testing.T) {
		simulateUnattended(t, 5, func(t *testing.T, n *network) {
			acked := n.underLoad(time.Second).end()
			n.blackout()
			for _, i := range n.others(0) {
				n.World.Partition(hostName(0), hostName(i))
				n.World.Restart(hostName(i))
				n.Start(i, n.Join(n.others(i)...))
			}
			n.goesOn(acked, n.others(0)...)
			n.World.Restart(hostName(0))
			n.recoveredBy(0)
			for _, i := range n.others(0) {
				n.World.Heal(hostName(0), hostName(i))
			}
			n.endRecovered(n.others(0)...)
		})
	})
}

// Nodes that never stopped go on, and say that members have recovered a copy of their ledger.
func TestANetworkThatRunsSaysThatMembersHaveRecoveredItElsewhere(t *testing.T) {
	long(t)
	simulateUnattended(t, 5, func(t *testing.T, n *network) {
		log := n.listen(1)
		acked := n.underLoad(time.Second).end()
		n.Crash(0)
		for _, i := range n.others(0) {
			n.World.Partition(hostName(0), hostName(i))
		}
		n.World.Restart(hostName(0))
		n.recoveredBy(0)
		for _, i := range n.others(0) {
			n.World.Heal(hostName(0), hostName(i))
		}
		time.Sleep(10 * time.Second)
		n.goesOn(acked, n.others(0)...)
		if !strings.Contains(log.String(), string(logevent.RecoveredElsewhere)) {
			t.Errorf("it does not say so:\n%s", log)
		}
	})
}

func TestAPartitionLeavesAtMostOneNetwork(t *testing.T) {
	long(t)
	for _, c := range []struct {
		cut  []int
		open bool // the others go on
	}{{[]int{0}, true}, {[]int{4}, true}, {[]int{0, 1}, false}, {[]int{2, 4}, false}} {
		t.Run(fmt.Sprint(c.cut), func(t *testing.T) {
			simulateUnattended(t, 5, func(t *testing.T, n *network) {
				acked := n.underLoad(time.Second).end()
				var rest []int
				for i := range 5 {
					if !slices.Contains(c.cut, i) {
						rest = append(rest, i)
					}
				}
				each := func(do func(a, b string)) {
					for _, a := range c.cut {
						for _, b := range rest {
							do(hostName(a), hostName(b))
						}
					}
				}
				each(n.World.Partition)
				n.blackout(n.all()...)
				time.Sleep(time.Minute)
				for i := range 5 {
					if got, want := n.Node(i).TakesPart(), c.open && slices.Contains(rest, i); got != want {
						t.Errorf("node %d takes part: %v, expected %v", i, got, want)
					}
				}
				each(n.World.Heal)
				n.goesOn(acked, n.all()...)
			})
		})
	}
}

// A node dies at any moment of going on, and comes back, or all lose power again.
func TestACrashAtEveryStepLeavesANetworkThatGoesOn(t *testing.T) {
	long(t)
	for _, crash := range [][]int{{0}, {1}, {2}, {0, 1, 2}} {
		t.Run(fmt.Sprint(crash), func(t *testing.T) {
			simulateUnattended(t, 3, func(t *testing.T, n *network) {
				acked := n.underLoad(time.Second).end()
				for k := range 30 {
					n.blackout(0, 1, 2)
					switch { // what the nodes tell each other takes milliseconds, an election seconds
					case k < 12:
						time.Sleep(time.Duration(k) * 300 * time.Microsecond)
					default:
						time.Sleep(time.Duration(k-12) * 110 * time.Millisecond)
					}
					for _, i := range crash {
						n.Crash(i)
					}
					time.Sleep(time.Second)
					for _, i := range crash {
						n.World.Restart(hostName(i))
						n.Start(i, n.Join(n.others(i)...))
					}
					n.goesOn(acked, 0, 1, 2)
					if t.Failed() {
						t.Fatalf("at step %d", k)
					}
				}
				n.audit()
			})
		})
	}
}

// A host starts a node twice, from one disk: nothing is lost, and there is one network.
func TestANodeThatIsStartedTwiceMakesNoSecondNetwork(t *testing.T) {
	long(t)
	for _, members := range []int{3, 5} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			simulateUnattended(t, members, func(t *testing.T, n *network) {
				acked := n.underLoad(time.Second).end()
				for i := range members {
					n.Crash(i)
				}
				n.World.SetFiles("twin", n.World.Files(hostName(0), ""))
				for i := range members {
					n.World.Restart(hostName(i))
				}
				twin := n.StartOn("twin", 0, n.Join(n.others(0)...))
				for i := range members {
					n.Start(i, n.Join(n.others(i)...))
				}
				for range 200 { // some nodes reach one of them, some the other
					n.World.Redirect(hostName(0), "twin")
					time.Sleep(70 * time.Millisecond)
					n.World.Redirect(hostName(0), "")
					time.Sleep(80 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				twin.Stop()
				<-twin.Done()
				n.goesOn(acked, n.all()...)
			})
		})
	}
}

func TestARemovedNodeDoesNotComeBackWithWhatItHadKept(t *testing.T) {
	simulateUnattended(t, 4, func(t *testing.T, n *network) {
		n.governs()
		acked := n.underLoad(time.Second).end()
		old := n.World.Files(hostName(3), "")
		out := n.propose(n.Members[0], 0, time.Hour, action.Action{Kind: action.RemoveNode, Args: action.Args{Owner: n.Members[3].Name, Address: hostName(3) + peerPort}})
		for _, m := range n.Members[:3] {
			if out.State != table.Open {
				break
			}
			var err error
			if out, err = n.vote(m, 0, out.ID, envelope.Yes); err != nil {
				t.Fatal(err)
			}
		}
		if out.State != table.Accepted {
			t.Fatalf("the proposal is %s: %s", out.State, out.Reason)
		}
		select {
		case <-n.Node(3).Done():
			n.Forget(3)
		case <-time.After(time.Minute):
			t.Fatal("a removed node goes on")
		}
		if n.sealed(3) {
			t.Error("a removed node has kept what it needs to go on")
		}
		n.World.SetFiles(hostName(3), old)
		for i := range 3 {
			n.Crash(i)
			n.World.Restart(hostName(i))
		}
		for _, i := range []int{3, 0, 1} {
			n.Start(i, n.Join(n.others(i)...))
		}
		time.Sleep(time.Minute)
		for _, i := range []int{3, 0, 1} {
			if n.Node(i).TakesPart() {
				t.Fatalf("node %d goes on with one that was removed", i)
			}
		}
		n.Start(2, n.Join(0, 1))
		n.goesOn(acked, 0, 1, 2)
		if n.Node(3).TakesPart() {
			t.Error("a removed node takes part")
		}
	})
}

func TestNodesDoNotGoOnOnceTheSettingIsTurnedOff(t *testing.T) {
	simulateUnattended(t, 3, func(t *testing.T, n *network) {
		n.governs()
		acked := n.underLoad(time.Second).end()
		old := n.World.Files(hostName(0), "resume")
		n.decide(action.Action{Kind: action.Set, Args: action.Args{Setting: "recovery.unattended", Value: `"no"`}})
		time.Sleep(time.Second)
		for i := range 3 {
			if n.sealed(i) {
				t.Errorf("node %d has kept what it needs to go on", i)
			}
		}
		service, before := n.Node(0).Info().Service, n.Alter
		n.Alter = func(c *node.Config) { before(c); c.Service = service }
		n.blackout()
		files := n.World.Files(hostName(0), "")
		maps.Copy(files, old)
		n.World.SetFiles(hostName(0), files) // a host kept a copy: the ledger does not allow its use
		for i := range 3 {
			n.World.Restart(hostName(i))
			n.Start(i, n.Join(n.others(i)...))
		}
		time.Sleep(time.Minute)
		for i := range 3 {
			if n.Node(i).TakesPart() {
				t.Errorf("node %d takes part", i)
			}
		}
		best := n.longest()
		_ = n.Halt(best)
		n.waitReady(n.Start(best, n.Recover))
		n.goesOn(acked, 0, 1, 2)
	})
}

// One that was away when all others stopped has no leader: it waits with them.
func TestANodeThatDidNotStopGoesOnWithThoseThatDid(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	simulateUnattended(t, 3, func(t *testing.T, n *network) {
		acked := n.underLoad(time.Second).end()
		for _, i := range []int{0, 1} {
			n.Crash(i)
		}
		time.Sleep(20 * time.Second)
		for _, i := range []int{0, 1} {
			n.World.Restart(hostName(i))
			n.Start(i, n.Join(n.others(i)...))
		}
		n.goesOn(acked, 0, 1, 2)
	})
}

// A node that stops alone joins the others under a new key, and keeps that.
func TestANodeThatStopsAloneIsReplaced(t *testing.T) {
	simulateUnattended(t, 3, func(t *testing.T, n *network) {
		acked := n.underLoad(time.Second).end()
		before := n.Node(2).Info()
		n.Crash(2)
		time.Sleep(5 * time.Second)
		n.World.Restart(hostName(2))
		if got := n.waitReady(n.Start(2, n.Join(0, 1))); got.ID == before.ID {
			t.Error("the node has the key that it had before")
		}
		time.Sleep(5 * time.Second)
		n.blackout(0, 1, 2)
		n.goesOn(acked, 0, 1, 2)
	})
}

// Other code cannot open what was sealed.
func TestOtherCodeDoesNotGoOn(t *testing.T) {
	simulateUnattended(t, 3, func(t *testing.T, n *network) {
		acked := n.underLoad(time.Second).end()
		n.Alter = func(c *node.Config) {
			c.Host.Sealer = virtual.NewSealer(c.Host.Disk, virtual.Measure([]byte("the next release")))
		}
		n.blackout(0, 1, 2)
		time.Sleep(time.Minute)
		for i := range 3 {
			if n.Node(i).TakesPart() {
				t.Errorf("node %d takes part", i)
			}
		}
		n.Alter = nil
		n.blackout(0, 1, 2)
		n.goesOn(acked, 0, 1, 2)
	})
}
