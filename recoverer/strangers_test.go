package recoverer

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/internal/crowd"
	"github.com/cocoframework/coco/wire"
)

// slow is a TEE's device that answers when it is let.
type slow struct {
	virtual.Quoter
	asked atomic.Int32
	let   chan struct{}
}

func (s *slow) Quote(ctx context.Context, data [64]byte) ([]byte, error) {
	s.asked.Add(1)
	select {
	case <-s.let:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Quoter.Quote(ctx, data)
}

func serve(t *testing.T) (*slow, string) {
	quoter, err := virtual.NewQuoter(virtual.Measure([]byte("code")))
	if err != nil {
		t.Fatal(err)
	}
	device := &slow{Quoter: quoter, let: make(chan struct{})}
	r, err := New(Config{Quoter: device, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, ln) }()
	t.Cleanup(func() {
		end()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return device, ln.Addr().String()
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func TestStrangersHaveFewQuotesMadeAtATime(t *testing.T) {
	device, address := serve(t)
	url := "https://" + address + "/node/evidence?nonce=" + hex.EncodeToString(make([]byte, 32))
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: insecure(), ForceAttemptHTTP2: true}}
	defer hc.CloseIdleConnections()
	statuses := make(chan int, 20)
	for range 20 {
		go func() {
			resp, err := hc.Get(url)
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusOK && !errors.Is(wire.FromAnswer(resp.StatusCode, body), coco.ErrBusy) {
				t.Errorf("evidence is answered %d %s", resp.StatusCode, body)
			}
			statuses <- resp.StatusCode
		}()
	}
	for range 20 - maxQuotes {
		if got := <-statuses; got == http.StatusOK {
			t.Error("evidence that the device has not made")
		}
	}
	if n := device.asked.Load(); n != maxQuotes {
		t.Errorf("%d quotes are made at a time, expected %d", n, maxQuotes)
	}
	close(device.let)
	for range maxQuotes {
		if got := <-statuses; got != http.StatusOK {
			t.Errorf("evidence is answered %d once the device has made it", got)
		}
	}
}

func TestARequestHasAConnectionOfItsOwn(t *testing.T) {
	_, address := serve(t)
	config := insecure()
	config.NextProtos = []string{"h2", "http/1.1"}
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("the protocol is %q, expected http/1.1", got)
	}
}

// at is a connection from an address, which notes that it was closed.
type at struct {
	net.Conn
	address net.Addr
	closed  bool
}

func (a *at) RemoteAddr() net.Addr { return a.address }
func (a *at) Close() error         { a.closed = true; return nil }

type from []*at

func (f *from) Accept() (net.Conn, error) {
	c := (*f)[0]
	*f = (*f)[1:]
	return c, nil
}
func (*from) Close() error   { return nil }
func (*from) Addr() net.Addr { return nil }

func TestWhoeverHasMostConnectionsLosesTheOldest(t *testing.T) {
	member := &at{address: &net.TCPAddr{IP: net.ParseIP("10.0.0.1"), Port: 1}}
	all := []*at{member}
	for i := range 10 {
		ip := net.ParseIP("2001:db8::")
		ip[15] = byte(i) // a host has 2^64 addresses
		all = append(all, &at{address: &net.TCPAddr{IP: ip, Port: 1000}})
	}
	list := from(all)
	const most = 4
	l := &bounded{&list, crowd.New(most)}
	var last net.Conn
	for range all {
		last, _ = l.Accept()
	}
	for i, c := range all {
		if want := c != member && i <= len(all)-4; c.closed != want {
			t.Errorf("connection %d of %s: closed %t, expected %t", i, c.address, c.closed, want)
		}
	}
	if n := l.crowd.Len(); n != most {
		t.Errorf("%d are open, expected %d", n, most)
	}
	_ = last.Close()
	_ = last.Close()
	if n := l.crowd.Len(); n != most-1 {
		t.Errorf("%d are open after one was closed, expected %d", n, most-1)
	}
}

func TestASilentConnectionHoldsUpNobody(t *testing.T) {
	_, address := serve(t)
	for range maxConns + 10 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	hc := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: insecure()}}
	defer hc.CloseIdleConnections()
	resp, err := hc.Get("https://" + address + "/recovery")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the state is answered %d", resp.StatusCode)
	}
}
