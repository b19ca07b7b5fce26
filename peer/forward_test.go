package peer

import (
	"context"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/host/local"
)

// A ledger that recognises a call can tell what this node has sent again from what a client has sent again.
func TestAResultSaysWhetherTheCallWasSentAgain(t *testing.T) {
	lost := adapter.Result{Err: fmt.Errorf("%w: the answer is lost", coco.ErrUnknown)}
	refused := adapter.Result{Err: fmt.Errorf("%w: rolled back", coco.ErrNotCommitted)}
	done := adapter.Result{Reply: []byte("done")}
	self := coco.NodeID{1}
	for _, c := range []struct {
		answers []adapter.Result
		again   bool
	}{
		{[]adapter.Result{done}, false},
		{[]adapter.Result{refused, refused, done}, false},
		{[]adapter.Result{lost, done}, true},
		{[]adapter.Result{lost, refused, done}, true},
	} {
		n := 0
		f := NewForwarder(ForwarderConfig{
			Clock: local.Clock{}, Self: self,
			Leadership: func() Leadership {
				changed := make(chan struct{})
				close(changed)
				return Leadership{Leader: self, Self: true, Change: changed}
			},
			Submit: func(_ coco.NodeID, _ string, _ []*adapter.Call, done func([]adapter.Result)) error {
				n++
				done(c.answers[n-1 : n])
				return nil
			},
		})
		got := f.Submit(context.Background(), "kv", []*adapter.Call{{Repeatable: true}})
		if len(got) != 1 || string(got[0].Reply) != "done" || got[0].Again != c.again {
			t.Errorf("%v: %+v, expected again %t", c.answers, got, c.again)
		}
	}
}
