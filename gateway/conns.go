package gateway

import (
	"container/list"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/crowd"
)

// conns are the open connections below TLS. Beyond max of them whoever has most makes room by its oldest connection that may be closed.
// So neither strangers, to whom a connection costs nothing, nor one organisation keep the others from connecting.
type conns struct {
	max int

	mu      sync.Mutex
	open    map[*conn]struct{} // under mu; nil once all are closed for good
	holders map[string]*holder // who has an open connection, by their keys; under mu
}

// holder has connections. It is a remote address, whose connections may be closed at any time: who is honest there shows its caller with its first
// request. From then on a connection belongs to the caller's organisation, and may be closed while it serves no request.
type holder struct {
	key   string
	conns *list.List // of *conn, the oldest first
}

// conn is an open connection. Its fields are under all.mu.
type conn struct {
	net.Conn
	all   *conns
	of    *holder
	place *list.Element // in of.conns
	known bool          // of is an organisation
	busy  bool          // it serves a request, or was upgraded
}

func newConns(most int) *conns {
	return &conns{max: most, open: map[*conn]struct{}{}, holders: map[string]*holder{}}
}

// add adds a connection, and returns the one that has to be closed for it, if any. It is false if there is no room.
func (c *conns) add(raw net.Conn) (added, closed *conn, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		return nil, nil, false
	}
	added = &conn{Conn: raw, all: c}
	c.give(added, crowd.AddressOf(raw.RemoteAddr()))
	c.open[added] = struct{}{}
	if len(c.open) <= c.max {
		return added, nil, true
	}
	if closed = c.dearest(added); closed == nil {
		c.drop(added)
		return nil, nil, false
	}
	c.drop(closed)
	return added, closed, true
}

// dearest returns the connection that makes room for another one: that of the holder with most connections, and with more than the other one's, or the
// other one's own. It returns nil if none may be closed.
func (c *conns) dearest(other *conn) *conn {
	var found *conn
	for _, h := range c.holders {
		if h != other.of && h.conns.Len() <= other.of.conns.Len() || found != nil && h.conns.Len() <= found.of.conns.Len() {
			continue
		}
		for at := h.conns.Front(); at != nil; at = at.Next() {
			if x := at.Value.(*conn); x != other && (!x.known || !x.busy) {
				found = x
				break
			}
		}
	}
	return found
}

// give gives a connection to a holder.
func (c *conns) give(x *conn, key string) {
	h := c.holders[key]
	if h == nil {
		h = &holder{key, list.New()}
		c.holders[key] = h
	}
	x.of, x.place = h, h.conns.PushBack(x)
}

// take takes a connection from its holder.
func (c *conns) take(x *conn) {
	if x.of.conns.Remove(x.place); x.of.conns.Len() == 0 {
		delete(c.holders, x.of.key)
	}
}

// drop forgets a connection. Again it does nothing.
func (c *conns) drop(x *conn) {
	if _, open := c.open[x]; open {
		delete(c.open, x)
		c.take(x)
	}
}

// belongs notes whose connection it is.
func (c *conns) belongs(x *conn, organisation coco.ActorID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := "organisation " + organisation.String()
	if _, open := c.open[x]; !open || x.of.key == key {
		return
	}
	c.take(x)
	c.give(x, key)
	x.known = true
}

// note is http.Server.ConnState.
func (c *conns) note(of net.Conn, state http.ConnState) {
	x := connOf(of)
	if x == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x.busy = state == http.StateActive || state == http.StateHijacked
}

// connOf returns the connection below one that a server has; nil if a server of the caller's has it.
func connOf(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	x, _ := c.(*conn)
	return x
}

func (c *conns) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open) > 0
}

// closeAll closes every connection, now and later, below TLS: a closing message would wait seconds for a peer that
// does not read.
func (c *conns) closeAll() {
	c.mu.Lock()
	open := c.open
	c.open = nil
	c.mu.Unlock()
	for x := range open {
		_ = x.Conn.Close()
	}
}

// Write closes the connection if it fails: TLS cannot go on after that, and its closing message would wait
// seconds for a client that does not read.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Conn.Close()
	}
	return n, err
}

func (c *conn) Close() error {
	c.all.mu.Lock()
	c.all.drop(c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// listener bounds the open connections. One for which there is no room is closed at once, so that the
// client asks another node instead of waiting for other clients to leave.
type listener struct {
	net.Listener
	conns *conns
	log   *slog.Logger
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		added, closed, ok := l.conns.add(raw)
		if closed != nil {
			l.log.Debug("gateway: connection closed to make room: too many are open", "limit", l.conns.max, "known", closed.known)
			_ = closed.Conn.Close()
		}
		if ok {
			return added, nil
		}
		l.log.Debug("gateway: connection refused: too many are open", "limit", l.conns.max)
		_ = raw.Close()
	}
}
