package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

const benchRequest = "PUT /app/kv/some-key HTTP/1.1\r\nHost: node\r\nContent-Length: 200\r\n\r\n"

// BenchmarkRequest is a PUT of 200 bytes over TLS through the gateway; BenchmarkPlainRequest is the
// same through net/http alone. Their difference is what the gateway costs.
func BenchmarkRequest(b *testing.B) {
	buf := make([]byte, 256)
	w := start(b, one("PUT /app/kv/{key...}", func(_ coco.Caller, rw http.ResponseWriter, r *http.Request) {
		benchHandler(rw, r, buf)
	}))
	drive(b, w.addr)
}

func BenchmarkPlainRequest(b *testing.B) {
	buf := make([]byte, 256)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { benchHandler(rw, r, buf) }),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate(b, "node", time.Hour)},
			ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true,
		},
	}
	go func() { _ = s.ServeTLS(l, "", "") }()
	defer s.Close()
	drive(b, l.Addr().String())
}

func benchHandler(rw http.ResponseWriter, r *http.Request, buf []byte) {
	if n, _ := io.ReadFull(r.Body, buf[:r.ContentLength]); n == 200 {
		rw.WriteHeader(http.StatusNoContent)
	}
}

func drive(b *testing.B, addr string) {
	cert := certificate(b, "Alpha", time.Hour)
	c, err := tls.Dial("tcp", addr, clientTLS(&cert))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request, br := []byte(benchRequest+strings.Repeat("x", 200)), bufio.NewReader(c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		status := ""
		for {
			line, err := br.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if status == "" {
				status = string(line)
			}
			if len(line) == 2 {
				break
			}
		}
		if !strings.HasPrefix(status, "HTTP/1.1 204") {
			b.Fatal(fmt.Errorf("%q", status))
		}
	}
}
