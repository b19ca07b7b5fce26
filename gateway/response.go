package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cocoframework/coco"
)

// response is the http.ResponseWriter that handlers get. It knows whether an answer has begun, and
// gives the client a time to take it that starts with each write, so that a handler may wait.
type response struct {
	http.ResponseWriter
	g *Gateway
	// gate is what the request went in by; nil if it has left, or an upgraded connection has it.
	gate *gate
	// place is what it holds of its caller's shares, with the gate.
	place *place

	caller     coco.Caller
	chain      []*x509.Certificate
	generation uint64

	status       int  // of the answer, 0 until it is known
	begun        bool // the status is with net/http, or with whoever hijacked
	hijacked     *upgraded
	readDeadline bool
	writeUntil   time.Time
}

// Unwrap lets http.ResponseController find what response does not do itself.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	w.extend()
	if status >= http.StatusOK && !w.begun {
		w.status, w.begun = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.extend()
	if len(p) >= largeAnswer {
		if !w.g.shares.answer(w.caller.Actor, len(p), w.begun) {
			clear(w.Header())
			w.g.fail(w, &http.Request{}, errAnswers)
			return 0, errAnswers
		}
		defer w.g.shares.answered(w.caller.Actor, len(p))
	}
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) {
	w.extend()
	w.begun = true
	return io.WriteString(w.ResponseWriter, s)
}

// FlushError is what http.ResponseController calls.
func (w *response) FlushError() error {
	w.extend()
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher. What fails here fails at the next write.
func (w *response) Flush() { _ = w.FlushError() }

// extend gives the client WriteTimeout again, unless most of the last one is left. net/http lifts
// the deadline at the end of a request.
func (w *response) extend() {
	now, timeout := w.g.cfg.Clock.Now(), w.g.cfg.WriteTimeout
	if w.writeUntil.Sub(now) < timeout-timeout/4 {
		w.writeUntil = now.Add(timeout)
		// An error means a connection without deadlines, which only a test has.
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(w.writeUntil)
	}
}

func (w *response) setReadDeadline() {
	w.readDeadline = true
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(w.g.cfg.Clock.Now().Add(w.g.cfg.BodyTimeout))
}

func (w *response) liftReadDeadline() {
	if w.readDeadline {
		w.readDeadline = false
		_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Time{})
	}
}

// leave gives the place back that the request had.
func (w *response) leave() {
	if w.gate != nil {
		w.gate.leave()
		w.gate = nil
	}
	if w.place != nil {
		w.place.leave()
		w.place = nil
	}
}

// upgraded is a connection that a handler took over, as a WebSocket. It keeps its place in the
// gate until it is closed.
type upgraded struct {
	net.Conn
	g      *Gateway
	gate   *gate
	place  *place
	caller coco.Caller
	chain  []*x509.Certificate
	once   sync.Once
}

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.gate == nil || w.gate == &w.g.anonymous {
		return nil, nil, errors.ErrUnsupported
	}
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	// Either this connection is among those that Shutdown and Reidentify go through, or it sees
	// that they have begun: they change the state first and then go through.
	if w.g.base.Err() != nil || w.generation != w.g.generation.Load() {
		return nil, nil, context.Canceled
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	u := &upgraded{Conn: conn, g: w.g, gate: w.gate, place: w.place, caller: w.caller, chain: w.chain}
	w.g.upgraded[u] = struct{}{}
	w.gate, w.place, w.hijacked, w.begun = nil, nil, u, true
	return u, rw, nil
}

func (u *upgraded) Close() error {
	err := u.Conn.Close()
	u.once.Do(func() {
		u.g.mu.Lock()
		delete(u.g.upgraded, u)
		u.g.mu.Unlock()
		u.gate.leave()
		u.place.leave()
	})
	return err
}

// abort closes the connection without waiting for the client to take a farewell.
func (u *upgraded) abort() {
	if c, ok := u.Conn.(*tls.Conn); ok {
		_ = c.NetConn().Close()
	}
	_ = u.Close()
}

// closeUpgraded ends the upgraded connections that end says. It holds no lock while it asks.
func (g *Gateway) closeUpgraded(end func(*upgraded) bool) {
	g.mu.Lock()
	all := make([]*upgraded, 0, len(g.upgraded))
	for u := range g.upgraded {
		all = append(all, u)
	}
	g.mu.Unlock()
	for _, u := range all {
		if end(u) {
			u.abort()
		}
	}
}
