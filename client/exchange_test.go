package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cocoframework/coco"
)

// endless is a body that does not come.
type endless struct{ ended chan struct{} }

func (e endless) Read([]byte) (int, error) {
	<-e.ended
	return 0, io.ErrUnexpectedEOF
}

func (e endless) Close() error { return nil }

func TestAnAnswerIsReceivedBeforeTheBodyIsSent(t *testing.T) {
	service := newAuthority(t, "service")
	n := newNode(t, service, "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Content-Length", "2")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "no")
			_ = http.NewResponseController(w).Flush()
		}
	})
	tr, err := NewTransport(Config{Addr: n.addr, Policy: policy()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	for _, expect := range []string{"", "100-continue"} {
		for _, length := range []int64{-1, 5, 1 << 30} {
			ended := make(chan struct{})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://node/x", endless{ended})
			if err != nil {
				t.Fatal(err)
			}
			if req.ContentLength = length; expect != "" {
				req.Header.Set("Expect", expect)
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatalf("length %d: %v", length, err)
			}
			if text, err := io.ReadAll(resp.Body); resp.StatusCode != 404 || string(text) != "no" || err != nil {
				t.Errorf("length %d: %s %q %v", length, resp.Status, text, err)
			}
			resp.Body.Close()
			close(ended)
		}
	}
}

// stuck is a body whose Read returns once it is closed.
type stuck struct {
	reading chan struct{} // closed by the first Read
	once    sync.Once
	closed  chan struct{}
	left    chan struct{} // closed when that Read has returned
	times   atomic.Int32  // that Close was called
}

func newStuck() *stuck {
	return &stuck{reading: make(chan struct{}), closed: make(chan struct{}), left: make(chan struct{})}
}

func (s *stuck) Read([]byte) (int, error) {
	s.once.Do(func() { close(s.reading) })
	<-s.closed
	close(s.left)
	return 0, io.ErrClosedPipe
}

func (s *stuck) Close() error {
	if s.times.Add(1) == 1 {
		close(s.closed)
	}
	return nil
}

// Nothing waits for a body that nobody wants any more: because the node has answered, the caller has gone, or there is no node.
func TestABodyIsClosedOnceNoMoreOfItIsWanted(t *testing.T) {
	service, over := newAuthority(t, "service"), make(chan struct{})
	n := newNode(t, service, "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/silent" {
				<-over
				return
			}
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "no")
			_ = http.NewResponseController(w).Flush()
		}
	})
	defer close(over)
	for _, length := range []int64{-1, 1 << 30} {
		for _, how := range []string{"answered", "silent", "nowhere"} {
			addr := n.addr
			if how == "nowhere" {
				addr = "127.0.0.1:1"
			}
			tr, err := NewTransport(Config{Addr: addr, Policy: policy()})
			if err != nil {
				t.Fatal(err)
			}
			body := newStuck()
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://node/"+how, body)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			if how == "silent" {
				go func() { <-body.reading; cancel() }()
			}
			resp, err := tr.RoundTrip(req)
			if (err == nil) != (how == "answered") {
				t.Fatalf("%s: %v", how, err)
			}
			if err == nil {
				if text, err := io.ReadAll(resp.Body); string(text) != "no" || err != nil {
					t.Errorf("the answer is %q, %v", text, err)
				}
				resp.Body.Close()
			}
			wait := []chan struct{}{body.closed}
			if how == "silent" {
				wait = append(wait, body.left)
			}
			for _, c := range wait {
				select {
				case <-c:
				case <-time.After(10 * time.Second):
					t.Fatalf("%s, length %d: the body is read still", how, length)
				}
			}
			if n := body.times.Load(); n != 1 {
				t.Errorf("%s: the body was closed %d times", how, n)
			}
			cancel()
			tr.CloseIdleConnections()
		}
	}
}

func TestALargeBodyArrivesAndItsConnectionIsReused(t *testing.T) {
	service := newAuthority(t, "service")
	n := newNode(t, service, "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			size, err := io.Copy(io.Discard, r.Body)
			if err != nil || size != 1<<20 {
				t.Errorf("%d bytes arrived: %v", size, err)
			}
			time.Sleep(time.Millisecond) // the client notes that it has sent everything
		}
	})
	tr, err := NewTransport(Config{Addr: n.addr, Policy: policy()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	for _, body := range []io.Reader{
		bytes.NewReader(make([]byte, 1<<20)),
		io.MultiReader(bytes.NewReader(make([]byte, 1<<20))),
	} {
		for _, expect := range []string{"", "100-continue"} {
			if seeker, ok := body.(io.Seeker); ok {
				_, _ = seeker.Seek(0, io.SeekStart)
			} else if expect != "" {
				body = io.MultiReader(bytes.NewReader(make([]byte, 1<<20)))
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://node/x", body)
			if err != nil {
				t.Fatal(err)
			}
			if expect != "" {
				req.Header.Set("Expect", expect)
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
}

func TestABodyThatFailsIsReportedAsItself(t *testing.T) {
	service := newAuthority(t, "service")
	n := newNode(t, service, "", func(n *node) {
		n.handler = func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	})
	tr, err := NewTransport(Config{Addr: n.addr, Policy: policy()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	close(ended)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://node/x", endless{ended})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.RoundTrip(req); err == nil || !strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) {
		t.Errorf("%v", err)
	}
}

func TestABodyArrivesAsItWasSentWhateverItsLength(t *testing.T) {
	service := newAuthority(t, "service")
	n := newNode(t, service, "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body) // of HTTP/1: the answer comes after it
			_, _ = w.Write(body)
		}
	})
	tr, err := NewTransport(Config{Addr: n.addr, Policy: policy()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	for _, size := range []int{1, 1000, 4095, 4096, 5000, 32 << 10, 68_390, 1 << 20} {
		for _, length := range []int64{-1, int64(size)} {
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(i * i >> 8)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://node/x", io.NopCloser(iotest.OneByteReader(bytes.NewReader(body))))
			if err != nil {
				t.Fatal(err)
			}
			if size > 5000 {
				req.Body = io.NopCloser(bytes.NewReader(body))
			}
			req.ContentLength = length
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(resp.Body); !bytes.Equal(got, body) || err != nil {
				t.Errorf("a body of %d bytes, with length %d, arrives as %d others: %v", size, length, len(got), err)
			}
			resp.Body.Close()
		}
	}
}

// A node that has not joined yet has the certificate that it made itself. That is no attack, and nothing is sent to it.
func TestANodeThatHasNotJoinedIsNotReady(t *testing.T) {
	service, own := newAuthority(t, "service"), newAuthority(t, "node 7")
	n := newNode(t, service, "", func(n *node) {
		n.cert = tls.Certificate{Certificate: [][]byte{own.cert.Raw}, PrivateKey: own.key}
	})
	p := policy()
	p.Service = service.cert
	c := newClient(t, Config{Addr: n.addr, Policy: p})
	_, err := c.Status(t.Context())
	if !errors.Is(err, coco.ErrUnreachable) || errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "has not joined its network yet") || n.requests.Load() != 0 {
		t.Errorf("%v; %d requests", err, n.requests.Load())
	}
}

// lingering is a body whose end is not told.
type lingering struct {
	io.Reader
	ended chan struct{}
}

func (l lingering) Read(p []byte) (int, error) {
	if n, err := l.Reader.Read(p); n > 0 || err == nil {
		return n, nil
	}
	<-l.ended
	return 0, io.EOF
}

// A node that has the whole body may have acted on it, whether or not the sender has noted that it sent all.
func TestARequestThatTheNodeHasWholeIsNotCalledUnsent(t *testing.T) {
	service := newAuthority(t, "service")
	n := newNode(t, service, "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadFull(r.Body, make([]byte, 5))
			panic(http.ErrAbortHandler)
		}
	})
	tr, err := NewTransport(Config{Addr: n.addr, Policy: policy()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	body := lingering{strings.NewReader("hello"), make(chan struct{})}
	defer close(body.ended)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://node/x", io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 5
	if _, err := tr.RoundTrip(req); !errors.Is(err, coco.ErrUnknown) {
		t.Errorf("%v, want an unknown outcome", err)
	}
}
