package fleet

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/wire"
)

const (
	oldCode = "the approved program"
	newCode = "its successor"
)

// page is a constitution of these tests: a version, and the programs it lists.
func page(version int, programs ...string) []byte {
	return []byte(strconv.Itoa(version) + ":" + strings.Join(programs, ","))
}

func read(page []byte) (Terms, error) {
	version, programs, ok := strings.Cut(string(page), ":")
	n, err := strconv.ParseUint(version, 10, 64)
	if !ok || err != nil {
		return Terms{}, fmt.Errorf("%w: page %q", coco.ErrInvalid, page)
	}
	t := Terms{Digest: sha256.Sum256(page), Version: n, Page: page}
	for p := range strings.SplitSeq(programs, ",") {
		t.Code = append(t.Code, virtual.Measure([]byte(p)))
	}
	return t, nil
}

// net is a network of fake nodes, with what they share.
type net struct {
	t       *testing.T
	service *x509.Certificate
	key     *ecdsa.PrivateKey
	nodes   []*fake

	mu     sync.Mutex
	leader int
	page   []byte
}

// fake is a server that answers as a validating node does.
type fake struct {
	net    *net
	index  int
	cert   tls.Certificate
	id     coco.NodeID
	quoter virtual.Quoter
	srv    *httptest.Server

	mu      sync.Mutex
	calls   []string // method and consistency of JSON-RPC, or method and path
	quotes  int
	digest  *coco.Digest // said in the place of the true one
	rpc     func(method string) (status int, body string)
	cut     bool // the connection ends when a request has arrived as a whole
	headers http.Header
	named   string // what a node that must not have resident rows answers
}

func newNet(t *testing.T, size int, page []byte) *net {
	t.Helper()
	n := &net{t: t, page: page}
	var err error
	if n.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	n.service, _ = n.issue("service", &n.key.PublicKey, true)
	for i := range size {
		n.nodes = append(n.nodes, n.start(i, oldCode))
	}
	return n
}

func (n *net) issue(name string, public *ecdsa.PublicKey, ca bool) (*x509.Certificate, []byte) {
	n.t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent := n.service
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, public, n.key)
	if err != nil {
		n.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		n.t.Fatal(err)
	}
	return cert, der
}

func (n *net) start(index int, program string) *fake {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	leaf, der := n.issue("node", &key.PublicKey, false)
	return n.serve(&fake{net: n, index: index, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}, program)
}

// serve starts a node that has its certificate.
func (n *net) serve(f *fake, program string) *fake {
	n.t.Helper()
	f.id = sha256.Sum256(f.cert.Leaf.RawSubjectPublicKeyInfo)
	var err error
	if f.quoter, err = virtual.NewQuoter(virtual.Measure([]byte(program))); err != nil {
		n.t.Fatal(err)
	}
	f.srv = httptest.NewUnstartedServer(f)
	f.srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.srv.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{f.cert}}
	f.srv.StartTLS()
	n.t.Cleanup(f.srv.Close)
	return f
}

func (f *fake) addr() string { return f.srv.Listener.Addr().String() }

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(wire.HeaderAudience) != "" && f.refuses(w, r) {
		return
	}
	body, _ := io.ReadAll(r.Body)
	f.net.mu.Lock()
	leader, page := f.net.leader, f.net.page
	f.net.mu.Unlock()
	digest := coco.Digest(sha256.Sum256(page))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.digest != nil {
		digest = *f.digest
	}
	switch r.URL.Path {
	case "/node/evidence":
		f.quotes++
		nonce, _ := hex.DecodeString(r.URL.Query().Get("nonce"))
		key := f.cert.Leaf.RawSubjectPublicKeyInfo
		ev, err := attest.Quote(r.Context(), f.quoter, "coco client", key, nonce)
		if err != nil {
			f.net.t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(wire.Evidence{Platform: ev.Platform, Quote: ev.Quote, Key: key, Nonce: hex.EncodeToString(nonce)})
	case "/node/status":
		s := wire.Status{Node: f.id, Role: "follower", Constitution: digest}
		if leader >= 0 {
			s.Leader = f.net.nodes[leader].id
		}
		if leader == f.index {
			s.Role = "leader"
		}
		_ = json.NewEncoder(w).Encode(s)
	case "/node/constitution":
		w.Header().Set(wire.HeaderDigest, digest.String())
		_, _ = w.Write(page)
	case "/node/nodes":
		var all []wire.Node
		for _, o := range f.net.nodes {
			all = append(all, wire.Node{Node: o.id, ClientAddress: o.addr(), State: "trusted"})
		}
		_ = json.NewEncoder(w).Encode(all)
	default:
		f.serve(w, r, body)
	}
}

// refuses answers for a node that must not have a row, before it reads the body.
func (f *fake) refuses(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.named == "" {
		return false
	}
	f.calls = append(f.calls, "refused "+r.Method+" "+r.Header.Get("Expect"))
	w.Header().Set(wire.HeaderNodes, f.named)
	w.WriteHeader(http.StatusMisdirectedRequest)
	return true
}

// serve answers what is no fact of the node.
func (f *fake) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	name := r.Method + " " + r.URL.Path
	if r.URL.Path == "/rpc" {
		var call struct{ Method string }
		_ = json.Unmarshal(body, &call)
		name = call.Method
	}
	f.headers = r.Header.Clone()
	f.calls = append(f.calls, strings.TrimSpace(name+" "+r.Header.Get(wire.HeaderConsistency)))
	if f.cut {
		panic(http.ErrAbortHandler)
	}
	status, answer := http.StatusOK, `{"jsonrpc":"2.0","id":1,"result":"0x1"}`
	if f.rpc != nil {
		status, answer = f.rpc(name)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "0")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) heard() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, ", ")
}

func (n *net) set(change func(*net)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

func follows(Terms, Terms, string) error { return nil }

// open is a fleet that knows the network's first node and has found its home.
func (n *net) open(change func(*Config)) *Fleet {
	n.t.Helper()
	terms, err := read(n.page)
	if err != nil {
		n.t.Fatal(err)
	}
	cfg := Config{
		Nodes: []string{n.nodes[0].addr()}, Terms: terms, Read: read, Accept: follows, Patience: 3 * time.Second,
		Client: client.Config{Policy: client.Policy{Verifiers: attest.Verifiers{virtual.Verifier{}}, Service: n.service}},
	}
	if change != nil {
		change(&cfg)
	}
	f, err := New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(f.Close)
	if _, err := f.Start(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	if err := f.follow(n.t.Context(), false); err != nil {
		n.t.Fatal(err)
	}
	return f
}

func send(t *testing.T, f *Fleet, method, path, body string) (status int, answer string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://node"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func rpcCall(method string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":["0x01"]}`
}

func TestRequestsGoToTheLeaderAndFollowIt(t *testing.T) {
	n := newNet(t, 3, page(1, oldCode))
	n.leader = 2
	f := n.open(nil)
	must := func(want string, index int) {
		t.Helper()
		if status, _, err := send(t, f, "POST", "/rpc", rpcCall("eth_chainId")); err != nil || status != 200 {
			t.Fatal(status, err)
		}
		if got := n.nodes[index].heard(); got != want {
			t.Errorf("node %d heard %q, want %q", index, got, want)
		}
	}
	must("eth_chainId linearizable", 2) // home has moved there from node 0
	must("eth_chainId linearizable, eth_chainId", 2)
	n.set(func(n *net) { n.leader = 1 })
	if err := f.follow(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	must("eth_chainId linearizable", 1)
	if got := n.nodes[0].heard(); got != "" {
		t.Errorf("node 0, which does not lead, heard %q", got)
	}
}

func TestTheLossOfANodeIsNotFeltWhereThatIsSafe(t *testing.T) {
	for method, c := range map[string]struct {
		path, body, again string // empty: not again
	}{
		"read":               {"/rpc", rpcCall("eth_call"), "eth_call linearizable"},
		"transaction":        {"/rpc", rpcCall("eth_sendRawTransaction"), "coco_sendRawTransaction linearizable"},
		"transaction, again": {"/rpc", rpcCall("coco_sendRawTransaction"), "coco_sendRawTransaction linearizable"},
		"synchronous":        {"/rpc", rpcCall("eth_sendRawTransactionSync"), ""},
		"poll":               {"/rpc", rpcCall("eth_getFilterChanges"), ""},
		"unheard of":         {"/rpc", rpcCall("coco_unheardOf"), ""},
		"write":              {"/app/kv/key", "value", ""},
	} {
		t.Run(method, func(t *testing.T) {
			n := newNet(t, 2, page(1, oldCode))
			f := n.open(nil)
			n.nodes[0].set(func(f *fake) { f.cut = true })
			n.set(func(n *net) { n.leader = 1 })
			status, _, err := send(t, f, "POST", c.path, c.body)
			switch {
			case c.again == "" && (!errors.Is(err, coco.ErrUnknown) || n.nodes[1].heard() != ""):
				t.Errorf("%d, %v; the other node heard %q; want an unknown outcome, and nothing sent again", status, err, n.nodes[1].heard())
			case c.again != "" && (err != nil || status != 200 || n.nodes[1].heard() != c.again):
				t.Errorf("%d, %v; the other node heard %q, want %q", status, err, n.nodes[1].heard(), c.again)
			}
		})
	}
}

// Waiting for a commit is not looking for a node: however long it has taken, there is time for another one.
func TestARequestThatTookLongIsSentAgainAsWell(t *testing.T) {
	n := newNet(t, 2, page(1, oldCode))
	const patience = 300 * time.Millisecond
	f := n.open(func(c *Config) { c.Patience = patience })
	n.nodes[0].set(func(f *fake) {
		f.rpc = func(string) (int, string) { time.Sleep(2 * patience); panic(http.ErrAbortHandler) }
	})
	n.set(func(n *net) { n.leader = 1 })
	if status, _, err := send(t, f, "POST", "/rpc", rpcCall("eth_sendRawTransaction")); err != nil || status != 200 {
		t.Errorf("%d, %v", status, err)
	}
}

// A transaction that a node may have and that no other node answers for has an unknown outcome, and never one that says that nothing happened.
func TestATransactionThatMayHaveBeenReceivedIsNeverCalledLost(t *testing.T) {
	n := newNet(t, 2, page(1, oldCode))
	f := n.open(func(c *Config) { c.Patience = 500 * time.Millisecond })
	n.nodes[0].set(func(f *fake) { f.cut = true })
	n.nodes[1].set(func(f *fake) {
		f.rpc = func(string) (int, string) { return 503, `{"error":{"code":"not_committed","message":"not now"}}` }
	})
	n.set(func(n *net) { n.leader = 1 })
	status, body, err := send(t, f, "POST", "/rpc", rpcCall("eth_sendRawTransaction"))
	if !errors.Is(err, coco.ErrUnknown) || wire.ProblemOf(err).Code != wire.CodeUnknown {
		t.Errorf("%d %s, %v: want an unknown outcome", status, body, err)
	}
}

func TestARefusalIsTriedElsewhereAndToldIfAllRefuse(t *testing.T) {
	n := newNet(t, 2, page(1, oldCode))
	f := n.open(func(c *Config) { c.Patience = 500 * time.Millisecond })
	busy := func(f *fake) {
		f.rpc = func(string) (int, string) { return 503, `{"error":{"code":"busy","message":"not now"}}` }
	}
	n.nodes[0].set(busy)
	if status, _, err := send(t, f, "PUT", "/app/kv/key", "value"); err != nil || status != 200 {
		t.Errorf("%d, %v: the other node would have taken it", status, err)
	}
	n.nodes[1].set(busy)
	status, body, err := send(t, f, "POST", "/rpc", rpcCall("eth_sendRawTransaction"))
	if err != nil || status != 503 || !strings.Contains(body, `"busy"`) {
		t.Errorf("%d %s, %v: want the nodes' own refusal", status, body, err)
	}
}

// A body that cannot be had again is sent once.
func TestAStreamedBodyIsSentOnce(t *testing.T) {
	n := newNet(t, 2, page(1, oldCode))
	f := n.open(nil)
	n.nodes[0].set(func(f *fake) { f.cut = true })
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://node/rpc", io.MultiReader(strings.NewReader(rpcCall("eth_call"))))
	if _, err := f.RoundTrip(req); !errors.Is(err, coco.ErrUnknown) || n.nodes[1].heard() != "" {
		t.Errorf("%v; the other node heard %q", err, n.nodes[1].heard())
	}
}

func TestAFilterIsAskedForWhereItIs(t *testing.T) {
	n := newNet(t, 2, page(1, oldCode))
	f := n.open(nil)
	n.nodes[0].set(func(f *fake) {
		f.rpc = func(string) (int, string) { return 200, `{"jsonrpc":"2.0","id":1,"result":"0xfeed"}` }
	})
	if _, body, err := send(t, f, "POST", "/rpc", rpcCall("eth_newBlockFilter")); err != nil || !strings.Contains(body, "0xfeed") {
		t.Fatal(body, err)
	}
	n.set(func(n *net) { n.leader = 1 })
	if err := f.follow(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	poll := `{"jsonrpc":"2.0","id":1,"method":"eth_getFilterChanges","params":["0xfeed"]}`
	if _, _, err := send(t, f, "POST", "/rpc", poll); err != nil {
		t.Fatal(err)
	}
	if a, b := n.nodes[0].heard(), n.nodes[1].heard(); a != "eth_newBlockFilter, eth_getFilterChanges" || b != "" {
		t.Errorf("the filter's node heard %q, the leader %q", a, b)
	}
}

func TestTermsFollowVotes(t *testing.T) {
	first := page(1, oldCode)
	for name, c := range map[string]struct {
		page   []byte
		digest *coco.Digest // said
		accept error
		kind   error // nil: followed
	}{
		"a later version":         {page: page(2, oldCode, newCode)},
		"that lists no old code":  {page: page(2, newCode), kind: coco.ErrVerify}, // node 0 runs the old one
		"that is not accepted":    {page: page(2, oldCode), accept: fmt.Errorf("%w: stop", coco.ErrVerify), kind: coco.ErrVerify},
		"an earlier one":          {page: page(0, oldCode), kind: coco.ErrBusy},
		"another of this version": {page: page(1, oldCode, newCode), kind: coco.ErrVerify},
		"a lie about it":          {page: first, digest: &coco.Digest{1}, kind: coco.ErrVerify},
		"a page that is another":  {page: page(2, oldCode), digest: &coco.Digest{1}, kind: coco.ErrVerify},
		"a page that is none":     {page: []byte("?"), kind: coco.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, 1, first)
			var asked []uint64
			f := n.open(func(cfg *Config) {
				cfg.Patience = 300 * time.Millisecond
				cfg.Accept = func(from, to Terms, node string) error {
					asked = append(asked, from.Version, to.Version)
					return c.accept
				}
			})
			n.set(func(n *net) { n.page = c.page })
			n.nodes[0].set(func(f *fake) { f.digest = c.digest })
			_ = f.follow(t.Context(), false)
			if c.accept != nil { // a node that has not heard of the vote does not make it undone
				n.set(func(n *net) { n.page = first })
			}
			status, _, err := send(t, f, "POST", "/rpc", rpcCall("eth_chainId"))
			switch {
			case c.kind == nil && (err != nil || status != 200 || f.Terms().Version != 2 || fmt.Sprint(asked) != "[1 2]"):
				t.Errorf("%d, %v; terms of version %d, asked %v", status, err, f.Terms().Version, asked)
			case c.kind == nil && n.nodes[0].quotes != 2:
				t.Errorf("%d quotes: the node must be verified anew", n.nodes[0].quotes)
			case c.kind != nil && (err == nil || n.nodes[0].heard() != ""):
				t.Errorf("%d, %v; the node heard %q", status, err, n.nodes[0].heard())
			case c.accept != nil && !errors.Is(err, c.accept):
				t.Errorf("%v, want %v", err, c.accept)
			}
		})
	}
}

// Nothing is sent to a node that runs other code, whatever it says, nor to one that another service has endorsed.
func TestANodeThatIsNotBelievedGetsNothing(t *testing.T) {
	n := newNet(t, 1, page(1, oldCode))
	n.nodes = append(n.nodes, n.start(1, newCode))
	n.leader = 1
	f := n.open(nil)
	if _, _, err := send(t, f, "POST", "/rpc", rpcCall("eth_chainId")); err != nil || n.nodes[1].heard() != "" {
		t.Errorf("%v; a node of unlisted code heard %q", err, n.nodes[1].heard())
	}
	other := newNet(t, 1, page(1, oldCode))
	terms, _ := read(other.page)
	alien, err := New(Config{
		Nodes: []string{other.nodes[0].addr()}, Terms: terms, Read: read, Accept: follows,
		Client: client.Config{Policy: client.Policy{Verifiers: attest.Verifiers{virtual.Verifier{}}, Service: n.service}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alien.Start(t.Context()); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a node of another service: %v", err)
	}
}

func TestEvidenceIsAskedForAgain(t *testing.T) {
	n := newNet(t, 1, page(1, oldCode))
	var mu sync.Mutex
	now := time.Now()
	f := n.open(func(c *Config) {
		c.Client.Reverify = 10 * time.Minute
		c.Client.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	// A connection is in use all the time, so it does not end by itself.
	const step = 50 * time.Second
	for passed := time.Duration(0); passed < 25*time.Minute; passed += step {
		if _, _, err := send(t, f, "POST", "/rpc", rpcCall("eth_chainId")); err != nil {
			t.Fatal(err)
		}
		if want := 1 + int(passed/(10*time.Minute)); n.nodes[0].quotes != want {
			t.Errorf("after %v: %d quotes, want %d", passed, n.nodes[0].quotes, want)
		}
		mu.Lock()
		now = now.Add(step)
		mu.Unlock()
	}
}

func TestTheTokenIsSentAndNeverLogged(t *testing.T) {
	const secret = "ey.very.secret"
	var out bytes.Buffer
	n := newNet(t, 2, page(1, oldCode))
	f := n.open(func(c *Config) {
		c.Client.Token = func() (string, error) { return secret, nil }
		c.Log = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://node/rpc", strings.NewReader(rpcCall("eth_call")))
	req.Header.Set("Authorization", "Bearer of-a-page")
	resp, err := f.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := n.nodes[0].headers.Values("Authorization"); len(got) != 1 || got[0] != "Bearer "+secret {
		t.Errorf("Authorization %q", got)
	}
	if req.Header.Get("Authorization") != "Bearer of-a-page" {
		t.Error("the caller's request was changed")
	}
	n.nodes[0].set(func(f *fake) { f.cut = true })
	if _, _, err := send(t, f, "PUT", "/app/kv/key", "value"); err == nil || strings.Contains(err.Error(), secret) || strings.Contains(out.String(), secret) {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestWhichRequestsMayBeSentAgain(t *testing.T) {
	for _, c := range []struct{ method, path, body, form string }{
		{"POST", "/rpc", `{"method":"eth_call"}`, `{"method":"eth_call"}`},
		{"POST", "/rpc", ` [{"method":"eth_call"},{"method":"eth_sendRawTransaction","params":["0x"]}]`, `[{"method":"eth_call"},{"method":"coco_sendRawTransaction","params":["0x"]}]`},
		{"POST", "/rpc", `{"method":"eth_call","method":"eth_sendRawTransaction"}`, `{"method":"coco_sendRawTransaction"}`}, // what is sent is what was judged
		{"POST", "/rpc", `[{"method":"eth_call"},{"method":"coco_linkAddress"}]`, ""},
		{"POST", "/rpc", `[]`, ""},
		{"POST", "/rpc", `{"Method":"eth_call"}`, ""},
		{"POST", "/rpc", `{"method":"eth_sendTransaction"}`, ""},
		{"POST", "/rpc", `{"method":"eth_getFilterChanges"}`, ""},
		{"POST", "/rpc", `{"method":"ethers_call"}`, ""},
		{"POST", "/rpc", `{"method":7}`, ""},
		{"POST", "/rpc", ``, ""},
		{"POST", "/app/kv", `{"method":"eth_call"}`, ""},
		{"PUT", "/rpc", `{"method":"eth_call"}`, ""},
	} {
		form, ok := Again(c.method, c.path, []byte(c.body))
		if ok != (c.form != "") || ok && string(form) != c.form {
			t.Errorf("%s %s %s: %s, %v; want %q", c.method, c.path, c.body, form, ok, c.form)
		}
	}
}

func TestWhatRequestsDo(t *testing.T) {
	for body, want := range map[string]client.Effect{
		`{"method":"eth_call"}`: client.Never,
		`[{"method":"eth_call"},{"method":"eth_sendRawTransaction"}]`: client.Once,
		`{"method":"coco_sendRawTransaction"}`:                        client.Once,
		`{"method":"eth_getFilterChanges"}`:                           client.EachTime,
		`{"method":"coco_linkAddress"}`:                               client.EachTime,
		`?`:                                                           client.EachTime,
	} {
		if got := EffectOf("POST", "/rpc", []byte(body)); got != want {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
}

// Whatever is sent again is judged alike a second time, names no method that must not be repeated, and is never a transaction by the method that answers once.
func FuzzAgain(f *testing.F) {
	for _, seed := range []string{`{"method":"eth_call"}`, `[{"method":"eth_sendRawTransaction","params":["0x"]}]`, `{"method":"eth_call","method":"coco_x"}`, `[[]]`, `{"method":"eth_sendRawTransaction"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		form, ok := Again("POST", "/rpc", body)
		if !ok {
			return
		}
		again, ok := Again("POST", "/rpc", form)
		if !ok || !bytes.Equal(again, form) {
			t.Errorf("%s becomes %s, and that %s, %v", body, form, again, ok)
		}
		var calls []struct {
			Method string `json:"method"`
		}
		if form[0] != '[' {
			form = append(append([]byte{'['}, form...), ']')
		}
		if err := json.Unmarshal(form, &calls); err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			if c.Method == "eth_sendRawTransaction" || strings.HasPrefix(c.Method, "coco_") && c.Method != "coco_sendRawTransaction" {
				t.Errorf("%s is sent again", c.Method)
			}
		}
	})
}

func TestNothingIsSentOnceAFleetHasEnded(t *testing.T) {
	n := newNet(t, 1, page(1, oldCode))
	f := n.open(nil)
	want := fmt.Errorf("%w: ended", coco.ErrVerify)
	_ = f.halt(want)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := f.follow(ctx, true); err != nil {
		t.Error(err)
	}
	if _, _, err := send(t, f, "POST", "/rpc", rpcCall("eth_chainId")); !errors.Is(err, want) || n.nodes[0].heard() != "" {
		t.Errorf("%v; the node heard %q", err, n.nodes[0].heard())
	}
}

// endorsed starts a node with a certificate of a service, which it shows beside its own.
func (n *net) endorsed(index int, service *channel.Service) *fake {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		n.t.Fatal(err)
	}
	now := time.Now()
	der, err := service.Endorse(public, sha256.Sum256(public), []string{"127.0.0.1:1"}, true, now, now)
	if err != nil {
		n.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		n.t.Fatal(err)
	}
	return n.serve(&fake{net: n, index: index, cert: tls.Certificate{Certificate: [][]byte{der, service.Certificate().Raw}, PrivateKey: key, Leaf: leaf}}, oldCode)
}

// Members have recovered the network under a service that follows the known one. Nothing is sent to it before the user has accepted that service.
func TestARecoveredNetworkIsAskedOnceItsServiceIsAccepted(t *testing.T) {
	first, err := channel.NewService("net", true, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Succeed(coco.TxID{View: 2, Seqno: 17}, coco.Digest{1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	n := newNet(t, 0, page(1, oldCode))
	n.service = first.Certificate()
	n.nodes = []*fake{n.endorsed(0, first), n.endorsed(1, second)}
	accepted := first.Certificate()
	f := n.open(func(c *Config) {
		c.Nodes = append(c.Nodes, n.nodes[1].addr())
		c.Patience = 300 * time.Millisecond
		c.Service = func() (*x509.Certificate, error) { return accepted, nil }
	})
	n.nodes[0].srv.CloseClientConnections()
	n.nodes[0].srv.Close()
	n.set(func(n *net) { n.leader = 1 })
	if _, _, err := send(t, f, "POST", "/rpc", rpcCall("eth_chainId")); err == nil || n.nodes[1].heard() != "" {
		t.Errorf("%v; the recovered node heard %q", err, n.nodes[1].heard())
	}
	accepted = second.Certificate()
	if status, _, err := send(t, f, "POST", "/rpc", rpcCall("eth_chainId")); err != nil || status != 200 {
		t.Errorf("%d, %v", status, err)
	}
}

func TestARowThatHomeMustNotHaveIsAskedForWhereItIs(t *testing.T) {
	n := newNet(t, 3, page(1, oldCode))
	f := n.open(nil)
	if err := f.list(t.Context(), f.home); err != nil {
		t.Fatal(err)
	}
	stranger := newNet(t, 1, page(1, oldCode)).nodes[0]
	n.nodes[0].set(func(n0 *fake) { n0.named = stranger.addr() + ", " + n.nodes[1].addr() + ", " + n.nodes[2].addr() })
	n.nodes[1].set(func(n1 *fake) { n1.named = n.nodes[2].addr() })
	ask := func(method, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "https://node/app/kv/price", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(wire.HeaderAudience, "acme, bank; resident")
		resp, err := f.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header.Get(wire.HeaderNodes)
	}
	if status, _ := ask("PUT", "4711"); status != 200 {
		t.Fatalf("the write is answered %d", status)
	}
	for _, name := range []int{0, 1} {
		if got := n.nodes[name].heard(); got != "refused PUT 100-continue" {
			t.Errorf("node %d heard %q: expected that it is asked before it is sent the value", name, got)
		}
	}
	// The node that has the row is asked first from then on.
	if status, _ := ask("GET", ""); status != 200 || n.nodes[2].heard() != "PUT /app/kv/price linearizable, GET /app/kv/price" || n.nodes[0].heard() != "refused PUT 100-continue" {
		t.Errorf("%d: node 0 heard %q, node 2 heard %q", status, n.nodes[0].heard(), n.nodes[2].heard())
	}
	if got := stranger.heard(); got != "" {
		t.Errorf("a node that is not of the network heard %q", got)
	}
	// It is lost: the others are asked, and their answer says where the row is.
	n.nodes[2].srv.Close()
	if status, named := ask("GET", ""); status != 421 || !strings.Contains(named, n.nodes[2].addr()) {
		t.Errorf("without a node that has the row: %d, naming %q", status, named)
	}
}
