package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// gateClosed is added to a gate's count to close it, far above any limit.
const gateClosed = 1 << 40

// gate bounds how much of something goes on at a time, and tells when nothing does after it was
// closed. Every enter that succeeded MUST be followed by one leave.
type gate struct {
	limit   int64
	n       atomic.Int64 // how many are in, and gateClosed once closed
	once    sync.Once
	drained chan struct{} // closed when the gate is closed and empty
}

func (g *gate) init(limit int) {
	g.limit, g.drained = int64(limit), make(chan struct{})
}

func (g *gate) enter() bool {
	if g.n.Add(1) <= g.limit {
		return true
	}
	g.leave()
	return false
}

// leave also takes back the count of an enter that failed. The leave that empties a closed gate closes
// drained.
func (g *gate) leave() {
	if g.n.Add(-1) == gateClosed {
		g.once.Do(func() { close(g.drained) })
	}
}

// close makes every later enter fail. Closing twice is closing once.
func (g *gate) close() {
	for {
		n := g.n.Load()
		if n >= gateClosed/2 {
			return
		}
		if g.n.CompareAndSwap(n, n+gateClosed) {
			if n == 0 {
				g.once.Do(func() { close(g.drained) })
			}
			return
		}
	}
}

func (g *gate) closed() bool { return g.n.Load() >= gateClosed/2 }

// gates bound what is served at a time, by kind.
type gates struct {
	requests  gate // of callers
	sealed    gate // encrypted ones, which count among requests, too, once they are open
	anonymous gate // without a certificate, or before it is looked at
	evidence  gate // those of anonymous that make a quote
	digests   gate // those of requests that read the whole state
	streams   gate // upgraded connections
}

func (g *gates) init(l *Limits) {
	g.requests.init(l.MaxRequests)
	g.sealed.init(l.MaxRequests)
	g.anonymous.init(l.MaxAnonymous)
	g.evidence.init(l.MaxEvidence)
	g.digests.init(1)
	g.streams.init(l.MaxStreams)
}

// body is a request's body. Its read deadline is set before the handler runs; it is lifted at the end of the body,
// because a deadline that passes while the handler waits for a commit would look like a client that has gone.
type body struct {
	io.ReadCloser
	w *response
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	late := interface{ Timeout() bool }(nil)
	switch {
	case err == nil:
	case err == io.EOF:
		b.w.liftReadDeadline()
	case errors.As(err, &late) && late.Timeout():
		err = &slowBodyError{after: b.w.g.cfg.BodyTimeout, cause: err}
	case errors.As(err, new(*net.OpError)): // it names addresses of the node
		err = fmt.Errorf("%w: the connection ended before the body did", coco.ErrInvalid)
	case !errors.As(err, new(*http.MaxBytesError)):
		err = fmt.Errorf("%w: the body ended early: %w", coco.ErrInvalid, err)
	}
	return n, err
}

// slowBodyError is a body that did not arrive in time. It is a timeout, of coco.ErrNotCommitted.
type slowBodyError struct {
	after time.Duration
	cause error // names addresses of the node
}

func (e *slowBodyError) Error() string {
	return fmt.Sprintf("too slow: the body did not arrive within %v; nothing happened", e.after)
}

func (e *slowBodyError) Timeout() bool { return true }

func (e *slowBodyError) Unwrap() []error {
	return []error{coco.ErrNotCommitted, e.cause}
}

// WireCode selects the row of the table of errors.
func (e *slowBodyError) WireCode() string { return wire.CodeTooSlow }

// limitBody bounds a body whose length the client has not told.
func (w *response) limitBody(r *http.Request, limit int64) {
	if b, ok := r.Body.(*body); ok && r.ContentLength < 0 {
		b.ReadCloser = http.MaxBytesReader(w.ResponseWriter, b.ReadCloser, limit)
	}
}
