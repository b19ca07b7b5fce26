package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/contain"
	"github.com/cocoframework/coco/internal/crowd"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/slots"
	"github.com/cocoframework/coco/pulse"
)

const (
	maxQueued    = 64 << 20 // bytes that wait for one peer; beyond it frames are dropped
	maxStrangers = 256      // connections of those who have not shown yet who they are; a node that joins shows it at once
	maxJoiners   = 16       // nodes whose request to join is judged at a time
	redialFirst  = 20 * time.Millisecond
	redialLast   = time.Second
	dialPatience = 5 * time.Second
	sendPatience = 20 * time.Second // for a peer to receive what is sent
)

// JoinPatience bounds the conversation of a node that joins.
const JoinPatience = 20 * time.Second

// Dialer makes connections to other nodes.
type Dialer struct {
	Net      host.Net
	Identity *channel.Identity
	// Verify accepts trusted nodes of this network.
	Verify func(channel.PeerCert) error
}

// Dial connects to a node. It fails with coco.ErrVerify if another node answers at the address.
func (d *Dialer) Dial(ctx context.Context, id coco.NodeID, address string) (*channel.Conn, error) {
	raw, err := d.Net.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return channel.PeerClient(ctx, raw, d.Identity, func(c channel.PeerCert) error {
		if c.ID != id {
			_ = d.Verify(c) // may learn of a node that this one does not know
			return fmt.Errorf("%w: node %s answers at %s, expected %s", coco.ErrVerify, c.ID.Short(), address, id.Short())
		}
		return d.Verify(c)
	}, channel.Options{})
}

// Config is what a Transport is opened with. The functions are called by several goroutines at a time.
type Config struct {
	Dialer Dialer
	// Standing returns what a node whose connection was accepted may send at this moment.
	Standing func(coco.NodeID) Standing
	// Broken is told that the connection to a node ended, or cannot be made.
	Broken func(coco.NodeID)

	// Consensus, Behind and the functions for secrets receive frames. They MUST NOT keep the
	// reader of the sender's connection for long.
	Consensus    func(from coco.NodeID, data []byte)
	Behind       func(from coco.NodeID)
	Secret       func(from coco.NodeID, s *Secret)
	SecretHeld   func(from coco.NodeID, s *SecretHeld)
	SecretWanted func(from coco.NodeID, s *SecretWanted)
	// Part receives a PartWanted, Parts or PartRefused, by the same rule.
	Part func(from coco.NodeID, m Message)
	// Resident receives a Payload or a PayloadWord, by the same rule. A node without it drops them, as one of an earlier build does.
	Resident func(from coco.NodeID, m Message)
	// Beat receives beats, in the order in which their sender sent them. Reached is told that the connection to a node is made.
	Beat    func(from coco.NodeID, b pulse.Beat)
	Reached func(coco.NodeID)
	// Program receives what another node's program knows. Rules is the newest version of the rules that this node's program knows: it tells each node
	// that it connects to.
	Program func(from coco.NodeID, p *Program)
	Rules   uint64
	// Forwarder receives forwards and replies.
	Forwarder *Forwarder
	// Join serves a node that is not trusted yet, on a connection of its own that is closed afterwards.
	// Until it has the node's request it may be interrupted; then it calls heard with the organisation that the node names, and waits for
	// its turn there. If that returns nil, it calls leave when the request is answered.
	Join func(ctx context.Context, conn *channel.Conn, heard Heard)
	// Fetches serves fetches.
	Fetches *FetchServer
	// Resume answers nodes that resume; nil if this node tells them nothing. Foreign says of a connection that it is another process's than the one
	// that takes part with this node's: it may ask nothing else. Nil for never.
	Resume  Resumption
	Foreign func(channel.PeerCert) bool
}

// Heard is how a node that joins gets from a connection that may be closed at any time to the judging of its request. It fails with
// coco.ErrBusy, or when ctx ends.
type Heard func(ctx context.Context, owner coco.ActorID) (leave func(), err error)

// Transport holds the connections to the other nodes. It is safe for concurrent use.
type Transport struct {
	// Panics counts what other nodes' requests could not go on with. Consensus, secrets and beats are not requests.
	Panics *contain.Panics

	log   *slog.Logger
	clock host.Clock
	cfg   Config // set before open
	open  atomic.Bool
	// before serves connections until open is set; nil to hang up. See Await.
	before atomic.Pointer[func(context.Context, net.Conn)]

	mu    sync.Mutex
	peers map[consensus.ID]*sender // under mu
	wait  sync.WaitGroup

	strangers *crowd.Crowd // in the handshake, or before a node that joins has sent its request
	joins     *slots.Slots // by the organisations that own the nodes
}

// New returns a transport without connections. Until Open, Serve hangs up on each node that connects, so that it asks
// another one, and no other method may be called but Wait.
func New(log *slog.Logger, clock host.Clock) *Transport {
	return &Transport{
		Panics: contain.New(log), log: log, clock: clock, peers: map[consensus.ID]*sender{},
		strangers: crowd.New(maxStrangers), joins: slots.New(maxJoiners, 4*maxJoiners, clock.Elapsed),
	}
}

// Open follows the list of nodes, until ctx ends, and lets them connect.
func (t *Transport) Open(ctx context.Context, cfg Config, nodes map[coco.NodeID]string) {
	t.cfg = cfg
	t.Follow(ctx, nodes)
	t.open.Store(true)
}

// Wait waits until all goroutines have ended that Follow and Serve have started, after their contexts ended.
func (t *Transport) Wait() { t.wait.Wait() }

// Follow makes the connections follow the list of trusted nodes, until ctx ends.
func (t *Transport) Follow(ctx context.Context, nodes map[coco.NodeID]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.peers {
		if address, ok := nodes[s.to]; !ok || address != s.address {
			s.stop()
			delete(t.peers, id)
		}
	}
	for n, address := range nodes {
		id := consensus.IDOf(n)
		if n == t.cfg.Dialer.Identity.ID() || t.peers[id] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		s := &sender{transport: t, to: n, address: address, stop: stop, ready: make(chan struct{}, 1)}
		t.peers[id] = s
		t.wait.Go(func() { s.run(ctx) })
	}
}

// SendConsensus queues a message of the consensus machine, which sends again what gets lost.
func (t *Transport) SendConsensus(m consensus.Message) { t.send(m.To, Consensus(m.Data)) }

// SendBehind tells a node that it needs entries that this one, the leader, does not have any more.
func (t *Transport) SendBehind(to consensus.ID) { t.send(to, Behind{}) }

// SendBeat tells a node of this one's clock and of what it has heard.
func (t *Transport) SendBeat(to consensus.ID, b pulse.Beat) { m := Beat(b); t.send(to, &m) }

// Send queues a message for a node. It reports false if there is no connection to it, or no room.
func (t *Transport) Send(to coco.NodeID, m Message) bool { return t.send(consensus.IDOf(to), m) }

func (t *Transport) send(to consensus.ID, m Message) bool {
	t.mu.Lock()
	s := t.peers[to]
	t.mu.Unlock()
	if s == nil {
		return false
	}
	frame, err := encode(m)
	if err != nil {
		t.log.Error("a message for another node", "node", s.to.Short(), "error", err)
		return false
	}
	return s.queue(frame)
}

// Connected reports whether there is a connection to a node.
func (t *Transport) Connected(id consensus.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.peers[id]
	return s != nil && s.up.Load()
}

// Serve accepts connections until ctx ends.
func (t *Transport) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		raw, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // such as too many open files
			t.log.Warn("accept failed", "error", err)
			select {
			case <-ctx.Done():
			case <-t.clock.After(100 * time.Millisecond):
			}
			continue
		}
		if !t.open.Load() {
			if serve := t.before.Load(); serve != nil {
				t.wait.Go(func() {
					defer t.strangers.Leave(t.strangers.Enter(raw, hostOf(raw.RemoteAddr())))
					(*serve)(ctx, raw)
				})
				continue
			}
			_ = raw.Close()
			continue
		}
		t.wait.Go(func() { t.accept(ctx, raw) })
	}
}

// accept serves one connection that another node made.
func (t *Transport) accept(ctx context.Context, raw net.Conn) {
	stranger := t.strangers.Enter(raw, hostOf(raw.RemoteAddr()))
	defer t.strangers.Leave(stranger)
	shake, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	joiner := false
	conn, err := t.shake(shake, raw, &joiner)
	if err != nil {
		t.tampered(raw.RemoteAddr().String(), err)
		t.log.Debug("connection refused", "from", raw.RemoteAddr().String(), "error", err)
		_ = raw.Close()
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if !joiner {
		t.strangers.Leave(stranger)
		t.receive(ctx, conn)
		return
	}
	_ = conn.SetDeadline(t.clock.Deadline(JoinPatience))
	ctx, cancel = context.WithTimeout(ctx, JoinPatience)
	defer cancel()
	t.join(ctx, conn, func(ctx context.Context, owner coco.ActorID) (func(), error) {
		t.strangers.Leave(stranger)
		return t.joins.Enter(ctx, owner)
	})
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// errPanicked ends a connection whose request had no end of its own.
var errPanicked = fmt.Errorf("%w: the request panicked", coco.ErrCorrupt)

// shake proves both sides to each other, and says whether the other one may ask to join and nothing else.
func (t *Transport) shake(ctx context.Context, raw net.Conn, joiner *bool) (_ *channel.Conn, err error) {
	defer t.Panics.End("a handshake with another node", func() { err = errPanicked })
	return channel.PeerServer(ctx, raw, t.cfg.Dialer.Identity, func(c channel.PeerCert) error {
		if *joiner = c.SelfSigned(); *joiner || t.foreign(c) {
			return nil
		}
		return t.cfg.Dialer.Verify(c)
	}, channel.Options{})
}

// foreign reports whether a node is there as another process than the one that takes part.
func (t *Transport) foreign(c channel.PeerCert) bool { return t.cfg.Foreign != nil && t.cfg.Foreign(c) }

// join serves a joiner.
func (t *Transport) join(ctx context.Context, conn *channel.Conn, heard Heard) {
	defer t.Panics.End("a node that joins", nil)
	t.cfg.Join(ctx, conn, heard)
}

// fetch serves a fetch.
func (t *Transport) fetch(ctx context.Context, conn *channel.Conn, rq FetchRequest) (err error) {
	defer t.Panics.End("a fetch of another node", func() { err = errPanicked })
	from := conn.Peer().ID
	return t.cfg.Fetches.serve(ctx, conn, rq, func() bool { return t.cfg.Standing(from) == Trusted })
}

// forwarded serves calls that another node has forwarded.
func (t *Transport) forwarded(from coco.NodeID, m *Forward) {
	defer t.Panics.End("calls that another node has forwarded", func() { t.cfg.Forwarder.panicked(from, m) })
	t.cfg.Forwarder.serve(from, m)
}

// decoded decodes a frame.
func (t *Transport) decoded(frame []byte) (_ Message, err error) {
	defer t.Panics.End("a frame of another node", func() { err = errPanicked })
	m, err := decode(frame)
	eraseSecrets(frame)
	return m, err
}

// receive reads the frames of a node of the network until the connection ends, or the node loses its standing. A fetch ends it, too.
func (t *Transport) receive(ctx context.Context, conn *channel.Conn) {
	from, foreign := conn.Peer().ID, t.foreign(conn.Peer())
	for {
		frame, err := conn.ReadFrame()
		standing := t.cfg.Standing(from)
		if err != nil || len(frame) == 0 || standing == Stranger {
			t.tampered(from.Short(), err)
			return
		}
		m, err := t.decoded(frame)
		if err != nil {
			t.log.Warn("a frame from a node does not decode", "node", from.Short(), "error", err)
			continue
		}
		if standing < standingFor(m) {
			t.log.Warn("a removed node sends what only a node of the network may", "node", from.Short(), "kind", m.kind())
			if f, ok := m.(*Forward); ok {
				t.cfg.Forwarder.deny(from, f)
			}
			continue
		}
		if ask, ok := m.(*ResumeAsk); ok && t.cfg.Resume != nil {
			defer t.Panics.End("a node that resumes", nil)
			_ = t.cfg.Resume.answer(ctx, conn, ask)
			return
		}
		if foreign {
			return
		}
		if rq, ok := m.(*FetchRequest); ok {
			if err := t.fetch(ctx, conn, *rq); err != nil {
				t.log.Debug("a fetch ended early", "node", from.Short(), "error", err)
			}
			return
		}
		t.dispatch(from, m)
	}
}

func (t *Transport) dispatch(from coco.NodeID, m Message) {
	switch m := m.(type) {
	case Consensus:
		t.cfg.Consensus(from, m)
	case *Forward:
		t.forwarded(from, m)
	case *Reply:
		t.cfg.Forwarder.replied(from, m)
	case Behind:
		t.cfg.Behind(from)
	case *Secret:
		t.cfg.Secret(from, m)
	case *SecretHeld:
		t.cfg.SecretHeld(from, m)
	case *SecretWanted:
		t.cfg.SecretWanted(from, m)
	case *Beat:
		t.cfg.Beat(from, pulse.Beat(*m))
	case *Program:
		t.cfg.Program(from, m)
	case *PartWanted, *Parts, *PartRefused:
		t.cfg.Part(from, m)
	case *Payload, *PayloadWord:
		if t.cfg.Resident != nil {
			t.cfg.Resident(from, m)
		}
	}
}

// tampered tells the operator of a connection that ended because bytes came that the other side had not sent. A
// network that is merely bad loses connections and keeps bytes, so this network, or a host, lies.
func (t *Transport) tampered(with string, err error) {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "local error" { // so package tls calls what it refuses of a record
		t.log.Warn("what came on a connection is not what the other node sent: the network or a host changes bytes", logevent.ConnectionTampered.Attr(), "node", with, "error", err)
	}
}
