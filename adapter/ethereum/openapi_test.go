package ethereum

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gateway"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/openapitest"
)

// identifying is a node that knows everybody as Alpha; the routes under /node are not asked for.
type identifying struct{ gateway.Node }

func (identifying) Identify([]*x509.Certificate) (coco.Caller, error) {
	return coco.Caller{Actor: coco.ActorID{1}, Name: "Alpha", Role: coco.Member}, nil
}

func certificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestAnswersAreAsTheOpenAPIDocumentSays(t *testing.T) {
	g, err := gateway.New(gateway.Config{
		Node:  identifying{},
		TLS:   &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{certificate(t)}, SessionTicketsDisabled: true},
		Clock: local.Clock{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Mount(1<<20, begin(t, map[string]any{}).Endpoints()...); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate(t)}}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = g.Shutdown(t.Context()) // which has ended
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: transport}
	doc := openapitest.New(t, client, "https://"+l.Addr().String())
	got := slices.DeleteFunc(doc.Operations(), func(o string) bool { return !strings.Contains(o, " /rpc") })
	if want := []string{"GET /rpc", "POST /rpc"}; !slices.Equal(got, want) {
		t.Errorf("the document lists %q, expected %q", got, want)
	}
	for _, s := range []struct {
		status       int
		method, body string
		header       []string
	}{
		{200, "POST", `{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`, nil},
		{200, "POST", `{"jsonrpc":"2.0","id":"a","method":"eth_getBalance","params":["0x4e59b44847b379578588920ca78fbf26c0b4956c","latest"]}`, []string{"X-Coco-Max-Age", "7"}},
		{200, "POST", `{"jsonrpc":"2.0","id":1,"method":"eth_noSuch"}`, nil},
		{200, "POST", `[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"method":"eth_blockNumber"}]`, nil},
		{200, "GET", "", nil},
		{400, "POST", `{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`, []string{"X-Coco-Consistency", "some"}},
		{415, "POST", "x", []string{"Content-Type", "text/plain"}},
		{413, "POST", strings.Repeat(" ", 1<<20+1), nil},
	} {
		if s.method == "POST" && s.status != 415 {
			s.header = append(s.header, "Content-Type", "application/json")
		}
		doc.Ask(client, s.status, s.method, "/rpc", s.body, s.header...)
	}
	rest := slices.DeleteFunc(doc.Unanswered(), func(o string) bool { return !strings.Contains(o, " /rpc") })
	if len(rest) > 0 {
		t.Errorf("no request was answered well for %q", rest)
	}
}
