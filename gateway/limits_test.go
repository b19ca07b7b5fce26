package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/host"
)

// stepClock tells the time that a test sets; it sleeps as its Clock does.
type stepClock struct {
	host.Clock
	mu  sync.Mutex
	now time.Time
}

func (c *stepClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stepClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestGateCountsAndDrains(t *testing.T) {
	var g gate
	g.init(3)
	var wg sync.WaitGroup
	var mu sync.Mutex
	in, most := 0, 0
	for range 16 {
		wg.Go(func() {
			for range 2000 {
				if g.enter() {
					mu.Lock()
					in++
					most = max(most, in)
					in--
					mu.Unlock()
					g.leave()
				}
			}
		})
	}
	wg.Wait()
	if n := g.n.Load(); n != 0 || most > 3 {
		t.Fatalf("%d are in, there were up to %d", n, most)
	}
	if !g.enter() {
		t.Fatal("refused")
	}
	g.close()
	g.close()
	if g.enter() {
		t.Error("a closed gate let somebody in")
	}
	select {
	case <-g.drained:
		t.Error("drained while somebody is in")
	default:
	}
	g.leave()
	<-g.drained
	if g.enter() {
		t.Error("a drained gate let somebody in")
	}
}

func TestRequestsBeyondTheLimitAreRefusedAtOnce(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	w := start(t, one("GET /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}), func(c *Config) { c.MaxRequests = 4 }) // one organisation gets half
	c := w.client("Alpha")
	first := make(chan answer, 2)
	for range 2 {
		go func() { first <- w.get(c, "/app/x") }()
		<-entered
	}
	if got := w.get(c, "/app/x"); got.status != 503 || got.header.Get("Retry-After") == "" || code(t, got) != "busy" {
		t.Errorf("beyond the limit: %d %s", got.status, got.body)
	}
	if got := w.get(c, "/node/status"); got.status != 200 {
		t.Errorf("the status of a busy node: %d", got.status)
	}
	close(release)
	for range 2 {
		if got := <-first; got.status != 200 {
			t.Errorf("%d", got.status)
		}
	}
	go func() { <-entered }()
	if got := w.get(c, "/app/x"); got.status != 200 {
		t.Errorf("after the others left: %d", got.status)
	}
}

func TestQuotesAtATimeAreBounded(t *testing.T) {
	w := start(t, nil, func(c *Config) { c.MaxEvidence = 1 })
	c, path := w.client(""), "/node/evidence?nonce="+nonce
	entered, release := make(chan struct{}), make(chan struct{})
	w.node.evidence = func() { close(entered); <-release }
	first := make(chan answer, 1)
	go func() { first <- w.get(c, path) }()
	<-entered
	if got := w.get(c, path); got.status != 503 {
		t.Errorf("a second quote: %d", got.status)
	}
	close(release)
	if got := <-first; got.status != 200 {
		t.Errorf("the first quote: %d", got.status)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	var read int
	w := start(t, []adapter.Endpoint{
		{Pattern: "POST /app/x", Handler: func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			read = len(b)
			if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
				rw.WriteHeader(http.StatusRequestEntityTooLarge)
			}
		}},
	})
	c := w.client("Alpha")
	for n, status := range map[int]int{0: 200, 1: 200, 1000: 200, 1001: 413, 1 << 20: 413} {
		body := strings.Repeat("x", n)
		if got := w.do(c, "POST", "/app/x", strings.NewReader(body)); got.status != status {
			t.Errorf("%d bytes of a length told: %d, expected %d", n, got.status, status)
		}
		if got := w.do(c, "POST", "/app/x", io.MultiReader(strings.NewReader(body))); got.status != status || read > 1000 {
			t.Errorf("%d bytes of a length not told: %d, expected %d; read %d", n, got.status, status, read)
		}
	}
	if got := w.do(c, "GET", "/node/nodes", strings.NewReader("x")); got.status != 413 {
		t.Errorf("a body for a fact: %d", got.status)
	}
	if got := w.do(c, "GET", "/node/nodes", nil, "X-Large", strings.Repeat("x", 64<<10)); got.status != 431 {
		t.Errorf("a large header: %d", got.status)
	}
}

func TestASlowHeaderEndsTheConnection(t *testing.T) {
	w := start(t, nil, func(c *Config) { c.HeaderTimeout = 500 * time.Millisecond }) // a handshake takes a part of it
	raw, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := io.ReadAll(raw); err != nil { // returns when the server has given up the handshake
		t.Error(err)
	}
	c := w.dial("Alpha")
	fmt.Fprintf(c, "GET /node/sta")
	if b, err := io.ReadAll(c); err != nil || strings.HasPrefix(string(b), "HTTP/1.1 200 ") { // net/http may say 400
		t.Errorf("%q %v", b, err)
	}
}

func TestASlowBodyEndsTheRequest(t *testing.T) {
	failed := make(chan error, 1)
	w := start(t, one("POST /app/x", func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		failed <- err
		rw.WriteHeader(http.StatusRequestTimeout)
	}), func(c *Config) { c.BodyTimeout = 20 * time.Millisecond })
	c := w.dial("Alpha")
	fmt.Fprintf(c, "POST /app/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
	b, err := io.ReadAll(c) // returns when the server has closed the connection
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 408 ") {
		t.Errorf("%q %v", b, err)
	}
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the handler saw %v", err)
	}
}

func TestABodyThatTheHandlerLeavesDoesNotHoldTheConnection(t *testing.T) {
	w := start(t, nil, func(c *Config) { c.BodyTimeout = 20 * time.Millisecond })
	c := w.dial("")
	fmt.Fprintf(c, "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
	if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 503 ") {
		t.Errorf("%q %v", b, err)
	}
}

// deadlines notes the deadlines of the connections that it accepts.
type deadlines struct {
	net.Listener
	mu          sync.Mutex
	read, write time.Time
}

type notedConn struct {
	net.Conn
	d *deadlines
}

func (d *deadlines) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	return notedConn{c, d}, err
}

func (c notedConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c notedConn) SetReadDeadline(t time.Time) error {
	c.d.mu.Lock()
	c.d.read = t
	c.d.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

func (c notedConn) SetWriteDeadline(t time.Time) error {
	c.d.mu.Lock()
	c.d.write = t
	c.d.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

func (d *deadlines) get() (read, write bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.read.IsZero(), !d.write.IsZero()
}

func TestAHandlerMayWaitAsLongAsItLikes(t *testing.T) {
	var d deadlines
	var steps []string
	note := func(step string) {
		read, write := d.get()
		steps = append(steps, fmt.Sprintf("%s read=%v write=%v", step, read, write))
	}
	w := start(t, one("POST /app/x", func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
		note("begin")
		_, _ = io.ReadAll(r.Body)
		note("wait")
		_, _ = rw.Write([]byte("done"))
		note("answer")
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Listener = l
	done := make(chan error, 1)
	go func() { done <- w.g.Serve(&d) }()
	w.addr = l.Addr().String()
	c := w.client("Alpha")
	for range 2 {
		steps = nil
		w.do(c, "POST", "/app/x", strings.NewReader("body"))
		want := "begin read=true write=false, wait read=false write=false, answer read=false write=true"
		if got := strings.Join(steps, ", "); got != want {
			t.Errorf("deadlines: %s\nexpected:  %s", got, want)
		}
	}
	if err := w.g.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAClientThatTakesNothingIsCutOff(t *testing.T) {
	failed := make(chan error, 1)
	w := start(t, one("GET /app/x", func(_ coco.Caller, rw http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := rw.Write(make([]byte, 1<<20)); err != nil {
				failed <- err
				return
			}
		}
	}), func(c *Config) { c.WriteTimeout = 20 * time.Millisecond })
	c := w.dial("Alpha")
	fmt.Fprintf(c, "GET /app/x HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestShutdownDoesNotWaitForClientsThatTakeNothing(t *testing.T) {
	stuck := make(chan struct{})
	w := start(t, one("GET /app/x", func(_ coco.Caller, rw http.ResponseWriter, _ *http.Request) {
		close(stuck)
		for {
			if _, err := rw.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}), func(c *Config) { c.WriteTimeout = 100 * time.Hour })
	fmt.Fprintf(w.dial("Alpha"), "GET /app/x HTTP/1.1\r\nHost: x\r\n\r\n")
	<-stuck
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.g.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAPanicIsAnsweredAndItsValueStaysInside(t *testing.T) {
	const secret = "swordfish"
	w := start(t, []adapter.Endpoint{
		{Pattern: "GET /app/early", Query: adapter.AnyQuery, Handler: func(coco.Caller, http.ResponseWriter, *http.Request) { panic(secret) }},
		{Pattern: "GET /app/late", Query: adapter.AnyQuery, Handler: func(_ coco.Caller, rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write([]byte("begin"))
			panic(errors.New(secret))
		}},
	}, func(c *Config) { c.MaxRequests = 1 })
	c := w.client("Alpha")
	for range 2 {
		if got := w.get(c, "/app/early?token="+secret); got.status != 500 || code(t, got) != "internal" {
			t.Errorf("%d %s", got.status, got.body)
		}
		resp, err := c.Get("https://" + w.addr + "/app/late")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if err == nil {
			t.Error("a broken answer looks whole")
		}
	}
	text := w.logs.String()
	if !strings.Contains(text, "GET /app/early") || !strings.Contains(text, "TestAPanicIsAnswered") {
		t.Errorf("the log does not say where: %s", text)
	}
	if strings.Contains(text, secret) || strings.Contains(text, "token") {
		t.Errorf("the log holds what the panic held: %s", text)
	}
}
