package kv

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"

	"github.com/cocoframework/coco/wire"
)

func TestAPastValueIsReadAsOfASeqno(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/key", "one")  // 2.2
	c.do("PUT", "/app/kv/else", "x")   // 2.3
	c.do("PUT", "/app/kv/key", "two")  // 2.4
	c.do("DELETE", "/app/kv/key", "")  // 2.5
	c.do("PUT", "/app/kv/key", "four") // 2.6
	for _, tc := range []struct {
		target, want string
		header       []string
	}{
		{"/app/kv/key?at=1", "404 not_found", nil},
		{"/app/kv/key?at=2", `200 "2" 2.2 one`, nil},
		{"/app/kv/key?at=3", `200 "2" 2.2 one`, nil},
		{"/app/kv/key?at=4", `200 "4" 2.4 two`, nil},
		{"/app/kv/key?at=5", "404 not_found", nil},
		{"/app/kv/key?at=6", `200 "6" 2.6 four`, nil},
		{"/app/kv/key?at=4", `304 "4" 2.4`, []string{"If-None-Match", `"4"`}},
		{"/app/kv/key?at=4", `412 "4" 2.4 precondition_failed`, []string{"If-Match", `"6"`}},
		{"/app/kv/key?at=7", "400 invalid", nil},
		{"/app/kv/key?at=0", "400 invalid", nil},
		{"/app/kv/key?at=-1", "400 invalid", nil},
		{"/app/kv/key?at=x", "400 invalid", nil},
		{"/app/kv/key?at=1&at=2", "400 invalid", nil},
		{"/app/kv/key?at=1&history", "400 invalid", nil},
		{"/app/kv/key?at=1&limit=3", "400 invalid", nil},
		{"/app/kv/key?limit=3", "400 invalid", nil},
		{"/app/kv/key?when=3", "400 invalid", nil},
		{"/app/kv/key?history&limit=101", "400 invalid", nil},
		{"/app/kv/key?history&limit=0", "400 invalid", nil},
		{"/app/kv/key?history&before=8", "400 invalid", nil},
		{"/app/kv/key?history=yes", "400 invalid", nil},
		{"/app/kv/never?at=6", "404 not_found", nil},
	} {
		for _, past := range []func(*core){withPast, withoutPast} {
			past(c)
			if got := line(c.do("GET", tc.target, "", tc.header...)); got != tc.want {
				t.Errorf("%s: %s, expected %s", tc.target, got, tc.want)
			}
		}
	}
}

func TestAHistoryNeedsTheLedger(t *testing.T) {
	c := newCore(t, "")
	if got := line(c.do("GET", "/app/kv/never?history", "")); got != "404 not_found" {
		t.Error(got)
	}
	withoutPast(c)
	if got := line(c.do("GET", "/app/kv/never?history", "")); got != "503 missing" {
		t.Error(got)
	}
}

func withPast(c *core)    { c.env.Past = c.readPast }
func withoutPast(c *core) { c.env.Past = nil }

func TestAHistoryIsPagedNewestFirst(t *testing.T) {
	c := newCore(t, "")
	for i := range 5 {
		c.do("PUT", "/app/kv/a%20b", fmt.Sprint(i)) // 2.2 to 2.6
	}
	c.do("DELETE", "/app/kv/a%20b", "") // 2.7
	var got []string
	next := "/app/kv/a%20b?history&limit=2"
	for next != "" {
		w := c.do("GET", next, "")
		var page wire.RowVersions
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK || len(page.Items) > 2 {
			t.Fatalf("%s: %d %s (%v)", next, w.Code, w.Body, err)
		}
		for _, v := range page.Items {
			content := "deleted"
			if !v.Deleted {
				content = string(*v.Value)
			}
			got = append(got, fmt.Sprintf("%v %s %s", v.ID, v.Time[len(v.Time)-5:], content))
		}
		next = page.Next
	}
	want := "2.7 .007Z deleted, 2.6 .006Z 4, 2.5 .005Z 3, 2.4 .004Z 2, 2.3 .003Z 1, 2.2 .002Z 0"
	if text := strings.Join(got, ", "); text != want {
		t.Fatalf("found    %s\nexpected %s", text, want)
	}
	if got := line(c.do("GET", "/app/kv/a%20b?history&before=2", "")); got != `200 2.7 {"transaction_id":"2.7","items":[]}` {
		t.Errorf("before everything: %s", got)
	}
	w := c.do("GET", "/app/kv/a%20b?history&limit=1&before=4", "")
	if want := `{"transaction_id":"2.7","items":[{"transaction_id":"2.3","time":"2023-11-14T22:13:20.003Z","value":"` +
		base64.StdEncoding.EncodeToString([]byte("1")) + `"}],"next":"/app/kv/a%20b?history\u0026limit=1\u0026before=3"}` + "\n"; w.Body.String() != want {
		t.Errorf("found    %s\nexpected %s", w.Body, want)
	}
}

func TestWhatTheLedgerCannotAnswerYetSaysSo(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/key", "one")
	for range store.Retain + 1 {
		c.do("PUT", "/app/kv/key", "more")
	}
	for _, tc := range []struct {
		fail       error
		want, wait string
	}{
		{coco.ErrPending, "202 pending", "1"},
		{coco.ErrMissing, "503 missing", ""},
		{coco.ErrCorrupt, "500 internal", ""},
	} {
		c.pastFail = fmt.Errorf("%w: chunk 7", tc.fail)
		for _, target := range []string{"/app/kv/key?at=2", "/app/kv/key?history"} {
			c.clock.hurry.Store(true)
			w := c.do("GET", target, "")
			c.clock.hurry.Store(false)
			if got := line(w); got != tc.want || w.Header().Get("Retry-After") != tc.wait {
				t.Errorf("%s while the ledger answers %v: %s, Retry-After %q", target, tc.fail, got, w.Header().Get("Retry-After"))
			}
		}
		// What memory holds it does not ask the ledger for.
		if got := line(c.do("GET", "/app/kv/key?at=200", "")); got != `200 "200" 2.200 more` {
			t.Errorf("in memory: %s", got)
		}
	}
	c.pastFail = nil
	if got := line(c.do("GET", "/app/kv/key?at=2", "")); got != `200 "2" 2.2 one` {
		t.Errorf("from the ledger: %s", got)
	}
}

func TestAPageEndsWhereTheLedgerCannotBeRead(t *testing.T) {
	c := newCore(t, "")
	for range 3 {
		c.do("PUT", "/app/kv/key", "x")
	}
	reads := 0
	c.env.Past = func(ctx context.Context, table string, key []byte, at uint64) (adapter.PastValue, error) {
		if reads++; reads > 2 {
			return adapter.PastValue{}, coco.ErrMissing
		}
		return c.readPast(ctx, table, key, at)
	}
	var page wire.RowVersions
	if err := json.Unmarshal(c.do("GET", "/app/kv/key?history", "").Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 2 || page.Next == "" {
		t.Fatalf("%+v", page)
	}
	if got := line(c.do("GET", page.Next, "")); got != "503 missing" {
		t.Fatal(got)
	}
}

func TestALedgerThatAnswersByAnotherTimeIsNotBelieved(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/key", "x")
	c.do("DELETE", "/app/kv/key", "")
	c.do("PUT", "/app/kv/other", "x")
	for _, p := range []adapter.PastValue{
		{Deleted: true, TxID: coco.TxID{View: 2}},
		{Deleted: true, TxID: coco.TxID{View: 2, Seqno: 9}},
		{Value: []byte("short"), TxID: coco.TxID{View: 2, Seqno: 2}},
		{Value: []byte("\x00\x00\x00\x00\x00\x00\x00\x01x"), TxID: coco.TxID{View: 2, Seqno: 2}},
	} {
		c.env.Past = func(context.Context, string, []byte, uint64) (adapter.PastValue, error) { return p, nil }
		if got := line(c.do("GET", "/app/kv/key?history", "")); got != "500 internal" {
			t.Errorf("%+v: %s", p, got)
		}
	}
}

// TestPastReadsDoWhatAListOfVersionsDoes sends random batches and reads every key as of every seqno,
// with the ledger's help and from memory alone.
func TestPastReadsDoWhatAListOfVersionsDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCore(t, "")
		keys := []string{"a", "b"}
		states := []map[string]string{nil, {}} // by seqno, the genesis' among them: key -> answer to a read
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			var calls []*adapter.Call
			for range rapid.IntRange(1, 4).Draw(t, "writes") {
				op := operation{kind: rapid.SampledFrom([]byte{opPut, opDelete}).Draw(t, "kind"), key: []byte(rapid.SampledFrom(keys).Draw(t, "key"))}
				if op.kind == opPut {
					op.value = rapid.SliceOfN(rapid.ByteRange('a', 'z'), 1, 3).Draw(t, "value")
				}
				calls = append(calls, &adapter.Call{Caller: alpha, Payload: encodeWrite([]operation{op})})
				state := map[string]string{}
				for k, v := range states[len(states)-1] {
					state[k] = v
				}
				if delete(state, string(op.key)); op.kind == opPut {
					state[string(op.key)] = fmt.Sprintf(`200 "%d" 2.%d %s`, len(states), len(states), op.value)
				}
				states = append(states, state)
			}
			c.execute(t.Context(), calls...)
		}
		for seqno := 1; seqno < len(states); seqno++ {
			for _, key := range keys {
				want := states[seqno][key]
				if want == "" {
					want = "404 not_found"
				}
				target := fmt.Sprintf("/app/kv/%s?at=%d", key, seqno)
				withPast(c)
				if got := line(c.do("GET", target, "")); got != want {
					t.Fatalf("%s: %s, expected %s", target, got, want)
				}
				withoutPast(c)
				if got := line(c.do("GET", target, "")); got != want && got != "503 missing" {
					t.Fatalf("%s from memory: %s, expected %s", target, got, want)
				}
			}
		}
	})
}

// The view of a transaction from before this node began is only in the ledger.
func TestTheWriterOfAnOldValueIsFound(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/key", "one")
	c.do("PUT", "/app/kv/else", "x")
	c.commits = commits{}
	for fail, want := range map[error]string{nil: `200 "2" 2.2 one`, coco.ErrPending: `200 "2" one`} {
		c.pastFail = fail
		if got := line(c.do("GET", "/app/kv/key?at=2", "")); got != want {
			t.Errorf("while the ledger answers %v: %s, expected %s", fail, got, want)
		}
	}
}
