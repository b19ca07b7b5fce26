package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
)

// maxReply bounds what one reply may take in memory.
const maxReply = 64 << 20

// A link is one connection. One goroutine uses it; replies are valid until its next call. After
// any error other than a *statusError it is of no further use.
type link interface {
	// call posts a JSON-RPC body.
	call(body []byte) ([]byte, error)
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

// dial connects to a target. The connection is closed when ctx ends.
func dial(ctx context.Context, t *Target, timeout time.Duration) (link, error) {
	a, err := t.parse()
	if err != nil {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(patient, "tcp", a.host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrUnreachable, err)
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
			return nil, fmt.Errorf("%w: %s: TLS: %w", coco.ErrUnreachable, a.host, err)
		}
		conn = secure
	}
	s := stream{conn: conn, r: bufio.NewReaderSize(conn, 4096), timeout: timeout}
	s.stop = context.AfterFunc(ctx, func() { conn.Close() })
	if a.webSocket {
		ws := &wsLink{stream: s}
		if err := ws.upgrade(a); err != nil {
			ws.Close()
			return nil, fmt.Errorf("%w: %s: %w", coco.ErrUnreachable, a.host, err)
		}
		return ws, nil
	}
	return newHTTPLink(s, a), nil
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

// statusError is a reply whose HTTP status is not a success.
type statusError struct {
	code   int
	reason string
}

func (e *statusError) Error() string { return "HTTP status " + strconv.Itoa(e.code) + ": " + e.reason }

func newStatusError(code int, body []byte) *statusError {
	var answer struct {
		Error struct{ Code, Message string } `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Error.Message != "" {
		return &statusError{code, answer.Error.Message}
	}
	return &statusError{code, strconv.Quote(string(body[:min(len(body), 200)]))}
}
