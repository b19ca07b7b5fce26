package peer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
)

// dialer makes a connection from a host, as a node that joins: with a key that nobody knows.
func (n *network) stranger(t *testing.T, host, address string) *channel.Conn {
	t.Helper()
	self, err := channel.NewIdentity(true)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := n.Host(host).Net.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := channel.PeerClient(t.Context(), raw, self, func(channel.PeerCert) error { return nil }, channel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestSilentStrangersHoldNoPlaceOfANodeThatJoins has many times as many connections as there are places, some before
// and some after their handshake, which say nothing.
func TestSilentStrangersHoldNoPlaceOfANodeThatJoins(t *testing.T) {
	withNetwork(t, 1, func(t *testing.T, n *network) {
		m := n.nodes[0]
		m.joins = func(ctx context.Context, conn *channel.Conn, heard Heard) {
			var hello JoinHello
			if ReadMessage(conn, &hello) != nil {
				return
			}
			leave, err := heard(ctx, coco.ActorID{byte(hello.Version)})
			if err != nil {
				_ = WriteMessage(conn, JoinAnswer{Reason: err.Error()})
				return
			}
			defer leave()
			_ = WriteMessage(conn, JoinAnswer{Reason: "heard"})
		}
		var silent []io.Closer
		defer func() {
			for _, c := range silent {
				_ = c.Close()
			}
		}()
		flood := func(count int) {
			for i := range count {
				if i%2 == 0 {
					silent = append(silent, n.stranger(t, "flood", m.address))
					continue
				}
				raw, err := n.Host(fmt.Sprint("other", i%10)).Net.Dial(t.Context(), m.address)
				if err != nil {
					t.Fatal(err)
				}
				silent = append(silent, raw)
			}
		}
		flood(2 * maxStrangers)
		for i := range 3 {
			began := time.Now()
			conn := n.stranger(t, "honest", m.address)
			flood(20) // while it gets ready
			if err := WriteMessage(conn, JoinHello{Version: uint64(i)}); err != nil {
				t.Fatal(err)
			}
			var answer JoinAnswer
			if err := ReadMessage(conn, &answer); err != nil || answer.Reason != "heard" {
				t.Errorf("a node that joins beside silent strangers is answered %q, %v", answer.Reason, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("its answer took %v", took)
			}
			_ = conn.Close()
		}
		synctest.Wait()
		if got := m.transport.strangers.Len(); got > maxStrangers {
			t.Errorf("%d connections of strangers are open, expected %d at most", got, maxStrangers)
		}
	})
}

// A node that waits to resume is not open yet, and anyone may connect to it.
func TestStrangersAreBoundedBeforeATransportIsOpen(t *testing.T) {
	withNetwork(t, 1, func(t *testing.T, n *network) {
		h := n.Host("resumes")
		l, err := h.Net.Listen("resumes:1")
		if err != nil {
			t.Fatal(err)
		}
		tr := New(slog.New(slog.DiscardHandler), h.Clock)
		tr.Await(Awaiting{Identity: n.identity(t), Verify: n.verify, Answer: func(context.Context, *channel.Conn, *ResumeAsk) ResumeTold { return ResumeTold{} }})
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- tr.Serve(ctx, l) }()
		for range maxStrangers + 20 {
			c, err := n.Host("flood").Net.Dial(t.Context(), "resumes:1")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		synctest.Wait()
		if got := tr.strangers.Len(); got != maxStrangers {
			t.Errorf("%d connections of strangers are open, expected %d", got, maxStrangers)
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
