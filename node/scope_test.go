package node_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/store"
)

// probing is kv with a table more, that shows its scope when it is opened.
type probing struct {
	kv.Adapter
	table string
	probe func(*store.Scope)
}

func (p probing) Manifest() adapter.Manifest {
	m := p.Adapter.Manifest()
	if p.table != "" {
		m.Tables = append(m.Tables, store.Table{Name: p.table})
	}
	return m
}

func (p probing) Open(e adapter.Env) (adapter.Ledger, error) {
	if p.probe != nil {
		p.probe(e.State)
	}
	return p.Adapter.Open(e)
}

func TestANodeRefusesAnAdapterWithATableOfAnotherOwner(t *testing.T) {
	for _, name := range []string{"coco.extra", "data"} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 1, func(t *testing.T, n *network) {
				n.Alter = func(c *node.Config) { c.Adapters = []adapter.Adapter{probing{table: name}} }
				r := n.Start(0, n.Found)
				select {
				case <-r.Done():
				case <-time.After(time.Minute):
					t.Fatal("the node runs")
				}
				if err := r.Err(); !errors.Is(err, coco.ErrInvalid) {
					t.Errorf("table %q: %v, expected coco.ErrInvalid", name, err)
				}
				n.Forget(0)
			})
		})
	}
}

func TestAnAdapterCannotReadTheServicesKey(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		var scope *store.Scope
		n.Alter = func(c *node.Config) {
			c.Adapters = []adapter.Adapter{probing{probe: func(s *store.Scope) { scope = s }}}
		}
		n.open()
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Fatal(err)
		}
		snap := scope.Snapshot()
		defer snap.Release()
		if _, ok := snap.Get("kv.data", []byte("key")); !ok {
			t.Error("the adapter's own row is not there")
		}
		defer func() {
			if recover() == nil {
				t.Error("the adapter reads the core's secrets")
			}
		}()
		_, _ = table.ServiceKey(snap)
	})
}
