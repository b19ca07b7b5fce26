package kv

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/precondition"

	"github.com/cocoframework/coco/wire"
)

// line is an answer in one line.
func line(w *httptest.ResponseRecorder) string {
	parts := []string{strconv.Itoa(w.Code)}
	for _, name := range []string{"ETag", "X-Coco-Transaction-Id"} {
		if v := w.Header().Get(name); v != "" {
			parts = append(parts, v)
		}
	}
	var p struct{ Error struct{ Code string } }
	if json.Unmarshal(w.Body.Bytes(), &p) == nil && p.Error.Code != "" {
		parts = append(parts, p.Error.Code)
	} else if w.Body.Len() > 0 {
		parts = append(parts, strings.TrimSpace(w.Body.String()))
	}
	return strings.Join(parts, " ")
}

func TestAStoryOfOneKey(t *testing.T) {
	c := newCore(t, "")
	for _, step := range []struct {
		method, body string
		header       []string
		want         string
	}{
		{"GET", "", nil, `404 2.1 not_found`},
		{"PUT", "one", nil, `201 "2" 2.2`},
		{"GET", "", nil, `200 "2" 2.2 one`},
		{"HEAD", "", nil, `200 "2" 2.2 one`}, // net/http leaves the body out
		{"PUT", "two", []string{"If-None-Match", "*"}, `412 "2" precondition_failed`},
		{"PUT", "two", []string{"If-Match", `"1"`}, `412 "2" precondition_failed`},
		{"PUT", "two", []string{"If-Match", `"2"`}, `204 "3" 2.3`},
		{"PUT", "", []string{"If-Match", "*"}, `204 "4" 2.4`},
		{"GET", "", nil, `200 "4" 2.4`},
		{"PUT", "three", []string{"If-None-Match", `"4"`}, `412 "4" precondition_failed`},
		{"PUT", "three", []string{"If-None-Match", `W/"3"`}, `204 "5" 2.5`},
		{"GET", "", []string{"If-None-Match", `"5"`}, `304 "5" 2.5`},
		{"GET", "", []string{"If-None-Match", `W/"5"`}, `304 "5" 2.5`},
		{"GET", "", []string{"If-None-Match", `*`}, `304 "5" 2.5`},
		{"GET", "", []string{"If-None-Match", `"4"`}, `200 "5" 2.5 three`},
		{"GET", "", []string{"If-Match", `"4"`}, `412 "5" 2.5 precondition_failed`},
		{"GET", "", []string{"If-Match", `"5"`}, `200 "5" 2.5 three`},
		{"DELETE", "", []string{"If-Match", `"4"`}, `412 "5" precondition_failed`},
		{"DELETE", "", []string{"If-Match", `"5"`}, `204 2.6`},
		{"GET", "", nil, `404 2.6 not_found`},
		{"DELETE", "", []string{"If-Match", "*"}, `412 precondition_failed`},
		{"DELETE", "", nil, `204 2.7`},
		{"PUT", "again", []string{"If-None-Match", "*"}, `201 "8" 2.8`},
		// RFC 9110, section 13.1: lists, in one field or several; tags that no value has; weak tags match nothing strongly.
		{"GET", "", []string{"If-None-Match", `"7", W/"8"`}, `304 "8" 2.8`},
		{"GET", "", []string{"If-None-Match", `"7"`, "If-None-Match", `"8"`}, `304 "8" 2.8`},
		{"GET", "", []string{"If-None-Match", `"7", "a,b"`}, `200 "8" 2.8 again`},
		{"GET", "", []string{"If-None-Match", `"other"`}, `200 "8" 2.8 again`},
		{"GET", "", []string{"If-Match", `"7", "8"`}, `200 "8" 2.8 again`},
		{"PUT", "more", []string{"If-Match", `W/"8"`}, `412 "8" precondition_failed`},
		{"PUT", "more", []string{"If-Match", `"other"`}, `412 "8" precondition_failed`},
		{"PUT", "more", []string{"If-Match", `"6", "7"`}, `412 "8" precondition_failed`},
		{"PUT", "more", []string{"If-None-Match", `"7", "8"`}, `412 "8" precondition_failed`},
		{"PUT", "more", []string{"If-Match", `"7",, "8"`}, `204 "9" 2.9`},
	} {
		if got := line(c.do(step.method, "/app/kv/key", step.body, step.header...)); got != step.want {
			t.Errorf("%s %q %q: %s, expected %s", step.method, step.body, step.header, got, step.want)
		}
	}
	// Refusals left nothing behind: transactions 2 to 9 are the eight writes.
	if len(c.claims) != 9 {
		t.Fatalf("%d transactions", len(c.claims))
	}
	want := hex.EncodeToString([]byte(claimsContext)) + "a1" + strings.Repeat("00", 31) + "00000001" +
		"01" + "00000003" + "6b6579" + "0000000000000002" + "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3" // SHA-256 of "two"
	if got := hex.EncodeToString(c.claims[2]); got != want {
		t.Errorf("claims of transaction 2.3\nfound    %s\nexpected %s", got, want)
	}
}

// RFC 9110, section 13.2.2: If-Match is evaluated first, and If-None-Match if that holds.
func TestBothConditionsMustHoldInTheirOrder(t *testing.T) {
	c := newCore(t, "")
	for _, step := range []struct{ method, match, none, want string }{
		{"PUT", "*", `"7"`, "412 precondition_failed"}, // there is no such key
		{"PUT", "*", "*", "412 precondition_failed"},
		{"PUT", `"2"`, `"3"`, "412 precondition_failed"},
		{"PUT", "", "*", `201 "2" 2.2`},
		{"PUT", "*", "*", `412 "2" precondition_failed`},
		{"PUT", `"2"`, "*", `412 "2" precondition_failed`},
		{"PUT", "*", `"2"`, `412 "2" precondition_failed`},
		{"PUT", "*", `"1", "2"`, `412 "2" precondition_failed`},
		{"PUT", "*", `"1", "3"`, `204 "3" 2.3`},
		{"PUT", `"3"`, `"none"`, `204 "4" 2.4`},
		{"PUT", `"3", "4"`, `"4"`, `412 "4" precondition_failed`},
		{"PUT", `"3", "4"`, `"3"`, `204 "5" 2.5`},
		{"PUT", `"4", "5", "6"`, `"4"`, `204 "6" 2.6`},
		{"PUT", "*", strings.Repeat(`"7", `, precondition.MaxTags-1) + `"5"`, `204 "7" 2.7`},
		{"GET", `"6"`, `"7"`, `412 "7" 2.7 precondition_failed`},
		{"GET", `"6"`, `"6"`, `412 "7" 2.7 precondition_failed`},
		{"GET", `"7"`, `"7"`, `304 "7" 2.7`},
		{"GET", "*", "*", `304 "7" 2.7`},
		{"GET", "*", `"6"`, `200 "7" 2.7 value`},
		{"DELETE", "*", `"6", "7"`, `412 "7" precondition_failed`},
		{"DELETE", "*", `"6"`, "204 2.8"},
	} {
		header := []string{"If-None-Match", step.none}
		if step.match != "" {
			header = append(header, "If-Match", step.match)
		}
		if got := line(c.do(step.method, "/app/kv/key", "value", header...)); got != step.want {
			t.Errorf("%s If-Match: %s, If-None-Match: %s: %s, expected %s", step.method, step.match, step.none, got, step.want)
		}
	}
	for _, step := range []struct{ conditions, want string }{
		{`"if_match":"*","if_none_match":"7"`, "412 precondition_failed"},
		{`"if_none_match":"*"`, `200 2.9 {"transaction_id":"2.9","etag":"9","results":[{}]}`},
		{`"if_match":"*","if_none_match":"9"`, "412 precondition_failed"},
		{`"if_match":"9","if_none_match":"8"`, `200 2.10 {"transaction_id":"2.10","etag":"10","results":[{"previous":"9"}]}`},
	} {
		if got := line(c.do("POST", "/app/kv", `[{"op":"put","key":"YQ==","value":"",`+step.conditions+`}]`)); got != step.want {
			t.Errorf("%s: %s, expected %s", step.conditions, got, step.want)
		}
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	c := newCore(t, `{"max_key_bytes":4,"max_value_bytes":4,"max_batch_ops":2}`)
	put := func(key string) string {
		return fmt.Sprintf(`{"op":"put","key":%q,"value":""}`, base64.StdEncoding.EncodeToString([]byte(key)))
	}
	for _, tc := range []struct {
		method, target, body string
		header               []string
		want                 string
	}{
		{"PUT", "/app/kv/", "", nil, "400 invalid"},
		{"PUT", "/app/kv/12345", "", nil, "400 invalid"},
		{"GET", "/app/kv/" + strings.Repeat("k", maxKeyBytes+1), "", nil, "400 invalid"},
		{"DELETE", "/app/kv/" + strings.Repeat("k", maxKeyBytes+1), "", nil, "400 invalid"},
		{"PUT", "/app/kv/k", "12345", nil, "413 too_large"},
		{"PUT", "/app/kv/k", "", []string{"If-Match", "*", "If-Match", "*"}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"If-Match", `"1", *`}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"If-Match", `"1" "2"`}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"If-Match", `w/"1"`}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"If-Match", `,`}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"If-None-Match", strings.Repeat(`"1", `, precondition.MaxTags+1)}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"Content-Type", "text"}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"Content-Type", "text/plain", "Content-Type", "text/html"}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"Content-Type", "text/" + strings.Repeat("x", maxMedia)}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"If-Match", "*", "If-None-Match", "x"}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"If-Match", `1`}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"If-Match", `"`}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"Content-Range", "bytes 0-1/2"}, "400 invalid"},
		{"PUT", "/app/kv/k", "", []string{"Content-Encoding", "gzip"}, "400 invalid"},
		{"DELETE", "/app/kv/k", "", []string{"If-Match", `x`}, "400 invalid"},
		{"GET", "/app/kv/k", "", []string{"If-Match", `x`}, "400 invalid"},
		{"GET", "/app/kv/k", "", []string{"X-Coco-At-Least", `17`}, "400 invalid"},
		{"GET", "/app/kv?limit=0", "", nil, "400 invalid"},
		{"GET", "/app/kv?limit=1001", "", nil, "400 invalid"},
		{"GET", "/app/kv?limit=x", "", nil, "400 invalid"},
		{"GET", "/app/kv?start=x", "", nil, "400 invalid"},
		{"GET", "/app/kv?from=%zz", "", nil, "400 invalid"},
		{"GET", "/app/kv?from=a&from=b", "", nil, "400 invalid"},
		{"GET", "/app/kv?to=" + strings.Repeat("k", maxKeyBytes+1), "", nil, "400 invalid"},
		{"GET", "/app/kv", "", []string{"X-Coco-At-Least", `x`}, "400 invalid"},
		{"POST", "/app/kv", "", nil, "400 invalid"},
		{"POST", "/app/kv", "[]", nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"put","key":"YQ==","KEY":"Yg==","value":""}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"put","Key":"YQ==","value":""}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"put","key":"YQ==","key":"Yg==","value":""}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"put","key":"YQ==","value":"","content_type":"text"}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"delete","key":"YQ==","content_type":"text/plain"}]`, nil, "400 invalid"},
		{"POST", "/app/kv", "{}", nil, "400 invalid"},
		{"POST", "/app/kv", "[" + put("a"), nil, "400 invalid"},
		{"POST", "/app/kv", "[" + put("a") + "]]", nil, "400 invalid"},
		{"POST", "/app/kv", "[" + put("a") + "] 1", nil, "400 invalid"},
		{"POST", "/app/kv", "[" + put("a") + "," + put("b") + "," + put("c") + "]", nil, "400 invalid"},
		{"POST", "/app/kv", "[" + put("") + "]", nil, "400 invalid"},
		{"POST", "/app/kv", "[" + put("12345") + "]", nil, "400 invalid"},
		{"POST", "/app/kv", "[null]", nil, "400 invalid"},
		{"POST", "/app/kv", "[1]", nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"put","key":"YQ=="}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"put","key":"YQ==","value":null}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"put","key":"YQ","value":""}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"put","key":"YQ==","value":"MTIzNDU="}]`, nil, "413 too_large"},
		{"POST", "/app/kv", `[{"op":"put","key":"YQ==","value":"","ttl":1}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"delete","key":"YQ==","value":""}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"delete","key":"YQ==","if_match":"*","if_none_match":"\"1\""}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"delete","key":"YQ==","if_match":"\"1\""}]`, nil, "400 invalid"},
		{"POST", "/app/kv", `[{"op":"get","key":"YQ=="}]`, nil, "400 invalid"},
	} {
		if got := line(c.do(tc.method, tc.target, tc.body, tc.header...)); got != tc.want {
			t.Errorf("%s %s %s %q: %s, expected %s", tc.method, tc.target, tc.body, tc.header, got, tc.want)
		}
	}
	if len(c.claims) != 1 {
		t.Errorf("a refused request left %d transactions", len(c.claims)-1)
	}
}

func TestABodyThatEndsEarlyOrIsSentInChunks(t *testing.T) {
	c := newCore(t, `{"max_value_bytes":4}`)
	send := func(r *http.Request) string {
		w := httptest.NewRecorder()
		c.mux.ServeHTTP(w, r)
		return line(w)
	}
	for body, want := range map[string]string{"": `201 "2" 2.2`, "1234": `204 "3" 2.3`, "12345": "413 too_large"} {
		c := newCore(t, `{"max_value_bytes":4}`)
		if body != "" {
			c.do("PUT", "/app/kv/k", "")
		}
		r := httptest.NewRequest("PUT", "/app/kv/k", iotest.OneByteReader(strings.NewReader(body)))
		r.ContentLength = -1
		w := httptest.NewRecorder()
		c.mux.ServeHTTP(w, r)
		if line(w) != want {
			t.Errorf("chunks of %q: %s", body, line(w))
		}
		if w.Code < 300 && c.do("GET", "/app/kv/k", "").Body.String() != body {
			t.Errorf("chunks of %q: another value was stored", body)
		}
	}
	r := httptest.NewRequest("PUT", "/app/kv/k", strings.NewReader("12"))
	r.ContentLength = 4
	if got := send(r); got != "400 invalid" {
		t.Errorf("a body of half its length: %s", got)
	}
	for _, length := range []int64{3, -1} {
		r = httptest.NewRequest("PUT", "/app/kv/k", iotest.ErrReader(&http.MaxBytesError{Limit: 1}))
		r.ContentLength = length
		if got := send(r); got != "413 too_large" {
			t.Errorf("a body above the gateway's limit: %s", got)
		}
	}
	r = httptest.NewRequest("PUT", "/app/kv/k", iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("12"))))
	r.ContentLength = 2
	if got := send(r); got != "400 invalid" { // iotest's error has no Timeout method
		t.Errorf("a body that breaks off: %s", got)
	}
	for _, target := range []string{"PUT /app/kv/k", "POST /app/kv"} {
		method, path, _ := strings.Cut(target, " ")
		r = httptest.NewRequest(method, path, iotest.ErrReader(os.ErrDeadlineExceeded))
		r.ContentLength = 2
		if got := send(r); got != "408 too_slow" {
			t.Errorf("%s with a slow body: %s", target, got)
		}
	}
	if got := send(httptest.NewRequest("POST", "/app/kv", iotest.ErrReader(&http.MaxBytesError{Limit: 1}))); got != "413 too_large" {
		t.Errorf("a batch above the gateway's limit: %s", got)
	}
}

func TestKeysAreAnyBytes(t *testing.T) {
	c := newCore(t, "")
	for target, key := range map[string]string{
		"/app/kv/%00%ff": "\x00\xff", "/app/kv/a%2Fb": "a/b", "/app/kv/a/c": "a/c", "/app/kv/%2E%2E": "..", "/app/kv/a%20+b": "a +b", "/app/kv/%2F%2F": "//",
	} {
		if w := c.do("PUT", target, key); w.Code != 201 {
			t.Errorf("PUT %s: %s", target, line(w))
		}
		if w := c.do("GET", target, ""); w.Body.String() != key {
			t.Errorf("GET %s: %s", target, line(w))
		}
	}
	var p wire.Rows
	if err := json.Unmarshal(c.do("GET", "/app/kv", "").Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, i := range p.Items {
		if string(i.Key) != string(*i.Value) {
			t.Errorf("%q holds %q", i.Key, *i.Value)
		}
		keys = append(keys, string(i.Key))
	}
	if want := []string{"\x00\xff", "..", "//", "a +b", "a/b", "a/c"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, expected %q", keys, want)
	}
}

func TestRangesGoOnWhereTheyStopped(t *testing.T) {
	c := newCore(t, "")
	var all []string
	for i := range 25 {
		key := fmt.Sprintf("k %02d\x00&", i)
		all = append(all, key)
		if w := c.do("POST", "/app/kv", fmt.Sprintf(`[{"op":"put","key":%q,"value":""}]`, base64.StdEncoding.EncodeToString([]byte(key)))); w.Code != 200 {
			t.Fatal(line(w))
		}
	}
	walk := func(next string) (keys []string, pages int) {
		for next != "" {
			w := c.do("GET", next, "")
			if w.Code != 200 || w.Header().Get("X-Coco-Transaction-Id") != "2.26" {
				t.Fatalf("GET %s: %s", next, line(w))
			}
			var p wire.Rows
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			for _, i := range p.Items {
				keys = append(keys, string(i.Key))
			}
			next = p.Next
			pages++
		}
		return keys, pages
	}
	for query, want := range map[string]struct {
		keys  []string
		pages int
	}{
		"?limit=7":                        {all, 4},
		"?limit=25":                       {all, 1},
		"":                                {all, 1},
		"?from=k%2005&to=k%2020&limit=10": {all[5:20], 2},
		"?from=k%2024":                    {all[24:], 1},
		"?to=k%2001&limit=1":              {all[:1], 1},
		"?from=z":                         {nil, 1},
		"?from=k%2010&to=k%2005":          {nil, 1},
	} {
		keys, pages := walk("/app/kv" + query)
		if !slices.Equal(keys, want.keys) || pages != want.pages {
			t.Errorf("%q: %q on %d pages, expected %q on %d", query, keys, pages, want.keys, want.pages)
		}
	}
	if got := c.do("GET", "/app/kv?from=z", "").Body.String(); got != `{"transaction_id":"2.26","items":[]}`+"\n" {
		t.Errorf("an empty range: %s", got)
	}
	if got := c.do("GET", "/app/kv?limit=1", "").Body.String(); got !=
		`{"transaction_id":"2.26","items":[{"key":"ayAwMAAm","value":"","etag":"2"}],"next":"/app/kv?from=k+01%00%26\u0026limit=1"}`+"\n" {
		t.Errorf("a page: %s", got)
	}
	big := strings.Repeat("x", 400_000)
	for i := range 4 {
		c.do("PUT", fmt.Sprintf("/app/kv/z%d", i), big)
	}
	var p wire.Rows
	if err := json.Unmarshal(c.do("GET", "/app/kv?from=z", "").Body.Bytes(), &p); err != nil || len(p.Items) != 3 || p.Next == "" {
		t.Errorf("a page of large values: %d items, next %q, %v", len(p.Items), p.Next, err)
	}
}

func TestABatchIsOneTransactionOrNone(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/a", "1")
	if got, want := line(c.do("POST", "/app/kv", `[
		{"op":"put","key":"YQ==","value":"Mg==","if_match":"2"},
		{"op":"put","key":"Yg==","value":"Mw==","if_none_match":"*"},
		{"op":"delete","key":"Yg==","if_match":"3"},
		{"op":"delete","key":"Yw=="}]`)),
		`200 2.3 {"transaction_id":"2.3","etag":"3","results":[{"previous":"2"},{},{"previous":"3"},{}]}`; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	w := c.do("POST", "/app/kv", `[{"op":"put","key":"ZA==","value":""},{"op":"delete","key":"YQ==","if_match":"2"}]`)
	if line(w) != "412 precondition_failed" || !strings.Contains(w.Body.String(), "operation 1: precondition failed: expected version 2, found version 3; nothing was written") {
		t.Errorf("%s", w.Body)
	}
	if got := c.do("GET", "/app/kv", "").Body.String(); got != `{"transaction_id":"2.3","items":[{"key":"YQ==","key_text":"a","value":"Mg==","etag":"3"}]}`+"\n" {
		t.Errorf("after the batches: %s", got)
	}
	if len(c.claims) != 3 {
		t.Errorf("%d transactions", len(c.claims))
	}
}

func TestARefusalNamesTheStateItWasJudgedBy(t *testing.T) {
	c := newCore(t, "")
	c.do("PUT", "/app/kv/a", "1")
	call := func(ops ...operation) *adapter.Call {
		w, err := decodeWrite(encodeWrite(ops), DefaultSettings)
		if err != nil {
			t.Fatal(err)
		}
		return &adapter.Call{Caller: alpha, Decoded: w}
	}
	missing := operation{kind: opDelete, condition: precondition.Condition{Kind: precondition.Present}, key: []byte("x")}
	set := c.store.Begin(5, 1) // a later view
	out := c.Execute(t.Context(), set.Part(c.scope), adapter.Queue(call(missing), call(operation{kind: opPut, key: []byte("y")}), call(missing)))
	if o := out[0]; o.Tx != nil || o.Err != nil || o.TxID != (coco.TxID{View: testView, Seqno: 2}) || !bytes.Equal(o.Reply, refusal(0, 0)) {
		t.Errorf("judged by what is committed: %+v", o)
	}
	if o := out[1]; o.Tx == nil || o.Err != nil {
		t.Errorf("a write: %+v", o)
	}
	if o := out[2]; o.Tx != nil || o.TxID != (coco.TxID{View: 5, Seqno: 3}) {
		t.Errorf("judged by the transaction before: %+v", o)
	}
	if o := c.Execute(t.Context(), set.Part(c.scope), adapter.Queue(&adapter.Call{Caller: alpha}))[0]; o.Err == nil {
		t.Errorf("a call that nobody decoded: %+v", o)
	}
	if set.Len() != 1 {
		t.Errorf("%d transactions", set.Len())
	}
	if c.Rollback(2) != nil {
		t.Error("a call was kept")
	}
}

func TestErrorsOfTheCoreBecomeAnswers(t *testing.T) {
	c := newCore(t, "")
	for _, tc := range []struct {
		result adapter.Result
		want   string
		retry  bool
	}{
		{adapter.Result{Err: coco.ErrBusy}, "503 busy", true},
		{adapter.Result{Err: coco.ErrNotCommitted}, "503 not_committed", true},
		{adapter.Result{Err: coco.ErrUnreachable}, "503 unreachable", true},
		{adapter.Result{Err: coco.ErrUnknown}, "504 outcome_unknown", false},
		{adapter.Result{Err: fmt.Errorf("%w: %w", coco.ErrBusy, coco.ErrUnknown)}, "504 outcome_unknown", false},
		{adapter.Result{Err: context.Canceled}, "504 outcome_unknown", false},
		{adapter.Result{Err: coco.ErrDenied}, "403 denied", false},
		{adapter.Result{Err: errors.New("swordfish")}, "500 internal", false},
		{adapter.Result{}, "500 internal", false},
		{adapter.Result{Reply: []byte{0, 1}}, "500 internal", false},
		{adapter.Result{Reply: refusal(1, 0)}, "500 internal", false},
	} {
		c.submit = func(context.Context, ...*adapter.Call) []adapter.Result { return []adapter.Result{tc.result} }
		for _, w := range []*httptest.ResponseRecorder{
			c.do("PUT", "/app/kv/k", ""), c.do("DELETE", "/app/kv/k", ""),
			c.do("POST", "/app/kv", `[{"op":"delete","key":"YQ=="}]`),
		} {
			if line(w) != tc.want || (w.Header().Get("Retry-After") != "") != tc.retry || strings.Contains(w.Body.String(), "swordfish") {
				t.Errorf("%+v: %s %v", tc.result, line(w), w.Header())
			}
		}
	}
}

func TestACallCarriesWhatTheLeaderNeeds(t *testing.T) {
	c := newCore(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.submit = func(got context.Context, calls ...*adapter.Call) []adapter.Result {
		call := calls[0]
		again, err := c.Decode(call.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(again) != fmt.Sprint(call.Decoded) || call.Caller != alpha || call.Done != ctx.Done() || got.Done() != ctx.Done() {
			t.Errorf("call %+v, its payload is %+v", call, again)
		}
		return []adapter.Result{{Err: coco.ErrBusy}}
	}
	for _, r := range []*http.Request{
		httptest.NewRequestWithContext(ctx, "PUT", "/app/kv/key", strings.NewReader("value")),
		httptest.NewRequestWithContext(ctx, "PUT", "/app/kv/key", struct{ *strings.Reader }{strings.NewReader("value")}),
		httptest.NewRequestWithContext(ctx, "DELETE", "/app/kv/key", nil),
		httptest.NewRequestWithContext(ctx, "POST", "/app/kv", strings.NewReader(`[{"op":"put","key":"YQ==","value":"YQ==","if_match":"9"},{"op":"delete","key":"YQ=="}]`)),
	} {
		if w := httptest.NewRecorder(); true {
			c.mux.ServeHTTP(w, r)
			if w.Code != 503 {
				t.Errorf("%s: %s", r.Method, line(w))
			}
		}
	}
}

func TestASessionNeverGoesBackInTime(t *testing.T) {
	c := newCore(t, "")
	if got := line(c.do("GET", "/app/kv/k", "", "X-Coco-At-Least", "2.1")); got != "404 2.1 not_found" {
		t.Errorf("a state that is there: %s", got)
	}
	answers := make(chan string, 2)
	for range 2 {
		go func() { answers <- line(c.do("GET", "/app/kv/k", "", "X-Coco-At-Least", "2.3")) }()
	}
	c.do("PUT", "/app/kv/k", "old") // 2.2
	select {
	case a := <-answers:
		t.Errorf("answered before its state was there: %s", a)
	default:
	}
	c.do("PUT", "/app/kv/k", "new") // 2.3
	for range 2 {
		if got := <-answers; got != `200 "3" 2.3 new` {
			t.Errorf("%s", got)
		}
	}
	c.clock.expire() // of the waits that ended by the commit
	for _, target := range []string{"/app/kv/k", "/app/kv"} {
		go func() {
			w := c.do("GET", target, "", "X-Coco-At-Least", "2.9")
			answers <- line(w) + " " + w.Header().Get("Retry-After")
		}()
		for c.clock.expire() == 0 { // until the request waits
		}
		if got := <-answers; got != "503 busy 1" {
			t.Errorf("a state that does not come: %s", got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/app/kv/k", nil)
	r.Header.Set("X-Coco-At-Least", "2.9")
	w := httptest.NewRecorder()
	c.mux.ServeHTTP(w, r)
	if line(w) != "503 busy" {
		t.Errorf("a client that has gone: %s", line(w))
	}
}

func TestNothingIsReadBeforeTheLedgerHearsOfTheRestoredState(t *testing.T) {
	c := newCore(t, "")
	c.commit = adapter.Commit{}
	if got := line(c.do("GET", "/app/kv/k", "")); got != "503 busy" {
		t.Errorf("%s", got)
	}
}
