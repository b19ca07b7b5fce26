package node

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
)

// The first byte of a frame between nodes.
const (
	frameConsensus = 1 // a consensus message
	frameForward   = 2 // calls for the leader
	frameReply     = 3 // their results
	frameFetch     = 4 // asks for what the sender's disk lacks, on a connection of its own; see fetch.go
	frameBehind    = 5 // the leader does not have the entries any more that the receiver needs next
)

// Every node keeps one connection to every other trusted node, for what it sends; what it
// receives comes on the connections that the others made.
const (
	maxQueued    = 64 << 20 // bytes that wait for one peer; beyond it frames are dropped
	maxJoiners   = 16       // nodes that ask to join at a time
	joinPatience = 20 * time.Second
	redialFirst  = 20 * time.Millisecond
	redialLast   = time.Second
	dialPatience = 5 * time.Second
	sendPatience = 20 * time.Second // for a peer to take what is sent
)

// peers holds the connections to the other nodes.
type peers struct {
	log    *slog.Logger
	net    host.Net
	clock  host.Clock
	id     *channel.Identity
	verify func(channel.PeerCert) error     // a trusted node of this network
	listed func(coco.NodeID) bool           // a node is trusted still
	unsent func(to coco.NodeID, f []byte)   // a frame is dropped that certainly was not sent
	broken func(coco.NodeID)                // the connection to a node ended, or cannot be made
	frame  func(from coco.NodeID, f []byte) // a frame came; must not keep the reader for long
	join   func(context.Context, *channel.Conn)
	fetch  func(context.Context, *channel.Conn, []byte) error // answers a frameFetch on its connection
	open   atomic.Bool                                        // this node takes part; until then it hangs up on everybody, so that they ask others

	mu   sync.Mutex
	all  map[consensus.ID]*peer // under mu
	wait sync.WaitGroup
}

// peer is one other node.
type peer struct {
	id      coco.NodeID
	address string
	stop    context.CancelFunc

	mu     sync.Mutex
	frames [][]byte // under mu
	bytes  int      // under mu
	ready  chan struct{}
	up     atomic.Bool // the connection is there
}

// set makes the connections follow the list of trusted nodes.
func (p *peers) set(ctx context.Context, nodes map[coco.NodeID]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, peer := range p.all {
		if address, ok := nodes[peer.id]; !ok || address != peer.address {
			peer.stop()
			delete(p.all, id)
		}
	}
	for n, address := range nodes {
		id := consensus.IDOf(n)
		if n == p.id.ID() || p.all[id] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		peer := &peer{id: n, address: address, stop: stop, ready: make(chan struct{}, 1)}
		p.all[id] = peer
		p.wait.Go(func() { p.run(ctx, peer) })
	}
}

// send queues a consensus message. Consensus sends again what gets lost.
func (p *peers) send(m consensus.Message) {
	p.queue(m.To, frameConsensus, m.Data)
}

// queue hands a frame to a peer's connection and reports whether there was room.
func (p *peers) queue(to consensus.ID, kind byte, body []byte) bool {
	p.mu.Lock()
	peer := p.all[to]
	p.mu.Unlock()
	if peer == nil {
		return false
	}
	frame := make([]byte, 1+len(body))
	frame[0] = kind
	copy(frame[1:], body)
	peer.mu.Lock()
	room := peer.bytes+len(frame) <= maxQueued
	if room {
		peer.frames = append(peer.frames, frame)
		peer.bytes += len(frame)
	}
	peer.mu.Unlock()
	if room {
		select {
		case peer.ready <- struct{}{}:
		default:
		}
	}
	return room
}

// connected reports whether there is a connection to a peer.
func (p *peers) connected(id consensus.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.all[id]
	return q != nil && q.up.Load()
}

func (q *peer) take() [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	frames := q.frames
	q.frames, q.bytes = nil, 0
	return frames
}

// run keeps the connection to a peer up and writes what is queued for it.
func (p *peers) run(ctx context.Context, q *peer) {
	defer p.lose(q) // whoever queued something meanwhile need not wait
	pause := redialFirst
	for ctx.Err() == nil {
		conn, err := p.dial(ctx, q)
		if err != nil {
			p.tampered(q.id.Short(), err)
			p.log.Debug("no connection to a node", "node", q.id.Short(), "address", q.address, "error", err)
			p.lose(q)
			select {
			case <-ctx.Done():
			case <-p.clock.After(pause):
			}
			pause = min(2*pause, redialLast)
			continue
		}
		pause = redialFirst
		p.log.Debug("connected", "node", q.id.Short(), "address", q.address)
		q.up.Store(true)
		p.write(ctx, q, conn)
		p.lose(q)
	}
}

// lose tells of a connection that ended, or cannot be made, and drops what waits for it.
func (p *peers) lose(q *peer) {
	q.up.Store(false)
	for _, f := range q.take() {
		p.unsent(q.id, f)
	}
	p.broken(q.id)
}

func (p *peers) dial(ctx context.Context, q *peer) (*channel.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	raw, err := p.net.Dial(ctx, q.address)
	if err != nil {
		return nil, err
	}
	return channel.PeerClient(ctx, raw, p.id, func(c channel.PeerCert) error {
		if c.ID != q.id {
			_ = p.verify(c) // takes note of a node that this one does not know
			return fmt.Errorf("%w: node %s answers at %s, expected %s", coco.ErrVerify, c.ID.Short(), q.address, q.id.Short())
		}
		return p.verify(c)
	}, channel.Options{})
}

// write sends what is queued until the connection ends. The peer sends nothing on it: a read that
// returns means that it is gone.
func (p *peers) write(ctx context.Context, q *peer, conn *channel.Conn) {
	gone := make(chan struct{})
	p.wait.Go(func() {
		defer close(gone)
		_, _ = conn.ReadFrame()
	})
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // a peer that does not read holds up nobody
	defer func() {
		stop()
		_ = conn.Close()
		<-gone
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-gone:
			return
		case <-q.ready:
		}
		if frames := q.take(); len(frames) > 0 {
			_ = conn.SetWriteDeadline(p.clock.Now().Add(sendPatience))
			if err := conn.WriteFrames(frames); err != nil {
				p.log.Debug("connection lost", "node", q.id.Short(), "error", err)
				return
			}
		}
	}
}

// serve accepts connections until ctx ends.
func (p *peers) serve(ctx context.Context, l net.Listener) error {
	joiners := make(chan struct{}, maxJoiners)
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
			p.log.Warn("accept failed", "error", err)
			select {
			case <-ctx.Done():
			case <-p.clock.After(100 * time.Millisecond):
			}
			continue
		}
		if !p.open.Load() {
			_ = raw.Close()
			continue
		}
		p.wait.Go(func() { p.receive(ctx, raw, joiners) })
	}
}

func (p *peers) receive(ctx context.Context, raw net.Conn, joiners chan struct{}) {
	shake, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	joiner := false
	conn, err := channel.PeerServer(shake, raw, p.id, func(c channel.PeerCert) error {
		if joiner = c.SelfSigned(); joiner {
			return nil // may ask to join, and nothing else
		}
		return p.verify(c)
	}, channel.Options{})
	if err != nil {
		p.tampered(raw.RemoteAddr().String(), err)
		p.log.Debug("connection refused", "from", raw.RemoteAddr().String(), "error", err)
		_ = raw.Close()
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if joiner {
		select {
		case joiners <- struct{}{}:
			defer func() { <-joiners }()
			_ = conn.SetDeadline(p.clock.Now().Add(joinPatience))
			p.join(ctx, conn)
		default: // the joiner tries again
		}
		return
	}
	from := conn.Peer().ID
	for {
		frame, err := conn.ReadFrame()
		if err != nil || len(frame) == 0 || !p.listed(from) {
			p.tampered(from.Short(), err)
			return
		}
		if frame[0] == frameFetch {
			if err := p.fetch(ctx, conn, frame[1:]); err != nil {
				p.log.Debug("a fetch ended early", "node", from.Short(), "error", err)
			}
			return
		}
		p.frame(from, frame)
	}
}
