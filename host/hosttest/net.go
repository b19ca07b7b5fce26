package hosttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

var netTests = []contract{
	{"bytes arrive in order, both ways", bothWays},
	{"closing ends the peer's reading after the last byte", closeEnds},
	{"a deadline ends reading, and a later one allows it again", readDeadline},
	{"a deadline ends writing to a peer that does not read", writeDeadline},
	{"a deadline in the past wakes a reader", wakeReader},
	{"closing wakes a reader", closeWakes},
	{"a dial to a closed port fails", dialRefused},
	{"a dial ends with its context", dialCancelled},
	{"an address is listened on once", addressInUse},
	{"closing a listener ends accepting", listenerCloses},
	{"connections know their addresses", addresses},
}

// connect returns the two ends of a connection from Peer to Host.
func connect(t *testing.T, e Env) (near, far net.Conn) {
	t.Helper()
	l := got(e.Host.Net.Listen(e.Listen))(t)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	near = got(e.Peer.Net.Dial(t.Context(), l.Addr().String()))(t)
	far = <-accepted
	if far == nil {
		t.FailNow()
	}
	return near, far
}

func bothWays(t *testing.T, e Env) {
	near, far := connect(t, e)
	defer near.Close()
	defer far.Close()
	data := make([]byte, 3<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(data)
	var wg sync.WaitGroup
	for _, c := range []net.Conn{near, far} {
		wg.Go(func() {
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 70_001)
				if _, err := c.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		wg.Go(func() {
			b := make([]byte, len(data))
			if _, err := io.ReadFull(c, b); err != nil || !bytes.Equal(b, data) {
				t.Errorf("bytes differ, or: %v", err)
			}
		})
	}
	wg.Wait()
}

func closeEnds(t *testing.T, e Env) {
	near, far := connect(t, e)
	got(near.Write([]byte("last words")))(t)
	ok(t, near.Close())
	if b := got(io.ReadAll(far))(t); string(b) != "last words" {
		t.Errorf("found %q", b)
	}
	ok(t, far.Close())
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: expected net.ErrClosed, found %v", err)
	}
	if _, err := near.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: expected net.ErrClosed, found %v", err)
	}
}

func readDeadline(t *testing.T, e Env) {
	near, far := connect(t, e)
	defer near.Close()
	defer far.Close()
	b := make([]byte, 1)
	for _, deadline := range []time.Time{time.Now().Add(-time.Second), time.Now().Add(5 * time.Millisecond)} {
		ok(t, near.SetReadDeadline(deadline))
		_, err := near.Read(b)
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("expected os.ErrDeadlineExceeded, found %v", err)
		}
	}
	ok(t, near.SetDeadline(time.Time{}))
	got(far.Write([]byte("x")))(t)
	if got(near.Read(b))(t); b[0] != 'x' {
		t.Errorf("found %q", b)
	}
}

func writeDeadline(t *testing.T, e Env) {
	near, far := connect(t, e)
	defer near.Close()
	defer far.Close()
	ok(t, near.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	var err error
	for b := make([]byte, 1<<20); err == nil; {
		_, err = near.Write(b)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("expected os.ErrDeadlineExceeded, found %v", err)
	}
}

func wakeReader(t *testing.T, e Env) {
	near, far := connect(t, e)
	defer near.Close()
	defer far.Close()
	done := make(chan error)
	go func() {
		_, err := near.Read(make([]byte, 1))
		done <- err
	}()
	ok(t, near.SetReadDeadline(time.Unix(1, 0)))
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("expected os.ErrDeadlineExceeded, found %v", err)
	}
}

func closeWakes(t *testing.T, e Env) {
	near, far := connect(t, e)
	defer far.Close()
	done := make(chan error)
	go func() {
		_, err := near.Read(make([]byte, 1))
		done <- err
	}()
	ok(t, near.Close())
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("expected net.ErrClosed, found %v", err)
	}
}

func dialRefused(t *testing.T, e Env) {
	l := got(e.Host.Net.Listen(e.Listen))(t)
	ok(t, l.Close())
	if c, err := e.Peer.Net.Dial(t.Context(), l.Addr().String()); err == nil {
		t.Error("connected to a closed port")
		ok(t, c.Close())
	}
	if _, err := e.Peer.Net.Dial(t.Context(), "no port"); err == nil {
		t.Error("dialled an address without a port")
	}
}

func dialCancelled(t *testing.T, e Env) {
	l := got(e.Host.Net.Listen(e.Listen))(t)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Peer.Net.Dial(ctx, l.Addr().String()); err == nil {
		t.Error("connected under a cancelled context")
	}
}

func addressInUse(t *testing.T, e Env) {
	l := got(e.Host.Net.Listen(e.Listen))(t)
	if again, err := e.Host.Net.Listen(l.Addr().String()); err == nil {
		t.Error("listened twice on one address")
		ok(t, again.Close())
	}
	ok(t, l.Close())
	ok(t, got(e.Host.Net.Listen(l.Addr().String()))(t).Close())
}

func listenerCloses(t *testing.T, e Env) {
	l := got(e.Host.Net.Listen(e.Listen))(t)
	done := make(chan error)
	go func() {
		_, err := l.Accept()
		done <- err
	}()
	ok(t, l.Close())
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("expected net.ErrClosed, found %v", err)
	}
}

func addresses(t *testing.T, e Env) {
	near, far := connect(t, e)
	defer near.Close()
	defer far.Close()
	if near.LocalAddr().String() != far.RemoteAddr().String() || near.RemoteAddr().String() != far.LocalAddr().String() {
		t.Errorf("one end says %v to %v, the other %v to %v", near.LocalAddr(), near.RemoteAddr(), far.RemoteAddr(), far.LocalAddr())
	}
}
