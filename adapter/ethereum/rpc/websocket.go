package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/sessions"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

// Limits of a connection.
const (
	wsQueue      = 1024      // messages that wait to be written
	wsQueueBytes = 64 << 20  // and their size: a client that reads less is dropped
	wsFewBytes   = 128 << 10 // what any connection may have waiting even if the node's memory for replies is in use
	wsTick       = 5 * time.Second
	wsWriteTicks = 2               // a message that takes longer to write ends the connection
	wsPingTicks  = 6               // a ping goes out this often, and must be answered before the next
	wsLeave      = 2 * time.Second // for calls under way, when the node stops
)

var errSlowReader = errors.New("connection dropped: the client reads too slowly")

// wsConn is a WebSocket connection. The handler's goroutine reads messages and gives each to a
// goroutine of its own, so that a transaction waiting for its commit holds nothing up; replies go
// out in the order in which they are ready. One goroutine writes, one watches. All of them end
// before the handler returns.
type wsConn struct {
	server *Server
	ws     *websocket.Conn
	of     peerOf
	claim  *budget.Claim // all that the connection has in memory: messages under way, replies, and what waits in out
	ctx    context.Context
	cancel context.CancelFunc

	calls   chan struct{} // one token for each call under way
	out     chan outgoing
	waiting atomic.Int64 // bytes in out
	writing atomic.Int32 // 0, or 1 + ticks since the current write began
	wg      sync.WaitGroup
	drops   sync.Once
	leaves  sync.Once

	mu   sync.Mutex
	subs map[string]*wsSubscription
}

// peerOf is whose connection it is.
type peerOf struct {
	caller coco.Caller
	grant  *sessions.Grant // nil unless it is a session's
	remote string
	asked  adapter.Reading // with every message
}

// outgoing is a message to write: data, or the reply in buffers, which return to the pool then.
type outgoing struct {
	data []byte
	from *buffers
	last bool // says farewell instead: the node stops
}

// size is how many bytes of the message wait.
func (m *outgoing) size() int {
	if m.from != nil {
		return m.from.size()
	}
	return len(m.data)
}

// unclaimed is how many of them no claim of a reply has counted.
func (m *outgoing) unclaimed() int {
	if m.from != nil {
		return len(m.from.out)
	}
	return len(m.data)
}

func (m *outgoing) release() {
	if m.from != nil {
		m.from.release()
	}
}

// serveWebSocket upgrades a request and serves the connection until it ends.
func (s *Server) serveWebSocket(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	if !s.admit() {
		problem.Write(w, wire.ByCode(wire.CodeBusy), "the node stops")
		return
	}
	defer s.conns.Done()
	asked, err := readingOf(r)
	if err != nil {
		problem.Write(w, wire.AnswerTo(err), err.Error())
		return
	}
	ws, err := websocket.Accept(w, r, sessions.Handshake(r))
	if err != nil {
		return // Accept has answered
	}
	ws.SetReadLimit(-1) // see read, which goes by the limit in force
	c := &wsConn{
		server: s, ws: ws, of: peerOf{caller, sessions.Of(r.Context()), r.RemoteAddr, asked}, claim: adapter.ClaimOf(w),
		calls: make(chan struct{}, s.limits().ConnectionCalls),
		out:   make(chan outgoing, wsQueue),
		subs:  map[string]*wsSubscription{},
	}
	// The request's context ends when the gateway stops. The connection outlives that by a farewell.
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(r.Context()))
	left := make(chan struct{})
	leave := func() { c.leaves.Do(func() { defer close(left); c.leave() }) }
	stopped, ended := context.AfterFunc(s.stop, leave), context.AfterFunc(r.Context(), leave)
	c.wg.Add(2)
	go c.write()
	go c.watch()
	c.read()
	c.cancel()
	_ = ws.CloseNow() // the peer may be gone already
	if a, b := stopped(), ended(); !a || !b {
		<-left
	}
	c.drops.Do(func() {}) // waits for the farewell
	c.wg.Wait()
	c.discard()
	c.closeSubscriptions()
}

// admit counts a connection, unless the server is closed.
func (s *Server) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns.Add(1)
	}
	return !s.closed
}

// crash is deferred by each goroutine of the connection: a panic ends the connection, and nothing else. After one the client
// cannot know what became of its calls.
func (c *wsConn) crash(where string) {
	if v := recover(); v != nil {
		c.server.panics.Caught(where, v)
		c.cancel()
	}
}

// discard gives the memory of messages back that are not written any more. All senders have ended.
func (c *wsConn) discard() {
	for {
		select {
		case m := <-c.out:
			m.release()
		default:
			c.claim.Release()
			return
		}
	}
}

// read hands out messages until the connection ends.
func (c *wsConn) read() {
	defer c.crash("reading from a WebSocket")
	for {
		_, r, err := c.ws.Reader(c.ctx)
		if err != nil {
			return
		}
		b, most := bodies.Get().(*buffers), c.server.limits().BodyBytes
		b.in, err = readBody(b.in[:0], r, most, c.take)
		if err == nil && len(b.in) > most {
			c.drop(websocket.StatusMessageTooBig, fmt.Sprintf("a message of more than %d bytes (rpc.body_bytes)", most))
			return
		}
		if err == nil {
			err = c.take(smallResult) // of its reply, before it is counted
		}
		if errors.Is(err, coco.ErrBusy) {
			c.drop(websocket.StatusTryAgainLater, "connection dropped: the node's memory for messages is in use; come back in a moment")
		}
		if err != nil {
			return
		}
		if !c.signedIn() {
			return
		}
		select {
		case c.calls <- struct{}{}:
		case <-c.ctx.Done():
			return
		}
		c.wg.Add(1)
		go c.answer(b)
	}
}

// signedIn reports whether the session is still there by which the connection began, if it was one, and ends the connection otherwise.
func (c *wsConn) signedIn() bool {
	if c.of.grant == nil {
		return true
	}
	err := c.of.grant.Still()
	if err != nil {
		c.drop(websocket.StatusPolicyViolation, "the session has ended")
	}
	return err == nil
}

// take claims memory for the connection, which may have a little even if there is none left.
func (c *wsConn) take(n int) error {
	err := c.claim.Take(n)
	if err != nil && c.claim.Held()+n <= wsFewBytes {
		c.claim.Must(n)
		err = nil
	}
	return err
}

// answer replies to one message. The message counts until its reply is built.
func (c *wsConn) answer(b *buffers) {
	defer c.wg.Done()
	defer func() { <-c.calls }()
	defer c.crash("a message of a WebSocket")
	x := &exchange{ctx: c.ctx, caller: c.of.caller, grant: c.of.grant, remote: c.of.remote, conn: c, claim: c.claim, fresh: freshness{asked: c.of.asked}}
	taken := len(b.in) + smallResult
	c.server.reply(x, b)
	b.in = nil
	defer c.claim.Give(taken)
	if b.size() == 0 {
		b.release()
	} else if c.send(outgoing{from: b}) != nil {
		return
	}
	for _, start := range x.started {
		start()
	}
}

// send queues a message. It fails once the connection is ending, and then has released the message.
func (c *wsConn) send(m outgoing) error {
	n := m.unclaimed()
	own := c.waiting.Add(int64(m.size()))
	if own > wsQueueBytes {
		m.release()
		c.drop(websocket.StatusPolicyViolation, errSlowReader.Error())
		return errSlowReader
	}
	if c.take(n) != nil {
		m.release()
		c.drop(websocket.StatusPolicyViolation, errSlowReader.Error())
		return errSlowReader
	}
	select {
	case c.out <- m:
		return nil
	case <-c.ctx.Done():
		m.release()
		return c.ctx.Err()
	}
}

// write writes what is queued.
func (c *wsConn) write() {
	defer c.wg.Done()
	defer c.cancel()
	defer c.crash("writing to a WebSocket")
	for {
		select {
		case m := <-c.out:
			if m.last {
				c.drop(websocket.StatusGoingAway, "the node stops")
				return
			}
			size, claimed := int64(m.size()), m.unclaimed()
			c.writing.Store(1)
			err := c.writeMessage(&m)
			c.writing.Store(0)
			c.waiting.Add(-size)
			c.claim.Give(claimed)
			m.release()
			if err != nil {
				return
			}
		case <-c.ctx.Done():
			return
		}
	}
}

// writeMessage writes one message. A large reply goes out in frames, each of which has the time of a write.
func (c *wsConn) writeMessage(m *outgoing) error {
	if m.from == nil {
		return c.ws.Write(c.ctx, websocket.MessageText, m.data)
	}
	if m.from.done == nil {
		return c.ws.Write(c.ctx, websocket.MessageText, m.from.out)
	}
	w, err := c.ws.Writer(c.ctx, websocket.MessageText)
	if err != nil {
		return err
	}
	err = m.from.writeTo(writerFunc(func(p []byte) (int, error) {
		c.writing.Store(1)
		return w.Write(p)
	}))
	if err != nil {
		return err
	}
	return w.Close()
}

// writerFunc is a function that writes.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// watch drops the connection when a write takes too long or a ping is not answered.
func (c *wsConn) watch() {
	defer c.wg.Done()
	defer c.crash("watching a WebSocket")
	ticker := c.server.env.Clock.NewTicker(wsTick)
	defer ticker.Stop()
	answered := make(chan error, 1)
	answered <- nil
	for ticks := 1; ; ticks++ {
		select {
		case <-ticker.C():
		case <-c.ctx.Done():
			return
		}
		if n := c.writing.Load(); n > 0 && !c.writing.CompareAndSwap(n, n+1) {
			continue // that write has ended
		} else if n > wsWriteTicks {
			c.drop(websocket.StatusPolicyViolation, errSlowReader.Error())
			return
		}
		if !c.signedIn() || ticks%wsPingTicks != 0 {
			continue
		}
		select {
		case <-answered:
			c.wg.Add(1)
			go func() {
				defer c.wg.Done()
				defer c.crash("a ping of a WebSocket")
				answered <- c.ws.Ping(c.ctx)
			}()
		default:
			c.drop(websocket.StatusPolicyViolation, "connection dropped: a ping was not answered")
			return
		}
	}
}

// leave ends the connection because the node stops: calls under way are answered first, new ones are not
// taken.
func (c *wsConn) leave() {
	late := c.server.env.Clock.After(wsLeave)
	for range cap(c.calls) {
		select {
		case c.calls <- struct{}{}:
		case <-c.ctx.Done():
			return
		case <-late:
			c.drop(websocket.StatusGoingAway, "the node stops")
			return
		}
	}
	select {
	case c.out <- outgoing{last: true}:
	case <-c.ctx.Done():
	case <-late:
		c.drop(websocket.StatusGoingAway, "the node stops")
	}
}

// drop ends the connection and tells the client why, if it still listens.
func (c *wsConn) drop(code websocket.StatusCode, reason string) {
	c.drops.Do(func() {
		_ = c.ws.Close(code, reason)
		c.cancel()
	})
}
