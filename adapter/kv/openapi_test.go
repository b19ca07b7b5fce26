package kv

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/openapitest"
	"github.com/cocoframework/coco/wire"
)

func TestTheOpenAPIDocumentListsTheEndpoints(t *testing.T) {
	c := newCore(t, "")
	client, url := serve(t, c)
	doc := openapitest.New(t, client, url)
	var want []string
	for _, e := range c.Endpoints() {
		query := slices.Clone(e.Query)
		slices.Sort(query)
		want = append(want, strings.Join(append([]string{strings.Replace(e.Pattern, "...", "", 1)}, query...), " "))
	}
	slices.Sort(want)
	got := slices.DeleteFunc(doc.Operations(), func(o string) bool { return !strings.Contains(o, " /app/") })
	if !slices.Equal(got, want) {
		t.Errorf("the document lists\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAnswersAreAsTheOpenAPIDocumentSays(t *testing.T) {
	c := newCore(t, `{"max_value_bytes":100}`)
	client, url := serve(t, c)
	doc := openapitest.New(t, client, url)
	ask := func(status int, method, path, body string, header ...string) []byte {
		t.Helper()
		_, text := doc.Ask(client, status, method, path, body, header...)
		return text
	}
	const media, binary, text = "Content-Type", wire.MediaBytes, "text/plain"
	ask(404, "GET", "/app/kv/a", "")
	ask(201, "PUT", "/app/kv/a", "one", media, text) // 2.2
	ask(204, "PUT", "/app/kv/a", "two", media, binary, "If-Match", `"2"`)
	ask(201, "PUT", "/app/kv/d%2Fe", `{"a":1}`, media, wire.MediaJSON)
	ask(412, "PUT", "/app/kv/a", "three", media, binary, "If-Match", `"2"`)
	ask(412, "PUT", "/app/kv/new", "three", media, binary, "If-Match", `*`)
	ask(400, "PUT", "/app/kv/a", "three", media, binary, "If-Match", `2`)
	ask(413, "PUT", "/app/kv/a", strings.Repeat("x", 101), media, binary)
	ask(413, "PUT", "/app/kv/a", strings.Repeat("x", 1<<20+1), media, binary)
	ask(200, "GET", "/app/kv/a", "", wire.HeaderConsistency, wire.Linearizable, wire.HeaderMaxAge, "7", wire.HeaderAtLeast, "2.3")
	ask(200, "GET", "/app/kv/d%2Fe", "")
	ask(304, "GET", "/app/kv/a", "", "If-None-Match", `"3"`)
	ask(412, "GET", "/app/kv/a", "", "If-Match", `"2"`)
	ask(400, "GET", "/app/kv/a", "", wire.HeaderConsistency, "some")
	ask(200, "GET", "/app/kv/a?at=2", "")
	ask(404, "GET", "/app/kv/a?at=1", "")
	ask(400, "GET", "/app/kv/a?at=99", "")
	ask(400, "GET", "/app/kv/a?when=1", "")
	doc.Matches("KvVersions", ask(200, "GET", "/app/kv/a?history&limit=1", ""))
	doc.Matches("KvVersions", ask(200, "GET", "/app/kv/a?history&limit=1&before=3", ""))
	doc.Matches("KvProof", ask(200, "GET", "/app/kv/a?proof", ""))
	ask(304, "GET", "/app/kv/a?proof&at=2", "", "If-None-Match", `"2"`)
	ask(404, "GET", "/app/kv/none?history", "")
	ask(200, "GET", "/app/kv?limit=1", "")
	ask(200, "GET", "/app/kv?prefix=d&keys", "")
	ask(200, "GET", "/app/kv?from=a&to=b&at=3", "")
	ask(400, "GET", "/app/kv?limit=0", "")
	ask(200, "POST", "/app/kv", `[{"op":"put","key":"Yw==","value":"eA==","content_type":"text/plain"},{"op":"delete","key":"YQ==","if_match":"3"}]`, media, wire.MediaJSON)
	ask(412, "POST", "/app/kv", `[{"op":"delete","key":"YQ==","if_match":"3"}]`, media, wire.MediaJSON)
	ask(400, "POST", "/app/kv", `[]`, media, wire.MediaJSON)
	ask(204, "DELETE", "/app/kv/a", "")
	doc.Matches("KvVersions", ask(200, "GET", "/app/kv/a?history", ""))
	ask(412, "DELETE", "/app/kv/a", "", "If-Match", "*")

	h := c.reside(alpha.Actor)
	ask(201, "PUT", "/app/kv/shared", "x", media, text, wire.HeaderAudience, shared)
	if header, _ := doc.Ask(client, 200, "GET", "/app/kv/shared", "", wire.HeaderAudience, shared); header.Get(wire.HeaderSalt) == "" {
		t.Error("a resident row has no salt")
	}
	h.owner = gamma.Actor
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if header, _ := doc.Ask(client, 421, method, "/app/kv/shared", "", media, text, wire.HeaderAudience, shared); header.Get(wire.HeaderNodes) == "" {
			t.Errorf("%s: no nodes are named", method)
		}
	}
	c.fresh = func(context.Context, adapter.Reading) (adapter.Age, error) {
		return adapter.Age{Of: time.Minute, Stale: true}, nil
	}
	ask(200, "GET", "/app/kv/c", "")
	ask(404, "GET", "/app/kv/a", "")
	ask(200, "GET", "/app/kv", "")
	c.fresh = func(context.Context, adapter.Reading) (adapter.Age, error) {
		return adapter.Age{Of: time.Minute, Stale: true}, &adapter.StaleError{Age: time.Minute, Most: time.Second}
	}
	ask(503, "GET", "/app/kv/c", "", wire.HeaderMaxAge, "1")
	c.fresh = nil
	for err, status := range map[error]int{
		coco.ErrUnknown: 504, coco.ErrNotCommitted: 503, coco.ErrBusy: 503, coco.ErrUnreachable: 503, coco.ErrDenied: 403, fmt.Errorf("of no kind"): 500,
	} {
		c.submit = func(context.Context, ...*adapter.Call) []adapter.Result { return []adapter.Result{{Err: err}} }
		ask(status, "PUT", "/app/kv/a", "x", media, binary)
		ask(status, "DELETE", "/app/kv/a", "")
		ask(status, "POST", "/app/kv", `[{"op":"delete","key":"YQ=="}]`, media, wire.MediaJSON)
	}
	rest := slices.DeleteFunc(doc.Unanswered(), func(o string) bool { return !strings.Contains(o, " /app/") })
	if len(rest) > 0 {
		t.Errorf("no request was answered well for %q", rest)
	}
}

// docs/http.md is for people what the document is for programs.
func TestEveryHeaderOfTheOpenAPIDocumentIsInThePage(t *testing.T) {
	client, url := serve(t, newCore(t, ""))
	page, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	names := openapitest.New(t, client, url).Headers()
	if len(names) < 12 {
		t.Errorf("the document has the headers %q, expected more", names)
	}
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name) {
			t.Errorf("docs/http.md says nothing of %s", name)
		}
	}
}
