package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/node"
)

// leader returns the member whose node leads.
func (n *network) leader() int {
	n.t.Helper()
	for range 1000 {
		for i := range n.Members {
			if n.Node(i) != nil && n.status(i).Role == "leader" {
				return i
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.t.Fatal("nobody leads")
	panic("unreachable")
}

// follows returns the leader that a node knows.
func (n *network) follows(i int) string {
	n.t.Helper()
	text, err := get(n.client(i, i), "/node/status")
	if err != nil {
		n.t.Fatal(err)
	}
	var s struct{ Leader string }
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		n.t.Fatal(err)
	}
	return s.Leader
}

// retire asks a node to retire, as its owner.
func (n *network) retire(i int) (status int, answer string) {
	n.t.Helper()
	resp, err := n.officer(n.Members[i], i).Post("https://node/node/retire", "", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (n *network) voters(i int) string {
	n.t.Helper()
	page, err := get(n.client(i, i), "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.SplitSeq(page, "\n") {
		if v, ok := strings.CutPrefix(line, "coco_voters "); ok {
			return v
		}
	}
	n.t.Fatal("no coco_voters")
	panic("unreachable")
}

// TestLeaderThatStopsLeavesALeader: nobody waits for an election, which would take a second at least.
func TestLeaderThatStopsLeavesALeader(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(5 * time.Second) // members of consensus settle
		for round := range 3 {
			old := n.leader()
			other := (old + 1) % 3
			before := n.follows(other)
			began := time.Now()
			_ = n.Halt(old)
			if after := n.follows(other); after == before || after == "" {
				t.Errorf("round %d: the leader was %s, and after it left %q", round, before, after)
			}
			if _, err := put(n.client(other, other), fmt.Sprintf("key%d", round), "value"); err != nil {
				t.Errorf("round %d: right after the leader left: %v", round, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("round %d: a write was committed %v after the leader was told to leave, expected less than an election", round, took)
			}
			n.waitReady(n.Start(old, n.Join(other)))
			time.Sleep(5 * time.Second)
		}
	})
}

func TestStoppingNodeFinishesWhatIsUnderWay(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(5 * time.Second)
		for range 3 {
			old := n.leader()
			answers := make(chan error, 50)
			for k := range cap(answers) {
				c := n.client(old, old)
				go func() {
					_, err := put(c, fmt.Sprintf("under-way-%d", k), "value")
					answers <- err
				}()
			}
			time.Sleep(3 * time.Millisecond)
			n.Node(old).Stop()
			for range cap(answers) {
				// A client that came too late is told to go elsewhere, and never left in doubt.
				if err := <-answers; err != nil && !strings.HasPrefix(err.Error(), "503") && !strings.Contains(err.Error(), "refused") {
					t.Errorf("a call that was under way: %v", err)
				}
			}
			_ = n.Halt(old)
			n.waitReady(n.Start(old, n.Join((old+1)%3)))
			time.Sleep(5 * time.Second)
		}
	})
}

func TestRetiredNodeEndsAndTheNetworkGoesOn(t *testing.T) {
	long(t)
	for _, who := range []string{"follower", "leader"} {
		t.Run(who, func(t *testing.T) {
			simulate(t, 4, func(t *testing.T, n *network) {
				n.governs()
				n.open()
				time.Sleep(5 * time.Second)
				lead := n.leader()
				gone := lead
				if who == "follower" {
					gone = (lead + 1) % 4
				}
				work := n.load(4)
				time.Sleep(time.Second)
				if status, answer := n.retire(gone); status != http.StatusOK {
					t.Fatalf("retire: %d %s", status, answer)
				}
				r := n.Node(gone)
				select {
				case <-r.Done():
				case <-time.After(20 * time.Second):
					t.Fatal("the retired node does not end")
				}
				if r.Err() != nil {
					t.Errorf("the retired node ended with %v", r.Err())
				}
				n.Forget(gone)
				left := (gone + 1) % 4
				time.Sleep(5 * time.Second)
				if v := n.voters(left); v != "3" {
					t.Errorf("%s voters are left, expected 3", v)
				}
				if _, err := put(n.client(left, left), "after", "value"); err != nil {
					t.Error(err)
				}
				n.check(work.end(), left)
			})
		})
	}
}

func TestNodeThatIsNeededDoesNotRetire(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.waitReady(n.Start(0, n.Found))
		if status, answer := n.retire(0); status != http.StatusBadRequest || !strings.Contains(answer, "only node") {
			t.Errorf("the only node: %d %s", status, answer)
		}
		for i := 1; i < 3; i++ {
			n.waitReady(n.Start(i, n.Join(0)))
		}
		time.Sleep(5 * time.Second)
		lead := n.leader()
		down, asked := (lead+1)%3, (lead+2)%3
		n.Crash(down)
		time.Sleep(5 * time.Second)
		for _, i := range []int{lead, asked} {
			if status, answer := n.retire(i); status != http.StatusServiceUnavailable || !strings.Contains(answer, "heard of lately") {
				t.Errorf("one of two that are left of three: %d %s", status, answer)
			}
		}
		if _, err := put(n.client(lead, lead), "after", "value"); err != nil {
			t.Errorf("after a refused retirement: %v", err)
		}
		n.World.Restart(hostName(down))
		n.waitReady(n.Start(down, n.Join(lead)))
	})
}

// TestLostMachineIsReplaced starts a node with an empty disk under the owner and the address of one that
// is gone for good.
func TestLostMachineIsReplaced(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(5 * time.Second)
		work := n.load(3)
		time.Sleep(time.Second)
		n.Crash(2)
		n.World.SetFiles(hostName(2), nil)
		n.World.Restart(hostName(2))
		n.waitReady(n.Start(2, n.Join(0, 1)))
		time.Sleep(10 * time.Second)
		acked := work.end()
		time.Sleep(time.Second)
		n.check(acked, 0, 1, 2)
		if v := n.voters(0); v != "3" {
			t.Errorf("%s voters, expected 3", v)
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
