package unseal

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/caller/message"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/sealed/keyring"
	"github.com/cocoframework/coco/succession"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

const program = "the approved program"

// cluster is nodes of one network, and a balancer in front of them that ends TLS.
type cluster struct {
	t       *testing.T
	service *x509.Certificate
	key     *ecdsa.PrivateKey
	front   *httptest.Server

	mu     sync.Mutex
	epoch  uint64
	nodes  []*member
	next   int
	seen   bytes.Buffer // by the balancer
	attack func(w http.ResponseWriter, r *http.Request, body []byte, pass func(node int) (int, http.Header, []byte)) bool
}

// member is a node whose state is a map of what was put.
type member struct {
	id     coco.NodeID
	keys   *keyring.Keys
	src    keyring.Source
	server *Server
	signed caller.Schemes

	mu     sync.Mutex
	writes []string
	by     []string // who has made each
}

func newCluster(t *testing.T, size int) *cluster {
	t.Helper()
	c := &cluster{t: t, epoch: 3}
	var err error
	if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	c.service = c.issue("service", &c.key.PublicKey)
	for range size {
		c.nodes = append(c.nodes, c.start(program, []byte("service key")))
	}
	c.front = httptest.NewTLSServer(http.HandlerFunc(c.balance))
	t.Cleanup(c.front.Close)
	return c
}

func (c *cluster) issue(name string, public *ecdsa.PublicKey) *x509.Certificate {
	c.t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: c.service == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent := c.service
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, public, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

func (c *cluster) start(program string, serviceKey []byte) *member {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	leaf := c.issue("node", &key.PublicKey)
	quoter, err := virtual.NewQuoter(virtual.Measure([]byte(program)))
	if err != nil {
		c.t.Fatal(err)
	}
	m := &member{id: sha256.Sum256(leaf.RawSubjectPublicKeyInfo)}
	m.src = keyring.Source{
		Current: func() uint64 { c.mu.Lock(); defer c.mu.Unlock(); return c.epoch },
		Secret:  func(e uint64) (keys.Secret, error) { return keys.Secret{byte(e)}, nil },
		Service: func() ([]byte, error) { return bytes.Clone(serviceKey), nil },
		Node:    m.id, Public: leaf.RawSubjectPublicKeyInfo, Certificates: func() [][]byte { return [][]byte{leaf.Raw, c.service.Raw} },
		Quoter: quoter, Clock: local.Clock{},
	}
	m.keys = keyring.New(m.src)
	m.signed = caller.Schemes{&message.Signer{Messages: message.NewScheme(message.Config{
		Network: must(succession.ID(c.service)), Node: m.id, Now: time.Now,
		Identify: func(chain []*x509.Certificate) (coco.Caller, error) {
			if err := chain[0].CheckSignatureFrom(c.service); err != nil { // the test's callers
				return coco.Caller{}, fmt.Errorf("%w: %w", coco.ErrDenied, err)
			}
			return coco.Caller{Actor: coco.ActorID{chain[0].Subject.CommonName[0]}, Name: chain[0].Subject.CommonName, Role: coco.Participant}, nil
		},
	})}}
	m.server = New(Config{
		Node: m.id, Open: m.keys.Open, Clock: local.Clock{}, MaxBody: func() int64 { return 1 << 20 }, Handler: m.handle, RefuseAfter: time.Millisecond,
		Repeatable: func(r *http.Request, _ []byte) bool { return r.URL.Path == "/rpc" },
	})
	return m
}

func (m *member) handle(w http.ResponseWriter, r *http.Request, outer sealed.Outer, known func(coco.ActorID) error) {
	if r.URL.Path == "/node/status" {
		return
	}
	by, of := "", coco.ActorID{1}
	if r.Header.Get("Authorization") == "Bearer good" {
		by = "good"
	} else if id, err := m.signed.Authenticate(r.WithContext(caller.WithOuter(r.Context(), outer))); err == nil {
		by, of = id.Caller.Name, id.Caller.Actor
	}
	if by == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if err := known(of); err != nil {
		problem.Write(w, wire.AnswerTo(err), err.Error())
		return
	}
	body, _ := io.ReadAll(r.Body)
	if r.Method == http.MethodPut {
		m.mu.Lock()
		m.writes = append(m.writes, string(body))
		m.by = append(m.by, by)
		m.mu.Unlock()
	}
	fmt.Fprintf(w, "answer to %s %s", r.URL.Path, body)
}

func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/sealed" {
		m.server.ServeHTTP(w, r)
		return
	}
	nonce, _ := hex.DecodeString(r.URL.Query().Get("nonce"))
	k, err := m.keys.Announce(r.Context(), nonce)
	if err != nil {
		panic(err)
	}
	_ = json.NewEncoder(w).Encode(k)
}

// balance passes a request to one node after the other, unless the attack has answered it.
func (c *cluster) balance(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	pass := func(node int) (int, http.Header, []byte) {
		in := httptest.NewRequest(r.Method, r.URL.RequestURI(), bytes.NewReader(body))
		in.Header = r.Header.Clone()
		out := httptest.NewRecorder()
		c.nodes[node].ServeHTTP(out, in)
		return out.Code, out.Header(), out.Body.Bytes()
	}
	c.mu.Lock()
	attack := c.attack
	c.next++
	node := c.next % len(c.nodes)
	_ = r.Header.Write(&c.seen)
	c.seen.WriteString(r.URL.RequestURI())
	c.seen.Write(body)
	c.mu.Unlock()
	if attack != nil && attack(w, r, body, pass) {
		return
	}
	status, header, out := pass(node)
	c.mu.Lock()
	_ = header.Write(&c.seen)
	c.seen.Write(out)
	c.mu.Unlock()
	reply(w, status, header, out)
}

func reply(w http.ResponseWriter, status int, header http.Header, body []byte) {
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (c *cluster) writes() []string {
	return c.seenBy(func(m *member) []string { return m.writes })
}

// seenBy is what all nodes have noted.
func (c *cluster) seenBy(noted func(*member) []string) (all []string) {
	for _, m := range c.nodes {
		m.mu.Lock()
		all = append(all, noted(m)...)
		m.mu.Unlock()
	}
	return all
}

func (c *cluster) set(change func(*cluster)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *cluster) client(token string) *client.Sealed {
	c.t.Helper()
	return c.clientBy(func() (string, error) { return token, nil }, nil)
}

func (c *cluster) clientBy(token func() (string, error), signing *client.Signing) *client.Sealed {
	c.t.Helper()
	s, err := client.NewSealed(client.SealedConfig{
		URL: c.front.URL, Outer: c.front.Client().Transport, Token: token, Signing: signing,
		Policy: client.Policy{Code: []coco.Measurement{virtual.Measure([]byte(program))}, Verifiers: attest.Verifiers{virtual.Verifier{}}, Service: c.service},
		Effect: func(_, path string, _ []byte) client.Effect {
			if path == "/rpc" {
				return client.Once
			}
			return client.EachTime
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func ask(t *testing.T, s http.RoundTripper, method, path, body string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://node"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func TestABalancerSeesCiphertextOnly(t *testing.T) {
	c := newCluster(t, 3)
	s := c.client("good")
	for _, q := range [][3]string{{"GET", "/app/kv/account-4711", ""}, {"POST", "/rpc", "eth_call of shipment"}, {"PUT", "/app/kv/shipment", "customs value 4711"}, {"PUT", "/app/kv/shipment", "customs value 4712"}} {
		if status, body, err := ask(t, s, q[0], q[1], q[2]); err != nil || status != 200 || body != "answer to "+q[1]+" "+q[2] {
			t.Errorf("%v: %d %s, %v", q, status, body, err)
		}
	}
	if got := c.writes(); len(got) != 2 {
		t.Errorf("writes %q", got)
	}
	for _, secret := range []string{"4711", "shipment", "eth_call", "good", "answer", "Bearer"} {
		if bytes.Contains(c.seen.Bytes(), []byte(secret)) {
			t.Errorf("the balancer has seen %q", secret)
		}
	}
}

func TestWhatABalancerDoesToRequestsHasNoEffect(t *testing.T) {
	c := newCluster(t, 3)
	var recorded [][]byte
	c.attack = func(w http.ResponseWriter, r *http.Request, body []byte, pass func(int) (int, http.Header, []byte)) bool {
		if r.URL.Path != "/sealed" {
			return false
		}
		recorded = append(recorded, body)
		for range 2 { // to every node, twice, before and after the one that is meant
			for i := range c.nodes {
				pass(i)
			}
		}
		return false
	}
	s := c.client("good")
	// Whether the client hears of its own copy or of a refusal depends on the balancer. What is done is done once.
	_, _, err := ask(t, s, "PUT", "/app/kv/x", "paid")
	if got := c.writes(); len(got) != 1 || err != nil && !errors.Is(err, coco.ErrUnknown) {
		t.Errorf("writes %q, %v", got, err)
	}
	if len(recorded) == 0 {
		t.Fatal("nothing was recorded")
	}
	if status, body, err := ask(t, s, "GET", "/app/kv/x", ""); err != nil || status != 200 {
		t.Errorf("a read that is replayed: %d %s, %v", status, body, err)
	}
}

// What comes back in the place of the network's answer is never taken for it. A write whose answer is lost so has an unknown outcome.
func TestWhatABalancerDoesToRepliesIsFound(t *testing.T) {
	type pass = func(int) (int, http.Header, []byte)
	var kept []byte
	for name, c := range map[string]struct {
		attack     func(w http.ResponseWriter, r *http.Request, body []byte, pass pass) bool
		read, want error // of a read and of a write
	}{
		"cuts it": {func(w http.ResponseWriter, _ *http.Request, _ []byte, pass pass) bool {
			status, header, out := pass(0)
			reply(w, status, header, out[:len(out)-1])
			return true
		}, coco.ErrVerify, coco.ErrUnknown},
		"changes it": {func(w http.ResponseWriter, _ *http.Request, _ []byte, pass pass) bool {
			status, header, out := pass(0)
			out[len(out)-1] ^= 1
			reply(w, status, header, out)
			return true
		}, coco.ErrVerify, coco.ErrUnknown},
		"gives another request's": {func(w http.ResponseWriter, _ *http.Request, _ []byte, pass pass) bool {
			status, header, out := pass(0)
			if kept == nil {
				kept = out
			}
			reply(w, status, header, kept)
			return true
		}, coco.ErrVerify, coco.ErrUnknown},
		"answers in plain": {func(w http.ResponseWriter, _ *http.Request, _ []byte, pass pass) bool {
			pass(0)
			reply(w, 200, http.Header{"Content-Type": {"application/json"}}, []byte(`{"result":"0x1"}`))
			return true
		}, coco.ErrUnreachable, coco.ErrUnknown},
		"answers in plain as if sealed": {func(w http.ResponseWriter, _ *http.Request, _ []byte, pass pass) bool {
			pass(0)
			reply(w, 200, http.Header{"Content-Type": {sealed.MediaType}}, []byte(`{"result":"0x1"}`))
			return true
		}, coco.ErrVerify, coco.ErrUnknown},
		"says that nothing happened": {func(w http.ResponseWriter, _ *http.Request, _ []byte, pass pass) bool {
			pass(0)
			reply(w, 503, http.Header{"Content-Type": {"application/json"}}, []byte(`{"error":{"code":"not_committed","message":"nothing happened"}}`))
			return true
		}, coco.ErrUnreachable, coco.ErrUnknown},
		"says that it was refused": {func(w http.ResponseWriter, _ *http.Request, _ []byte, pass pass) bool {
			pass(0)
			reply(w, 403, http.Header{"Content-Type": {"application/json"}}, []byte(`{"error":{"code":"denied","message":"no"}}`))
			return true
		}, coco.ErrDenied, coco.ErrUnknown},
		"ends the connection": {func(http.ResponseWriter, *http.Request, []byte, pass) bool { panic(http.ErrAbortHandler) }, coco.ErrUnreachable, coco.ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			net := newCluster(t, 1)
			s := net.client("good")
			if _, _, err := ask(t, s, "PUT", "/app/kv/x", "before"); err != nil { // it knows the node from now on
				t.Fatal(err)
			}
			kept = nil
			if name == "gives another request's" {
				other := net.client("good")
				net.attack = func(w http.ResponseWriter, r *http.Request, body []byte, pass pass) bool {
					_, _, kept = pass(0)
					return false
				}
				_, _, _ = ask(t, other, "GET", "/app/kv/x", "")
			}
			net.set(func(n *cluster) {
				n.attack = func(w http.ResponseWriter, r *http.Request, body []byte, pass pass) bool {
					return r.URL.Path == "/sealed" && c.attack(w, r, body, pass)
				}
			})
			if status, body, err := ask(t, s, "GET", "/app/kv/x", ""); !errors.Is(err, c.read) {
				t.Errorf("read: %d %s, %v; want %v", status, body, err, c.read)
			}
			if status, body, err := ask(t, s, "PUT", "/app/kv/x", "paid"); !errors.Is(err, c.want) {
				t.Errorf("write: %d %s, %v; want %v", status, body, err, c.want)
			}
			if got := net.writes(); len(got) > 2 {
				t.Errorf("writes %q", got)
			}
		})
	}
}

// A balancer that announces a key of its own, in whatever way, is not believed, and gets no message.
func TestAnotherKeyThanTheNetworksIsNotUsed(t *testing.T) {
	for name, forge := range map[string]func(c *cluster, k *wire.SealedKey, q url.Values){
		"a key of its own": func(_ *cluster, k *wire.SealedKey, _ url.Values) { k.Announcement = forged(k.Announcement) },
		"evidence for another nonce": func(c *cluster, k *wire.SealedKey, _ url.Values) {
			*k, _ = c.nodes[0].keys.Announce(context.Background(), make([]byte, 32))
		},
		"evidence of a node for clients": func(c *cluster, k *wire.SealedKey, q url.Values) { k.Quote = c.clientEvidence(k, q) },
		"another program": func(c *cluster, k *wire.SealedKey, q url.Values) {
			*k = c.announcedBy(c.start("another program", []byte("x")), q)
		},
		"no certificate": func(_ *cluster, k *wire.SealedKey, _ url.Values) { k.Certificates = nil },
		"another node's certificate": func(c *cluster, k *wire.SealedKey, q url.Values) {
			k.Certificates = c.announcedBy(c.nodes[1], q).Certificates
		},
		"a node of another service": func(c *cluster, k *wire.SealedKey, q url.Values) { *k = newCluster(c.t, 1).announcedBy2(q) },
		"a node that says it is another one": func(c *cluster, k *wire.SealedKey, q url.Values) {
			src := c.nodes[0].src
			src.Node = c.nodes[1].id
			*k, _ = keyring.New(src).Announce(context.Background(), nonceOf(q))
		},
		"an announcement with a byte behind":  func(_ *cluster, k *wire.SealedKey, _ url.Values) { k.Announcement = append(k.Announcement, 0) },
		"a certificate that is not one of it": func(_ *cluster, k *wire.SealedKey, _ url.Values) { k.Certificates[0] = k.Certificates[1] },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2)
			messages := 0
			c.attack = func(w http.ResponseWriter, r *http.Request, _ []byte, pass func(int) (int, http.Header, []byte)) bool {
				if r.URL.Path == "/sealed" {
					messages++
					return false
				}
				_, _, out := pass(0)
				var k wire.SealedKey
				if err := json.Unmarshal(out, &k); err != nil {
					t.Error(err)
				}
				forge(c, &k, r.URL.Query())
				_ = json.NewEncoder(w).Encode(k)
				return true
			}
			if _, _, err := ask(t, c.client("good"), "GET", "/app/kv/x", ""); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrUnreachable) {
				t.Errorf("%v", err)
			}
			if messages != 0 {
				t.Errorf("%d messages were sent", messages)
			}
		})
	}
}

func forged(announcement []byte) []byte {
	a, _ := sealed.DecodeAnnouncement(announcement)
	own, _ := sealed.Derive([]byte("the balancer's"), []byte("own"), a.Epoch)
	b, _ := own.Announce(a.Node).Encode()
	return b
}

func nonceOf(q url.Values) []byte {
	b, _ := hex.DecodeString(q.Get("nonce"))
	return b
}

func (c *cluster) announcedBy(m *member, q url.Values) wire.SealedKey {
	k, err := m.keys.Announce(context.Background(), nonceOf(q))
	if err != nil {
		c.t.Error(err)
	}
	return k
}

func (c *cluster) announcedBy2(q url.Values) wire.SealedKey { return c.announcedBy(c.nodes[0], q) }

// clientEvidence is what a node says to anybody who asks at /node/evidence for a nonce that the balancer has chosen.
func (c *cluster) clientEvidence(k *wire.SealedKey, q url.Values) []byte {
	k.Announcement = forged(k.Announcement)
	src := c.nodes[0].src
	ev, err := attest.Quote(context.Background(), src.Quoter, "coco client", src.Public, sealed.EvidenceNonce(k.Announcement, nonceOf(q)))
	if err != nil {
		c.t.Error(err)
	}
	return ev.Quote
}

// The network begins another epoch. Clients that have the old key go on, for ten minutes by it and then by the new one; of a request that cannot be repeated the
// outcome is unknown at worst.
func TestTheKeyChangesUnderAClient(t *testing.T) {
	c := newCluster(t, 2)
	s := c.client("good")
	must := func() {
		t.Helper()
		for _, q := range [][2]string{{"GET", ""}, {"PUT", "x"}} {
			if status, _, err := ask(t, s, q[0], "/app/kv/x", q[1]); err != nil || status != 200 {
				t.Errorf("%s: %d, %v", q[0], status, err)
			}
		}
	}
	must()
	c.set(func(c *cluster) { c.epoch++ })
	must()
	c.set(func(c *cluster) { c.epoch++ })
	if status, _, err := ask(t, s, "PUT", "/app/kv/x", "x"); !errors.Is(err, coco.ErrUnknown) {
		t.Errorf("%d, %v", status, err)
	}
	must()
	c.set(func(c *cluster) { c.epoch += 2 })
	if status, _, err := ask(t, s, "GET", "/app/kv/x", ""); err != nil || status != 200 {
		t.Errorf("%d, %v", status, err)
	}
}

// A node that starts again is another one. What was made out to the one before may have been done by it, so its outcome is unknown; the next request is for the new one.
func TestNodesStartAgainUnderAClient(t *testing.T) {
	c := newCluster(t, 1)
	s := c.client("good")
	for range 3 {
		if status, _, err := ask(t, s, "PUT", "/app/kv/x", "x"); err != nil || status != 200 {
			t.Fatal(status, err)
		}
		c.nodes[0] = c.start(program, []byte("service key"))
		if status, _, err := ask(t, s, "PUT", "/app/kv/x", "x"); !errors.Is(err, coco.ErrUnknown) || len(c.writes()) != 0 {
			t.Fatal(status, err)
		}
		if status, _, err := ask(t, s, "GET", "/app/kv/x", ""); err != nil || status != 200 {
			t.Fatal(status, err)
		}
	}
}

func TestACallerThatIsUnknownIsToldNoMore(t *testing.T) {
	c := newCluster(t, 1)
	if _, _, err := ask(t, c.client("bad"), "GET", "/app/kv/x", ""); !errors.Is(err, coco.ErrDenied) {
		t.Error(err)
	}
	if _, _, err := ask(t, c.client("bad"), "POST", "/rpc", "x"); !errors.Is(err, coco.ErrUnknown) {
		t.Error(err)
	}
}

// A recovered network has a new service, and so another key. Nothing is sent to it before its service is accepted in the place of the known one.
func TestARecoveredNetworkGetsNothingBeforeItIsAccepted(t *testing.T) {
	first, err := channel.NewService("net", true, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Succeed(coco.TxID{View: 2, Seqno: 17}, coco.Digest{1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, 1)
	node := func(service *channel.Service) *member {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		id := coco.NodeID(sha256.Sum256(public))
		now := time.Now()
		leaf, err := service.Endorse(public, id, []string{"127.0.0.1:1"}, true, now, now)
		if err != nil {
			t.Fatal(err)
		}
		m := &member{id: id, src: c.nodes[0].src}
		m.src.Node, m.src.Public, m.src.Service = id, public, service.MarshalKey
		m.src.Certificates = func() [][]byte { return [][]byte{leaf, service.Certificate().Raw} }
		m.keys = keyring.New(m.src)
		m.server = New(Config{Node: id, Open: m.keys.Open, Clock: local.Clock{}, MaxBody: func() int64 { return 1 << 20 }, Handler: m.handle, Repeatable: func(*http.Request, []byte) bool { return false }})
		return m
	}
	c.service = first.Certificate()
	c.nodes[0] = node(first)
	s := c.client("good")
	if status, _, err := ask(t, s, "GET", "/app/kv/x", ""); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	c.nodes[0] = node(second)
	if _, _, err := ask(t, s, "GET", "/app/kv/x", ""); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrDenied) {
		t.Errorf("%v", err)
	}
	var next *client.SuccessorError
	if _, err := c.client("good").Verify(t.Context()); !errors.As(err, &next) || next.Last != (coco.TxID{View: 2, Seqno: 17}) {
		t.Errorf("%v", err)
	}
	c.service = second.Certificate()
	if status, _, err := ask(t, c.client("good"), "GET", "/app/kv/x", ""); err != nil || status != 200 {
		t.Error(status, err)
	}
}
