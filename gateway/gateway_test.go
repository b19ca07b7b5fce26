package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

const nonce = "00112233445566778899aabbccddeeff"

func TestFactsThatVerifyANodeNeedNoCertificate(t *testing.T) {
	w := start(t, nil)
	c := w.client("")
	zeros := strings.Repeat("00", 31)
	for _, tc := range []struct{ path, contentType, body string }{
		{
			"/node/status", "application/json",
			`{"network":"test","insecure":true,"node":"01` + zeros + `","owner":"Alpha","role":"follower","view":3,"voter":false,"transaction_id":"3.20",` +
				`"known_seqno":21,"constitution":"09` + zeros + `","measurement":"virtual:00","version":"0.1.0","ledger_time":"0001-01-01T00:00:00Z","clock_lag_seconds":0,"age_seconds":0,"notice":"INSECURE virtual TEE"}` + "\n",
		},
		{"/node/constitution", "text/toml; charset=utf-8", "[network]\nname = \"test\"\n"},
		{"/node/service", "application/x-pem-file", "-----BEGIN CERTIFICATE-----\n"},
		{
			"/node/evidence?nonce=" + nonce, "application/json",
			`{"platform":"virtual","quote":"cXVvdGUgb3ZlciAAESIzRFVmd4iZqrvM3e7/","key":"a2V5","nonce":"` + nonce + `"}` + "\n",
		},
	} {
		got := w.get(c, tc.path)
		if got.status != 200 || got.body != tc.body || got.header.Get("Content-Type") != tc.contentType {
			t.Errorf("%s: %d %s %q", tc.path, got.status, got.header.Get("Content-Type"), got.body)
		}
	}
	if got := w.get(c, "/node/constitution").header.Get("X-Coco-Digest"); got != "09"+zeros {
		t.Errorf("X-Coco-Digest: %q", got)
	}
	if n := w.node.count(); n != 0 {
		t.Errorf("a client without certificate was identified %d times", n)
	}
}

func TestEverythingElseNeedsACertificate(t *testing.T) {
	w := start(t, one("GET /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {}))
	for _, path := range []string{"/node/nodes", "/node/tx/3.20", "/node/receipt/3.20", "/app/x"} {
		got := w.get(w.client(""), path)
		if got.status != 401 || !strings.Contains(got.body, `"code":"unauthenticated"`) {
			t.Errorf("%s without certificate: %d %s", path, got.status, got.body)
		}
		if got = w.get(w.client("Mallory"), path); got.status != 403 || !strings.Contains(got.body, `"code":"denied"`) {
			t.Errorf("%s of a stranger: %d %s", path, got.status, got.body)
		}
		if got = w.get(w.client("Alpha"), path); got.status != 200 {
			t.Errorf("%s of a member: %d %s", path, got.status, got.body)
		}
	}
}

func TestTransactionsAndReceipts(t *testing.T) {
	w := start(t, nil)
	c := w.client("Alpha")
	for path, want := range map[string]string{
		"/node/tx/3.20":      `{"transaction_id":"3.20","status":"committed"}`,
		"/node/tx/3.21":      `{"transaction_id":"3.21","status":"pending"}`,
		"/node/tx/2.20":      `{"transaction_id":"2.20","status":"invalid"}`,
		"/node/tx/3.99":      `{"transaction_id":"3.99","status":"unknown"}`,
		"/node/tx/3":         `400 invalid`,
		"/node/tx/03.20":     `400 invalid`,
		"/node/receipt/3.20": `{"transaction_id":"3.20","for":"Alpha"}`,
		"/node/receipt/3.99": `404 not_found`,
		"/node/receipt/x":    `400 invalid`,
	} {
		got := w.get(c, path)
		text := strings.TrimSpace(got.body)
		if got.status != 200 {
			text = fmt.Sprint(got.status, " ", code(t, got))
		}
		if text != want {
			t.Errorf("%s: %q, expected %q", path, text, want)
		}
	}
	for _, bad := range []string{"", "?nonce=", "?nonce=00", "?nonce=" + nonce[:30], "?nonce=zz" + nonce, "?nonce=" + strings.Repeat("00", 65)} {
		if got := w.get(c, "/node/evidence"+bad); got.status != 400 {
			t.Errorf("evidence%s: %d", bad, got.status)
		}
	}
}

// code reads a problem, strictly.
func code(t testing.TB, a answer) string {
	t.Helper()
	var p struct {
		Error struct{ Code, Message string }
	}
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil || p.Error.Code == "" || p.Error.Message == "" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d: expected a problem, found %q (%v)", a.status, a.body, err)
	}
	return p.Error.Code
}

func TestACallerIsIdentifiedOncePerConnection(t *testing.T) {
	var seen []coco.Caller
	w := start(t, one("GET /app/x", func(c coco.Caller, _ http.ResponseWriter, _ *http.Request) { seen = append(seen, c) }))
	c := w.client("Alpha")
	for range 5 {
		w.get(c, "/app/x")
	}
	w.get(w.client("Beta"), "/app/x")
	if n := w.node.count(); n != 2 {
		t.Errorf("identified %d times over 2 connections", n)
	}
	if len(seen) != 6 || seen[0].Name != "Alpha" || seen[4].Name != "Alpha" || seen[5].Name != "Beta" {
		t.Errorf("callers: %v", seen)
	}
	w.node.remove("Alpha")
	if got := w.get(c, "/app/x"); got.status != 200 {
		t.Errorf("before Reidentify: %d", got.status)
	}
	w.g.Reidentify()
	for range 2 {
		if got := w.get(c, "/app/x"); got.status != 403 {
			t.Errorf("a removed organisation is served: %d", got.status)
		}
	}
	if n := w.node.count(); n != 3 {
		t.Errorf("identified %d times, expected that a refusal is remembered", n)
	}
}

func TestACertificateThatEndsIsAskedForAgain(t *testing.T) {
	clock := &stepClock{now: time.Now()}
	w := start(t, one("GET /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {}), func(c *Config) {
		c.WriteTimeout, c.BodyTimeout = 24*time.Hour, 24*time.Hour // the stepped clock is not the connection's
		clock.Clock, c.Clock = c.Clock, clock
	})
	c := w.client("Alpha")
	w.get(c, "/app/x")
	w.get(c, "/app/x")
	if n := w.node.count(); n != 1 {
		t.Fatalf("identified %d times", n)
	}
	clock.step(2 * time.Hour)
	w.get(c, "/app/x")
	if n := w.node.count(); n != 2 {
		t.Errorf("identified %d times after the certificate's end", n)
	}
}

func TestANodeThatHasNotJoinedSaysSo(t *testing.T) {
	w := start(t, nil)
	w.node.joining = true
	c := w.client("Alpha")
	for _, path := range []string{"/app/x", "/node/constitution", "/node/nodes"} {
		if got := w.get(c, path); got.status != 503 || got.header.Get("Retry-After") == "" || code(t, got) != "busy" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := w.get(c, "/node/status"); got.status != 200 {
		t.Errorf("status: %d", got.status)
	}
	w.node.joining = false
	if err := w.g.Mount(10, one("GET /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {})...); err != nil {
		t.Fatal(err)
	}
	if got := w.get(c, "/app/x"); got.status != 200 {
		t.Errorf("once joined, on the same connection: %d %s", got.status, got.body)
	}
}

func TestKindsOfErrorsBecomeStatusCodes(t *testing.T) {
	g := start(t, nil).g
	for _, tc := range []struct {
		err    error
		status int
		code   string
		retry  bool
	}{
		{coco.ErrInvalid, 400, "invalid", false},
		{coco.ErrNotFound, 404, "not_found", false},
		{coco.ErrDenied, 403, "denied", false},
		{errNoCertificate, 401, "unauthenticated", false},
		{coco.ErrBusy, 503, "busy", true},
		{coco.ErrNotCommitted, 503, "not_committed", true},
		{coco.ErrUnreachable, 503, "unreachable", true},
		{coco.ErrUnknown, 504, "outcome_unknown", false},
		{fmt.Errorf("%w: %w", coco.ErrBusy, coco.ErrUnknown), 504, "outcome_unknown", false},
		{context.Canceled, 504, "outcome_unknown", false},
		{&http.MaxBytesError{Limit: 1}, 413, "too_large", false},
		{coco.ErrCorrupt, 500, "internal", false},
		{errors.New("the secret is 1234"), 500, "internal", false},
	} {
		p := problemOf(fmt.Errorf("here: %w", tc.err))
		if p.Status != tc.status || p.Code != tc.code || p.Retry != tc.retry {
			t.Errorf("%v: %+v", tc.err, p)
		}
	}
	rec := &recorder{header: http.Header{}}
	g.fail(rec, &http.Request{}, errors.New("the secret is 1234"))
	if strings.Contains(rec.body.String(), "1234") {
		t.Errorf("an internal error is told to the client: %s", &rec.body)
	}
}

type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func TestPathsThatWouldBeRedirectedAreRefused(t *testing.T) {
	var keys []string
	w := start(t, one("PUT /app/k/{key...}", func(_ coco.Caller, _ http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.PathValue("key"), strings.TrimPrefix(r.URL.Path, "/app/k/"))
	}))
	c := w.client("Alpha")
	for _, path := range []string{"/app/k/a//b", "/app/k/./b", "/app/k/a/..", "/app/k/a/../b", "//app/k/a", "/app/k/."} {
		if got := w.do(c, "PUT", path, nil); got.status != 400 || code(t, got) != "invalid" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for path, want := range map[string]string{
		"/app/k/a%2F%2Fb": "a//b", "/app/k/%2E%2E": "..", "/app/k/a/.b": "a/.b", "/app/k/a/": "a/", "/app/k/%00%ff": "\x00\xff",
	} {
		keys = nil
		got := w.do(c, "PUT", path, nil)
		if got.status != 200 || len(keys) != 2 || keys[0] != want || keys[1] != want {
			t.Errorf("%s: %d, keys %q, expected %q", path, got.status, keys, want)
		}
	}
}

func TestWhatIsNotServedIsSaid(t *testing.T) {
	w := start(t, one("PUT /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {}))
	c := w.client("Alpha")
	if got := w.get(c, "/nothing"); got.status != 404 || code(t, got) != "not_found" {
		t.Errorf("404: %d %s", got.status, got.body)
	}
	if got := w.get(c, "/app/x"); got.status != 405 || got.header.Get("Allow") != "PUT" || code(t, got) != "method_not_allowed" {
		t.Errorf("405: %d %v %s", got.status, got.header, got.body)
	}
	if got := w.do(c, "POST", "/node/status", nil); got.status != 405 || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("405: %d %v", got.status, got.header)
	}
	if got := w.do(c, "HEAD", "/node/status", nil); got.status != 200 || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
}

func TestNothingIsRedirected(t *testing.T) {
	h := func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, r.Pattern) }
	endpoint := func(pattern string) adapter.Endpoint { return adapter.Endpoint{Pattern: pattern, Handler: h} }
	w := start(t, []adapter.Endpoint{
		endpoint("GET /a"), endpoint("PUT /a/{key...}"), endpoint("GET /a/{key...}"),
		endpoint("/b/"), endpoint("POST /c/"), endpoint("/d"), endpoint("PUT /d/"), endpoint("/e/{x}/"),
	})
	c := w.client("Alpha")
	for request, want := range map[string]string{
		"GET /a": "GET /a", "PUT /a": "405 GET, HEAD", "PUT /a/": "PUT /a/{key...}", "GET /a/": "GET /a/{key...}",
		"GET /b": "404", "GET /b/": "/b/", "POST /c": "404", "GET /c/": "405 POST", "PUT /d": "/d", "PUT /d/x": "PUT /d/",
		"GET /e/1/": "/e/{x}/",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := w.do(c, method, path, nil)
		text := got.body
		if got.status != 200 {
			text = strings.TrimSpace(fmt.Sprint(got.status, " ", got.header.Get("Allow")))
		}
		if text != want {
			t.Errorf("%s: %s, expected %s", request, text, want)
		}
	}
}

func TestOtherSitesPagesAreRefused(t *testing.T) {
	w := start(t, []adapter.Endpoint{
		{Pattern: "POST /app/x", Handler: func(coco.Caller, http.ResponseWriter, *http.Request) {}},
		{Pattern: "GET /app/x", Handler: func(coco.Caller, http.ResponseWriter, *http.Request) {}},
	})
	c := w.client("Alpha")
	for _, tc := range []struct {
		method string
		header []string
		status int
	}{
		{"POST", nil, 200},
		{"POST", []string{"Origin", "https://evil.example"}, 403},
		{"POST", []string{"Origin", "https://" + w.addr}, 200},
		{"POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"GET", []string{"Origin", "https://evil.example"}, 200},
		{"GET", []string{"Origin", "https://evil.example", "Connection", "Upgrade", "Upgrade", "websocket"}, 403},
		{"GET", []string{"Origin", "https://" + w.addr, "Connection", "Upgrade", "Upgrade", "websocket"}, 200},
	} {
		if got := w.do(c, tc.method, "/app/x", nil, tc.header...); got.status != tc.status {
			t.Errorf("%s %q: %d, expected %d", tc.method, tc.header, got.status, tc.status)
		}
	}
}

func TestHTTP2(t *testing.T) {
	w := start(t, one("POST /app/x", func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "%s %s %v", r.Proto, body, err)
	}))
	c := w.client("Alpha")
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	for range 3 {
		if got := w.do(c, "POST", "/app/x", strings.NewReader("hello")); got.body != "HTTP/2.0 hello <nil>" {
			t.Errorf("%d %q", got.status, got.body)
		}
	}
	if got := w.do(c, "POST", "/app/x", strings.NewReader(strings.Repeat("x", 1001))); got.status != 413 {
		t.Errorf("%d", got.status)
	}
	if n := w.node.count(); n != 1 {
		t.Errorf("identified %d times over one connection", n)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	w := start(t, nil)
	cfg := clientTLS(nil)
	cfg.MaxVersion = tls.VersionTLS12
	if _, err := tls.Dial("tcp", w.addr, cfg); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

func TestConfigAndEndpointsAreChecked(t *testing.T) {
	g := start(t, nil).g
	for name, change := range map[string]func(*Config){
		"no node":        func(c *Config) { c.Node = nil },
		"no clock":       func(c *Config) { c.Clock = nil },
		"no log":         func(c *Config) { c.Log = nil },
		"no TLS":         func(c *Config) { c.TLS = nil },
		"TLS 1.2":        func(c *Config) { c.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12} },
		"no client auth": func(c *Config) { c.TLS = &tls.Config{MinVersion: tls.VersionTLS13} },
		"negative limit": func(c *Config) { c.MaxConns = -1 },
		"negative time":  func(c *Config) { c.BodyTimeout = -1 },
	} {
		cfg := g.cfg
		change(&cfg)
		if _, err := New(cfg); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := func(coco.Caller, http.ResponseWriter, *http.Request) {}
	for _, pattern := range []string{"", "/", "GET /", "/node", "GET /node/status", "/node/x", "host/app", "GET  ", "/app/{", "/{all...}", "GET /{x}/y"} {
		if err := g.Mount(1, one(pattern, h)...); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("pattern %q: %v", pattern, err)
		}
	}
	if err := g.Mount(1, adapter.Endpoint{Pattern: "/a", Handler: h}, adapter.Endpoint{Pattern: "/a", Handler: h}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("the same pattern twice: %v", err)
	}
	if err := g.Mount(1, adapter.Endpoint{Pattern: "/a"}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("no handler: %v", err)
	}
	if err := g.Mount(0); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("no body at all: %v", err)
	}
}
