package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/budget"
)

func TestOneOrganisationLeavesRoomForAnother(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	w := start(t, one("GET /app/{who}", func(_ coco.Caller, _ http.ResponseWriter, r *http.Request) {
		if r.PathValue("who") == "greedy" {
			entered <- struct{}{}
			<-release
		}
	}), func(c *Config) { c.MaxRequests = 8 })
	alpha, beta := w.client("Alpha"), w.client("Beta")
	ended := make(chan answer, 4)
	for range 4 {
		go func() { ended <- w.get(alpha, "/app/greedy") }()
		<-entered
	}
	if got := w.get(alpha, "/app/x"); got.status != 503 || code(t, got) != "busy" || !strings.Contains(got.body, "share") {
		t.Errorf("beyond its share: %d %s", got.status, got.body)
	}
	if got := w.get(beta, "/app/x"); got.status != 200 {
		t.Errorf("another organisation: %d %s", got.status, got.body)
	}
	close(release)
	for range 4 {
		if got := <-ended; got.status != 200 {
			t.Errorf("%d", got.status)
		}
	}
	if got := w.get(alpha, "/metrics"); !strings.Contains(got.body, "coco_http_refused_share_total 1") {
		t.Errorf("the refusal was not counted: %s", got.body)
	}
}

func TestBytesOfBodiesAreBounded(t *testing.T) {
	w := start(t, one("PUT /app/x", func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			rw.WriteHeader(http.StatusTeapot)
		}
	}), func(c *Config) { c.MaxBodies = 1500 })
	c := w.client("Alpha")
	slow, send := io.Pipe()
	first := make(chan answer, 1)
	go func() { first <- w.do(c, "PUT", "/app/x", slow) }() // counts as 1000, the largest
	if _, err := send.Write([]byte("slowly")); err != nil {
		t.Fatal(err)
	}
	for w.g.gates.requests.n.Load() == 0 { // it is in once the handler runs
		if w.g.shares.held() > 0 {
			break
		}
	}
	if got := w.do(c, "PUT", "/app/x", bytes.NewReader(make([]byte, 600))); got.status != 503 || code(t, got) != "busy" {
		t.Errorf("a body beside one of unknown length: %d %s", got.status, got.body)
	}
	if got := w.do(w.client("Beta"), "PUT", "/app/x", bytes.NewReader(make([]byte, 400))); got.status != 200 {
		t.Errorf("a small body of another organisation: %d %s", got.status, got.body)
	}
	_ = send.Close()
	if got := <-first; got.status != 200 {
		t.Errorf("the slow body: %d %s", got.status, got.body)
	}
	if bodies, replies := w.g.shares.held(), w.g.replies.Used(); bodies != 0 || replies != 0 {
		t.Errorf("%d bytes of bodies and %d of replies are held after all ended", bodies, replies)
	}
}

func TestAnswersForSlowReadersAreBounded(t *testing.T) {
	const size = 8 << 20 // beyond what sockets hold
	w := start(t, one("GET /app/x", func(_ coco.Caller, rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write(make([]byte, size))
	}), func(c *Config) { c.MaxReplies = size + size/2 })
	slow := w.dial("Alpha")
	if _, err := fmt.Fprintf(slow, "GET /app/x HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for {
		if w.g.replies.Used() == size-budget.Free {
			break
		}
	}
	if got := w.get(w.client("Alpha"), "/app/x"); got.status != 503 || code(t, got) != "busy" {
		t.Errorf("an answer beside one that nobody reads: %d, %d bytes", got.status, len(got.body))
	}
	_ = slow.Close()
}

func TestOnlyTheOwnerRetiresANode(t *testing.T) {
	asked, fail := 0, error(nil)
	w := startAdmin(t, func(c *Config) {
		c.Owner = coco.ActorID{'A'}
		c.Retire = func(context.Context) (coco.TxID, error) { asked++; return coco.TxID{View: 2, Seqno: 9}, fail }
	})
	if got := w.do(w.client(""), "POST", "/node/retire", nil); got.status != 401 {
		t.Errorf("without certificate: %d", got.status)
	}
	if got := w.do(w.governor("Beta"), "POST", "/node/retire", nil); got.status != 403 || asked != 0 {
		t.Errorf("another member: %d, asked %d times", got.status, asked)
	}
	if got := w.do(w.governor("Alpha"), "POST", "/node/retire", nil); got.status != 200 || got.body != `{"transaction_id":"2.9"}`+"\n" {
		t.Errorf("the owner: %d %s", got.status, got.body)
	}
	for err, status := range map[error]int{
		fmt.Errorf("%w: the only one", coco.ErrInvalid): 400, fmt.Errorf("%w: too few", coco.ErrBusy): 503, errors.New("x"): 500,
	} {
		fail = err
		if got := w.do(w.governor("Alpha"), "POST", "/node/retire", nil); got.status != status {
			t.Errorf("%v: %d", err, got.status)
		}
	}
}

func TestConnectionsEndOneByOneBeforeShutdown(t *testing.T) {
	w := start(t, one("GET /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {}))
	ask := func() *http.Response {
		c := w.dial("Alpha")
		if _, err := fmt.Fprintf(c, "GET /app/x HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if got := ask(); got.StatusCode != 200 || got.Close {
		t.Errorf("before: %s, closes %t", got.Status, got.Close)
	}
	w.g.Leave()
	if got := ask(); got.StatusCode != 200 || !got.Close {
		t.Errorf("a node that leaves answers %s, closes %t", got.Status, got.Close)
	}
	if ws, err := w.websocket("Alpha"); err == nil {
		_ = ws.CloseNow()
		t.Error("a node that leaves accepts a WebSocket")
	}
}
