package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
)

func serve(t *testing.T, f *fakeNode) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

func quick(work string, urls ...string) Options {
	o := Options{Work: work, Clients: 5, Duration: 60 * time.Millisecond, WarmUp: 30 * time.Millisecond, Receivers: 20}
	for _, u := range urls {
		o.Targets = append(o.Targets, link.Target{URL: u})
	}
	return o
}

func mustRun(t *testing.T, o Options) Report {
	t.Helper()
	r, err := Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Committed == 0 || r.Errors != 0 || r.TPS <= 0 || r.Latency.Max < r.Latency.P50 || r.Latency.P50 <= 0 {
		t.Fatalf("report: %+v", r)
	}
	return r
}

func TestRunReportsWhatTheNetworkHolds(t *testing.T) {
	for _, batch := range []int{1, 7} {
		f := newFake()
		f.chunked = batch > 1
		o := quick(ERC20, serve(t, f))
		o.Batch = batch
		mustRun(t, o)

		f = newFake()
		key, err := crypto.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		f.fund(t, crypto.PubkeyToAddress(key.PublicKey), 1)
		o = quick(Transfer, serve(t, f))
		o.Batch = batch
		o.Funders = []string{hex.EncodeToString(crypto.FromECDSA(key))}
		mustRun(t, o)

		o = quick(KV, serve(t, newFake()))
		o.Batch = batch
		mustRun(t, o)
	}
}

func TestRunOverWebSocket(t *testing.T) {
	for _, batch := range []int{1, 300} {
		o := quick(ERC20, strings.Replace(serve(t, newFake()), "http", "ws", 1))
		o.Batch = batch
		mustRun(t, o)
	}
}

func TestRunBearsRefusalsAndLostReplies(t *testing.T) {
	for _, work := range []string{ERC20, KV} {
		f := newFake()
		f.busyEvery, f.dropEvery, f.fullEvery = 7, 11, 5
		o := quick(work, serve(t, f))
		o.Batch = 3
		r := mustRun(t, o)
		if r.Kinds["retried: HTTP status 503"] == 0 || r.Kinds["retried: connection broken"] == 0 {
			t.Errorf("%s: kinds: %v", work, r.Kinds)
		}
	}
}

func TestRunGoesOnAtAnotherTarget(t *testing.T) {
	f := newFake()
	dead := httptest.NewServer(f)
	o := quick(ERC20, serve(t, f), dead.URL)
	o.Timeout = 500 * time.Millisecond
	closed := false
	r, err := Run(t.Context(), o, func(s Sample) {
		if s.Phase == "sign" && !closed {
			closed = true
			go dead.Close()
		}
	})
	if !errors.Is(err, coco.ErrUnreachable) || r.Committed == 0 {
		t.Fatalf("%v, %+v: expected commits, and a check that does not reach one target", err, r)
	}
}

// at calls do once, when a phase begins.
func at(phase string, do func()) func(Sample) {
	return func(s Sample) {
		if do != nil && s.Phase == phase {
			do()
			do = nil
		}
	}
}

func TestRunDoesNotWaitForLostReplies(t *testing.T) {
	for _, work := range []string{ERC20, KV} {
		f := newFake()
		o := quick(work, serve(t, f))
		o.Duration, o.patience = 300*time.Millisecond, time.Second
		phase := "sign"
		if work == KV {
			phase = "measure"
		}
		r, err := Run(t.Context(), o, at(phase, func() { f.hang(3, 1) }))
		if err != nil || r.Committed == 0 || r.Errors != 1 || r.Kinds["unanswered"] != r.Errors {
			t.Errorf("%s: %v, %+v: expected what had no reply among the errors", work, err, r)
		}
		if r.Window != o.Duration {
			t.Errorf("%s: the rate is over %v, want the measured window of %v", work, r.Window, o.Duration)
		}
	}
}

func TestRunEndsWhenNoTargetIsLeft(t *testing.T) {
	s := httptest.NewServer(newFake())
	o := quick(KV, s.URL)
	o.Targets[0].Name = "alpha"
	o.Duration, o.patience = time.Hour, 200*time.Millisecond
	_, err := Run(t.Context(), o, at("measure", func() {
		go s.Close()
		s.CloseClientConnections()
	}))
	if !errors.Is(err, coco.ErrUnreachable) || !strings.Contains(err.Error(), "alpha") || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v: expected an error that names alpha, which cannot be reached", err)
	}
}

func TestRunEndsWhenNothingIsCommittedAnyMore(t *testing.T) {
	f := newFake()
	dead := httptest.NewServer(f)
	o := quick(KV, serve(t, f), dead.URL)
	o.Targets[0].Name, o.Targets[1].Name = "alpha", "bravo"
	o.Duration, o.patience = time.Hour, 300*time.Millisecond
	_, err := Run(t.Context(), o, at("measure", func() {
		f.hang(1, 1<<30)
		go dead.Close()
		dead.CloseClientConnections()
	}))
	if !errors.Is(err, coco.ErrNotCommitted) || !strings.Contains(err.Error(), "no answer from bravo") {
		t.Errorf("%v: expected an error that there is no quorum and bravo does not answer", err)
	}
}

func TestRunNamesTheNodesThatDoNotAnswerAtFirst(t *testing.T) {
	o := quick(KV, serve(t, newFake()), "http://127.0.0.1:1", "http://127.0.0.1:1")
	o.Targets[0].Name, o.Targets[1].Name, o.Targets[2].Name = "alpha", "bravo", "charlie"
	_, err := Run(t.Context(), o, nil)
	if !errors.Is(err, coco.ErrNotCommitted) || !strings.Contains(err.Error(), "bravo, charlie") {
		t.Errorf("%v: expected an error that there is no quorum without bravo and charlie", err)
	}
}

func TestRunFindsLostTransactions(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, work := range []string{ERC20, Transfer, KV} {
		f := newFake()
		f.fund(t, crypto.PubkeyToAddress(key.PublicKey), 1)
		f.loseEvery = 5
		o := quick(work, serve(t, f))
		o.Clients, o.Receivers = 1, 10
		o.Duration = 200 * time.Millisecond
		o.Funders = []string{hex.EncodeToString(crypto.FromECDSA(key))}
		o.checkPatience = time.Millisecond
		if r, err := Run(t.Context(), o, nil); !errors.Is(err, coco.ErrVerify) || r.Committed == 0 {
			t.Errorf("%s: %v, %+v: expected a verification error", work, err, r)
		}
	}
}

func TestRunEndsWhenEverythingIsRefused(t *testing.T) {
	f := newFake()
	o := quick(Transfer, serve(t, f))
	o.Funders = []string{strings.Repeat("zz", 32)}
	if _, err := Run(t.Context(), o, nil); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a key that is none: %v", err)
	}
	o = quick(KV, serve(t, f)+"/rpc")
	o.Targets[0].URL = "http://127.0.0.1:1"
	o.Timeout = 50 * time.Millisecond
	if _, err := Run(t.Context(), o, nil); !errors.Is(err, coco.ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
	f.fullEvery = 1
	o = quick(ERC20, serve(t, f))
	o.Timeout = time.Second // enough for replies on a busy machine
	if _, err := Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("always busy: %v", err)
	}
	f = newFake()
	o.Targets[0].URL = serve(t, f)
	o.Timeout, o.Duration = 500*time.Millisecond, 3*time.Second // enough for replies on a busy machine
	r, err := Run(t.Context(), o, func(s Sample) {
		if s.Phase == "sign" {
			f.refuse()
		}
	})
	if !errors.Is(err, errRefused) || r.Committed != 0 || r.Kinds["JSON-RPC -32000 insufficient funds"] == 0 {
		t.Errorf("%v, %+v: expected every client to give up", err, r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, quick(KV, serve(t, f)), nil); err == nil {
		t.Error("canceled: no error")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"work":       func(o *Options) { o.Work = "mining" },
		"targets":    func(o *Options) { o.Targets = nil },
		"scheme":     func(o *Options) { o.Targets[0].URL = "ftp://localhost:1" },
		"port":       func(o *Options) { o.Targets[0].URL = "http://localhost" },
		"query":      func(o *Options) { o.Targets[0].URL = "http://localhost:1/?a=b" },
		"no TLS":     func(o *Options) { o.Targets[0].URL = "https://localhost:1" },
		"kv over ws": func(o *Options) { o.Work, o.Targets[0].URL = KV, "ws://localhost:1" },
		"funders":    func(o *Options) { o.Work = Transfer },
		"clients":    func(o *Options) { o.Clients = MaxClients + 1 },
		"batch":      func(o *Options) { o.Batch = -1 },
		"duration":   func(o *Options) { o.Duration = -1 },
	} {
		o := quick(ERC20, "http://localhost:1")
		change(&o)
		if err := o.validate(); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReportIsOneFlatObject(t *testing.T) {
	r := Report{
		Work: ERC20, Nodes: 3, Clients: 64, Committed: 10, Errors: 1, TPS: 12.5,
		Latency: Latency{1, 2, 3, 4.5}, CPU: map[string]float64{"bench": 40.1}, Batch: 1, SignedLate: 3,
	}
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"work":"erc20","nodes":3,"clients":64,"committed":10,"errors":1,"tps":12.5,"latency_ms":{"p50":1,"p90":2,"p99":3,"max":4.5},"cpu_us_per_tx":{"bench":40.1}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestProgressNamesThePhases(t *testing.T) {
	var phases []string
	_, err := Run(t.Context(), quick(ERC20, serve(t, newFake())), func(s Sample) {
		if len(phases) == 0 || phases[len(phases)-1] != s.Phase {
			phases = append(phases, s.Phase)
		}
	})
	if got := strings.Join(phases, ","); err != nil || got != "connect,deploy,fund,warm up,sign,measure,check" {
		t.Errorf("%v, %s", err, got)
	}
}

// TestRunOverMutualTLS has a server that insists on a client certificate, as a node does.
func TestRunOverMutualTLS(t *testing.T) {
	dir := t.TempDir()
	ca, caKey := certificate(t, "service", nil, nil)
	write(t, filepath.Join(dir, "service.pem"), "CERTIFICATE", ca.Raw)
	node, nodeKey := certificate(t, "node", ca, caKey)
	user, userKey := certificate(t, "user", ca, caKey)
	write(t, filepath.Join(dir, "user.pem"), "CERTIFICATE", user.Raw)
	der, err := x509.MarshalPKCS8PrivateKey(userKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "user-key.pem"), "PRIVATE KEY", der)

	pool := x509.NewCertPool()
	pool.AddCert(ca)
	s := httptest.NewUnstartedServer(newFake())
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{node.Raw}, PrivateKey: nodeKey}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS13,
	}
	s.StartTLS()
	t.Cleanup(s.Close)

	cfg, err := link.ClientTLS(filepath.Join(dir, "user.pem"), filepath.Join(dir, "user-key.pem"), filepath.Join(dir, "service.pem"))
	if err != nil {
		t.Fatal(err)
	}
	o := quick(KV, s.URL)
	o.Targets[0].TLS = cfg
	mustRun(t, o)

	other, _ := certificate(t, "other service", nil, nil)
	write(t, filepath.Join(dir, "service.pem"), "CERTIFICATE", other.Raw)
	if o.Targets[0].TLS, err = link.ClientTLS(filepath.Join(dir, "user.pem"), filepath.Join(dir, "user-key.pem"), filepath.Join(dir, "service.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), o, nil); err == nil {
		t.Error("a node of another network was accepted")
	}
	if _, err := link.ClientTLS(filepath.Join(dir, "user.pem"), filepath.Join(dir, "user-key.pem"), filepath.Join(dir, "user-key.pem")); err == nil {
		t.Error("a key was taken for the service certificate")
	}
}

func certificate(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IsCA: parent == nil, BasicConstraintsValid: true, DNSNames: []string{"localhost"},
	}
	template.IPAddresses = append(template.IPAddresses, []byte{127, 0, 0, 1})
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
