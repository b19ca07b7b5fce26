// Package conns bounds the connections that a gateway's clients have open.
//
// A stranger is a remote address. One shows its caller with its first request, and from then on its connection belongs to the caller's
// organisation. When there are too many, whoever has most makes room: so neither strangers, to whom a connection costs nothing, nor
// one organisation keep the others from connecting.
//
// Trust: enclave
package conns

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

// Table is the open connections below TLS. Beyond max of them whoever has most makes room by its oldest connection that may be closed.
// It is safe for concurrent use.
type Table struct {
	max int

	mu      sync.Mutex
	open    map[*Conn]struct{} // under mu; nil once all are closed for good
	holders map[string]*holder // who has an open connection, by their keys; under mu
}

// holder has connections. It is a remote address, whose connections may be closed at any time: who is honest there shows its caller with its first
// request. From then on a connection belongs to the caller's organisation, and may be closed while it serves no request.
type holder struct {
	key   string
	conns *list.List // of *Conn, the oldest first
}

// Conn is an open connection. Its fields are under all.mu.
type Conn struct {
	net.Conn
	all   *Table
	of    *holder
	place *list.Element // in of.conns
	known bool          // of is an organisation
	busy  bool          // it serves a request, or was upgraded
}

// New returns a table of at most so many connections.
func New(most int) *Table {
	return &Table{max: most, open: map[*Conn]struct{}{}, holders: map[string]*holder{}}
}

// add adds a connection, and returns the one that has to be closed for it, if any. It is false if there is no room.
func (c *Table) add(raw net.Conn) (added, closed *Conn, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		return nil, nil, false
	}
	added = &Conn{Conn: raw, all: c}
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
func (c *Table) dearest(other *Conn) *Conn {
	var found *Conn
	for _, h := range c.holders {
		if h != other.of && h.conns.Len() <= other.of.conns.Len() || found != nil && h.conns.Len() <= found.of.conns.Len() {
			continue
		}
		for at := h.conns.Front(); at != nil; at = at.Next() {
			if x := at.Value.(*Conn); x != other && (!x.known || !x.busy) {
				found = x
				break
			}
		}
	}
	return found
}

// give gives a connection to a holder.
func (c *Table) give(x *Conn, key string) {
	h := c.holders[key]
	if h == nil {
		h = &holder{key, list.New()}
		c.holders[key] = h
	}
	x.of, x.place = h, h.conns.PushBack(x)
}

// take takes a connection from its holder.
func (c *Table) take(x *Conn) {
	if x.of.conns.Remove(x.place); x.of.conns.Len() == 0 {
		delete(c.holders, x.of.key)
	}
}

// drop forgets a connection. Again it does nothing.
func (c *Table) drop(x *Conn) {
	if _, open := c.open[x]; open {
		delete(c.open, x)
		c.take(x)
	}
}

// Belongs notes whose connection it is.
func (c *Table) Belongs(x *Conn, organisation coco.ActorID) {
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

// Note is http.Server.ConnState.
func (c *Table) Note(of net.Conn, state http.ConnState) {
	x := Of(of)
	if x == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x.busy = state == http.StateActive || state == http.StateHijacked
}

// Of returns the connection below one that a server has; nil if a server of the caller's has it.
func Of(c net.Conn) *Conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	x, _ := c.(*Conn)
	return x
}

// Any reports whether a connection is open.
func (c *Table) Any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open) > 0
}

// CloseAll closes every connection, now and later, below TLS: a closing message would wait seconds for a peer that
// does not read.
func (c *Table) CloseAll() {
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
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Conn.Close()
	}
	return n, err
}

func (c *Conn) Close() error {
	c.all.mu.Lock()
	c.all.drop(c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// Listen returns a listener whose connections are in the table.
func (c *Table) Listen(l net.Listener, log *slog.Logger) net.Listener {
	return &listener{Listener: l, conns: c, log: log}
}

// listener bounds the open connections. One for which there is no room is closed at once, so that the
// client asks another node instead of waiting for other clients to leave.
type listener struct {
	net.Listener
	conns *Table
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
