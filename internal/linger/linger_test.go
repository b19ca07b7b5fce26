package linger

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve answers requests by h, and dials the server.
func serve(t *testing.T, h http.HandlerFunc) net.Conn {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := New(r, time.Now)
		defer b.Discard(w)
		h(answering{w, b}, r)
	}))
	t.Cleanup(srv.Close)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// answering is a response whose header is written with the body's consent.
type answering struct {
	http.ResponseWriter
	b *Body
}

func (a answering) WriteHeader(status int) {
	a.b.Answer(a.ResponseWriter)
	a.ResponseWriter.WriteHeader(status)
}

func refuse(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "2")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, "no")
}

func status(t *testing.T, br *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestTheAnswerDoesNotWaitForTheBody(t *testing.T) {
	for _, length := range []string{"Content-Length: 100", "Content-Length: 100000000", "Transfer-Encoding: chunked", "Content-Length: 9\r\nExpect: 100-continue"} {
		c := serve(t, refuse)
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", length)
		if resp := status(t, bufio.NewReader(c)); resp.StatusCode != 400 {
			t.Errorf("%s: %v", length, resp.Status)
		}
	}
}

func TestAShortBodyThatHasArrivedLeavesTheConnectionOpen(t *testing.T) {
	c := serve(t, refuse)
	br := bufio.NewReader(c)
	for range 3 {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		if resp := status(t, br); resp.StatusCode != 400 || resp.Close {
			t.Fatalf("%v, closes: %v", resp.Status, resp.Close)
		}
	}
}

// A body that looks like a request is never served as one.
func TestWhatIsLeftOfABodyIsNoRequest(t *testing.T) {
	var requests atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { requests.Add(1); refuse(w, r) })
	const inner = "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(inner))
	br := bufio.NewReader(c)
	if resp := status(t, br); resp.StatusCode != 400 || !resp.Close {
		t.Fatalf("%v, closes: %v", resp.Status, resp.Close)
	}
	fmt.Fprint(c, inner)
	if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 || requests.Load() != 1 {
		t.Errorf("%d requests were served; after the answer came %q %v", requests.Load(), rest, err)
	}
}

func TestAClientThatSendsFirstAndReadsLaterGetsTheAnswer(t *testing.T) {
	const size = 32 << 20 // more than the buffers of two sockets
	c := serve(t, refuse)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	if _, err := io.Copy(c, bytes.NewReader(make([]byte, size))); err != nil {
		t.Fatal(err)
	}
	if resp := status(t, bufio.NewReader(c)); resp.StatusCode != 400 || !resp.Close {
		t.Errorf("%v, closes: %v", resp.Status, resp.Close)
	}
}

func TestABodyThatIsReadIsAskedFor(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Read", string(text))
		w.WriteHeader(http.StatusOK)
	})
	br := bufio.NewReader(c)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if line, err := br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q %v", line, err)
	}
	if _, err := br.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "abc")
	if resp := status(t, br); resp.StatusCode != 200 || resp.Header.Get("X-Read") != "abc" {
		t.Errorf("%v %v", resp.Status, resp.Header)
	}
}
