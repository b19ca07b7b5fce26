package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/caller/session"
)

const page = "https://app.example"

// signedIn has one session, until it ends.
type signedIn struct{ ended bool }

func (s *signedIn) Session(credential, _ string) (coco.Session, error) {
	if s.ended || credential != "right" {
		return coco.Session{}, coco.ErrDenied
	}
	return coco.Session{Actor: coco.ActorID{1}, User: "kim", Until: time.Unix(1<<33, 0), Scope: "reading"}, nil
}

// withPages has sessions count, and pages of one origin ask.
func withPages(c *Config) {
	c.Pages = func(origin string) bool { return origin == page }
	c.Now = time.Now
	c.Schemes = caller.Schemes{&session.Scheme{
		Organisation: func(coco.ActorID) (string, bool) { return "acme", true },
		Revoked:      func(coco.ActorID, string, time.Time) bool { return false },
	}}
}

// The answer to a credential is kept for a connection, and never that to a session: its ledger ends it without a word to the gateway.
func TestASessionIsAskedForAtEveryRequestOfAConnection(t *testing.T) {
	all := &signedIn{}
	w := start(t, []adapter.Endpoint{{Pattern: "POST /own", Handler: whoIs, Sessions: all}}, withPages)
	client := w.client("")
	for _, ended := range []bool{false, true, false} {
		all.ended = ended
		got := w.do(client, "POST", "/own", nil, "Authorization", "Coco-Session right", "Origin", page)
		if want := map[bool]int{false: 200, true: 401}[ended]; got.status != want {
			t.Errorf("ended %t: %d, expected %d", ended, got.status, want)
		}
	}
}

// A session counts at its ledger's endpoint and ends with the next request; pages of other origins, and other credentials of the page's browser, get nothing by it.
func TestSessionsCountAtTheirEndpointForPagesThatMayAsk(t *testing.T) {
	all := &signedIn{}
	answer := func(who coco.Caller, w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, who.User, " ", adapter.ScopeOf(r.Context()))
	}
	endpoints := []adapter.Endpoint{{Pattern: "POST /own", Handler: answer, Sessions: all}, {Pattern: "POST /other", Handler: answer}}
	w := start(t, endpoints, withPages)
	ask := func(method, path, origin, credential string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Access-Control-Request-Method", "POST")
		if credential != "" {
			r.Header.Set("Authorization", credential)
		}
		out := httptest.NewRecorder()
		w.g.Handler().ServeHTTP(out, r)
		return out
	}
	const right = "Coco-Session right"
	for _, c := range []struct {
		method, path, origin, credential string
		status                           int
		readable                         bool
	}{
		{"OPTIONS", "/own", page, "", 204, true},
		{"OPTIONS", "/own", "https://evil.example", "", 204, false},
		{"POST", "/own", page, right, 200, true},
		{"POST", "/own", page, "Coco-Session wrong", 401, true},
		{"POST", "/own", page, "", 401, true},
		{"POST", "/own", "https://evil.example", right, 403, false},
		{"POST", "/own", "null", right, 403, false},
		{"POST", "/other", page, right, 401, false},
		{"GET", "/node/nodes", page, right, 401, false},
	} {
		out := ask(c.method, c.path, c.origin, c.credential)
		if h := out.Header(); out.Code != c.status || (h.Get("Access-Control-Allow-Origin") == c.origin) != c.readable || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s of %s by %q: %d %v", c.method, c.path, c.origin, c.credential, out.Code, h)
		}
	}
	if out := ask("POST", "/own", page, right); out.Body.String() != "kim reading" {
		t.Errorf("the caller is %q", out.Body)
	}
	all.ended = true
	if out := ask("POST", "/own", page, right); out.Code != 401 {
		t.Errorf("a session that has ended is answered %d", out.Code)
	}
}
