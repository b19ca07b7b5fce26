package kv

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"

	"github.com/cocoframework/coco/wire"
)

func pageOf(t T, w *httptest.ResponseRecorder) (p wire.Rows) {
	t.Helper()
	if w.Code != 200 {
		t.Fatal(fmt.Sprintf("%d %s", w.Code, w.Body))
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestListingsShowKeysAsText(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/greeting", "hello", "Content-Type", "text/plain")
	c.do("PUT", "/app/kv/gr%C3%BC%C3%9Fe", "")
	c.do("PUT", "/app/kv/%00%ff", "raw")
	c.do("PUT", "/app/kv/line%0Abreak", "")
	var got []string
	for _, i := range pageOf(t, c.do("GET", "/app/kv?keys", "")).Items {
		if i.Value != nil {
			t.Errorf("%q has a value, and keys were asked for", i.Key)
		}
		got = append(got, fmt.Sprintf("%q %q %s", i.Key, i.Text, i.Media))
	}
	want := []string{`"\x00\xff" "" `, `"greeting" "greeting" text/plain`, `"grüße" "grüße" `, `"line\nbreak" "" `}
	if !slices.Equal(got, want) {
		t.Errorf("found    %q\nexpected %q", got, want)
	}
	if v := pageOf(t, c.do("GET", "/app/kv?prefix=gre", "")).Items; len(v) != 1 || string(*v[0].Value) != "hello" {
		t.Errorf("%+v", v)
	}
}

func TestMalformedListingsAreRefused(t *testing.T) {
	c := newCore(t, "")
	for query, want := range map[string]string{
		"prefix=a&to=b": "400 invalid", "prefix=a&from=b": "400 invalid", "keys=yes": "400 invalid", "at=0": "400 invalid", "at=2": "400 invalid", "key=a": "400 invalid",
	} {
		if got := line(c.do("GET", "/app/kv?"+query, "")); got != want {
			t.Errorf("%s: %s, expected %s", query, got, want)
		}
	}
}

func TestAStateThatHasLeftMemoryIsNotListed(t *testing.T) {
	c := newCore(t, "")
	for range 300 {
		c.do("PUT", "/app/kv/k", "v")
	}
	if got := line(c.do("GET", "/app/kv?at=3", "")); got != "404 not_found" {
		t.Error(got)
	}
	if got := pageOf(t, c.do("GET", "/app/kv?at=290", "")).Items; len(got) != 1 || got[0].Version != 290 {
		t.Errorf("%+v", got)
	}
}

// Any range as of the end of any batch, read page by page, holds what a map held then. Within a batch it is refused.
func TestAnyListingOfThePastIsWhatAMapHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCore(t, "")
		states := []map[string]uint64{{}, {}} // versions, by seqno; genesis is seqno 1
		keys := rapid.SampledFrom([]string{"a", "aa", "ab", "b", "\xff", "\xff\xff"})
		ends := []int{1}
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			calls := make([]*adapter.Call, rapid.IntRange(1, 5).Draw(t, "calls"))
			for i := range calls {
				op := operation{kind: rapid.SampledFrom([]byte{opPut, opPut, opDelete}).Draw(t, "kind"), key: []byte(keys.Draw(t, "key"))}
				calls[i] = &adapter.Call{Caller: alpha, Payload: encodeWrite([]operation{op})}
				state := maps.Clone(states[len(states)-1])
				if op.kind == opPut {
					state[string(op.key)] = uint64(len(states))
				} else {
					delete(state, string(op.key))
				}
				states = append(states, state)
			}
			c.execute(t.Context(), calls...)
			ends = append(ends, len(states)-1)
		}
		q := url.Values{}
		from, to := "", ""
		if rapid.Bool().Draw(t, "by prefix") {
			prefix := keys.Draw(t, "prefix")
			q.Set("prefix", prefix)
			from, to = prefix, string(store.Behind([]byte(prefix)))
		} else {
			from, to = keys.Draw(t, "from"), rapid.SampledFrom([]string{"", "b", "ab", "\xff"}).Draw(t, "to")
			q.Set("from", from)
			q.Set("to", to)
		}
		at := rapid.IntRange(1, len(states)-1).Draw(t, "at")
		q.Set("at", fmt.Sprint(at))
		q.Set("limit", fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "limit")))
		if !slices.Contains(ends, at) {
			if got := line(c.do("GET", root+"?"+q.Encode(), "")); got != "400 invalid" {
				t.Fatalf("as of %d, with batches that end at %v: %s", at, ends, got)
			}
			return
		}
		got := map[string]uint64{}
		for next := root + "?" + q.Encode(); next != ""; {
			p := pageOf(t, c.do("GET", next, ""))
			for _, i := range p.Items {
				got[string(i.Key)] = i.Version
			}
			next = p.Next
		}
		want := maps.Clone(states[at])
		maps.DeleteFunc(want, func(key string, _ uint64) bool { return key < from || to != "" && key >= to })
		if !maps.Equal(got, want) {
			t.Fatalf("%s as of %d: found %v, expected %v", strings.ToValidUTF8(q.Encode(), "?"), at, got, want)
		}
	})
}
