package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// rule says what a link does to what is sent on it in one direction.
type rule struct {
	delay, jitter time.Duration
	// lose is the share of pieces that get lost. TCP sends a lost piece again, and what follows
	// waits for it: so it costs again, more time.
	lose  float64
	again time.Duration
	// blocked keeps everything, until it is over: TCP tries again until then.
	blocked bool
}

// links are the ways between nodes. Before each node there is a proxy, which the others dial; it
// knows them by their addresses.
type links struct {
	mu     sync.Mutex
	rules  map[[2]string]rule // by sender and receiver; under mu
	change chan struct{}      // closed at a change of rules; under mu
	wait   sync.WaitGroup
}

func newLinks() *links {
	return &links{rules: map[[2]string]rule{}, change: make(chan struct{})}
}

// set puts a rule on what from sends to to.
func (l *links) set(from, to string, r rule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules[[2]string{from, to}] = r
	close(l.change)
	l.change = make(chan struct{})
}

func (l *links) rule(from, to string) (rule, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rules[[2]string{from, to}], l.change
}

// serve is the proxy before a node: to is the node's host, address where it listens.
func (l *links) serve(ctx context.Context, ln net.Listener, to, address string) {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		in, err := ln.Accept()
		if err != nil {
			return // closed
		}
		l.wait.Go(func() { l.connect(ctx, in, to, address) })
	}
}

// connect joins a connection with one of its own to the node, and closes both when one ends.
func (l *links) connect(ctx context.Context, in net.Conn, to, address string) {
	defer in.Close()
	from, _, err := net.SplitHostPort(in.RemoteAddr().String())
	if err != nil {
		return
	}
	dial := net.Dialer{Timeout: 5 * time.Second}
	out, err := dial.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _, _ = in.Close(), out.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { defer cancel(); l.carry(ctx, out, in, from, to) })
	both.Go(func() { defer cancel(); l.carry(ctx, in, out, to, from) })
	both.Wait()
}

// piece is what is on its way.
type piece struct {
	data []byte
	due  time.Time
}

// carry moves what src says to dst, under the rule of that direction.
func (l *links) carry(ctx context.Context, dst io.Writer, src io.Reader, from, to string) {
	way := make(chan piece, 64) // a full one makes the sender wait, as a full window does
	var writer sync.WaitGroup
	writer.Go(func() { l.deliver(ctx, dst, way, from, to) })
	defer writer.Wait()
	defer close(way)
	var last time.Time // TCP delivers in order
	for {
		buf := make([]byte, 32<<10)
		n, err := src.Read(buf)
		if n > 0 {
			r, _ := l.rule(from, to)
			due := time.Now().Add(r.latency())
			if due.Before(last) {
				due = last
			}
			last = due
			select {
			case way <- piece{buf[:n], due}:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (r rule) latency() time.Duration {
	d := r.delay
	if r.jitter > 0 {
		d += rand.N(r.jitter)
	}
	if rand.Float64() < r.lose {
		d += r.again
	}
	return d
}

// deliver writes what arrives, when it is due and nothing blocks it.
func (l *links) deliver(ctx context.Context, dst io.Writer, way <-chan piece, from, to string) {
	for p := range way {
		for {
			r, change := l.rule(from, to)
			if !r.blocked {
				break
			}
			select {
			case <-change:
			case <-ctx.Done():
				return
			}
		}
		if !sleep(ctx, time.Until(p.due)) {
			return
		}
		if _, err := dst.Write(p.data); err != nil {
			return
		}
	}
}

// sleep waits, and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// TestTheProxyCarriesEverythingInOrderAndBlocksOneWay needs no room.
func TestTheProxyCarriesEverythingInOrderAndBlocksOneWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := newLinks()
	defer l.wait.Wait()
	defer cancel()
	node, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.wait.Go(func() { l.serve(ctx, front, "node", node.Addr().String()) })
	l.set("127.0.0.1", "node", rule{jitter: time.Millisecond, lose: 0.2, again: 2 * time.Millisecond})

	out, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := node.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var want, got []byte
	for i := range 50 {
		want = fmt.Appendf(want, "piece %d\n", i)
	}
	for i := range 50 {
		if _, err := fmt.Fprintf(out, "piece %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	got = make([]byte, len(want))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != string(want) {
		t.Fatalf("the node got %q, %v, want %q", got, err, want)
	}

	l.set("127.0.0.1", "node", rule{blocked: true})
	if _, err := out.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("back")); err != nil { // the other direction goes on
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, got[:4]); err != nil || string(got[:4]) != "back" {
		t.Fatalf("the sender got %q, %v, want %q", got[:4], err, "back")
	}
	_ = in.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := in.Read(got); n != 0 || err == nil {
		t.Fatalf("%q passed a blocked link", got[:n])
	}
	_ = in.SetReadDeadline(time.Time{})
	l.set("127.0.0.1", "node", rule{})
	if _, err := io.ReadFull(in, got[:4]); err != nil || string(got[:4]) != "held" {
		t.Fatalf("after the block the node got %q, %v, want %q", got[:4], err, "held")
	}
	out.Close()
	if _, err := in.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("the node reads %v after the sender's end, want the end", err)
	}
}
