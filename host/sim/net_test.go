package sim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/hosttest"
	"github.com/cocoframework/coco/host/sim"
)

func TestHostKeepsTheContract(t *testing.T) {
	hosttest.Run(t, func(t *testing.T, test func(*testing.T, hosttest.Env)) {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(1)
			test(t, hosttest.Env{Host: w.Host("a"), Peer: w.Host("b"), Listen: ":0", Reopen: func() host.Host {
				w.Restart("a")
				return w.Host("a")
			}})
		})
	})
}

// world runs a test in virtual time.
func world(t *testing.T, seed uint64, test func(t *testing.T, w *sim.World)) {
	synctest.Test(t, func(t *testing.T) { test(t, sim.New(seed)) })
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dial connects two hosts; both ends are closed after the test.
func dial(t *testing.T, w *sim.World, from, to string) (near, far net.Conn) {
	t.Helper()
	l, err := w.Host(to).Net.Listen(":0")
	ok(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	near, err = w.Host(from).Net.Dial(t.Context(), l.Addr().String())
	ok(t, err)
	far = <-accepted
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := c.Write([]byte(text))
	ok(t, err)
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("received %q, %v, expected %q", b, err, want)
	}
}

func TestDelayIsTheLinks(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		w.SetLink(sim.Link{Delay: time.Second})
		w.SetLinkBetween("c", "a", sim.Link{Delay: time.Minute})
		start := time.Now()
		near, far := dial(t, w, "a", "b")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("dialling took %v: expected one round trip", took)
		}
		start = time.Now()
		send(t, near, "one")
		send(t, near, "two")
		if took := time.Since(start); took != 0 {
			t.Errorf("writing took %v", took)
		}
		receive(t, far, "onetwo")
		if took := time.Since(start); took != time.Second {
			t.Errorf("bytes took %v", took)
		}
		near, far = dial(t, w, "a", "c")
		start = time.Now()
		send(t, near, "one")
		ok(t, near.Close())
		receive(t, far, "one")
		if n, err := far.Read(make([]byte, 1)); n != 0 || err != io.EOF || time.Since(start) != time.Minute {
			t.Errorf("the end came after %v: %d, %v", time.Since(start), n, err)
		}
	})
}

// arrivals returns when each of many writes arrives over a bad link.
func arrivals(t *testing.T, seed uint64) (times []time.Duration, end error) {
	world(t, seed, func(t *testing.T, w *sim.World) {
		w.SetLink(sim.Link{Delay: time.Millisecond, Jitter: time.Millisecond})
		near, far := dial(t, w, "a", "b")
		w.SetLink(sim.Link{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.3})
		start := time.Now()
		go func() {
			defer near.Close()
			for i := range 100 {
				if _, err := near.Write([]byte{byte(i)}); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		b := make([]byte, 1)
		for i := 0; ; i++ {
			if _, end = io.ReadFull(far, b); end != nil {
				return
			}
			if b[0] != byte(i) {
				t.Fatalf("byte %d arrived as byte %d", b[0], i)
			}
			times = append(times, time.Since(start))
		}
	})
	return times, end
}

func TestLossPausesInOrderAndBySeed(t *testing.T) {
	first, end := arrivals(t, 7)
	if len(first) != 100 || end != io.EOF {
		t.Fatalf("%d of 100 bytes arrived: %v", len(first), end)
	}
	if !slices.IsSorted(first) || first[99] < time.Second+sim.RetransmitDelay {
		t.Errorf("the last byte arrived after %v: expected pauses", first[99])
	}
	if again, _ := arrivals(t, 7); !slices.Equal(first, again) {
		t.Error("one seed gave two behaviours")
	}
	if other, _ := arrivals(t, 8); slices.Equal(first, other) {
		t.Error("two seeds gave one behaviour")
	}
}

func TestTotalLossResets(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		near, far := dial(t, w, "a", "b")
		w.SetLinkBetween("a", "b", sim.Link{Loss: 1})
		if _, err := near.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("writing: %v", err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reading: %v", err)
		}
	})
}

func TestShortPartitionOnlyStalls(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		near, far := dial(t, w, "a", "b")
		send(t, near, "before ")
		time.Sleep(time.Second)
		w.Partition("b", "a")
		send(t, near, "during ")
		receive(t, far, "before ") // had arrived
		ok(t, far.SetReadDeadline(time.Now().Add(sim.StallLimit/2)))
		if n, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d bytes across a partition: %v", n, err)
		}
		w.Heal("a", "b")
		ok(t, far.SetReadDeadline(time.Time{}))
		send(t, near, "after")
		receive(t, far, "during after")
		time.Sleep(sim.StallLimit)
		send(t, far, "still here")
		receive(t, near, "still here")
	})
}

func TestLongPartitionResets(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		near, far := dial(t, w, "a", "b")
		other, otherFar := dial(t, w, "a", "c")
		start := time.Now()
		w.Isolate("b")
		for _, c := range []net.Conn{near, far} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
				t.Errorf("reading: %v", err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ETIMEDOUT) {
				t.Errorf("writing: %v", err)
			}
		}
		if took := time.Since(start); took != sim.StallLimit {
			t.Errorf("it took %v", took)
		}
		w.Rejoin("b")
		if _, err := near.Write([]byte("x")); err == nil {
			t.Error("a connection that was reset lives again")
		}
		near, far = dial(t, w, "a", "b")
		send(t, near, "again")
		receive(t, far, "again")
		send(t, other, "untouched")
		receive(t, otherFar, "untouched")
	})
}

func TestPartitionStopsAFullPipe(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		near, far := dial(t, w, "a", "b")
		w.Partition("a", "b")
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		done := make(chan error, 1)
		go func() {
			_, err := near.Write(data)
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("16 MiB fit into a cut wire: %v", err)
		default:
		}
		w.Heal("a", "b")
		b := make([]byte, len(data))
		if _, err := io.ReadFull(far, b); err != nil || !bytes.Equal(b, data) {
			t.Errorf("the bytes differ, or: %v", err)
		}
		ok(t, <-done)
	})
}

func TestDialIntoAPartition(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		l, err := w.Host("b").Net.Listen("b:7000")
		ok(t, err)
		defer l.Close()
		w.Host("a")
		w.Isolate("b")
		start := time.Now()
		if _, err := w.Host("a").Net.Dial(t.Context(), "b:7000"); !errors.Is(err, syscall.ETIMEDOUT) || time.Since(start) < sim.DialTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := w.Host("a").Net.Dial(ctx, "b:7000"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		time.AfterFunc(2*time.Second, func() { w.Rejoin("b") })
		c, err := w.Host("a").Net.Dial(t.Context(), "b:7000")
		if err != nil {
			t.Errorf("a partition that heals in time: %v", err)
		} else {
			ok(t, c.Close())
		}
	})
}

func TestCrashTakesTheNetworkAway(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		near, far := dial(t, w, "a", "b")
		old := w.Host("b")
		l, err := old.Net.Listen(":7000")
		ok(t, err)
		accepting := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			accepting <- err
		}()
		send(t, far, "never read")
		w.Crash("b")
		if err := <-accepting; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
		for _, c := range []net.Conn{near, far} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("write: %v", err)
			}
		}
		if _, err := w.Host("a").Net.Dial(t.Context(), "b:7000"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial to a host that is down: %v", err)
		}
		w.Restart("b")
		// The old incarnation stays dead.
		if _, err := old.Net.Listen(":7000"); !errors.Is(err, sim.ErrCrashed) {
			t.Errorf("listen: %v", err)
		}
		if _, err := old.Net.Dial(t.Context(), "a:1"); !errors.Is(err, sim.ErrCrashed) {
			t.Errorf("dial: %v", err)
		}
		again, err := w.Host("b").Net.Listen(":7000")
		ok(t, err)
		_ = l.Close() // of the old incarnation: must not close the new one's
		c, err := w.Host("a").Net.Dial(t.Context(), "b:7000")
		ok(t, err)
		ok(t, errors.Join(c.Close(), again.Close()))
	})
}

func TestAddressesAreTheHosts(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		n := w.Host("a").Net
		for _, bad := range []string{"b:1", "a", "a:x", "a:65536", "a:-1", "a:01", ""} {
			if l, err := n.Listen(bad); err == nil {
				t.Errorf("listens on %q", bad)
				ok(t, l.Close())
			}
		}
		var dns *net.DNSError
		if _, err := n.Dial(t.Context(), "nowhere:1"); !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("dial to an unknown host: %v", err)
		}
		for _, local := range []string{":5", "127.0.0.1:5", "localhost:5", "a:5"} {
			l, err := n.Listen(local)
			ok(t, err)
			if got := l.Addr().String(); got != "a:5" {
				t.Errorf("listening on %q, address %q", local, got)
			}
			c, err := n.Dial(t.Context(), "localhost:5")
			ok(t, err)
			ok(t, errors.Join(c.Close(), l.Close()))
		}
	})
}

func TestClocksDisagreeAndTimeIsVirtual(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		a, b := w.Host("a").Clock, w.Host("b").Clock
		w.SetClock("b", -time.Hour)
		if d := a.Now().Sub(b.Now()); d != time.Hour {
			t.Errorf("clocks are %v apart", d)
		}
		start := a.Now()
		<-b.After(24 * time.Hour)
		if d := a.Now().Sub(start); d != 24*time.Hour {
			t.Errorf("a day took %v", d)
		}
	})
}

func TestStockHTTPRunsOverIt(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		w.SetLink(sim.Link{Delay: 5 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.01})
		l, err := w.Host("server").Net.Listen(":80")
		ok(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				_, err = rw.Write(body)
			}
			if err != nil {
				t.Error(err)
			}
		}), ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(l) }()
		transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return w.Host("client").Net.Dial(ctx, addr)
		}}
		client := &http.Client{Transport: transport, Timeout: time.Hour}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 10 {
					body := bytes.Repeat([]byte{byte(i)}, j*10_000)
					resp, err := client.Post("http://server:80/", "", bytes.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					got, err := io.ReadAll(resp.Body)
					if err != nil || !bytes.Equal(got, body) {
						t.Errorf("request %d of client %d: %d bytes, %v", j, i, len(got), err)
					}
					_ = resp.Body.Close()
				}
			})
		}
		wg.Wait()
		transport.CloseIdleConnections()
		ok(t, server.Close())
	})
}

func TestTapSeesTheWire(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		near, far := dial(t, w, "a", "b")
		var seen []string
		w.Tap(func(from, to string, b []byte) { seen = append(seen, fmt.Sprintf("%s>%s:%s", from, to, b)) })
		send(t, near, "ping")
		receive(t, far, "ping")
		send(t, far, "pong")
		receive(t, near, "pong")
		if fmt.Sprint(seen) != "[a>b:ping b>a:pong]" {
			t.Errorf("saw %q", seen)
		}
	})
}
