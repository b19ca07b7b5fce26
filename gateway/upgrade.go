package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/cocoframework/coco/caller"
)

// upgraded is a connection that a handler took over, as a WebSocket. It keeps its place in the
// gate until it is closed.
type upgraded struct {
	net.Conn
	g     *Gateway
	gate  *gate
	place *place
	of    caller.Identity
	once  sync.Once
}

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.gate == nil || w.gate == &w.g.gates.anonymous {
		return nil, nil, errors.ErrUnsupported
	}
	all := &w.g.upgrades
	all.mu.Lock()
	defer all.mu.Unlock()
	// Either this connection is among those that Shutdown and Reidentify go through, or it sees
	// that they have begun: they change the state first and then go through.
	if w.g.end.base.Err() != nil || w.generation != w.g.generation.Load() {
		return nil, nil, context.Canceled
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	u := &upgraded{Conn: conn, g: w.g, gate: w.gate, place: w.place, of: w.identity}
	all.open[u] = struct{}{}
	w.gate, w.place, w.hijacked, w.begun = nil, nil, u, true
	return u, rw, nil
}

func (u *upgraded) Close() error {
	err := u.Conn.Close()
	u.once.Do(func() {
		u.g.upgrades.remove(u)
		u.gate.leave()
		u.place.leave()
	})
	return err
}

// abort closes the connection without TLS's closing message, for which it would have to wait.
func (u *upgraded) abort() {
	if c, ok := u.Conn.(*tls.Conn); ok {
		_ = c.NetConn().Close()
	}
	_ = u.Close()
}

// upgrades are the upgraded connections that are open.
type upgrades struct {
	mu   sync.Mutex
	open map[*upgraded]struct{} // under mu
}

func (s *upgrades) remove(u *upgraded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, u)
}

// closeIf ends the upgraded connections that end selects. The lock is not held while end is called.
func (s *upgrades) closeIf(end func(*upgraded) bool) {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, u := range all {
		if end(u) {
			u.abort()
		}
	}
}
