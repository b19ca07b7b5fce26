package node_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/store"
)

// foreign is kv beside a process that never answers: a call that mentions "hang" waits for it until the
// context of Execute ends.
type foreign struct{ adapter.Adapter }

func (f foreign) Open(e adapter.Env) (adapter.Ledger, error) {
	l, err := f.Adapter.Open(e)
	return foreignLedger{l}, err
}

type foreignLedger struct{ adapter.Ledger }

func (l foreignLedger) Execute(ctx context.Context, set *store.Part, calls adapter.Calls) (out []adapter.Outcome) {
	for c := calls.Next(); c != nil; c = calls.Next() {
		if !bytes.Contains(c.Payload, []byte("hang")) {
			out = append(out, l.Ledger.Execute(ctx, set, adapter.Queue(c))...)
			continue
		}
		<-ctx.Done()
		return append(out, adapter.Outcome{Call: c, Err: fmt.Errorf("%w: %w", coco.ErrNotCommitted, ctx.Err())})
	}
	return out
}

// withForeign makes the first node's ledger one that hangs.
func withForeign(n *network) {
	n.Alter = func(c *node.Config) {
		if c.Name == hostName(0) {
			c.Adapters = []adapter.Adapter{foreign{kv.Adapter{}}}
		}
	}
}

// hangs sends the first node a call that hangs, again and again until the end of the test.
func (n *network) hangs() (end func()) {
	c, done := n.client(0, 0), make(chan struct{})
	go func() {
		defer close(done)
		_, _ = put(c, "hang", "value")
	}()
	time.Sleep(100 * time.Millisecond)
	return func() { <-done }
}

func TestALeaderWhoseExecuteHangsServesTheOtherCalls(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		withForeign(n)
		n.open()
		time.Sleep(time.Second)
		end := n.hangs()
		start := time.Now()
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Errorf("a call beside one that hangs: %v", err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %v", d)
		}
		if s := n.status(0); s.Role != "leader" {
			t.Errorf("the node is a %s", s.Role)
		}
		end()
		n.check(map[string]string{"key": "value"}, 0, 1, 2)
	})
}

func TestANodeWhoseExecuteHangsAppliesWhatAnotherLeaderCommits(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		withForeign(n)
		n.open()
		time.Sleep(time.Second)
		end := n.hangs()
		n.World.Isolate(hostName(0))
		time.Sleep(3 * time.Second)
		if _, err := put(n.client(1, 1), "key", "value"); err != nil {
			t.Error(err)
		}
		n.World.Rejoin(hostName(0))
		time.Sleep(3 * time.Second)
		n.check(map[string]string{"key": "value"}, 0, 1, 2)
		end()
	})
}

func TestANodeWhoseExecuteHangsStops(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		withForeign(n)
		n.open()
		time.Sleep(time.Second)
		end := n.hangs()
		r := n.Node(0)
		r.Stop()
		select {
		case <-r.Done():
		case <-time.After(15 * time.Second):
			t.Error("it does not stop")
		}
		n.Forget(0)
		end()
	})
}
