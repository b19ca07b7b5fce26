package kv

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

func TestAReadIsAsNewAsItAsksFor(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/k", "old") // 2.2
	ask := func(want string, target string, header ...string) {
		t.Helper()
		if got := line(c.do("GET", target, "", header...)); got != want {
			t.Errorf("GET %s: %s, expected %s", target, got, want)
		}
	}
	var asked []adapter.Reading
	c.fresh = func(_ context.Context, rd adapter.Reading) (adapter.Age, error) {
		asked = append(asked, rd)
		return adapter.Age{Of: 1500 * time.Millisecond}, nil
	}
	for _, target := range []string{"/app/kv/k", "/app/kv", "/app/kv/k?history"} {
		asked = nil
		for _, header := range [][]string{
			nil,
			{"X-Coco-Consistency", "session"},
			{"X-Coco-Consistency", "linearizable"},
			{"X-Coco-Max-Age", "3"},
			{"X-Coco-Max-Age", "0", "X-Coco-Consistency", "linearizable"},
		} {
			if w := c.do("GET", target, "", header...); w.Code != 200 || w.Header().Get("X-Coco-Age") != "1.500" || w.Header().Get("X-Coco-Stale") != "" {
				t.Errorf("GET %s %q: %d, age %q, stale %q", target, header, w.Code, w.Header().Get("X-Coco-Age"), w.Header().Get("X-Coco-Stale"))
			}
		}
		if want := []adapter.Reading{{MaxAge: -1}, {MaxAge: -1}, {Latest: true, MaxAge: -1}, {MaxAge: 3 * time.Second}, {Latest: true}}; !slices.Equal(asked, want) {
			t.Errorf("GET %s asks for %+v, expected %+v", target, asked, want)
		}
	}
	asked = nil
	for _, header := range [][]string{
		{"X-Coco-Consistency", "strong"},
		{"X-Coco-Consistency", ""},
		{"X-Coco-Consistency", "linearizable", "X-Coco-Consistency", "linearizable"},
		{"X-Coco-Max-Age", "-1"},
		{"X-Coco-Max-Age", "1.5"},
		{"X-Coco-Max-Age", ""},
	} {
		ask("400 invalid", "/app/kv/k", header...)
		ask("400 invalid", "/app/kv", header...)
	}
	if len(asked) > 0 {
		t.Errorf("a request that is invalid waits for %+v", asked)
	}
	// This node has not heard of a write yet that another one commits before the read.
	c.fresh = func(ctx context.Context, rd adapter.Reading) (adapter.Age, error) {
		w, err := decodeWrite(encodeWrite([]operation{{kind: opPut, key: []byte("k"), value: []byte("new")}}), DefaultSettings)
		if err != nil {
			t.Fatal(err)
		}
		c.execute(ctx, &adapter.Call{Payload: encodeWrite(w.ops)})
		return adapter.Age{}, nil
	}
	ask(`200 "3" 2.3 new`, "/app/kv/k", "X-Coco-Consistency", "linearizable")
	c.fresh = func(context.Context, adapter.Reading) (adapter.Age, error) {
		return adapter.Age{}, fmt.Errorf("%w: no majority answers", coco.ErrBusy)
	}
	ask("503 busy", "/app/kv/k", "X-Coco-Consistency", "linearizable")
	c.fresh = func(context.Context, adapter.Reading) (adapter.Age, error) {
		return adapter.Age{Of: time.Minute, Stale: true}, &adapter.StaleError{Age: time.Minute, Most: time.Second}
	}
	ask("503 stale", "/app/kv/k")
	if w := c.do("GET", "/app/kv", ""); w.Code != 503 || w.Header().Get("X-Coco-Age") != "60.000" || w.Header().Get("X-Coco-Stale") != "true" {
		t.Errorf("%s: age %q, stale %q", line(w), w.Header().Get("X-Coco-Age"), w.Header().Get("X-Coco-Stale"))
	}
	if w := c.do("PUT", "/app/kv/k", "newer"); w.Code >= 300 {
		t.Errorf("a write is refused, because reads are: %s", line(w))
	}
}

// A batch is in the store a moment before the ledger is told of it. An answer in between must not give its
// transaction a view by guess.
func TestReadNamesTheViewThatCommittedWhatItShows(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/a", "1")
	set := c.store.Begin(testView+1, 2)
	tx := set.Begin()
	if err := tx.In(c.scope, func(tx *store.Tx) error {
		tx.Put(table, []byte("b"), append(make([]byte, versionSize), '2'))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	tx.Commit()
	first := set.First()
	if err := set.Install(); err != nil {
		t.Fatal(err)
	}
	c.store.Commit(first)
	id := func() string { return c.do("GET", "/app/kv/a", "").Header().Get(wire.HeaderTxID) }
	if got, want := id(), (coco.TxID{View: testView, Seqno: first - 1}).String(); got != want {
		t.Errorf("before the ledger hears of the batch a read is as of %s, expected %s", got, want)
	}
	c.Committed(adapter.Commit{View: testView + 1, First: first, Last: first, Time: 2})
	if got, want := id(), (coco.TxID{View: testView + 1, Seqno: first}).String(); got != want {
		t.Errorf("after it a read is as of %s, expected %s", got, want)
	}
}
