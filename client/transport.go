package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cocoframework/coco"
)

// Idle connections are kept for idleFor, at most maxIdle of them.
const (
	idleFor = 60 * time.Second
	maxIdle = 256
	// dialTimeout bounds connecting, the handshake and the verification together.
	dialTimeout = 10 * time.Second
)

// Config says which node to reach and what it must prove.
type Config struct {
	// Addr is the node's client listener, host:port.
	Addr string
	// Certificate identifies the caller: a leaf and, if it was issued by an organisation's
	// certificate, that one too. Without one, and without a token, only the facts that a caller needs to verify the
	// node are answered.
	Certificate *tls.Certificate
	// Token returns the bearer token that identifies the caller (RFC 6750), without the scheme; it is asked for at every request, and replaces an
	// Authorization that the request has. Nil if there is none.
	Token  func() (string, error)
	Policy Policy
	// Sealed, if not nil, is how requests are encrypted for what ends TLS between the caller and the nodes; see Sealed. Its Policy, Token, Now and Reverify are set
	// here; Addr, Certificate and Dial are not used.
	Sealed *SealedConfig
	// Dial opens a stream; nil means TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Now tells the time for validity checks; nil means time.Now.
	Now func() time.Time
	// Reverify is how long a node's evidence counts, and a connection is used for further requests: then the node is verified anew, on
	// a new connection. Zero means as long as the node's key is the same.
	Reverify time.Duration
}

func (c *Config) validate() error {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil && c.Sealed == nil {
		return fmt.Errorf("%w: node address %q: expected host:port", coco.ErrInvalid, c.Addr)
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c.Policy.validate()
}

// Transport is an http.RoundTripper over verified connections to one node. It speaks HTTP/1.1
// with keep-alive and sends each request from the caller's goroutine, which costs about half of
// what http.Transport costs. The URL's host is ignored.
//
// As with http.Transport, the body of a 101 answer is the connection, an io.ReadWriteCloser.
type Transport struct {
	cfg    Config
	tls    *tls.Config
	sealed *Sealed // nil if nodes are reached

	mu         sync.Mutex // guards what follows, and cfg.Policy
	idle       []*conn    // the most recently used last
	known      verified
	generation uint64 // of cfg.Policy; see SetPolicy
}

// NewTransport returns a transport. It does not connect yet.
func NewTransport(cfg Config) (*Transport, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t := &Transport{cfg: cfg, known: verified{}}
	if cfg.Sealed != nil {
		s := *cfg.Sealed
		s.Policy, s.Token, s.Now, s.Reverify = cfg.Policy, cfg.Token, cfg.Now, cfg.Reverify
		var err error
		t.sealed, err = NewSealed(s)
		return t, err
	}
	t.tls = &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
		// The node's certificate is endorsed by the network's service, not by a public authority,
		// and what counts is the key that its evidence binds: both are checked by the policy.
		InsecureSkipVerify: true,
		VerifyConnection:   t.verifyCertificate,
		Time:               cfg.Now,
	}
	if cfg.Certificate != nil {
		t.tls.Certificates = []tls.Certificate{*cfg.Certificate}
	}
	return t, nil
}

// conn is one verified connection. It is owned by the one request that uses it.
type conn struct {
	*tls.Conn
	br    *bufio.Reader
	bw    *bufio.Writer
	since time.Time // when it became idle; zero for a new one
	peer  coco.NodeID

	opened     time.Time
	generation uint64 // of the policy that it was verified by
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.sealed != nil {
		return t.sealed.RoundTrip(req)
	}
	if req.Body != nil && !sentApart(req) {
		defer req.Body.Close()
	}
	req, err := t.authorized(req)
	if err != nil {
		return nil, err
	}
	for {
		c, err := t.get(req.Context())
		if err != nil {
			if req.Body != nil && sentApart(req) {
				req.Body.Close()
			}
			return nil, err
		}
		stop := context.AfterFunc(req.Context(), func() { c.Close() })
		resp, sent, err := c.roundTrip(req)
		if err == nil {
			t.wrap(resp, c, stop, req)
			return resp, nil
		}
		stop()
		c.Close()
		reused := !c.since.IsZero()
		switch cause := context.Cause(req.Context()); {
		case cause != nil && safe(req):
			return nil, fmt.Errorf("%w: node at %s: %w", coco.ErrUnreachable, t.cfg.Addr, cause)
		case cause != nil:
			return nil, fmt.Errorf("%w: node at %s: %w", coco.ErrUnknown, t.cfg.Addr, cause)
		case reused && (!sent || safe(req)) && rewind(req):
			// An idle connection may have died unnoticed. What had no effect is sent again; the
			// loop ends because each turn takes one idle connection, or a new one.
		case sent && !safe(req):
			return nil, fmt.Errorf("%w: the node at %s closed the connection before it answered: %w", coco.ErrUnknown, t.cfg.Addr, err)
		default:
			return nil, fmt.Errorf("%w: node at %s: %w", coco.ErrUnreachable, t.cfg.Addr, err)
		}
	}
}

// authorized is the request with the caller's token.
func (t *Transport) authorized(req *http.Request) (*http.Request, error) {
	if t.cfg.Token == nil {
		return req, nil
	}
	token, err := t.cfg.Token()
	if err != nil {
		if req.Body != nil && sentApart(req) {
			req.Body.Close()
		}
		return nil, fmt.Errorf("%w: the caller's token: %w", coco.ErrInvalid, err)
	}
	out := *req
	out.Header = req.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Set("Authorization", "Bearer "+token)
	return &out, nil
}

func safe(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodOptions
}

func rewind(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	req.Body = body
	return true
}

// roundTrip sends a request and reads the head of its answer. sent says whether the whole request
// may have reached the node; a node acts on nothing less.
func (c *conn) roundTrip(req *http.Request) (resp *http.Response, sent bool, err error) {
	if sentApart(req) {
		return c.exchange(req)
	}
	if err = req.Write(c.bw); err == nil {
		err = c.bw.Flush()
	}
	if err != nil {
		// The node may have refused the body early; its answer says more than a broken pipe.
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if resp, rerr := http.ReadResponse(c.br, req); rerr == nil && resp.StatusCode/100 == 4 {
			resp.Close = true
			return resp, true, nil
		}
		return nil, false, err
	}
	resp, err = c.readResponse(req, func() {})
	return resp, true, err
}

// readResponse reads the head of the final answer. It calls proceed when the node asks for the body.
func (c *conn) readResponse(req *http.Request, proceed func()) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(c.br, req)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusContinue:
			proceed()
		case resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols:
			return resp, nil
		}
	}
}

// wrap makes the answer's body give its connection back.
func (t *Transport) wrap(resp *http.Response, c *conn, stop func() bool, req *http.Request) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = &stream{conn: c, stop: stop}
		return
	}
	b := &body{ReadCloser: resp.Body, t: t, c: c, stop: stop, keep: !resp.Close && !req.Close}
	if resp.Body == http.NoBody {
		b.finish(b.keep)
	}
	resp.Body = b
}

// body returns its connection to the idle ones once it was read to its end.
type body struct {
	io.ReadCloser
	t    *Transport
	c    *conn
	stop func() bool
	keep bool
	done bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.finish(errors.Is(err, io.EOF) && b.keep)
	}
	return n, err
}

func (b *body) Close() error {
	b.finish(false)
	return nil
}

func (b *body) finish(keep bool) {
	if b.done {
		return
	}
	b.done = true
	if b.stop() && keep {
		b.t.put(b.c)
		return
	}
	b.c.Close()
}

// stream is an upgraded connection.
type stream struct {
	conn *conn
	stop func() bool
}

func (s *stream) Read(p []byte) (int, error)  { return s.conn.br.Read(p) }
func (s *stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

func (s *stream) Close() error {
	s.stop()
	return s.conn.Close()
}

// get returns an idle connection that still lives, or a new, verified one.
func (t *Transport) get(ctx context.Context) (*conn, error) {
	now := t.cfg.Now()
	for {
		t.mu.Lock()
		n := len(t.idle)
		if n == 0 {
			t.mu.Unlock()
			return t.dial(ctx)
		}
		c := t.idle[n-1]
		t.idle[n-1] = nil
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		if now.Sub(c.since) < idleFor && !t.outdated(c, now) && c.br.Buffered() == 0 && alive(c.NetConn()) {
			return c, nil
		}
		c.Close()
	}
}

func (t *Transport) put(c *conn) {
	c.since = t.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) >= maxIdle || c.generation != t.generation || c.br.Buffered() != 0 {
		c.Close()
		return
	}
	t.idle = append(t.idle, c)
}

// outdated reports whether a connection has been open for longer than the node's evidence counts.
func (t *Transport) outdated(c *conn, now time.Time) bool {
	return t.cfg.Reverify > 0 && now.Sub(c.opened) >= t.cfg.Reverify
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	idle := t.idle
	t.idle = nil
	t.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

// dial opens a connection and verifies the node unless its key is known.
func (t *Transport) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := t.cfg.Dial(ctx, t.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("%w: node at %s: %w", coco.ErrUnreachable, t.cfg.Addr, err)
	}
	t.mu.Lock()
	generation := t.generation
	t.mu.Unlock()
	c := &conn{Conn: tls.Client(raw, t.tls), opened: t.cfg.Now(), generation: generation}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if err := c.handshake(ctx); err != nil {
		raw.Close()
		if errors.Is(err, coco.ErrVerify) {
			return nil, fmt.Errorf("node at %s: %w", t.cfg.Addr, err)
		}
		return nil, fmt.Errorf("%w: node at %s: %w", coco.ErrUnreachable, t.cfg.Addr, err)
	}
	if err := t.ensureVerified(ctx, c); err != nil {
		c.Close()
		return nil, fmt.Errorf("node at %s: %w", t.cfg.Addr, err)
	}
	return c, nil
}

func (c *conn) handshake(ctx context.Context) error {
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	leaf, err := leafOf(c.ConnectionState())
	if err != nil {
		return err
	}
	c.peer = nodeID(leaf)
	c.br = bufio.NewReaderSize(c.Conn, 16<<10)
	c.bw = bufio.NewWriterSize(c.Conn, 16<<10)
	return nil
}

func leafOf(cs tls.ConnectionState) (*x509.Certificate, error) {
	if len(cs.PeerCertificates) == 0 {
		return nil, fmt.Errorf("%w: the node shows no certificate", coco.ErrVerify)
	}
	return cs.PeerCertificates[0], nil
}
