// Package link is the load generator's connection to a node. It speaks just as much of HTTP/1.1 and of WebSocket as
// JSON-RPC and the key-value ledger need, because the standard library's client would cost more of the machine
// than the node that is measured.
//
// Replies are read into one buffer that the next call uses again, and are bounded.
//
// Trust: host
package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
)

// maxReply bounds what one reply may take in memory.
const maxReply = 64 << 20

// Link is one connection. One goroutine uses it; replies are valid until its next call. After
// any error other than a *StatusError it is of no further use.
type Link interface {
	// Call posts a JSON-RPC body.
	Call(body []byte) ([]byte, error)
	// Bind has the connection closed when ctx ends, and no longer when the context before ends.
	// Replies may take the timeout.
	Bind(ctx context.Context, timeout time.Duration)
	Close() error
}

// ClientTLS makes the configuration of a secure target from PEM files: a user's certificate
// (followed by its issuers) and key, and the network's service certificate, which every node's
// certificate is endorsed by.
func ClientTLS(certificate, key, service string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%w: client certificate %s with key %s: %w", coco.ErrInvalid, certificate, key, err)
	}
	data, err := os.ReadFile(service)
	if err != nil {
		return nil, fmt.Errorf("%w: service certificate: %w", coco.ErrInvalid, err)
	}
	roots := x509.NewCertPool()
	for n := 0; ; n++ {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			if n == 0 {
				return nil, fmt.Errorf("%w: service certificate %s: expected a PEM file, found none in it", coco.ErrInvalid, service)
			}
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: service certificate %s: %w", coco.ErrInvalid, service, err)
		}
		roots.AddCert(cert)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		RootCAs:      roots,
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"http/1.1"},
	}, nil
}

// Dial connects to a target. The connection is closed when ctx ends.
func Dial(ctx context.Context, t *Target, timeout time.Duration) (Link, error) {
	a, err := t.parse()
	if err != nil {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, min(timeout, dialPatience))
	defer cancel()
	conn, err := new(net.Dialer).DialContext(patient, "tcp", a.host)
	if err != nil {
		return nil, unreachable(t, err)
	}
	if a.secure {
		cfg := t.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = a.name
		}
		cfg.NextProtos = []string{"http/1.1"}
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(patient); err != nil {
			conn.Close()
			return nil, unreachable(t, fmt.Errorf("TLS: %w", err))
		}
		conn = secure
	}
	s := stream{conn: conn, r: bufio.NewReaderSize(conn, 4096), timeout: timeout}
	s.stop = context.AfterFunc(ctx, func() { conn.Close() })
	if a.webSocket {
		ws := &webSocket{stream: s}
		if err := ws.upgrade(a); err != nil {
			ws.Close()
			return nil, unreachable(t, err)
		}
		return ws, nil
	}
	return newHTTP(s, a), nil
}

// dialPatience is how long a target may take to accept a connection.
const dialPatience = 3 * time.Second

// unreachable names the target instead of the address that the error of a dial begins with.
func unreachable(t *Target, err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		err = op.Err
	}
	return fmt.Errorf("%w: %s: %w", coco.ErrUnreachable, t.Label(), err)
}

// stream is what both kinds of links have.
type stream struct {
	conn    net.Conn
	r       *bufio.Reader
	out, in []byte // buffers of the last request and reply
	timeout time.Duration
	stop    func() bool
}

func (s *stream) Close() error {
	s.stop()
	return s.conn.Close()
}

func (s *stream) Bind(ctx context.Context, timeout time.Duration) {
	s.timeout = timeout
	s.stop()
	conn := s.conn
	s.stop = context.AfterFunc(ctx, func() { conn.Close() })
}

func (s *stream) write() error {
	if err := s.conn.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(s.out)
	return err
}

// readN appends n bytes to in. Memory follows what arrives, not what was announced.
func (s *stream) readN(n int) error {
	const step = 1 << 20
	for n > 0 {
		at, k := len(s.in), min(n, step)
		s.in = append(s.in, make([]byte, k)...)
		if _, err := readFull(s.r, s.in[at:]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// StatusError is a reply whose HTTP status is not a success.
type StatusError struct {
	Code   int
	Reason string
}

func (e *StatusError) Error() string { return "HTTP status " + strconv.Itoa(e.Code) + ": " + e.Reason }

// Unwrap makes a status that will pass an error of kind coco.ErrBusy.
func (e *StatusError) Unwrap() error {
	if e.Passing() {
		return coco.ErrBusy
	}
	return nil
}

// Passing reports whether the same request may be answered later.
func (e *StatusError) Passing() bool {
	return e.Code == 202 || e.Code == 429 || e.Code == 502 || e.Code == 503 || e.Code == 504
}

func newStatusError(code int, body []byte) *StatusError {
	var answer struct {
		Error struct{ Code, Message string } `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Error.Message != "" {
		return &StatusError{code, answer.Error.Message}
	}
	return &StatusError{code, strconv.Quote(string(body[:min(len(body), 200)]))}
}
