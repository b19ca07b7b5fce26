package node_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/store"
)

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

func (l slowLedger) Execute(ctx context.Context, set *store.Part, calls adapter.Calls) []adapter.Outcome {
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
