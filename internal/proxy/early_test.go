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

	"github.com/cocoframework/coco/internal/linger"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
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

// limited is a node that accepts bodies up to a length.
func limited(most int64) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		body := linger.New(r, time.Now)
		w := &response{ResponseWriter: rw, body: body}
		defer body.Discard(rw)
		tooLarge := r.ContentLength > most
		if !tooLarge {
			n, _ := io.Copy(io.Discard, io.LimitReader(r.Body, most+1))
			tooLarge = n > most
		}
		if tooLarge {
			problem.Write(w, wire.ByCode(wire.CodeTooLarge), "too large")
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

func TestARefusalReachesAClientWhoseBodyDoesNotCome(t *testing.T) {
	base := start(t, limited(1000), nil)
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
	base := start(t, limited(1000), nil)
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
	for _, name := range []string{"ETag", "Retry-After", "X-Coco-Transaction-Id", "X-Coco-Nodes", "X-Coco-Salt"} {
		if exposed := resp.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %q", name, exposed)
		}
	}
}

func TestABrowserIsShownAPage(t *testing.T) {
	base := start(t, echo, func(c *Config) { c.Page = []byte("<h1>hello") })
	for accept, page := range map[string]bool{"text/html,*/*": true, "*/*": false, "application/json": false} {
		resp, body := do(t, "GET", base+"/", "", "Accept", accept)
		if got := strings.Contains(body, "<h1>hello"); got != page || page && resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("Accept: %s: %s %q", accept, resp.Status, body)
		}
	}
	if resp, body := do(t, "POST", base+"/", "{}", "Accept", "text/html"); resp.StatusCode != http.StatusCreated {
		t.Errorf("JSON-RPC of a browser: %s %q", resp.Status, body)
	}
}
