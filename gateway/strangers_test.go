package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/cocoframework/coco"
)

// A stranger holds all connections that a node accepts. A client that shows its certificate is served, again and again, and its
// connection is not the one that makes room.
func TestStrangersKeepNoClientFromConnecting(t *testing.T) {
	const most = 20
	w := start(t, one("GET /app/x", func(_ coco.Caller, rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) }),
		func(c *Config) { c.MaxConns = most })
	var silent []net.Conn
	defer func() {
		for _, c := range silent {
			_ = c.Close()
		}
	}()
	stranger := func() {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	for range 2 * most {
		stranger()
	}
	c := w.dial("Alpha")
	answers := bufio.NewReader(c)
	for range 5 {
		fmt.Fprintf(c, "GET /app/x HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
		for range most {
			stranger()
		}
		probe, err := tls.Dial("tcp", w.addr, clientTLS(nil)) // as a liveness probe does, without certificate
		if err != nil {
			t.Fatal(err)
		}
		_ = probe.Close()
	}
}
