package kv

import (
	"context"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

func TestALinearizableReadCommitsBeforeItReads(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/k", "old") // 2.2
	ask := func(want string, target string, header ...string) {
		t.Helper()
		if got := line(c.do("GET", target, "", header...)); got != want {
			t.Errorf("GET %s: %s, expected %s", target, got, want)
		}
	}
	ask(`200 "2" 2.2 old`, "/app/kv/k", "X-Coco-Consistency", "session")
	ask(`200 "2" 2.3 old`, "/app/kv/k", "X-Coco-Consistency", "linearizable")
	ask(`404 2.4 not_found`, "/app/kv/other", "X-Coco-Consistency", "linearizable")
	for _, h := range [][]string{{"strong"}, {""}, {"linearizable", "linearizable"}} {
		var header []string
		for _, v := range h {
			header = append(header, "X-Coco-Consistency", v)
		}
		ask("400 invalid", "/app/kv/k", header...)
		ask("400 invalid", "/app/kv", header...)
	}
	// This node has not heard of a write yet that another one commits before the read.
	c.submit = func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
		if len(calls) == 1 && string(calls[0].Payload) == "\x01\x00\x00\x00\x00" && calls[0].Repeatable {
			w, err := decodeWrite(encodeWrite([]operation{{kind: opPut, key: []byte("k"), value: []byte("new")}}), DefaultSettings)
			if err != nil {
				t.Fatal(err)
			}
			return append(c.execute(ctx, &adapter.Call{Payload: encodeWrite(w.ops)}), c.execute(ctx, calls...)...)[1:]
		}
		return c.execute(ctx, calls...)
	}
	ask(`200 "5" 2.6 new`, "/app/kv/k", "X-Coco-Consistency", "linearizable")
	if w := c.do("GET", "/app/kv", "", "X-Coco-Consistency", "linearizable"); w.Code != 200 || w.Header().Get("X-Coco-Transaction-Id") != "2.8" {
		t.Errorf("a range: %s", line(w))
	}
	c.submit = func(context.Context, ...*adapter.Call) []adapter.Result {
		return []adapter.Result{{Err: fmt.Errorf("%w: no leader", coco.ErrNotCommitted)}}
	}
	ask("503 not_committed", "/app/kv/k", "X-Coco-Consistency", "linearizable")
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
