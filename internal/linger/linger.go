// Package linger lets an HTTP server answer a request before the request's body has arrived.
//
// Over HTTP/1, net/http reads what a handler left of a body, up to 256 KiB, before it sends the answer. A client that
// does not send its body then hears of a refusal only when the read deadline has passed. A client that is
// still sending a longer body when its connection is closed may lose the answer, because TCP discards what was received
// with the reset (RFC 9112, section 9.6). So the answer goes out first, and the connection stays open for a while
// to discard what still arrives:
//
//	b := linger.New(r, now)  // before the handler
//	b.Answer(w)              // before the header of the final answer is written
//	b.Discard(w)             // when the handler has returned
//
// HTTP/2 needs none of this: its streams end one by one.
//
// Trust: either
package linger

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// What is discarded behind an answer, at most.
const (
	idle  = 2 * time.Second  // without receiving anything
	total = 10 * time.Second // altogether
	most  = 256 << 20        // bytes
)

// A short rest of a body has mostly arrived with the header. It is read before the answer, within this time, so that the connection
// can be reused.
const (
	short    = 256 << 10 // bytes
	patience = 10 * time.Millisecond
)

// Body is the body of a request to a server. Answer and Discard are called by the handler's goroutine; Read may be called by
// another one, even while they run: it then fails.
type Body struct {
	io.ReadCloser

	now   func() time.Time
	http1 bool
	ended atomic.Bool // the end of the body has been read, or the connection has failed

	mu      sync.Mutex // held while the body is read
	left    int64      // of the declared length; negative if the length is unknown
	waiting bool       // the client waits for 100 Continue, which the first Read sends
}

// New makes a request's body a Body; now tells the time of the connection's deadlines.
func New(r *http.Request, now func() time.Time) *Body {
	b := &Body{ReadCloser: r.Body, now: now, http1: r.ProtoMajor == 1, left: r.ContentLength, waiting: r.Header.Get("Expect") != ""}
	if r.Body == nil || r.ContentLength == 0 {
		b.ended.Store(true)
		return b
	}
	r.Body = b
	return b
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = false
	n, err := b.ReadCloser.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	if late := interface{ Timeout() bool }(nil); b.left == 0 || err != nil && !(errors.As(err, &late) && late.Timeout()) {
		b.ended.Store(true)
	}
	return n, err
}

// Answer prepares the response for an answer that does not wait for the rest of the body. It must be called before
// the header of the final answer is written. Unless the whole body has arrived, the connection ends with the answer: what is
// left of a body must not be parsed as another request.
func (b *Body) Answer(w http.ResponseWriter) {
	if b.ended.Load() || !b.http1 {
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(b.now().Add(patience)) // also ends a Read that waits
	b.mu.Lock()
	left, waiting := b.left, b.waiting
	b.mu.Unlock()
	if !waiting && left >= 0 && left <= short {
		if _, err := io.CopyN(io.Discard, b, left); err == nil {
			_ = rc.SetReadDeadline(time.Time{})
			return
		}
	}
	_ = rc.EnableFullDuplex() // without it the answer is late, and no worse
	w.Header().Set("Connection", "close")
}

// Discard sends the answer, and then reads what still arrives of the body, so that the client can
// receive the answer before the connection is reset.
func (b *Body) Discard(w http.ResponseWriter) {
	if b.ended.Load() || !b.http1 {
		return
	}
	rc := http.NewResponseController(w)
	b.mu.Lock()
	waiting := b.waiting
	b.mu.Unlock()
	if waiting || rc.Flush() != nil {
		_ = rc.SetReadDeadline(b.now()) // net/http would wait for the body
		return
	}
	until, buf := b.now().Add(total), make([]byte, 32<<10)
	for sum := 0; sum < most && b.now().Before(until); {
		_ = rc.SetReadDeadline(b.now().Add(idle))
		n, err := b.Read(buf)
		if sum += n; err != nil {
			return
		}
	}
}
