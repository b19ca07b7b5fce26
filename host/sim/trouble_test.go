package sim_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cocoframework/coco/host/sim"
)

func TestOneWayPartitionLetsTheOtherWayThrough(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		near, far := dial(t, w, "a", "b")
		w.PartitionOneWay("a", "b")
		send(t, far, "heard")
		receive(t, near, "heard")
		send(t, near, "later")
		ok(t, far.SetReadDeadline(time.Now().Add(sim.StallLimit/4)))
		if n, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d bytes against the partition: %v", n, err)
		}
		for _, way := range [][2]string{{"a", "b"}, {"b", "a"}} {
			l, err := w.Host(way[1]).Net.Listen(":0")
			ok(t, err)
			if _, err := w.Host(way[0]).Net.Dial(t.Context(), l.Addr().String()); !errors.Is(err, syscall.ETIMEDOUT) {
				t.Errorf("dial from %s to %s: %v", way[0], way[1], err)
			}
			ok(t, l.Close())
		}
		w.Heal("b", "a")
		ok(t, far.SetReadDeadline(time.Time{}))
		receive(t, far, "later")

		w.Mute("b")
		send(t, near, "b hears")
		receive(t, far, "b hears")
		w.Rejoin("b")
		w.Deafen("b")
		send(t, far, "b speaks")
		receive(t, near, "b speaks")
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("a partition of one way that lasts: %v", err)
		}
	})
}

func TestDiskErrorsLeaveTheWorst(t *testing.T) {
	w := sim.New(1)
	d := w.Host("a").Disk
	f := create(t, d, "f")
	write(t, f, 0, "first ")
	ok(t, f.Sync())
	write(t, f, 6, "second ")
	w.SetDiskErrors("a", sim.DiskErrors{Sync: 1, Most: 1})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	write(t, f, 13, "third")
	ok(t, f.Sync())
	w.SetDiskErrors("a", sim.DiskErrors{Read: 1})
	for range 3 {
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, syscall.EIO) {
			t.Errorf("read: %v", err)
		}
	}
	w.SetDiskErrors("a", sim.DiskErrors{Write: 1})
	data := bytes.Repeat([]byte("x"), 1000)
	n, err := create(t, d, "g").WriteAt(data, 0)
	if !errors.Is(err, syscall.EIO) || n == len(data) {
		t.Errorf("wrote %d bytes: %v", n, err)
	}
	w.SetDiskErrors("a", sim.DiskErrors{})
	if files := w.Files("a", ""); string(files["f"]) != "first second third" || len(files["g"]) != n {
		t.Errorf("found %q", files)
	}
	w.Restart("a")
	if got := show(w.Files("a", "")); got != "f=\"first \\x00\\x00\\x00\\x00\\x00\\x00\\x00third\"" {
		t.Errorf("after the crash: %s", got)
	}
}

func TestClocksDrift(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		c, start := w.Host("a").Clock, time.Now()
		ticks := c.NewTicker(time.Second)
		defer ticks.Stop()
		w.SetClock("a", time.Hour)
		w.SetClockRate("a", 2)
		begun := c.Elapsed()
		<-c.After(10 * time.Second)
		<-ticks.C()
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("ten seconds of a clock that runs twice as fast took %v", took)
		}
		<-ticks.C()
		if took := time.Since(start); took != 5500*time.Millisecond {
			t.Errorf("a tick later it is %v", took)
		}
		w.SetClockRate("a", 1)
		time.Sleep(time.Minute)
		if ahead := time.Until(c.Now()); ahead != time.Hour+5500*time.Millisecond {
			t.Errorf("the clock is %v ahead", ahead)
		}
		if d := c.Elapsed() - begun; d != time.Minute+11*time.Second {
			t.Errorf("by the clock %v have passed", d)
		}
		w.SetClock("a", 0)
		if ahead := time.Until(c.Now()); ahead != 0 {
			t.Errorf("a clock that was set right is %v ahead", ahead)
		}
	})
}

func TestTamperingChangesBytesInEveryWay(t *testing.T) {
	found, total := map[string]int{}, int64(0)
	for seed := range uint64(60) {
		world(t, seed, func(t *testing.T, w *sim.World) {
			near, far := dial(t, w, "a", "b")
			w.SetTampering("a", "b", 1)
			send(t, near, "one ")
			w.SetTampering("b", "a", 0)
			send(t, near, "two")
			ok(t, near.Close())
			b, err := io.ReadAll(far)
			ok(t, err)
			total += w.Tampered("b", "a")
			switch got := string(b); {
			case got == "one two":
				t.Errorf("seed %d: nothing was changed", seed)
			case got == "one one two":
				found["replayed"]++
			case got == "twoone ":
				found["overtaken"]++
			case got == "two":
				found["lost"]++
			case len(got) == 7:
				found["garbled"]++
			case strings.HasPrefix(got, "one ") && strings.HasSuffix(got, "two"):
				found["forged"]++
			default:
				t.Errorf("seed %d: received %q", seed, got)
			}
		})
	}
	if len(found) != 5 || total != 60 {
		t.Errorf("in 60 seeds %d writes were changed: %v", total, found)
	}
}

// TestTLSEndsWhenItIsTamperedWith is the reason why no stream needs a duplicate or another order.
func TestTLSEndsWhenItIsTamperedWith(t *testing.T) {
	certificate := selfSigned(t)
	for seed := range uint64(20) {
		world(t, seed, func(t *testing.T, w *sim.World) {
			raw, farRaw := dial(t, w, "a", "b")
			near := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
			far := tls.Server(farRaw, &tls.Config{Certificates: []tls.Certificate{certificate}})
			go func() { _ = near.Handshake() }()
			ok(t, far.Handshake())
			w.SetTampering("a", "b", 0.2)
			var sent, got bytes.Buffer
			for i := range 100 {
				line := bytes.Repeat([]byte{byte(i)}, 10)
				sent.Write(line)
				if _, err := near.Write(line); err != nil {
					break
				}
			}
			ok(t, raw.Close())
			_, err := io.Copy(&got, far)
			if err == nil || errors.Is(err, net.ErrClosed) {
				t.Errorf("seed %d: all arrived: %v", seed, err)
			}
			if !bytes.HasPrefix(sent.Bytes(), got.Bytes()) {
				t.Errorf("seed %d: something else was received than was sent", seed)
			}
		})
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ok(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestRedirectLeadsToTheOtherHost(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		for _, name := range []string{"b", "c"} {
			l, err := w.Host(name).Net.Listen(":7000")
			ok(t, err)
			defer l.Close()
			go func() {
				for c, err := l.Accept(); err == nil; c, err = l.Accept() {
					_, _ = c.Write([]byte(name))
					_ = c.Close()
				}
			}()
		}
		reaches := func(want string) {
			t.Helper()
			c, err := w.Host("a").Net.Dial(t.Context(), "b:7000")
			ok(t, err)
			defer c.Close()
			receive(t, c, want)
		}
		reaches("b")
		w.Redirect("b", "c")
		reaches("c")
		w.Redirect("b", "")
		reaches("b")
	})
}
