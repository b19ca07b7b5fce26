package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// balancer LISTEN CERTIFICATE RECORD NODE...: a process that ends TLS under a certificate of its own, which it writes to a file, and passes each request to another node.
// It writes what it sees, of requests and answers, to the record.
func balancer() {
	args := os.Args[1:]
	if len(args) < 4 {
		log.Fatal("usage: balancer LISTEN CERTIFICATE RECORD NODE...")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "balancer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	file, err := os.Create(args[2])
	check(err)
	record := &recording{to: file}
	var next atomic.Uint64
	nodes := args[3:]
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: nodes[next.Add(1)%uint64(len(nodes))]})
			record.note(fmt.Sprintf("%s %s %v\n", r.In.Method, r.In.URL, r.In.Header))
			if r.Out.Body != nil {
				r.Out.Body = record.tee(r.Out.Body)
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			record.note(fmt.Sprintf("%s %v\n", resp.Status, resp.Header))
			resp.Body = record.tee(resp.Body)
			return nil
		},
	}
	ln, err := net.Listen("tcp", args[0])
	check(err)
	check(os.WriteFile(args[1], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	srv := &http.Server{Handler: proxy, TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	check(srv.ServeTLS(ln, "", ""))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// recording is what a balancer has seen.
type recording struct {
	mu sync.Mutex
	to io.Writer
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.to.Write(p)
}

func (r *recording) note(text string) { _, _ = io.Copy(r, strings.NewReader(text)) }

func (r *recording) tee(body io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(body, r), body}
}
