package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// reading is an endpoint that reads its body and answers with the error of that, if there is one.
func reading(g **Gateway) []adapter.Endpoint {
	return one("POST /app/x", func(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Refuse") != "" {
			(*g).fail(w, r, fmt.Errorf("%w: by the adapter", coco.ErrInvalid))
			return
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			(*g).fail(w, r, err)
		}
	})
}

// A request that is refused is refused at once, whether or not its body comes: the time for the body is an hour here.
func TestARefusalDoesNotWaitForTheBody(t *testing.T) {
	var g *Gateway
	w := start(t, reading(&g), func(c *Config) { c.BodyTimeout = time.Hour })
	g = w.g
	for _, test := range []struct {
		caller, request string
		status          int
	}{
		{"Alpha", "POST /nothing HTTP/1.1\r\nContent-Length: 100", 404},
		{"Alpha", "POST /nothing HTTP/1.1\r\nTransfer-Encoding: chunked", 404},
		{"Alpha", "DELETE /app/x HTTP/1.1\r\nContent-Length: 100", 405},
		{"Alpha", "POST /app/../x HTTP/1.1\r\nContent-Length: 100", 400},
		{"Alpha", "POST /app/x HTTP/1.1\r\nContent-Length: 1001", 413},
		{"Alpha", "POST /app/x HTTP/1.1\r\nContent-Length: 1001\r\nExpect: 100-continue", 413},
		{"Alpha", "POST /app/x HTTP/1.1\r\nContent-Length: 10000000", 413},
		{"Alpha", "POST /app/x HTTP/1.1\r\nContent-Length: 100\r\nSec-Fetch-Site: cross-site", 403},
		{"Alpha", "POST /app/x HTTP/1.1\r\nContent-Length: 100\r\nX-Refuse: 1", 400},
		{"Alpha", "POST /app/x HTTP/1.1\r\nContent-Length: 100\r\nX-Refuse: 1\r\nExpect: 100-continue", 400},
		{"Alpha", "PUT /node/log-level HTTP/1.1\r\nContent-Length: 100", 413},
		{"Eve", "POST /app/x HTTP/1.1\r\nContent-Length: 100", 403},
		{"", "POST /app/x HTTP/1.1\r\nContent-Length: 100", 401},
	} {
		c := w.dial(test.caller)
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "%s\r\nHost: x\r\n\r\n", test.request)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%q: %v", test.request, err)
			continue
		}
		if text, err := io.ReadAll(resp.Body); resp.StatusCode != test.status || err != nil || !bytes.Contains(text, []byte(`"code"`)) {
			t.Errorf("%q: %s %q %v, want %d", test.request, resp.Status, text, err, test.status)
		}
	}
}

// A client that sends all of its body before it looks finds the answer, not a reset connection.
func TestAClientThatIsStillSendingReceivesTheRefusal(t *testing.T) {
	var g *Gateway
	w := start(t, reading(&g), func(c *Config) { c.BodyTimeout = time.Hour })
	g = w.g
	const size = 32 << 20
	c := w.dial("Alpha")
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "POST /app/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	if _, err := io.Copy(c, bytes.NewReader(make([]byte, size))); err != nil {
		t.Fatalf("sending: %v", err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 413 {
		t.Errorf("%v %v", resp, err)
	}
}

func TestABodyThatStopsIsTooSlow(t *testing.T) {
	var g *Gateway
	w := start(t, reading(&g), func(c *Config) { c.BodyTimeout = 50 * time.Millisecond })
	g = w.g
	c := w.dial("Alpha")
	fmt.Fprintf(c, "POST /app/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
	b, err := io.ReadAll(c)
	if text := string(b); err != nil || !strings.HasPrefix(text, "HTTP/1.1 408 ") || !strings.Contains(text, `"too_slow"`) || strings.Contains(text, "127.0.0.1") {
		t.Errorf("%s %v", text, err)
	}
}

func TestUnknownParametersAreRefusedOnEveryVerb(t *testing.T) {
	ok := func(_ coco.Caller, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	w := start(t, []adapter.Endpoint{
		{Pattern: "GET /app/x", Handler: ok, Query: []string{"at"}},
		{Pattern: "PUT /app/x", Handler: ok},
		{Pattern: "POST /app/any", Handler: ok, Query: adapter.AnyQuery},
	})
	c := w.client("Alpha")
	for request, status := range map[string]int{
		"GET /app/x": 200, "GET /app/x?at=1": 200, "GET /app/x?At=1": 400, "GET /app/x?at=1&at=2": 400, "GET /app/x?%zz": 400,
		"PUT /app/x": 200, "PUT /app/x?at=1": 400, "POST /app/any?key=1": 200,
		"GET /node/status?x": 400, "GET /node/tx/3.1?seqno=1": 400, "GET /node/digest?seqno=1": 200, "GET /readyz?verbose": 200, "GET /livez?now": 200,
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := w.do(c, method, path, nil); got.status != status {
			t.Errorf("%s: %d %s, want %d", request, got.status, got.body, status)
		}
	}
}

// OPTIONS tells the methods of a path (RFC 9110, section 9.3.7), and HEAD is there wherever GET is.
func TestOptionsAndHead(t *testing.T) {
	ok := func(_ coco.Caller, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	w := start(t, []adapter.Endpoint{{Pattern: "GET /app/x", Handler: ok}, {Pattern: "PUT /app/x", Handler: ok}})
	c := w.client("Alpha")
	for path, allow := range map[string]string{"/app/x": "GET, HEAD, PUT, OPTIONS", "/node/status": "GET, HEAD, OPTIONS", "/node/retire": "POST, OPTIONS"} {
		if got := w.do(c, "OPTIONS", path, nil); got.status != 204 || got.header.Get("Allow") != allow {
			t.Errorf("OPTIONS %s: %d, Allow: %s", path, got.status, got.header.Get("Allow"))
		}
	}
	if got := w.do(c, "OPTIONS", "/nothing", nil); got.status != 404 {
		t.Errorf("OPTIONS /nothing: %d", got.status)
	}
	for _, path := range []string{"/app/x", "/node/status", "/node/constitution", "/node/service", "/node/nodes", "/metrics", "/livez", "/version"} {
		if got := w.do(c, "HEAD", path, nil); got.status != 200 || got.body != "" {
			t.Errorf("HEAD %s: %d %q", path, got.status, got.body)
		}
	}
}
