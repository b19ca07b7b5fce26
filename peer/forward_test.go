package peer

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/trail"
	"github.com/cocoframework/coco/wire"
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

// What the node itself asks for goes before what organisations ask for. Another node's request is never that, whether or not it
// names who asks: nodes of the first release forward statements without their caller.
func TestWhatAnotherNodeAsksForIsAskedByAnOrganisation(t *testing.T) {
	self, other, owner, caller := coco.NodeID{1}, coco.NodeID{2}, coco.ActorID{3}, coco.ActorID{4}
	var got coco.ActorID
	f := NewForwarder(ForwarderConfig{
		Clock: local.Clock{}, Self: self, Leadership: func() Leadership { return Leadership{Leader: self, Self: true} },
		Send: func(coco.NodeID, Message) bool { return true },
		Owner: func(id coco.NodeID) coco.ActorID {
			if id != other {
				t.Errorf("asked for the owner of %v", id)
			}
			return owner
		},
		Request: func(_ coco.NodeID, rq Request, done func([]adapter.Result)) error {
			got = rq.By.Actor
			done([]adapter.Result{{}})
			return nil
		},
		Reached: func(uint64) <-chan struct{} { return nil },
	})
	for _, kind := range []RequestKind{Retire, Snapshot, Renew, Govern} {
		for named, want := range map[coco.ActorID]coco.ActorID{{}: owner, caller: caller} {
			got = coco.ActorID{}
			f.serve(other, &Forward{ID: 1, Ledger: requests, Calls: []Call{{Caller: coco.Caller{Actor: named}, Payload: []byte(kind)}}})
			if got != want {
				t.Errorf("%s by %v is asked by %v, expected %v", kind, named, got, want)
			}
		}
		if f.Ask(t.Context(), Request{Kind: kind}); got != (coco.ActorID{}) {
			t.Errorf("%s of the node itself is asked by %v", kind, got)
		}
	}
}

// Several writes of one request, as of a JSON-RPC batch, are told apart on the leader, and lead to the request.
func TestEachWriteOfARequestHasItsOwnName(t *testing.T) {
	var out bytes.Buffer
	self, leader := coco.NodeID{1}, coco.NodeID{2}
	var f *Forwarder
	var names []string
	f = NewForwarder(ForwarderConfig{
		Clock: local.Clock{}, Self: self, Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), Trail: trail.NewSource(self),
		Leadership: func() Leadership { return Leadership{Leader: leader} },
		Send: func(_ coco.NodeID, m Message) bool {
			fw := m.(*Forward)
			names = append(names, writeOf(self, fw.ID).String())
			result := Result{Kind: wire.Number(coco.ErrNotCommitted)} // so that it is sent again
			if len(names) > 1 {
				result = Result{View: 1, Seqno: 1}
			}
			f.replied(leader, &Reply{ID: fw.ID, Results: []Result{result}})
			return true
		},
		Reached: func(uint64) <-chan struct{} { c := make(chan struct{}); close(c); return c },
	})
	f.Bound(100, 1<<20)
	ctx := trail.With(t.Context(), f.cfg.Trail.Next())
	for range 2 {
		if r := f.Submit(ctx, "kv", []*adapter.Call{{}})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if want := []string{"01000000-1", "01000000-1", "01000000-2"}; !slices.Equal(names, want) {
		t.Errorf("the leader names what it receives %v, want %v", names, want)
	}
	if text := out.String(); !strings.Contains(text, "step=submitted request=01000000-2 of=01000000-1") || !strings.Contains(text, "attempt=2") {
		t.Error(text)
	}
}

func BenchmarkSubmit(b *testing.B) {
	self := coco.NodeID{1}
	f := NewForwarder(ForwarderConfig{
		Clock: local.Clock{}, Self: self, Leadership: func() Leadership { return Leadership{Leader: self, Self: true} },
		Submit: func(_ coco.NodeID, _ string, calls []*adapter.Call, done func([]adapter.Result)) error {
			done(make([]adapter.Result, len(calls)))
			return nil
		},
	})
	b.ReportAllocs()
	for b.Loop() {
		f.Submit(b.Context(), "kv", []*adapter.Call{{}})
	}
}
