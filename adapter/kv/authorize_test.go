package kv

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// requests has one request or more for every endpoint: a new endpoint needs one, and must ask.
var requests = map[string][][2]string{ // pattern: target and body
	"GET /app/kv":  {{"/app/kv", ""}, {"/app/kv?from=a&to=b", ""}},
	"POST /app/kv": {{"/app/kv", `[{"op":"put","key":"a2V5","value":"YQ=="}]`}},
	"GET /app/kv/{key...}": {
		{"/app/kv/key", ""}, {"/app/kv/none", ""}, {"/app/kv/key?at=1", ""}, {"/app/kv/key?history", ""}, {"/app/kv/none?history", ""}, {"/app/kv/key?proof", ""}, {"/app/kv/none?proof", ""},
	},
	"PUT /app/kv/{key...}":    {{"/app/kv/key", "other"}, {"/app/kv/none", "other"}},
	"DELETE /app/kv/{key...}": {{"/app/kv/key", ""}, {"/app/kv/none", ""}},
}

func TestEveryEndpointAsksWhetherTheCallerMaySee(t *testing.T) {
	c := newCore(t, "")
	if w := c.do("PUT", "/app/kv/key", "value"); w.Code != http.StatusCreated {
		t.Fatal(w.Code, w.Body)
	}
	head := c.store.Committed()
	var denial error
	c.policy = func(caller coco.Caller, read adapter.Read) error {
		if caller.Actor != alpha.Actor || read.Table != table || read.Key == nil && !read.Range {
			t.Errorf("asked about %+v for %v", read, caller)
		}
		return denial
	}
	for _, kind := range []struct {
		err    error
		status int
	}{{coco.ErrDenied, http.StatusForbidden}, {coco.ErrNotFound, http.StatusNotFound}} {
		denial = fmt.Errorf("%w: by the test", kind.err)
		for _, e := range c.Endpoints() {
			list := requests[e.Pattern]
			if len(list) == 0 {
				t.Errorf("%s: no request to try it with", e.Pattern)
			}
			var method string
			_, _ = fmt.Sscan(e.Pattern, &method)
			var answers []string
			for _, r := range list {
				w := c.do(method, r[0], r[1])
				if w.Code != kind.status || w.Header().Get("Etag") != "" {
					t.Errorf("%s %s: %d %s, expected %d", method, r[0], w.Code, w.Body, kind.status)
				}
				answers = append(answers, w.Body.String())
			}
			for _, a := range answers { // whether a key exists makes no difference
				if a != answers[0] {
					t.Errorf("%s: %q and %q differ", e.Pattern, a, answers[0])
				}
			}
		}
	}
	if now := c.store.Committed(); now != head {
		t.Errorf("refused requests made transactions: %d", now-head)
	}
}
