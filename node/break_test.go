package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/store"
)

// status asks a node what it believes.
func (n *network) status(i int) (s struct {
	Role string `json:"role"`
	View uint64 `json:"view"`
},
) {
	n.t.Helper()
	text, err := get(n.client(i, i), "/node/status")
	if err != nil {
		n.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		n.t.Fatal(err)
	}
	return s
}

// readyWithin is waitReady that reports instead of ending the test.
func (n *network) readyWithin(r *nettest.Node, d time.Duration) bool {
	n.t.Helper()
	select {
	case <-r.Ready():
		return true
	case <-r.Done():
		n.t.Errorf("node stopped: %v", r.Err())
	case <-time.After(d):
		n.t.Errorf("node not ready after %v", d)
	}
	return false
}

// The view of a recovered network must not be one that another ledger of it has used.
func TestBestLedgerJoinsANetworkRecoveredFromTheSecondBest(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.Partition(hostName(0), hostName(1))
		n.World.Partition(hostName(0), hostName(2))
		time.Sleep(5 * time.Second)
		var lost []coco.TxID
		c := n.client(1, 1)
		for i := range 40 {
			id, err := put(c, fmt.Sprint("lost", i), "value")
			if err != nil {
				t.Fatal(err)
			}
			lost = append(lost, id)
		}
		for i := range 3 {
			n.Crash(i)
		}
		n.World.Heal(hostName(0), hostName(1))
		n.World.Heal(hostName(0), hostName(2))
		for i := range 3 {
			n.World.Restart(hostName(i))
		}
		n.waitReady(n.Start(0, n.Recover))
		if n.readyWithin(n.Start(1, n.Join(0)), time.Minute) {
			time.Sleep(time.Second)
			_, err0 := get(n.client(0, 0), "/app/kv/lost0")
			v, err1 := get(n.client(1, 1), "/app/kv/lost0")
			if (err0 == nil) != (err1 == nil) {
				t.Errorf("lost0: node 1 says %v, node 2 says %q %v", err0, v, err1)
			}
			n.sameState(0, 1)
			for i := range 5 {
				id, err := put(n.client(0, 0), fmt.Sprint("new", i), "value")
				if err != nil {
					t.Errorf("write after the recovery: %v", err)
					break
				}
				if slices.Contains(lost, id) {
					t.Errorf("transaction id %v was given before, to another transaction", id)
				}
				time.Sleep(5 * time.Second)
			}
		}
	})
}

func TestJoinerWhoseGrantGotLostIsAdmittedAtLast(t *testing.T) {
	long(t)
	for at := 300 * time.Microsecond; at < 6*time.Millisecond && !t.Failed(); at += 300 * time.Microsecond {
		t.Run(at.String(), func(t *testing.T) {
			simulate(t, 4, func(t *testing.T, n *network) {
				n.waitReady(n.Start(0, n.Found))
				n.waitReady(n.Start(1, n.Join(0)))
				n.waitReady(n.Start(2, n.Join(0)))
				time.Sleep(time.Second)
				r := n.Start(3, n.Join(0, 1, 2))
				time.Sleep(at)
				n.World.Partition(hostName(0), hostName(3))
				time.Sleep(25 * time.Second)
				n.World.Heal(hostName(0), hostName(3))
				n.readyWithin(r, 2*time.Minute)
			})
		})
	}
}

func TestNodeCutOffWhileAllOthersAreReplacedComesBack(t *testing.T) {
	simulate(t, 5, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		for i := range 4 {
			n.World.Partition(hostName(i), hostName(4))
		}
		for i := range 4 {
			time.Sleep(3 * time.Second)
			n.Crash(i)
			time.Sleep(3 * time.Second)
			n.World.Restart(hostName(i))
			n.waitReady(n.Start(i, n.Join((i+1)%4, (i+2)%4, (i+3)%4)))
		}
		time.Sleep(3 * time.Second)
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			n.World.Heal(hostName(i), hostName(4))
		}
		time.Sleep(2 * time.Minute)
		n.check(map[string]string{"key": "value"}, 0, 1, 2, 3, 4)
	})
}

// slow is a ledger whose Execute waits at a gate.
type slow struct {
	adapter.Adapter
	gate *atomic.Pointer[chan struct{}]
}

func (s slow) Open(e adapter.Env) (adapter.Ledger, error) {
	l, err := s.Adapter.Open(e)
	return slowLedger{l, s.gate}, err
}

type slowLedger struct {
	adapter.Ledger
	gate *atomic.Pointer[chan struct{}]
}

func (l slowLedger) Execute(ctx context.Context, set *store.Part, calls []*adapter.Call) []adapter.Outcome {
	if g := l.gate.Load(); g != nil {
		<-*g
	}
	return l.Ledger.Execute(ctx, set, calls)
}

func TestLongExecutionOverAChangeOfLeader(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		var gate atomic.Pointer[chan struct{}]
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(0) {
				c.Adapters = []adapter.Adapter{slow{kv.Adapter{}, &gate}}
			}
		}
		n.open()
		time.Sleep(time.Second)
		g := make(chan struct{})
		gate.Store(&g)
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = put(n.client(0, 0), "slow", "value") })
		n.World.Isolate(hostName(0))
		time.Sleep(3 * time.Second)
		n.World.Rejoin(hostName(0))
		time.Sleep(time.Second)
		gate.Store(nil)
		close(g)
		time.Sleep(5 * time.Second)
		select {
		case <-n.Node(0).Done():
			t.Errorf("the node stopped: %v", n.Node(0).Err())
		default:
		}
		wait.Wait()
	})
}

func TestLongExecutionOverTwoChangesOfLeader(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		var gate atomic.Pointer[chan struct{}]
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(0) {
				c.Adapters = []adapter.Adapter{slow{kv.Adapter{}, &gate}}
			}
		}
		n.open()
		time.Sleep(time.Second)
		g := make(chan struct{})
		gate.Store(&g)
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = put(n.client(0, 0), "slow", "value") })
		first := n.status(0)
		pairs := [][2]int{{0, 1}, {0, 2}, {1, 2}}
		for range 20 {
			for _, p := range pairs {
				n.World.Partition(hostName(p[0]), hostName(p[1]))
			}
			time.Sleep(3 * time.Second)
			for _, p := range pairs {
				n.World.Heal(hostName(p[0]), hostName(p[1]))
			}
			time.Sleep(4 * time.Second)
			if s := n.status(0); s.Role == "leader" && s.View > first.View {
				break
			}
		}
		if s := n.status(0); s.Role != "leader" || s.View == first.View {
			t.Fatalf("not the leader again: %+v", s)
		}
		gate.Store(nil)
		close(g)
		time.Sleep(10 * time.Second)
		wait.Wait()
		select {
		case <-n.Node(0).Done():
			t.Errorf("the node stopped: %v", n.Node(0).Err())
		default:
		}
	})
}

func TestLeaderWhoseDiskHangsMakesRoom(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.SetSyncDelay(hostName(0), 10*time.Minute)
		var err error
		for range 3 {
			if _, err = put(n.client(1, 1), "key", "value"); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("two of three nodes are well, a write fails: %v", err)
		}
	})
}

// stuckNet makes connections to one host whose writes wait, as to a process that is stopped.
type stuckNet struct {
	host.Net
	to    string
	stuck *atomic.Bool
	free  chan struct{}
}

func (s stuckNet) Dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := s.Net.Dial(ctx, address)
	if err == nil && address == s.to {
		c = &stuckConn{Conn: c, net: s, closed: make(chan struct{})}
	}
	return c, err
}

type stuckConn struct {
	net.Conn
	net    stuckNet
	once   sync.Once
	closed chan struct{}
}

func (c *stuckConn) Write(b []byte) (int, error) {
	if c.net.stuck.Load() {
		select {
		case <-c.net.free:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	return c.Conn.Write(b)
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestNodeStopsThoughAPeerDoesNotRead(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		var stuck atomic.Bool
		free := make(chan struct{})
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(0) {
				c.Host.Net = stuckNet{c.Host.Net, hostName(2) + peerPort, &stuck, free}
			}
		}
		n.open()
		stuck.Store(true)
		time.Sleep(5 * time.Second)
		r := n.Node(0)
		r.Stop()
		select {
		case <-r.Done():
		case <-time.After(5 * time.Minute):
			t.Error("the node does not stop")
		}
		close(free)
		<-r.Done()
		n.Forget(0)
	})
}

func TestLeaderWithAFastClockDoesNotCloseTheNetworkForEver(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.SetClock(hostName(0), 11*365*24*time.Hour)
		for range 3 {
			if _, err := put(n.client(1, 1), "key", "value"); err != nil {
				t.Log(err)
			}
		}
		n.World.SetClock(hostName(0), 0)
		n.Crash(2)
		n.World.Restart(hostName(2))
		var log syncBuffer
		n.Alter = func(c *node.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }
		if !n.readyWithin(n.Start(2, n.Join(0, 1)), time.Minute) {
			t.Log(log.String())
		}
	})
}

func TestRefusalIsTheSameOnEveryNode(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var codes []int
		for i := range 2 {
			req, _ := http.NewRequest(http.MethodPut, "https://node/app/kv/key", bytes.NewReader([]byte("x")))
			req.Header.Set("If-None-Match", "*")
			resp, err := n.client(i, i).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			codes = append(codes, resp.StatusCode)
		}
		if codes[0] != codes[1] {
			t.Errorf("leader and follower answer %v", codes)
		}
	})
}

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
// from making changes: node/loop.go gives no permit to execute until the change is proposed.
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

// TestChaos plays a random schedule of faults and looks at what is left.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; internal/sim plays more of it")
	}
	for seed := uint64(1); seed <= 1; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, seed, 3)
				defer n.close()
				r := rand.New(rand.NewPCG(seed, 7))
				n.open()
				l := n.load(6)
				ms := func(most int) { time.Sleep(time.Duration(r.IntN(most)) * time.Millisecond) }
				for range 5 {
					a := r.IntN(3)
					b := (a + 1 + r.IntN(2)) % 3
					switch r.IntN(5) {
					case 0:
						n.World.Partition(hostName(a), hostName(b))
						ms(6000)
						n.World.Heal(hostName(a), hostName(b))
					case 1:
						n.World.Isolate(hostName(a))
						ms(6000)
						n.World.Rejoin(hostName(a))
					case 2:
						n.World.SetLinkBetween(hostName(a), hostName(b), sim.Link{Delay: time.Duration(r.IntN(400)) * time.Millisecond, Jitter: 100 * time.Millisecond, Loss: 0.05})
						ms(5000)
						n.World.SetLinkBetween(hostName(a), hostName(b), sim.DefaultLink)
					default:
						time.Sleep(4 * time.Second)
						n.Crash(a)
						ms(4000)
						n.World.Restart(hostName(a))
						run := n.Start(a, n.Join((a+1)%3, (a+2)%3))
						ms(3)
						n.World.Partition(hostName(a), hostName(b))
						ms(3000)
						n.World.Heal(hostName(a), hostName(b))
						if !n.readyWithin(run, 2*time.Minute) {
							l.end()
							return
						}
						time.Sleep(2 * time.Second)
					}
					ms(1000)
				}
				before := l.count()
				time.Sleep(10 * time.Second)
				acked := l.end()
				if len(acked) == before {
					t.Error("no writes after all faults ended")
				}
				time.Sleep(5 * time.Second)
				n.check(acked, 0, 1, 2)
				n.sameState(0, 1, 2)
			})
		})
	}
}

// lastMembers returns the last change of members in a node's ledger and says whether it begins a
// joint change.
func (n *network) lastMembers(i int) (index uint64, joint bool) {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(i)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	for at := log.Last(); at > 0; at-- {
		entries, err := log.Read(at, at+1, 0)
		if err != nil {
			n.t.Fatal(err)
		}
		if entries[0].Kind != batch.KindMembers {
			continue
		}
		var cc pb.ConfChangeV2
		if err := proto.Unmarshal(entries[0].Data, &cc); err != nil {
			n.t.Fatal(err)
		}
		return at, cc.GetTransition() == pb.ConfChangeTransitionJointExplicit
	}
	return 0, false
}

func TestRecoveryFromALedgerThatEndsWithinAChangeOfMembers(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.waitReady(n.Start(0, n.Found))
		n.waitReady(n.Start(1, n.Join(0)))
		time.Sleep(time.Second)
		for i := range 3 {
			n.World.SetSyncDelay(hostName(i), 50*time.Millisecond)
		}
		before, _ := n.lastMembers(0)
		n.Start(2, n.Join(0))
		for range 1000 {
			if at, joint := n.lastMembers(0); joint && at > before {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(60 * time.Millisecond)
		for i := range 3 {
			n.Crash(i)
		}
		for i := range 3 {
			n.World.SetSyncDelay(hostName(i), 0)
			n.World.Restart(hostName(i))
		}
		if _, joint := n.lastMembers(0); !joint {
			t.Fatal("the change of members ended in time")
		}
		n.waitReady(n.Start(0, n.Recover))
		n.readyWithin(n.Start(1, n.Join(0)), time.Minute)
		n.readyWithin(n.Start(2, n.Join(0)), time.Minute)
	})
}

func TestLargestCallThatAConstitutionAllowsIsReplicated(t *testing.T) {
	long(t)
	simulate(t, 3, func(t *testing.T, n *network) {
		c := n.Constitution
		c.Limits.BodyBytes, c.Limits.BatchBytes = 16<<20, 16<<20
		c.Adapters["kv"] = map[string]any{"max_value_bytes": 15 << 20}
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		n.open()
		time.Sleep(time.Second)
		var wait sync.WaitGroup
		for i := range 3 { // in one batch, as far as it goes
			wait.Go(func() {
				if _, err := put(n.client(i, i), fmt.Sprint("big", i), strings.Repeat("x", 15<<20)); err != nil {
					t.Errorf("the large write: %v", err)
				}
			})
		}
		wait.Wait()
		if _, err := put(n.client(1, 1), "small", "x"); err != nil {
			t.Errorf("a small write after it: %v", err)
		}
	})
}

// A chain of restarts of every node in turn, the leader too, without a pause.
func TestRestartsInAnyOrderOneAfterTheOther(t *testing.T) {
	long(t)
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(2 * time.Second)
		l := n.load(3)
		for _, i := range []int{2, 2, 2, 0, 1, 0, 0, 2} {
			n.Crash(i)
			n.World.Restart(hostName(i))
			if !n.readyWithin(n.Start(i, n.Join(0, 1, 2)), 2*time.Minute) {
				l.end()
				return
			}
			time.Sleep(2 * time.Second)
		}
		acked := l.end()
		time.Sleep(2 * time.Second)
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
	})
}

func TestLeaderWhoseClockIsBefore1970(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.SetClock(hostName(0), -60*365*24*time.Hour)
		_, err := put(n.client(1, 1), "key", "value")
		t.Log(err)
		n.World.SetClock(hostName(0), 0)
		if _, err := put(n.client(1, 1), "key", "value"); err != nil {
			t.Errorf("after the clock was set right: %v", err)
		}
		n.Crash(2)
		n.World.Restart(hostName(2))
		n.readyWithin(n.Start(2, n.Join(0, 1)), time.Minute)
	})
}
