package kv

import (
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
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gateway"
	"github.com/cocoframework/coco/host/local"
)

// identifying is a node that knows everybody as Alpha; the routes under /node are not asked for.
type identifying struct{ gateway.Node }

func (identifying) Identify([]*x509.Certificate) (coco.Caller, error) { return alpha, nil }

func certificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve offers a core through a real gateway, and returns a client and the gateway's URL.
func serve(t testing.TB, c *core, extra ...adapter.Endpoint) (*http.Client, string) {
	t.Helper()
	g, err := gateway.New(gateway.Config{
		Node: identifying{},
		TLS: &tls.Config{
			MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert,
			Certificates: []tls.Certificate{certificate(t)}, SessionTicketsDisabled: true,
		},
		Clock: local.Clock{},
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Mount(1<<20, append(c.Endpoints(), extra...)...); err != nil {
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
		if err := g.Shutdown(t.Context()); err != nil {
			t.Logf("shutdown: %v", err) // the test's context has ended
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport}, "https://" + l.Addr().String()
}

func ask(t testing.TB, c *http.Client, method, url, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	w := httptest.NewRecorder()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestThroughTheGateway(t *testing.T) {
	client, url := serve(t, newCore(t, ""))
	for _, step := range []struct {
		method, path, body string
		header             []string
		want               string
	}{
		{"PUT", "/app/kv/a%2F%2Fb", "one", nil, `201 "2" 2.2`},
		{"GET", "/app/kv/a%2F%2Fb", "", nil, `200 "2" 2.2 one`},
		{"HEAD", "/app/kv/a%2F%2Fb", "", nil, `200 "2" 2.2`},
		{"PUT", "/app/kv/a//b", "one", nil, `400 invalid`},
		{"PUT", "/app/kv/a%2F%2Fb", "two", []string{"If-Match", `"2"`}, `204 "3" 2.3`},
		{"GET", "/app/kv/a%2F%2Fb", "", []string{"If-None-Match", `"3"`}, `304 "3" 2.3`},
		{"POST", "/app/kv", `[{"op":"put","key":"Yw==","value":""}]`, nil, `200 2.4 {"transaction_id":"2.4","etag":"4","results":[{}]}`},
		{"GET", "/app/kv?to=b", "", nil, `200 2.4 {"transaction_id":"2.4","items":[{"key":"YS8vYg==","key_text":"a//b","value":"dHdv","etag":"3"}]}`},
		{"DELETE", "/app/kv/c", "", nil, `204 2.5`},
		{"PATCH", "/app/kv/c", "", nil, `405 method_not_allowed`},
		{"PUT", "/app/kv", "", nil, `405 method_not_allowed`},
		{"PUT", "/app/kv/c", strings.Repeat("x", 1<<20+1), nil, `413 too_large`},
	} {
		if got := line(ask(t, client, step.method, url+step.path, step.body, step.header...)); got != step.want {
			t.Errorf("%s %s: %s, expected %s", step.method, step.path, got, step.want)
		}
	}
}

// TestErrorsLookLikeTheGateways holds the two tables of errors together: a client must not have to
// know which of them answered.
func TestErrorsLookLikeTheGateways(t *testing.T) {
	c := newCore(t, "")
	var err error
	node := &failing{err: &err}
	g, newErr := gateway.New(gateway.Config{
		Node:  node,
		TLS:   &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert},
		Clock: local.Clock{},
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if newErr != nil {
		t.Fatal(newErr)
	}
	for _, err = range []error{
		coco.ErrInvalid, coco.ErrNotFound, coco.ErrDenied, coco.ErrBusy, coco.ErrNotCommitted, coco.ErrUnreachable, coco.ErrUnknown,
		coco.ErrCorrupt, coco.ErrVerify, io.ErrUnexpectedEOF, fmt.Errorf("%w: %w", coco.ErrDenied, coco.ErrUnknown),
		&http.MaxBytesError{Limit: 3}, os.ErrDeadlineExceeded, context.Canceled, context.DeadlineExceeded,
	} {
		theirs, ours := httptest.NewRecorder(), httptest.NewRecorder()
		g.Handler().ServeHTTP(theirs, httptest.NewRequest("GET", "/node/service", nil))
		c.fail(ours, err)
		if ours.Code != theirs.Code || ours.Body.String() != theirs.Body.String() || fmt.Sprint(ours.Header()) != fmt.Sprint(theirs.Header()) {
			t.Errorf("%v:\nkv      %d %v %s\ngateway %d %v %s", err, ours.Code, ours.Header(), ours.Body, theirs.Code, theirs.Header(), theirs.Body)
		}
	}
}

// failing is a node whose every fact is an error.
type failing struct {
	gateway.Node
	err *error
}

func (f *failing) Service() ([]byte, error) { return nil, *f.err }
