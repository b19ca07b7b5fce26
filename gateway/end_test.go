package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// echo is a WebSocket endpoint that ends when its request's context does.
func echo(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	for {
		kind, b, err := ws.Read(r.Context())
		if err != nil {
			return
		}
		if err := ws.Write(r.Context(), kind, b); err != nil {
			return
		}
	}
}

func (w *world) websocket(name string) (*websocket.Conn, error) {
	ws, resp, err := websocket.Dial(context.Background(), "wss://"+w.addr+"/ws", &websocket.DialOptions{HTTPClient: w.client(name)})
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	return ws, err
}

func say(ws *websocket.Conn, text string) (string, error) {
	if err := ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		return "", err
	}
	_, b, err := ws.Read(context.Background())
	return string(b), err
}

func TestWebSocketsAreCountedApartAndEndWithTheirCaller(t *testing.T) {
	w := start(t, one("GET /ws", echo), func(c *Config) { c.MaxStreams, c.MaxRequests = 3, 1 })
	alpha, err := w.websocket("Alpha")
	if err != nil {
		t.Fatal(err)
	}
	beta, err := w.websocket("Beta")
	if err != nil {
		t.Fatal(err)
	}
	for _, ws := range []*websocket.Conn{alpha, beta} {
		if got, err := say(ws, "hello"); got != "hello" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	}
	if _, err := w.websocket("Alpha"); err == nil {
		t.Error("a third WebSocket was accepted")
	}
	if got := w.get(w.client("Alpha"), "/node/nodes"); got.status != 200 {
		t.Errorf("a request beside WebSockets: %d", got.status)
	}
	w.node.remove("Alpha")
	w.g.Reidentify()
	if _, err := say(alpha, "still here"); err == nil {
		t.Error("a removed organisation keeps its WebSocket")
	}
	if got, err := say(beta, "still here"); got != "still here" || err != nil {
		t.Errorf("another organisation lost its WebSocket: %q %v", got, err)
	}
	again, err := w.websocket("Beta")
	if err != nil {
		t.Errorf("the place was not given back: %v", err)
	} else {
		_ = again.CloseNow()
	}
}

func TestShutdownLetsRequestsEndAndTellsWebSockets(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	w := start(t, []adapter.Endpoint{
		{Pattern: "GET /ws", Handler: echo},
		{Pattern: "GET /app/x", Handler: func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
			close(entered)
			<-release
			if r.Context().Err() != nil {
				rw.WriteHeader(http.StatusGone)
			}
		}},
	})
	ws, err := w.websocket("Alpha")
	if err != nil {
		t.Fatal(err)
	}
	idle := w.dial("Beta") // a connection that never asks
	c := w.client("Alpha")
	running := make(chan answer, 1)
	go func() { running <- w.get(c, "/app/x") }()
	<-entered
	done := make(chan error, 1)
	go func() { done <- w.g.Shutdown(context.Background()) }()
	if _, _, err := ws.Read(context.Background()); err == nil {
		t.Error("the WebSocket did not end")
	}
	fmt.Fprintf(idle, "GET /node/status HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(idle), nil); err == nil {
		if resp.StatusCode != 503 {
			t.Errorf("a new request: %d", resp.StatusCode)
		}
		_ = resp.Body.Close()
	}
	select {
	case err := <-done:
		t.Errorf("Shutdown did not wait: %v", err)
	default:
	}
	close(release)
	if got := <-running; got.status != 200 {
		t.Errorf("the running request: %d", got.status)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := tls.Dial("tcp", w.addr, clientTLS(nil)); err == nil {
		t.Error("connections are still accepted")
	}
}

func TestShutdownCutsOffWhatDoesNotEnd(t *testing.T) {
	entered := make(chan struct{}, 2)
	w := start(t, []adapter.Endpoint{
		{Pattern: "GET /ws", Handler: func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				panic(err)
			}
			entered <- struct{}{}
			_, _ = io.Copy(io.Discard, conn) // deaf to its context
			_ = conn.Close()
		}},
		{Pattern: "GET /app/x", Handler: func(_ coco.Caller, _ http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			<-r.Context().Done()
		}},
	})
	fmt.Fprintf(w.dial("Alpha"), "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
	fmt.Fprintf(w.dial("Alpha"), "GET /app/x HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.g.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("expected to hear of what was cut off, found %v", err)
	}
}

func TestNoConnectionIsUpgradedBehindReidentifyOrShutdown(t *testing.T) {
	w := start(t, nil)
	stale := &response{ResponseWriter: &recorder{header: http.Header{}}, g: w.g, gate: &w.g.gates.streams}
	w.g.Reidentify()
	if _, _, err := stale.Hijack(); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that was identified before Reidentify: %v", err)
	}
	fresh := &response{ResponseWriter: stale.ResponseWriter, g: w.g, gate: &w.g.gates.streams, generation: 1}
	if _, _, err := fresh.Hijack(); !errors.Is(err, http.ErrNotSupported) { // as far as the recorder can
		t.Errorf("a caller that is known: %v", err)
	}
	w.g.end.cancelBase()
	if _, _, err := fresh.Hijack(); !errors.Is(err, context.Canceled) {
		t.Errorf("after Shutdown closed what it found: %v", err)
	}
}

func TestAnonymousRequestsCannotTakeOverTheConnection(t *testing.T) {
	w := start(t, nil)
	resp := &response{ResponseWriter: &recorder{header: http.Header{}}, g: w.g, gate: &w.g.gates.anonymous}
	if _, _, err := resp.Hijack(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}
