package kv

import (
	"errors"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

func section(t *testing.T, from, to string) []byte {
	t.Helper()
	complete, err := Adapter{}.CompleteSettings([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(complete), from, to, 1)
	if err := adapter.CheckChange(Adapter{}, 2, complete, []byte(changed), 0); err != nil {
		t.Fatal(err)
	}
	return []byte(changed)
}

// A write that a node has admitted by other settings is judged by those in force when it is executed.
func TestAWriteIsExecutedByTheSettingsInForce(t *testing.T) {
	c := newCore(t, "")
	long, many := strings.Repeat("k", 20), []operation{{kind: opPut, key: []byte("a")}, {kind: opPut, key: []byte("b")}}
	for name, tc := range map[string]struct {
		from, to string
		ops      []operation
		kind     error
	}{
		"a long key":      {`"max_key_bytes":1024`, `"max_key_bytes":10`, []operation{{kind: opPut, key: []byte(long)}}, coco.ErrInvalid},
		"a large value":   {`"max_value_bytes":1048576`, `"max_value_bytes":10`, []operation{{kind: opPut, key: []byte("k"), value: []byte(long)}}, coco.ErrInvalid},
		"many operations": {`"max_batch_ops":1000`, `"max_batch_ops":1`, many, coco.ErrInvalid},
	} {
		if err := c.ledger.Configure(c.env.Settings); err != nil {
			t.Fatal(err)
		}
		payload := encodeWrite(tc.ops)
		w, err := c.ledger.Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.ledger.Configure(section(t, tc.from, tc.to)); err != nil {
			t.Fatal(err)
		}
		part := c.store.Begin(testView, 1).Part(c.scope)
		out := c.ledger.Execute(t.Context(), part, adapter.Queue(&adapter.Call{Caller: alpha, Payload: payload, Decoded: w}))
		part.End()
		if len(out) != 1 || !errors.Is(out[0].Err, tc.kind) {
			t.Errorf("%s: %+v, expected %v", name, out, tc.kind)
		}
	}
}

// What was put before a limit was lowered can be read, listed and deleted.
func TestWhatALoweredLimitExcludesCanBeReadAndDeleted(t *testing.T) {
	c := newCore(t, "")
	key := "/app/kv/" + strings.Repeat("k", 20)
	c.do("PUT", key, strings.Repeat("v", 20))
	if err := c.ledger.Configure(section(t, `"max_key_bytes":1024`, `"max_key_bytes":10`)); err != nil {
		t.Fatal(err)
	}
	if got := line(c.do("PUT", key, "v")); !strings.HasPrefix(got, "400") {
		t.Errorf("PUT: %s", got)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if got := line(c.do(method, key, "")); !strings.HasPrefix(got, "20") {
			t.Errorf("%s: %s", method, got)
		}
	}
}

// What is stored by a format stays, so no vote goes back to an earlier one; and a ledger of before it may get it.
func TestAVoteRaisesTheFormatAndDoesNotLowerIt(t *testing.T) {
	const older, newer = `{"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`, `{"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`
	if err := adapter.CheckChange(Adapter{}, 2, []byte(older), []byte(newer), 0); err != nil {
		t.Error(err)
	}
	first := []byte(strings.Replace(newer, "2", "1", 1))
	if err := adapter.CheckChange(Adapter{}, 2, []byte(newer), first, 0); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "may raise format") {
		t.Errorf("error %v", err)
	}
	if err := adapter.CheckChange(Adapter{}, 1, []byte(older), []byte(newer), 0); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("by rules 1, which have nodes that do not know it: %v", err)
	}
}
