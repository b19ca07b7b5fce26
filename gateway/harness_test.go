package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/wire"
)

// certificate makes a self-signed certificate whose name is the organisation's.
func certificate(t testing.TB, name string, life time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(life),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// fakeNode has a constitution of two organisations, a ledger of seqnos 1 to 20 and a follower's
// answers.
type fakeNode struct {
	mu         sync.Mutex
	identified int
	asked      []adapter.Read // of Authorize
	asker      coco.Caller
	denial     error // of Authorize
	removed    map[string]bool
	joining    bool
	evidence   func() // runs while evidence is made
	checks     []Check
	snapshots  []wire.Snapshot
	requested  int // snapshots asked for
	quote      func(nonce []byte) (wire.Evidence, error)
	receipt    func() ([]byte, error)
	refusal    error // of a receipt and of a request for a snapshot
}

func (n *fakeNode) Identify(chain []*x509.Certificate) (coco.Caller, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.identified++
	name := chain[0].Subject.CommonName
	switch {
	case n.joining:
		return coco.Caller{}, fmt.Errorf("%w: no constitution yet", coco.ErrBusy)
	case name == "Guest":
		return coco.Caller{Actor: coco.ActorID{name[0]}, Name: name, Role: coco.Participant}, nil
	case n.removed[name], name != "Alpha" && name != "Beta":
		return coco.Caller{}, fmt.Errorf("%w: %q is no organisation of this network", coco.ErrDenied, name)
	}
	return coco.Caller{Actor: coco.ActorID{name[0]}, Name: name, Role: coco.Member}, nil
}

func (n *fakeNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.identified
}

func (n *fakeNode) remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removed = map[string]bool{name: true}
}

func (n *fakeNode) Status() wire.Status {
	return wire.Status{
		Network: "test", Insecure: true, Node: coco.NodeID{1}, Owner: "Alpha", Role: "follower", View: 3,
		Committed: coco.TxID{View: 3, Seqno: 20}, Known: 21, Constitution: coco.Digest{9},
		Measurement: "virtual:00", Version: "0.1.0", Notice: "INSECURE virtual TEE",
	}
}

func (n *fakeNode) Health() []Check { return n.checks }

func (n *fakeNode) Constitution() ([]byte, coco.Digest, error) {
	if n.joining {
		return nil, coco.Digest{}, fmt.Errorf("%w: no constitution yet", coco.ErrBusy)
	}
	return []byte("[network]\nname = \"test\"\n"), coco.Digest{9}, nil
}

func (n *fakeNode) Service() ([]byte, error) { return []byte("-----BEGIN CERTIFICATE-----\n"), nil }

func (n *fakeNode) Evidence(_ context.Context, nonce []byte) (wire.Evidence, error) {
	if n.evidence != nil {
		n.evidence()
	}
	if n.quote != nil {
		return n.quote(nonce)
	}
	return wire.Evidence{Platform: "virtual", Quote: append([]byte("quote over "), nonce...), Key: []byte("key")}, nil
}

func (n *fakeNode) Nodes() ([]wire.Node, error) {
	return []wire.Node{{Node: coco.NodeID{1}, OwnerName: "Alpha", State: "trusted", Since: 1}}, nil
}

func (n *fakeNode) StateDigest(seqno uint64) (uint64, coco.Digest, error) {
	if seqno > 20 {
		return 0, coco.Digest{}, fmt.Errorf("%w: the state at seqno %d", coco.ErrNotFound, seqno)
	}
	if seqno == 0 {
		seqno = 20
	}
	return seqno, coco.Digest{7}, nil
}

func (n *fakeNode) Authorize(caller coco.Caller, read adapter.Read) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asker, n.asked = caller, append(n.asked, read)
	return n.denial
}

func (n *fakeNode) TxStatus(id coco.TxID) (wire.TxStatus, error) {
	switch {
	case id.View != 3:
		return wire.TxInvalid, nil
	case id.Seqno <= 20:
		return wire.TxCommitted, nil
	case id.Seqno == 21:
		return wire.TxPending, nil
	}
	return wire.TxUnknown, nil
}

func (n *fakeNode) AwaitCommit(ctx context.Context, id coco.TxID) error {
	if id.Seqno == 21 { // on its way
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (n *fakeNode) Receipt(_ context.Context, id coco.TxID) (receipt, claims []byte, err error) {
	if n.refusal != nil {
		return nil, nil, n.refusal
	}
	if id.Seqno > 20 {
		return nil, nil, fmt.Errorf("%w: transaction %v", coco.ErrNotFound, id)
	}
	if n.receipt != nil {
		receipt, err = n.receipt()
		return receipt, nil, err
	}
	return fmt.Appendf(nil, `{"transaction_id":%q,"for":%q}`, id, n.asker.Name), nil, nil
}

// logs collects what the gateway logs.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a gateway on loopback with a fake node behind it.
type world struct {
	t    testing.TB
	node *fakeNode
	g    *Gateway
	addr string
	logs *logs
	done chan error // what Serve returned
}

type option func(*Config)

func start(t testing.TB, endpoints []adapter.Endpoint, options ...option) *world {
	t.Helper()
	w := &world{t: t, node: &fakeNode{}, logs: &logs{}, done: make(chan error, 1)}
	cfg := Config{
		Node: w.node,
		TLS: &tls.Config{
			MinVersion:             tls.VersionTLS13,
			Certificates:           []tls.Certificate{certificate(t, "node", time.Hour)},
			ClientAuth:             tls.RequestClientCert,
			SessionTicketsDisabled: true,
		},
		Clock:  local.Clock{},
		Sealed: testSource(),
		Log:    slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, o := range options {
		o(&cfg)
	}
	var err error
	if w.g, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if endpoints != nil {
		if err := w.g.Mount(1000, endpoints...); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	go func() { w.done <- w.g.Serve(l) }()
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.g.Shutdown(ended)
		if err := <-w.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return w
}

// one is an endpoint with one handler.
func one(pattern string, h adapter.Handler) []adapter.Endpoint {
	return []adapter.Endpoint{{Pattern: pattern, Handler: h}}
}

func clientTLS(cert *tls.Certificate) *tls.Config {
	cfg := &tls.Config{InsecureSkipVerify: true}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	return cfg
}

// client returns a client of its own connections; name may be empty for one without certificate.
func (w *world) client(name string) *http.Client {
	var cert *tls.Certificate
	if name != "" {
		c := certificate(w.t, name, time.Hour)
		cert = &c
	}
	tr := &http.Transport{TLSClientConfig: clientTLS(cert)}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// dial opens a raw TLS connection.
func (w *world) dial(name string) *tls.Conn {
	w.t.Helper()
	var cert *tls.Certificate
	if name != "" {
		c := certificate(w.t, name, time.Hour)
		cert = &c
	}
	c, err := tls.Dial("tcp", w.addr, clientTLS(cert))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// until waits for what other goroutines bring about. It sleeps between two looks, so that they run on one processor, too.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 30_000 {
		if holds() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("not after 30 s of waiting: %s", what)
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(c *http.Client, method, path string, body io.Reader, header ...string) answer {
	w.t.Helper()
	req, err := http.NewRequest(method, "https://"+w.addr+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (w *world) get(c *http.Client, path string) answer { return w.do(c, "GET", path, nil) }
