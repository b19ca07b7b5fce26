package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cocoframework/coco"
	"github.com/coder/websocket"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// via reaches a test server whatever the request's host says, as client.Transport does.
type via struct{ srv *httptest.Server }

func (v via) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", v.srv.Listener.Addr().String()
	return http.DefaultTransport.RoundTrip(out)
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// start serves a proxy in front of a node and returns its base URL.
func start(t *testing.T, node http.HandlerFunc, change func(*Config)) string {
	t.Helper()
	srv := httptest.NewServer(node)
	t.Cleanup(srv.Close)
	cfg := Config{Upstream: via{srv}, Log: quiet()}
	if change != nil {
		change(&cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	p := New(cfg)
	go func() { done <- p.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + ln.Addr().String()
}

func do(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(data)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Coco-Transaction-Id", "2.17")
	w.Header().Set("X-Seen-Origin", r.Header.Get("Origin"))
	w.Header().Set("X-Seen-Site", r.Header.Get("Sec-Fetch-Site"))
	w.Header().Set("X-Seen-Connection", r.Header.Get("X-Hop"))
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "%s %s?%s %s", r.Method, r.URL.Path, r.URL.RawQuery, body)
}

func TestRequestsPassThrough(t *testing.T) {
	base := start(t, echo, nil)
	for _, test := range []struct{ method, path, body, want string }{
		{"POST", "/", `{"id":1}`, `POST /rpc? {"id":1}`},
		{"POST", "/rpc", `{"id":1}`, `POST /rpc? {"id":1}`},
		{"PUT", "/app/kv/a%2Fb?x=1", "v", `PUT /app/kv/a/b?x=1 v`},
		{"GET", "/node/status", "", `GET /node/status? `},
		{"POST", "/", strings.Repeat("x", 300_000), "POST /rpc? " + strings.Repeat("x", 300_000)},
	} {
		resp, body := do(t, test.method, base+test.path, test.body, "Connection", "X-Hop", "X-Hop", "mine")
		if resp.StatusCode != http.StatusCreated || body != test.want {
			t.Errorf("%s %s: %d %.60q, want %.60q", test.method, test.path, resp.StatusCode, body, test.want)
		}
		if got := resp.Header.Get("X-Coco-Transaction-Id"); got != "2.17" {
			t.Errorf("transaction id %q did not pass", got)
		}
		if got := resp.Header.Get("X-Seen-Connection"); got != "" {
			t.Errorf("a hop-by-hop header passed: %q", got)
		}
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("no origin asked, yet %q is allowed", got)
		}
	}
}

// As soon as an answer goes out, net/http closes the request's body: who sends it to the node must find its end without it.
func TestABodyOfKnownLengthEndsByItself(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(http.ErrBodyReadAfterClose)))
	r.ContentLength = 3
	if got, err := io.ReadAll(New(Config{Log: quiet()}).outgoing(r).Body); err != nil || string(got) != "abc" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOnlyThisMachinesPagesMayUseIt(t *testing.T) {
	called := false
	base := start(t, func(w http.ResponseWriter, r *http.Request) {
		called = true
		echo(w, r)
	}, func(c *Config) { c.Origins = []string{"https://dapp.example"} })
	for origin, ok := range map[string]bool{
		"http://localhost:3000":              true,
		"http://127.0.0.1:5173":              true,
		"http://[::1]:8080":                  true,
		"https://app.localhost":              true,
		"chrome-extension://abcdefghijklmno": true,
		"https://dapp.example":               true,
		"https://evil.example":               false,
		"http://localhost.evil.example":      false,
		"http://127.0.0.1.evil.example":      false,
		"http://dapp.example":                false,
		"http://user@localhost":              false,
		"null":                               false,
		"file://":                            false,
	} {
		called = false
		resp, _ := do(t, "POST", base, "{}", "Origin", origin)
		allowed := resp.Header.Get("Access-Control-Allow-Origin")
		if ok && (resp.StatusCode != http.StatusCreated || allowed != origin || !called || resp.Header.Get("X-Seen-Origin") != "") {
			t.Errorf("origin %s: %d, allowed %q, seen upstream as %q", origin, resp.StatusCode, allowed, resp.Header.Get("X-Seen-Origin"))
		}
		if !ok && (resp.StatusCode != http.StatusForbidden || allowed != "" || called) {
			t.Errorf("origin %s: %d, allowed %q, passed on %v", origin, resp.StatusCode, allowed, called)
		}
	}
	for mode, ok := range map[string]bool{"navigate": true, "no-cors": false} {
		resp, _ := do(t, "GET", base+"/node/status", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", mode)
		if got := resp.StatusCode == http.StatusCreated; got != ok || resp.Header.Get("X-Seen-Site") != "" {
			t.Errorf("%s from another site: %d, seen upstream as %q", mode, resp.StatusCode, resp.Header.Get("X-Seen-Site"))
		}
	}
	called = false
	resp, _ := do(t, "OPTIONS", base, "", "Origin", "http://localhost:3000",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Headers") != "content-type" || called {
		t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestARebindingSiteIsRefused(t *testing.T) {
	base := start(t, echo, nil)
	for host, ok := range map[string]bool{
		"localhost": true, "localhost:8545": true, "LOCALHOST.": true, "127.0.0.1:1": true, "[::1]:8545": true, "[::1]": true, "127.1.2.3": true,
		"evil.example": false, "evil.example:8545": false, "localhost.evil.example": false, "192.168.1.5:8545": false, "0.0.0.0:8545": false,
	} {
		resp, _ := do(t, "POST", base, "{}", "Host", host)
		if got := resp.StatusCode == http.StatusCreated; got != ok {
			t.Errorf("host %s: %d", host, resp.StatusCode)
		}
	}
}

func TestFailuresSayWhetherToTryAgain(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		code   string
		retry  bool
	}{
		{coco.ErrUnreachable, 503, "unreachable", true},
		{coco.ErrUnknown, 504, "outcome_unknown", false},
		{coco.ErrVerify, 502, "verification_failed", false},
		{coco.ErrBusy, 503, "busy", true},
		{coco.ErrCorrupt, 502, "corrupt", false},
		{coco.ErrDenied, 502, "corrupt", false}, // the node does not give evidence; the request is not judged
		{coco.ErrPending, 502, "corrupt", false},
		{errors.New("boom"), 502, "corrupt", false},
	} {
		base := start(t, echo, func(c *Config) { c.Upstream = failing{test.err} })
		resp, body := do(t, "POST", base, "{}")
		if resp.StatusCode != test.status || !strings.Contains(body, `"`+test.code+`"`) || (resp.Header.Get("Retry-After") != "") != test.retry {
			t.Errorf("%v: %d %s, Retry-After %q", test.err, resp.StatusCode, body, resp.Header.Get("Retry-After"))
		}
	}
}

func TestKeysAreNotLogged(t *testing.T) {
	var out bytes.Buffer
	base := start(t, echo, func(c *Config) {
		c.Upstream, c.Log = failing{coco.ErrUnreachable}, slog.New(slog.NewTextHandler(&out, nil))
	})
	do(t, "PUT", base+"/app/kv/customer-4711/iban", "x")
	if text := out.String(); strings.Contains(text, "4711") || !strings.Contains(text, "/app/kv/") {
		t.Errorf("%s", text)
	}
}

// A node refuses a body as soon as it can, and the client receives that whether or not it has sent everything.
func TestABodyAboveTheLimitIsRefusedHoweverItIsSent(t *testing.T) {
	const limit = 1 << 20
	base := start(t, limited(limit), nil)
	for _, size := range []int{1, limit, limit + 1, 4 * limit} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = bytes.NewReader(make([]byte, size))
			if chunked {
				body = io.MultiReader(body) // whose length net/http does not see
			}
			resp, err := http.Post(base, "application/json", body)
			if err != nil {
				t.Fatalf("%d bytes, chunked %v: %v", size, chunked, err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			want := http.StatusCreated
			if size > limit {
				want = http.StatusRequestEntityTooLarge
			}
			if resp.StatusCode != want || size > limit && !strings.Contains(string(text), `"too_large"`) {
				t.Errorf("%d bytes, chunked %v: %d %s, want %d", size, chunked, resp.StatusCode, text, want)
			}
		}
	}
}

func TestWebSocketsPassThrough(t *testing.T) {
	base := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/rpc" {
			http.NotFound(w, r)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			kind, msg, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, msg); err != nil {
				return
			}
		}
	}, nil)
	url := "ws" + strings.TrimPrefix(base, "http")
	c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http://localhost:3000"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for _, msg := range [][]byte{[]byte("hello"), bytes.Repeat([]byte("x"), 200_000)} {
		if err := c.Write(t.Context(), websocket.MessageText, msg); err != nil {
			t.Fatal(err)
		}
		_, got, err := c.Read(t.Context())
		if err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("the closing handshake did not pass: %v", err)
	}
	if _, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}}); err == nil {
		t.Error("a foreign page opened a WebSocket")
	} else if resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page's WebSocket: %v", err)
	}
	if _, resp, err := websocket.Dial(t.Context(), url+"/elsewhere", nil); err == nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("a refused upgrade must pass as it is: %v", err)
	}
}

// What the client sends right behind its handshake must not be lost between the two readers.
func TestBytesBehindTheUpgradeArePassed(t *testing.T) {
	base := start(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nhi ")
		_ = rw.Flush()
		got := make([]byte, 5)
		if _, err := io.ReadFull(rw, got); err == nil {
			_, _ = conn.Write(got)
		}
	}, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nearly")
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	got := make([]byte, 8)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "hi early" {
		t.Errorf("got %q, %v", got, err)
	}
}
