package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/pulse"
)

// member is one node of a test's network, as this package sees it.
type member struct {
	id        *channel.Identity
	host      string
	address   string
	transport *Transport
	forwarder *Forwarder
	fetcher   *Fetcher
	got       chan string                                                // what arrived, in words
	held      chan func()                                                // answers that wait, while hold
	programs  sync.Map                                                   // the rules that each other node's program knows
	pieces    func() (Pieces, error)                                     // what its fetch server sends
	joined    func(conn *channel.Conn)                                   // serves a joiner
	joins     func(ctx context.Context, conn *channel.Conn, heard Heard) // instead, if it is set
	mu        sync.Mutex
	leader    coco.NodeID // under mu: as far as it knows
	hold      bool        // under mu: answers wait in held
}

// follow makes a node believe that another one leads.
func (m *member) follow(leader *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leader = leader.id.ID()
}

func (m *member) leadership() Leadership {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Leadership{Leader: m.leader, Self: m.leader == m.id.ID()}
}

// answer answers at once, or when the test says so.
func (m *member) answer(done func([]adapter.Result), r adapter.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hold {
		m.held <- func() { done([]adapter.Result{r}) }
		return
	}
	go done([]adapter.Result{r})
}

// network is what a test has: a world, and nodes that trust each other. The first one leads.
type network struct {
	*sim.World
	nodes   []*member
	service *channel.Service
	names   map[coco.NodeID]string
	mu      sync.Mutex
	leaving map[coco.NodeID]bool // under mu
}

// standing says what a node may send: those that are listed are trusted, unless they are leaving.
func (n *network) standing(id coco.NodeID) Standing {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.names[id] == "":
		return Stranger
	case n.leaving[id]:
		return Leaving
	}
	return Trusted
}

// remove has all nodes remove one, which consensus needs still.
func (n *network) remove(id coco.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaving = map[coco.NodeID]bool{id: true}
}

func (n *network) verify(p channel.PeerCert) error {
	if err := p.EndorsedBy(n.service.Certificate(), time.Now()); err != nil {
		return err
	}
	if n.names[p.ID] == "" {
		return fmt.Errorf("%w: not in the list", coco.ErrDenied)
	}
	return nil
}

// withNetwork runs a test in virtual time.
func withNetwork(t *testing.T, count int, test func(t *testing.T, n *network)) {
	synctest.Test(t, func(t *testing.T) {
		service, err := channel.NewService("test", true, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		n := &network{World: sim.New(1), service: service, names: map[coco.NodeID]string{}}
		ctx, stop := context.WithCancel(t.Context())
		addresses, listeners := map[coco.NodeID]string{}, []net.Listener{}
		for i := range count {
			m := &member{
				id: n.identity(t), host: fmt.Sprint("node", i), got: make(chan string, 100), held: make(chan func(), 100),
			}
			l, err := n.Host(m.host).Net.Listen("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			m.address = l.Addr().String()
			n.nodes, listeners = append(n.nodes, m), append(listeners, l)
			addresses[m.id.ID()], n.names[m.id.ID()] = m.address, m.host
		}
		for i, m := range n.nodes {
			m.follow(n.nodes[0])
			cfg := n.build(m, addresses)
			m.transport.Open(ctx, cfg, addresses)
			go func() { _ = m.transport.Serve(ctx, listeners[i]) }()
		}
		time.Sleep(time.Second)
		test(t, n)
		stop()
		for _, m := range n.nodes {
			m.transport.Wait()
		}
	})
}

// identity makes an identity that the service endorses.
func (n *network) identity(t *testing.T) *channel.Identity {
	t.Helper()
	id, err := channel.NewIdentity(true)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := n.service.Endorse(id.PublicKey(), id.ID(), []string{"127.0.0.1:1"}, true, time.Now(), time.Now())
	if err == nil {
		err = id.SetCertificate(cert)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (n *network) build(m *member, addresses map[coco.NodeID]string) Config {
	h := n.Host(m.host)
	note := func(from coco.NodeID, what string, args ...any) {
		m.got <- n.names[from] + " " + fmt.Sprintf(what, args...)
	}
	reached := make(chan struct{})
	close(reached)
	result := adapter.Result{TxID: coco.TxID{View: 2, Seqno: 17}, Reply: []byte("done")}
	m.forwarder = NewForwarder(ForwarderConfig{
		Clock: h.Clock, Self: m.id.ID(), Leadership: m.leadership,
		Send: func(to coco.NodeID, f Message) bool { return m.transport.Send(to, f) },
		Decode: func(ledger string, payload []byte) (any, error) {
			if ledger != "kv" {
				return nil, fmt.Errorf("%w: no ledger %q", coco.ErrInvalid, ledger)
			}
			if string(payload) == "panic" {
				panic("for the test")
			}
			return string(payload), nil
		},
		Submit: func(_ coco.NodeID, _ string, calls []*adapter.Call, done func([]adapter.Result)) error {
			m.got <- fmt.Sprintf("calls of %s: %v", calls[0].Caller.Name, calls[0].Decoded)
			m.answer(done, result)
			return nil
		},
		Request: func(from coco.NodeID, rq Request, done func([]adapter.Result)) error {
			note(from, "asks to %s%s", rq.Kind, rq.Body)
			m.answer(done, result)
			return nil
		},
		Owner:   func(id coco.NodeID) coco.ActorID { return coco.ActorID(id) },
		Reached: func(uint64) <-chan struct{} { return reached },
		Full:    func(error) {},
	})
	m.forwarder.Bound(100, 1<<20)
	dialer := Dialer{Net: h.Net, Identity: m.id, Verify: n.verify}
	m.fetcher = &Fetcher{
		Clock: h.Clock, Dialer: dialer, Nodes: func() map[coco.NodeID]string { return addresses },
		Leader: func() coco.NodeID { return m.leadership().Leader },
	}
	m.transport = New(slog.New(slog.DiscardHandler), h.Clock)
	return Config{
		Dialer:   dialer,
		Standing: n.standing,
		Broken:   func(coco.NodeID) {}, Forwarder: m.forwarder,
		Consensus:  func(from coco.NodeID, data []byte) { note(from, "consensus %s", data) },
		Behind:     func(from coco.NodeID) { note(from, "behind") },
		Secret:     func(from coco.NodeID, s *Secret) { note(from, "secret %d", s.Epoch) },
		SecretHeld: func(from coco.NodeID, s *SecretHeld) { note(from, "held %x", s.Sealed[0]) },
		Beat:       func(from coco.NodeID, b pulse.Beat) { note(from, "beat %d", b.Round) },
		Reached:    func(coco.NodeID) {},
		Rules:      7,
		Program: func(from coco.NodeID, p *Program) {
			m.programs.Store(from, p.Rules)
		},
		SecretWanted: func(from coco.NodeID, s *SecretWanted) { note(from, "wanted %d", s.Epoch) },
		Part:         func(from coco.NodeID, p Message) { note(from, "%T", p) },
		Resident:     func(from coco.NodeID, p Message) { note(from, "%T", p) },
		Join: func(ctx context.Context, conn *channel.Conn, heard Heard) {
			if m.joins != nil {
				m.joins(ctx, conn, heard)
				return
			}
			m.joined(conn)
		},
		Fetches: NewFetchServer(h.Clock, func(rq FetchRequest) (FetchAnswer, Pieces, error) {
			p, err := m.pieces()
			return FetchAnswer{First: rq.Index}, p, err
		}),
	}
}

func call(payload string) []*adapter.Call {
	return []*adapter.Call{{Caller: coco.Caller{Name: "alpha"}, Payload: []byte(payload), Decoded: payload}}
}

// expect compares what arrived.
func (m *member) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	for _, w := range want {
		select {
		case got := <-m.got:
			if got != w {
				t.Errorf("%s got %q, expected %q", m.host, got, w)
			}
		default:
			t.Errorf("%s did not get %q", m.host, w)
		}
	}
	select {
	case got := <-m.got:
		t.Errorf("%s got %q, too", m.host, got)
	default:
	}
}

// Each node tells of its program as soon as it is connected, before anything else is said.
func TestNodesTellWhatTheirProgramsKnow(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		for i, m := range n.nodes {
			if rules, told := m.programs.Load(n.nodes[1-i].id.ID()); !told || rules != uint64(7) {
				t.Errorf("node %d was told of rules %v", i, rules)
			}
		}
	})
}

func TestFramesArriveInOrderAtTheirFunctions(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		from, to := n.nodes[0].transport, n.nodes[1]
		from.SendConsensus(consensus.Message{To: consensus.IDOf(to.id.ID()), Data: []byte("vote")})
		from.SendBehind(consensus.IDOf(to.id.ID()))
		for _, m := range []Message{&Secret{Epoch: 2}, &SecretHeld{Sealed: coco.Digest{7}}, &SecretWanted{Epoch: 3}, &PartWanted{Committee: 1}, &Parts{Committee: 1}, &PartRefused{Committee: 1}, &Payload{Payload: []byte("payload")}, &PayloadWord{Word: PayloadKept}} {
			if !from.Send(to.id.ID(), m) {
				t.Errorf("no room for %T", m)
			}
		}
		time.Sleep(time.Second)
		to.expect(t, "node0 consensus vote", "node0 behind", "node0 secret 2", "node0 held 7", "node0 wanted 3", "node0 *peer.PartWanted", "node0 *peer.Parts", "node0 *peer.PartRefused", "node0 *peer.Payload", "node0 *peer.PayloadWord")
		if from.Send(coco.NodeID{1}, Behind{}) {
			t.Error("a frame for an unknown node was queued")
		}
	})
}

func TestTheLeaderServesItsOwnWorkAndOthers(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		for _, m := range n.nodes {
			if r := m.forwarder.Submit(t.Context(), "kv", call("put"))[0]; r.Err != nil || string(r.Reply) != "done" {
				t.Errorf("%s submits and gets %+v", m.host, r)
			}
			if r := m.forwarder.Ask(t.Context(), Request{Kind: Govern, Body: []byte("ballot")}); r.Err != nil || r.TxID.Seqno != 17 {
				t.Errorf("%s asks and gets %+v", m.host, r)
			}
			if r := m.forwarder.AskOnce(t.Context(), Request{Kind: Retire}); r.Err != nil {
				t.Errorf("%s asks and gets %+v", m.host, r)
			}
		}
		n.nodes[0].expect(t,
			"calls of alpha: put", "node0 asks to govern:ballot", "node0 asks to retire",
			"calls of alpha: put", "node1 asks to govern:ballot", "node1 asks to retire")
		n.nodes[1].expect(t)
		if r := n.nodes[1].forwarder.Submit(t.Context(), "other", call("put"))[0]; !errors.Is(r.Err, coco.ErrInvalid) {
			t.Errorf("calls for a ledger that the leader does not have: %v", r.Err)
		}
	})
}

func TestANodeThatDoesNotLeadSendsWorkBack(t *testing.T) {
	withNetwork(t, 3, func(t *testing.T, n *network) {
		asker, wrong := n.nodes[1], n.nodes[2]
		asker.follow(wrong)
		if r := asker.forwarder.AskOnce(t.Context(), Request{Kind: Renew}); !errors.Is(r.Err, coco.ErrNotCommitted) {
			t.Errorf("asked a node that does not lead: %v", r.Err)
		}
		time.AfterFunc(5*time.Second, func() { asker.follow(n.nodes[0]) })
		if r := asker.forwarder.Ask(t.Context(), Request{Kind: Renew}); r.Err != nil {
			t.Errorf("asked until the leader is known: %v", r.Err)
		}
		wrong.expect(t)
		n.nodes[0].expect(t, "node1 asks to renew")
	})
}

func TestALostConnectionSaysWhetherACallMayHaveBeenExecuted(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		leader, asker := n.nodes[0], n.nodes[1]
		leader.mu.Lock()
		leader.hold = true
		leader.mu.Unlock()
		sent := make(chan error, 1)
		go func() { sent <- asker.forwarder.Submit(t.Context(), "kv", call("sent"))[0].Err }()
		leader.expectSoon(t, "calls of alpha: sent")
		n.Crash(leader.host) // its connections end
		if err := <-sent; !errors.Is(err, coco.ErrUnknown) {
			t.Errorf("the leader had the call when the connection ended: %v", err)
		}
		if r := asker.forwarder.AskOnce(t.Context(), Request{Kind: Renew}); !errors.Is(r.Err, coco.ErrNotCommitted) {
			t.Errorf("the request was never sent: %v", r.Err)
		}
		if calls, bytes := asker.forwarder.Waiting(); calls+bytes != 0 {
			t.Errorf("%d calls of %d bytes wait for a leader that is gone", calls, bytes)
		}
	})
}

func (m *member) expectSoon(t *testing.T, want ...string) {
	t.Helper()
	time.Sleep(time.Second)
	m.expect(t, want...)
}

func TestAReplyThatNoCallWaitsForIsDropped(t *testing.T) {
	withNetwork(t, 3, func(t *testing.T, n *network) {
		leader, asker, other := n.nodes[0], n.nodes[1], n.nodes[2]
		leader.mu.Lock()
		leader.hold = true
		leader.mu.Unlock()
		answered := make(chan adapter.Result, 1)
		go func() { answered <- asker.forwarder.Submit(t.Context(), "kv", call("put"))[0] }()
		leader.expectSoon(t, "calls of alpha: put")
		other.transport.Send(asker.id.ID(), &Reply{ID: 1, Results: []Result{{Reply: []byte("forged")}}})
		leader.transport.Send(asker.id.ID(), &Reply{ID: 99, Results: []Result{{Reply: []byte("another's")}}})
		time.Sleep(time.Second)
		(<-leader.held)()
		if r := <-answered; r.Err != nil || string(r.Reply) != "done" {
			t.Errorf("the call was answered %+v", r)
		}
	})
}

func TestOnlyTrustedNodesSendFrames(t *testing.T) {
	withNetwork(t, 1, func(t *testing.T, n *network) {
		m := n.nodes[0]
		asked := make(chan coco.NodeID, 1)
		m.joined = func(conn *channel.Conn) { asked <- conn.Peer().ID }
		self, err := channel.NewIdentity(true)
		if err != nil {
			t.Fatal(err)
		}
		anyone := func(channel.PeerCert) error { return nil }
		dial := func(id *channel.Identity) error {
			raw, err := n.Host("another").Net.Dial(t.Context(), m.address)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := channel.PeerClient(t.Context(), raw, id, anyone, channel.Options{})
			if err != nil {
				return err
			}
			defer conn.Close()
			frame, err := encode(&SecretWanted{Epoch: 1})
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.WriteFrames([][]byte{frame})
			time.Sleep(time.Second)
			return nil
		}
		if err := dial(n.identity(t)); !errors.Is(err, channel.ErrRefused) {
			t.Errorf("a node that is not in the list connects: %v", err)
		}
		if err := dial(self); err != nil || <-asked != self.ID() {
			t.Errorf("a node that is not trusted yet may ask to join: %v", err)
		}
		m.expect(t)
	})
}

func TestFetchesEndWithTheLastPieceAndAreFew(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		server, fetcher := n.nodes[0], n.nodes[1]
		block := make(chan struct{})
		server.pieces = func() (Pieces, error) {
			left := 3
			return Pieces{Next: func() ([]byte, error) {
				if left--; left < 0 {
					return nil, io.EOF
				}
				if left == 0 {
					<-block
				}
				return bytes.Repeat([]byte{byte(left)}, 1000), nil
			}}, nil
		}
		var open []*Fetched
		for range maxFetches {
			in, err := fetcher.fetcher.Fetch(t.Context(), server.id.ID(), server.address, FetchRequest{What: FetchChunk, Index: 9})
			if err != nil || in.First != 9 {
				t.Fatal(in, err)
			}
			open = append(open, in)
		}
		if _, err := fetcher.fetcher.Fetch(t.Context(), server.id.ID(), server.address, FetchRequest{}); !errors.Is(err, coco.ErrBusy) {
			t.Errorf("one fetch more than a node serves at a time: %v", err)
		}
		close(block)
		for _, in := range open {
			size := 0
			for {
				piece, err := in.Piece()
				if size += len(piece); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if size != 3000 {
				t.Errorf("%d bytes came, expected 3000", size)
			}
			in.Close()
		}
		server.pieces = func() (Pieces, error) { return Pieces{}, fmt.Errorf("%w: not here", coco.ErrMissing) }
		err := fetcher.fetcher.Any(t.Context(), func(from coco.NodeID, address string) error {
			in, err := fetcher.fetcher.Fetch(t.Context(), from, address, FetchRequest{})
			if err == nil {
				in.Close()
			}
			return err
		})
		if !errors.Is(err, coco.ErrMissing) {
			t.Errorf("the only other node does not have it: %v", err)
		}
	})
}
