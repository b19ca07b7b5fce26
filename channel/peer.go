package channel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/succession"
)

const (
	// protocol is the ALPN name of the peers' protocol; another version gets another name.
	protocol = "coco-peer/1"
	// exporter is the label of the binding (RFC 8446, 7.5).
	exporter = "EXPORTER-coco"
	// BindingSize is the length of a connection's binding.
	BindingSize = 32
)

// PeerCert is the certificate of a peer that has proven to hold its key.
type PeerCert struct {
	ID          coco.NodeID
	Key         []byte // PKIX DER; MUST NOT be modified
	Certificate *x509.Certificate
	// Service is the certificate of a service that the peer has shown beside its own; nil if it has shown none. It proves nothing by itself: see Succeeds.
	Service *x509.Certificate
}

// Succeeds reports whether the peer belongs to a service that follows the known one, whose key has signed for it: then members have recovered the network, and last is the
// last transaction of the time of the known one that they recovered.
func (p PeerCert) Succeeds(known *x509.Certificate, now time.Time) (last coco.TxID, ok bool) {
	if p.Service == nil || p.EndorsedBy(p.Service, now) != nil {
		return last, false
	}
	chain, err := succession.Chain(p.Service)
	if err != nil {
		return last, false
	}
	for _, s := range chain[1:] {
		if bytes.Equal(s.Certificate.RawSubjectPublicKeyInfo, known.RawSubjectPublicKeyInfo) {
			return s.Until, true
		}
	}
	return last, false
}

// SelfSigned reports whether the node vouches for itself, as one does that is yet to join.
func (p PeerCert) SelfSigned() bool {
	c := p.Certificate
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// EndorsedBy checks that the service vouches for the node; see CheckEndorsed.
func (p PeerCert) EndorsedBy(service *x509.Certificate, now time.Time) error {
	return CheckEndorsed(p.Certificate, service, now)
}

// ErrRefused is wrapped by the handshake's error on both sides when one of them does not accept
// the other.
var ErrRefused = fmt.Errorf("%w: peer refused", coco.ErrDenied)

// Options of a connection between nodes. The zero value is good.
type Options struct {
	// MaxFrame is the longest frame that is sent or accepted, in bytes; 0 means DefaultMaxFrame.
	MaxFrame int
}

// PeerServer answers the handshake of a peer that connected. Verify decides whether the peer is
// welcome, once it has proven to hold its key; if it is not, the error's text is told to the
// peer. PeerServer returns when both sides have accepted each other, and closes the connection
// when it fails. The context bounds the handshake only, and MUST do so: a peer may stay silent.
func PeerServer(ctx context.Context, conn net.Conn, id *Identity, verify func(PeerCert) error, opts Options) (*Conn, error) {
	raw := newRawConn(conn)
	config := peerConfig(id)
	config.ClientAuth = tls.RequireAnyClientCert
	return handshake(ctx, raw, tls.Server(raw, config), verify, opts, false)
}

// PeerClient opens the handshake on a connection that this node made; see PeerServer.
func PeerClient(ctx context.Context, conn net.Conn, id *Identity, verify func(PeerCert) error, opts Options) (*Conn, error) {
	raw := newRawConn(conn)
	config := peerConfig(id)
	// Names prove nothing about nodes: verify compares keys instead. The handshake still proves
	// that the peer holds the key of the certificate that it shows.
	config.InsecureSkipVerify = true
	return handshake(ctx, raw, tls.Client(raw, config), verify, opts, true)
}

func peerConfig(id *Identity) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		CurvePreferences:            groups,
		NextProtos:                  []string{protocol},
		Certificates:                []tls.Certificate{id.forPeers()},
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
}

// handshake runs TLS, and then tells each side the other's verdict: in TLS 1.3 the client is done
// before the server has seen its certificate, and an alert carries no reason. The client speaks
// first, so that its verdict travels with the end of its handshake.
func handshake(ctx context.Context, raw *rawConn, t *tls.Conn, verify func(PeerCert) error, opts Options, client bool) (*Conn, error) {
	done := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	c, err := greet(ctx, raw, t, verify, opts, client)
	if !done() && err == nil { // the deadline is set or about to be: the connection is of no use
		err = ctx.Err()
	}
	if err != nil {
		raw.abort()
		if ctx.Err() != nil && !errors.Is(err, ErrRefused) {
			err = errors.Join(ctx.Err(), err)
		}
		return nil, fmt.Errorf("handshake with %s: %w", raw.RemoteAddr(), err)
	}
	return c, nil
}

func greet(ctx context.Context, raw *rawConn, t *tls.Conn, verify func(PeerCert) error, opts Options, client bool) (*Conn, error) {
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrUnreachable, err)
	}
	state := t.ConnectionState()
	if state.NegotiatedProtocol != protocol {
		return nil, fmt.Errorf("%w: expected protocol %q, found %q: run compatible versions", coco.ErrInvalid, protocol, state.NegotiatedProtocol)
	}
	c := newConn(raw, t, opts)
	var err error
	if c.binding, err = state.ExportKeyingMaterial(exporter, nil, BindingSize); err != nil {
		return nil, err
	}
	if c.peer, err = peerCert(state.PeerCertificates); err == nil {
		err = verify(c.peer)
	}
	if !client {
		if err := c.readVerdict(); err != nil {
			return nil, err
		}
	}
	if e := c.writeVerdict(err); err == nil && e != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrUnreachable, e)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if client {
		if err := c.readVerdict(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func peerCert(certs []*x509.Certificate) (PeerCert, error) {
	if len(certs) < 1 || len(certs) > 2 {
		return PeerCert{}, fmt.Errorf("%w: a peer shows %d certificates: expected its own, and that of its service at most", coco.ErrInvalid, len(certs))
	}
	cert := certs[0]
	if _, err := parseKey(cert.RawSubjectPublicKeyInfo); err != nil {
		return PeerCert{}, err
	}
	p := PeerCert{ID: KeyID(cert.RawSubjectPublicKeyInfo), Key: cert.RawSubjectPublicKeyInfo, Certificate: cert}
	if len(certs) > 1 {
		p.Service = certs[1]
	}
	return p, nil
}

// maxReason bounds the text of a refusal.
const maxReason = 512

// writeVerdict tells the peer whether it is welcome: a frame of one byte 1, or of a byte 0 and the
// reason.
func (c *Conn) writeVerdict(refusal error) error {
	verdict := []byte{1}
	if refusal != nil {
		reason := strings.ToValidUTF8(refusal.Error(), "?")
		verdict = append([]byte{0}, reason[:min(len(reason), maxReason)]...)
	}
	return c.WriteFrames([][]byte{verdict})
}

func (c *Conn) readVerdict() error {
	b, err := c.readFrame(nil, maxReason+1)
	switch {
	case err != nil:
		return fmt.Errorf("%w: no verdict from node %s: %w", coco.ErrUnreachable, c.peer.ID.Short(), err)
	case len(b) == 1 && b[0] == 1:
		return nil
	case len(b) > 0 && b[0] == 0:
		return fmt.Errorf("%w: node %s does not accept this node: %q", ErrRefused, c.peer.ID.Short(), b[1:])
	}
	return fmt.Errorf("%w: verdict of node %s: expected 1, or 0 and a reason", coco.ErrCorrupt, c.peer.ID.Short())
}
