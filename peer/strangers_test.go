package peer

import (
	"context"
	"errors"
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

// waiting has the host "resumes" wait to resume, at resumes:1. stop ends it.
func (n *network) waiting(t *testing.T, a Awaiting) (tr *Transport, stop func()) {
	t.Helper()
	h := n.Host("resumes")
	l, err := h.Net.Listen("resumes:1")
	if err != nil {
		t.Fatal(err)
	}
	a.Answer = func(context.Context, *channel.Conn, *ResumeAsk) ResumeTold { return ResumeTold{} }
	tr = New(slog.New(slog.DiscardHandler), h.Clock)
	tr.Await(a)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- tr.Serve(ctx, l) }()
	return tr, func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// A node that waits to resume is not open yet, and anyone may connect to it.
func TestStrangersAreBoundedBeforeATransportIsOpen(t *testing.T) {
	withNetwork(t, 1, func(t *testing.T, n *network) {
		tr, stop := n.waiting(t, Awaiting{Identity: n.identity(t), Verify: n.verify})
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
	})
}

// A node that waits to resume gives others what its server gives, if it knows them, and nothing to one that has the service's certificate alone.
func TestANodeThatWaitsIsFetchedFrom(t *testing.T) {
	withNetwork(t, 1, func(t *testing.T, n *network) {
		waits, known, unknown := n.identity(t), n.identity(t), n.identity(t)
		endorsed := func(p channel.PeerCert) error { return p.EndorsedBy(n.service.Certificate(), time.Now()) }
		_, stop := n.waiting(t, Awaiting{
			Identity: waits, Verify: endorsed,
			Fetches: NewFetchServer(n.Host("resumes").Clock, func(rq FetchRequest) (FetchAnswer, Pieces, error) {
				if rq.Index != 7 {
					return FetchAnswer{}, Pieces{}, coco.ErrNotFound
				}
				pieces := 0
				return FetchAnswer{Receipt: []byte("receipt")}, Pieces{Next: func() ([]byte, error) {
					if pieces++; pieces > 3 {
						return nil, io.EOF
					}
					time.Sleep(JoinPatience / 2) // a large file takes longer than one answer may
					return []byte("piece"), nil
				}}, nil
			}),
			Fetching: func(id coco.NodeID) bool { return id == known.ID() },
		})
		fetch := func(by *channel.Identity, index uint64) (string, error) {
			f := Fetcher{Clock: n.Host("fetches").Clock, Dialer: Dialer{Net: n.Host("fetches").Net, Identity: by, Verify: endorsed}}
			in, err := f.Fetch(t.Context(), waits.ID(), "resumes:1", FetchRequest{What: FetchSnapshot, Index: index})
			if err != nil {
				return "", err
			}
			defer in.Close()
			for all := string(in.Receipt); ; {
				piece, err := in.Piece()
				if errors.Is(err, io.EOF) {
					return all, nil
				}
				if err != nil {
					return all, err
				}
				all += " " + string(piece)
			}
		}
		if got, err := fetch(known, 7); err != nil || got != "receipt piece piece piece" {
			t.Errorf("a node that it knows gets %q, %v", got, err)
		}
		if _, err := fetch(known, 8); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("what it does not have: %v", err)
		}
		if got, err := fetch(unknown, 7); err == nil || got != "" {
			t.Errorf("a node that it does not know gets %q, %v", got, err)
		}
		stop()
	})
}
