package gateway

import (
	"io"
	"net/http"
	"time"

	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/internal/linger"
)

// response is the http.ResponseWriter that handlers get. It knows whether an answer has begun, and
// gives the client a time to receive it that starts with each write, so that a handler may wait.
type response struct {
	http.ResponseWriter
	g *Gateway
	// gate is the gate that counts the request; nil after leave, or once an upgraded connection has it.
	gate *gate
	// place is its part of its caller's shares; it is given back with the gate.
	place *place
	claim *budget.Claim // on the node's memory for replies; nil before the caller is known, and again after leave

	identity   caller.Identity
	generation uint64

	body     *linger.Body // nil if the request has none
	followed followed

	status       int  // of the answer, 0 until it is known
	begun        bool // the status is with net/http, or with the handler that hijacked
	hijacked     *upgraded
	readDeadline bool
	writeUntil   time.Time
}

// Unwrap lets http.ResponseController find what response does not do itself.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	w.extend()
	if status >= http.StatusOK && !w.begun {
		w.begin()
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// begin notes that the answer begins, which does not wait for the rest of the body.
func (w *response) begin() {
	if !w.begun && w.body != nil {
		w.body.Answer(w.ResponseWriter)
	}
	w.begun = true
}

// discardBody lets a client that is still sending receive the answer.
func (w *response) discardBody() {
	if w.body != nil && w.hijacked == nil {
		w.body.Discard(w.ResponseWriter)
	}
}

func (w *response) Write(p []byte) (int, error) {
	w.extend()
	// What the handler has claimed for its reply is counted already.
	if more := len(p) - w.Claim().Held(); more > 0 {
		if err := w.claim.Take(more); err != nil && !w.begun {
			clear(w.Header())
			w.g.fail(w, &http.Request{}, err)
			return 0, err
		} else if err != nil {
			w.claim.Must(more)
		}
		defer w.claim.Give(more)
	}
	w.begin()
	return w.ResponseWriter.Write(p)
}

// Claim is what adapter.ClaimOf finds.
func (w *response) Claim() *budget.Claim {
	if w.claim == nil {
		w.claim = w.g.replies.Claim(w.identity.Caller.Actor)
	}
	return w.claim
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) {
	w.extend()
	w.begin()
	return io.WriteString(w.ResponseWriter, s)
}

// FlushError is what http.ResponseController calls.
func (w *response) FlushError() error {
	w.extend()
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher. What fails here fails at the next write.
func (w *response) Flush() { _ = w.FlushError() }

// extend gives the client WriteTimeout again, unless most of the last one is left. net/http lifts
// the deadline at the end of a request.
func (w *response) extend() {
	timeout := w.g.cfg.WriteTimeout
	if until := w.g.cfg.Clock.Deadline(timeout); w.writeUntil.Before(until.Add(-timeout / 4)) {
		w.writeUntil = until
		// An error means a connection without deadlines, which only a test has.
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(w.writeUntil)
	}
}

func (w *response) setReadDeadline() {
	w.readDeadline = true
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(w.g.cfg.Clock.Deadline(w.g.cfg.BodyTimeout))
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
	w.claim.Release()
	w.claim = nil
}
