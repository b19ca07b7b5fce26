package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/budget"
)

// A receipt needs the whole batch that holds its transaction: however many clients ask, few are in memory.
func TestFewReceiptsAreBuiltAtATime(t *testing.T) {
	w := start(t, nil)
	var now, most atomic.Int32
	arrived := make(chan struct{}, 100)
	leave := make(chan struct{})
	w.node.receipt = func() ([]byte, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		arrived <- struct{}{}
		<-leave
		return []byte("{}"), nil
	}
	c := w.client("Alpha")
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = 40
	for range 2 * w.g.cfg.MaxBuilds { // those that wait for their transaction are in nobody's way
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			req, _ := http.NewRequestWithContext(ctx, "GET", "https://"+w.addr+"/node/receipt/3.21", nil)
			if resp, err := c.Do(req); err == nil {
				resp.Body.Close()
			}
		}()
	}
	until(t, "all wait for their transaction", func() bool { return w.g.gates.requests.n.Load() >= int64(2*w.g.cfg.MaxBuilds) })
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if got := w.get(c, "/node/receipt/3.7"); got.status != 200 || got.body != "{}" {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	for range w.g.cfg.MaxBuilds / 2 { // what one organisation alone may have
		<-arrived
	}
	for w.g.gates.requests.n.Load() < int64(40+2*w.g.cfg.MaxBuilds) { // all have come
	}
	close(leave)
	wg.Wait()
	if got := int(most.Load()); got > w.g.cfg.MaxBuilds || got < w.g.cfg.MaxBuilds/2 {
		t.Errorf("%d receipts were built at a time, the limit is %d", got, w.g.cfg.MaxBuilds)
	}
}

func TestAReceiptForAnotherOrganisationIsBuiltBesideAFlood(t *testing.T) {
	w := start(t, nil)
	arrived, leave := make(chan struct{}, 100), make(chan struct{})
	w.node.receipt = func() ([]byte, error) {
		arrived <- struct{}{}
		<-leave
		return []byte("{}"), nil
	}
	flood := w.client("Alpha")
	flood.Transport.(*http.Transport).MaxIdleConnsPerHost = 40
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { w.get(flood, "/node/receipt/3.7") })
	}
	until(t, "the flood has come", func() bool { return w.g.gates.requests.n.Load() >= 40 && len(arrived) >= w.g.cfg.MaxBuilds/2 })
	if n := len(arrived); n > w.g.cfg.MaxBuilds/2 {
		t.Errorf("one organisation holds %d of %d turns", n, w.g.cfg.MaxBuilds)
	}
	before := len(arrived)
	wg.Go(func() { w.get(w.client("Beta"), "/node/receipt/3.7") })
	until(t, "another organisation's receipt is built beside the flood", func() bool { return len(arrived) > before })
	close(leave)
	wg.Wait()
}

// A client that does not read keeps the reply in memory, and nobody's turn.
func TestRepliesOfANodesOwnAreClaimed(t *testing.T) {
	const size = 8 << 20 // beyond what sockets hold, the client's being as small as it is made below
	w := start(t, nil, func(c *Config) { c.MaxReplies, c.MaxBuilds = 3*size, 1 })
	receipt := func(size int) func() ([]byte, error) {
		return func() ([]byte, error) { return []byte(`{"": "` + strings.Repeat("0", size-8) + `"}`), nil }
	}
	w.node.receipt = receipt(size)
	slow := w.dial("Alpha")
	if err := slow.NetConn().(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(slow, "GET /node/receipt/3.7 HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	until(t, "the reply is in memory", func() bool { return w.g.replies.Used() > 0 })
	if got := w.get(w.client("Alpha"), "/node/receipt/3.7"); got.status != 503 || !strings.Contains(got.body, "at a time") {
		t.Errorf("beside a reply that nobody reads: %d, %.200s", got.status, got.body)
	}
	if got := w.get(w.client("Beta"), "/node/receipt/3.7"); got.status != 200 || len(got.body) != size {
		t.Errorf("another organisation: %d, %.200s", got.status, got.body)
	}
	w.node.receipt = receipt(maxOwn + 1)
	if got := w.get(w.client("Beta"), "/node/receipt/3.7"); got.status != 400 || !strings.Contains(got.body, fmt.Sprint(maxOwn)) {
		t.Errorf("beyond what one reply may take: %d, %.200s", got.status, got.body)
	}
	_ = slow.Close()
	until(t, "the memory is given back", func() bool { return w.g.replies.Used() == 0 })
}

// What an adapter claims is counted once, and given back when its handler has returned.
func TestHandlersHaveAClaimOnTheNodesMemory(t *testing.T) {
	const limit = 4 << 20
	w := start(t, one("GET /app/x", func(_ coco.Caller, rw http.ResponseWriter, _ *http.Request) {
		out := budget.NewBuffer(adapter.ClaimOf(rw), 0)
		for range 15 {
			if _, err := out.Write(make([]byte, 128<<10)); err != nil {
				rw.WriteHeader(http.StatusTeapot)
				return
			}
		}
		if err := adapter.ClaimOf(rw).Take(limit); err == nil {
			rw.WriteHeader(http.StatusTeapot)
		}
		_, _ = out.WriteTo(rw)
	}), func(c *Config) { c.MaxReplies = limit })
	c := w.client("Alpha")
	for range 3 {
		if got := w.get(c, "/app/x"); got.status != 200 || len(got.body) != 15*128<<10 {
			t.Fatalf("%d, %d bytes", got.status, len(got.body))
		}
	}
	until(t, "the memory is given back", func() bool { return w.g.replies.Used() == 0 })
}
