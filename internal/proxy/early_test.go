package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func dial(t *testing.T, base string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// refusing answers at once by 404 and does not touch the body.
func refusing(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.Header().Set("Content-Length", "2")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "no")
	_ = http.NewResponseController(w).Flush()
}

func TestARefusalReachesAClientWhoseBodyDoesNotCome(t *testing.T) {
	base := start(t, refusing, func(c *Config) { c.BodyBytes = 1000 })
	for request, status := range map[string]int{
		"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nOrigin: https://evil.example": 403,
		"POST /x HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5":                              403,
		"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001":                              413,
		"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\nExpect: 100-continue":      413,
	} {
		c := dial(t, base)
		fmt.Fprint(c, request+"\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != status {
			t.Errorf("%q: %v %v, want %d", request, resp, err, status)
		}
	}
}

func TestAClientThatIsStillSendingReceivesTheRefusal(t *testing.T) {
	base := start(t, refusing, func(c *Config) { c.BodyBytes = 1000 })
	const size = 32 << 20
	c := dial(t, base)
	fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", size)
	if _, err := io.Copy(c, bytes.NewReader(make([]byte, size))); err != nil {
		t.Fatalf("sending: %v", err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 413 {
		t.Errorf("%v %v", resp, err)
	}
}

func TestABodyThatComesInPartsPasses(t *testing.T) {
	base := start(t, echo, nil)
	c := dial(t, base)
	br := bufio.NewReader(c)
	for range 2 { // the second one on the same connection
		fmt.Fprint(c, "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
		time.Sleep(2 * patience)
		fmt.Fprint(c, "def")
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(text), "abcdef") {
			t.Errorf("%q %v", text, err)
		}
	}
}

// A page that cannot read ETag cannot send If-Match.
func TestPagesMayReadTheHeadersThatTheyNeed(t *testing.T) {
	base := start(t, echo, nil)
	resp, _ := do(t, "PUT", base+"/x", "hi", "Origin", "http://localhost:3000")
	for _, name := range []string{"ETag", "Retry-After", "X-Coco-Transaction-Id"} {
		if exposed := resp.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %q", name, exposed)
		}
	}
}
