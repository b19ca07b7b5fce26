package client

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// atOnce is the size in bytes up to which a body that is in memory is sent before the answer is read.
	atOnce = 64 << 10
	// lastWords is how long an answer is waited for after sending has failed: the node may have refused the body.
	lastWords = time.Second
	// continueFor is how long a node is waited for that does not say 100 Continue (RFC 9110, section 10.1.1).
	continueFor = time.Second
)

var errAnswered = errors.New("the node has answered before it had the whole body")

// sentApart reports whether a body may take time to send: it is large, or not in memory, or the node must ask for it. It is then sent by a
// goroutine of its own, which also closes it, so that a refusal is received at once. A body is closed as soon as no more of it is wanted, also while
// its Read waits, which MUST return then, as that of pipes, sockets and requests does.
func sentApart(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody && (req.GetBody == nil || req.ContentLength < 0 || req.ContentLength > atOnce || expects(req))
}

// expects reports whether a body is sent once the node asks for it.
func expects(req *http.Request) bool {
	return strings.EqualFold(req.Header.Get("Expect"), "100-continue")
}

// exchange sends a request and reads the head of its answer at the same time.
func (c *conn) exchange(req *http.Request) (resp *http.Response, sent bool, err error) {
	s := &sending{ReadCloser: req.Body, c: c, left: req.ContentLength, answered: make(chan struct{})}
	if expects(req) {
		s.proceed = make(chan struct{}, 1)
	}
	done := make(chan error, 1)
	go func() { done <- s.send(req) }()
	resp, err = c.readResponse(req, s.wanted)
	close(s.answered)
	finished := false // else send still uses the connection
	select {
	case failure := <-done:
		finished, sent = failure == nil, failure == nil || s.whole.Load()
		if failure != nil && err != nil {
			err = failure
		}
	default: // the rest of the body is not needed, or the end of it is noted in a moment
		sent = s.whole.Load()
		go s.Close() // ends a Read, for which the Close of some bodies waits
	}
	if failure := s.failure.Load(); failure != nil && err != nil {
		err = *failure
	}
	if err != nil {
		return nil, sent, err
	}
	resp.Close = resp.Close || !finished
	return resp, true, nil
}

// sending is a request's body on its way. What was sent so far reaches the node before the next part is waited for.
type sending struct {
	io.ReadCloser
	c        *conn
	proceed  chan struct{}         // receives when the node asks for the body; nil if it need not
	asked    bool                  // Read has waited for it
	answered chan struct{}         // closed when nothing more is wanted
	left     int64                 // of the declared length; negative if the length is unknown
	whole    atomic.Bool           // Read has handed out the whole body: the node may have it
	failure  atomic.Pointer[error] // of reading the body
	closing  sync.Once
}

// Close implements io.Closer. It closes the body once, during a Read or after it.
func (s *sending) Close() (err error) {
	s.closing.Do(func() { err = s.ReadCloser.Close() })
	return err
}

func (s *sending) send(req *http.Request) error {
	out := *req
	out.Body = s
	if req.ContentLength < 0 {
		out.TransferEncoding = []string{"chunked"} // else net/http looks at the body before it sends the header
	}
	err := out.Write(noReadFrom{s.c.bw, s.c.bw, s.c.bw})
	if err == nil {
		err = s.c.bw.Flush()
	}
	if err != nil {
		select {
		case <-s.answered: // the answer is being read, however long that takes
		default:
			_ = s.c.SetReadDeadline(time.Now().Add(lastWords))
		}
	}
	return err
}

// noReadFrom hides ReadFrom of a bufio.Writer: while that reads into its own buffer, Read flushes the buffer, and what it read is lost.
// It keeps what net/http looks for in a writer that buffers already.
type noReadFrom struct {
	io.Writer
	io.ByteWriter
	io.StringWriter
}

// wanted notes that the node asks for the body.
func (s *sending) wanted() {
	if s.proceed != nil {
		select {
		case s.proceed <- struct{}{}:
		default: // it has asked before
		}
	}
}

// Read implements io.Reader, for send.
func (s *sending) Read(p []byte) (int, error) {
	if s.c.bw.Buffered() > 0 {
		if err := s.c.bw.Flush(); err != nil {
			return 0, err
		}
	}
	if s.proceed != nil && !s.asked {
		s.asked = true
		late := time.NewTimer(continueFor)
		defer late.Stop()
		select {
		case <-s.proceed:
		case <-late.C:
		case <-s.answered:
		}
	}
	select {
	case <-s.answered:
		return 0, errAnswered
	default:
	}
	n, err := s.ReadCloser.Read(p)
	select {
	case <-s.answered: // it may have been closed meanwhile
		return 0, errAnswered
	default:
	}
	if s.left >= 0 {
		s.left -= int64(n)
	}
	if s.left == 0 || errors.Is(err, io.EOF) {
		s.whole.Store(true)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.failure.Store(&err)
		_ = s.c.NetConn().Close() // an answer to half a body is not waited for
	}
	return n, err
}
