package client

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/wire"
)

var code = virtual.Measure([]byte("the approved program"))

// authority issues certificates: the service for nodes, an organisation for users.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	a.cert, _ = a.issue(t, name, key, true, time.Now().Add(time.Hour))
	return a
}

func (a *authority) issue(t *testing.T, name string, key crypto.Signer, ca bool, until time.Time) (*x509.Certificate, []byte) {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent := a.cert
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, der
}

// node is a server that answers as a validating node does.
type node struct {
	addr     string
	cert     tls.Certificate
	quoter   virtual.Quoter
	quoteKey []byte // what the evidence binds; the node's own key unless a test lies
	digest   coco.Digest
	quotes   atomic.Int32
	requests atomic.Int32
	srv      *httptest.Server
	handler  http.HandlerFunc // everything but /node/
}

func newNode(t *testing.T, service *authority, addr string, change func(*node)) *node {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf, der := service.issue(t, "node", key, false, time.Now().Add(time.Hour))
	n := &node{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, quoteKey: leaf.RawSubjectPublicKeyInfo, digest: coco.Digest{7}}
	if n.quoter, err = virtual.NewQuoter(code); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(n)
	}
	n.srv = httptest.NewUnstartedServer(n)
	n.srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	if addr != "" {
		n.srv.Listener.Close()
		if n.srv.Listener, err = net.Listen("tcp", addr); err != nil {
			t.Fatal(err)
		}
	}
	n.srv.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{n.cert}}
	n.srv.StartTLS()
	t.Cleanup(n.srv.Close)
	n.addr = n.srv.Listener.Addr().String()
	return n
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.requests.Add(1)
	switch r.URL.Path {
	case "/node/evidence":
		n.quotes.Add(1)
		nonce, _ := hex.DecodeString(r.URL.Query().Get("nonce"))
		ev, err := attest.Quote(r.Context(), n.quoter, "coco client", n.quoteKey, nonce)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"platform": ev.Platform, "quote": ev.Quote, "key": n.quoteKey, "nonce": r.URL.Query().Get("nonce")})
	case "/node/status":
		_ = json.NewEncoder(w).Encode(wire.Status{Role: "leader", Constitution: n.digest, Committed: coco.TxID{View: 2, Seqno: 17}})
	case "/node/tx/2.17":
		_, _ = io.WriteString(w, `{"transaction_id":"2.17","status":"committed"}`)
	default:
		if n.handler != nil {
			n.handler(w, r)
			return
		}
		http.NotFound(w, r)
	}
}

func policy() Policy {
	return Policy{Code: []coco.Measurement{code}, Verifiers: attest.Verifiers{virtual.Verifier{}}}
}

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestANodeIsVerifiedOnceForItsKey(t *testing.T) {
	service := newAuthority(t, "service")
	n := newNode(t, service, "", nil)
	p := policy()
	p.Service, p.Constitution = service.cert, n.digest
	c := newClient(t, Config{Addr: n.addr, Policy: p})
	for range 3 {
		s, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := (coco.TxID{View: 2, Seqno: 17}); s.Committed != want {
			t.Errorf("committed %v, want %v", s.Committed, want)
		}
	}
	a, err := c.Verify(t.Context())
	if err != nil || a.Claims.Measurement != code || !a.Claims.Insecure || a.Platform != "virtual" {
		t.Errorf("Verify = %+v, %v", a, err)
	}
	if got := n.quotes.Load(); got != 1 {
		t.Errorf("the node was asked for evidence %d times, want 1", got)
	}

	// The node restarts at the same address under a new key.
	n.srv.Close()
	again := newNode(t, service, n.addr, nil)
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := again.quotes.Load(); got != 1 {
		t.Errorf("the restarted node was asked for evidence %d times, want 1", got)
	}
}

func TestWhatIsNotProvenIsNotAsked(t *testing.T) {
	service := newAuthority(t, "service")
	other := newAuthority(t, "other")
	for name, test := range map[string]struct {
		node   func(*node)
		policy func(*Policy)
		want   error
	}{
		"code that the manifest does not list": {node: func(n *node) {
			n.quoter, _ = virtual.NewQuoter(virtual.Measure([]byte("another program")))
		}, want: attest.ErrMeasurement},
		"evidence of another key": {node: func(n *node) { n.quoteKey = []byte("another key") }, want: attest.ErrBinding},
		"debug mode":              {node: func(n *node) { n.quoter = n.quoter.Debug() }, want: attest.ErrDebug},
		"a platform that is not accepted": {policy: func(p *Policy) {
			p.Verifiers = attest.Verifiers{foreign{}}
		}, want: attest.ErrPlatform},
		"a TEE that does not satisfy the constitution": {policy: func(p *Policy) {
			p.TEE = map[string]string{"virtual": `{"minimum_security_version":1}`}
		}, want: attest.ErrTCB},
		"another service":      {policy: func(p *Policy) { p.Service = other.cert }, want: coco.ErrVerify},
		"another constitution": {policy: func(p *Policy) { p.Constitution = coco.Digest{8} }, want: coco.ErrVerify},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, service, "", test.node)
			p := policy()
			p.Service, p.Constitution = service.cert, n.digest
			if test.policy != nil {
				test.policy(&p)
			}
			c := newClient(t, Config{Addr: n.addr, Policy: p})
			_, err := c.RPC(t.Context(), nil, "eth_sendRawTransaction", "0x00")
			if !errors.Is(err, test.want) || !errors.Is(err, coco.ErrVerify) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			for range n.requests.Load() - n.quotes.Load() {
				if name != "another constitution" {
					t.Error("the node got a request before it was verified")
				}
			}
		})
	}
}

type foreign struct{ virtual.Verifier }

func (foreign) Platform() string { return "foreign" }

func TestAnExpiredNodeCertificateIsRefused(t *testing.T) {
	service := newAuthority(t, "service")
	n := newNode(t, service, "", nil)
	c := newClient(t, Config{Addr: n.addr, Policy: policy(), Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	if _, err := c.Status(t.Context()); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("got %v, want a verification failure", err)
	}
}

func TestAPolicyThatAnyNodeMeetsIsRefused(t *testing.T) {
	for _, p := range []Policy{{}, {Code: policy().Code}, {Verifiers: policy().Verifiers}} {
		if _, err := New(Config{Addr: "127.0.0.1:1", Policy: p}); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("policy %+v: got %v", p, err)
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	n := newNode(t, newAuthority(t, "service"), "", nil)
	var dials atomic.Int32
	c := newClient(t, Config{Addr: n.addr, Policy: policy(), Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}})
	for range 20 {
		if state, err := c.Tx(t.Context(), coco.TxID{View: 2, Seqno: 17}); err != nil || state != wire.TxCommitted {
			t.Fatalf("got %q, %v", state, err)
		}
	}
	if got := dials.Load(); got != 1 {
		t.Errorf("%d connections for 20 requests one after another, want 1", got)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := c.Tx(context.WithoutCancel(t.Context()), coco.TxID{View: 2, Seqno: 17}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := dials.Load(); got > 8 {
		t.Errorf("%d connections for 8 callers", got)
	}
}

func TestALostAnswerOfAWriteIsAnUnknownOutcome(t *testing.T) {
	var calls atomic.Int32
	n := newNode(t, newAuthority(t, "service"), "", func(n *node) {
		n.handler = func(http.ResponseWriter, *http.Request) {
			calls.Add(1)
			panic(http.ErrAbortHandler)
		}
	})
	c := newClient(t, Config{Addr: n.addr, Policy: policy()})
	if _, err := c.Status(t.Context()); err != nil { // so that the next request reuses a connection
		t.Fatal(err)
	}
	_, err := c.RPC(t.Context(), nil, "eth_sendRawTransaction", "0x00")
	if !errors.Is(err, coco.ErrUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("the write was sent %d times, want 1", got)
	}
}

func TestErrorsHaveTheKindOfTheirStatus(t *testing.T) {
	for status, want := range map[int]error{
		400: coco.ErrInvalid, 401: coco.ErrDenied, 403: coco.ErrDenied, 404: coco.ErrNotFound, 413: coco.ErrInvalid,
		503: coco.ErrBusy, 504: coco.ErrUnknown,
	} {
		n := newNode(t, newAuthority(t, "service"), "", func(n *node) {
			n.handler = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":{"code":"some","message":"what and why"}}`)
			}
		})
		c := newClient(t, Config{Addr: n.addr, Policy: policy()})
		_, err := c.Receipt(t.Context(), coco.TxID{View: 2, Seqno: 3})
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "what and why") {
			t.Errorf("status %d: got %v, want %v", status, err, want)
		}
	}
}

func TestAClosedPortIsUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	c := newClient(t, Config{Addr: addr, Policy: policy()})
	if _, err := c.Status(t.Context()); !errors.Is(err, coco.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestRPCErrorsKeepCodeAndData(t *testing.T) {
	n := newNode(t, newAuthority(t, "service"), "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), "eth_call") {
				_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}`)
				return
			}
			w.Header().Set(wire.HeaderTxID, "2.18")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"0xab"}`)
		}
	})
	c := newClient(t, Config{Addr: n.addr, Policy: policy()})
	_, err := c.RPC(t.Context(), nil, "eth_call")
	var rpcErr *RPCError
	if !errors.As(err, &rpcErr) || rpcErr.Code != 3 || string(rpcErr.Data) != `"0x08c379a0"` {
		t.Errorf("got %v", err)
	}
	var hash string
	tx, err := c.RPC(t.Context(), &hash, "eth_sendRawTransaction", "0x00")
	if err != nil || hash != "0xab" || tx != (coco.TxID{View: 2, Seqno: 18}) {
		t.Errorf("got %q, %v, %v", hash, tx, err)
	}
}
