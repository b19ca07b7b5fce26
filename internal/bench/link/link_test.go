package link

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

// reader is an HTTP that reads a reply from text.
func reader(text string) *HTTP {
	return newHTTP(stream{r: bufio.NewReader(strings.NewReader(text))}, address{host: "h", path: "/"})
}

func TestRepliesOfEveryForm(t *testing.T) {
	for _, c := range []struct {
		text, body string
		code       int
		closes     bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, false},
		{"HTTP/1.1 200 OK\ncontent-LENGTH:5\n\nhello", "hello", 200, false},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "", 201, false},
		{"HTTP/1.1 204 No Content\r\n\r\n", "", 204, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", "hello", 200, false},
		{"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", "no", 503, true},
		{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nno", "no", 200, true},
		{"HTTP/1.1 200 OK\r\n\r\nup to the end", "up to the end", 200, true},
	} {
		l := reader(c.text)
		code, err := l.read()
		if err != nil || code != c.code || string(l.in) != c.body || l.closes != c.closes {
			t.Errorf("%q: %d, %q, closes %v, %v", c.text, code, l.in, l.closes, err)
		}
	}
}

func TestMalformedRepliesAreErrors(t *testing.T) {
	for _, text := range []string{
		"", "HTTP/1.1", "SIP/2.0 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 200) + "\r\n", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 1<<16) + "\r\n\r\n",
	} {
		if _, err := reader(text).read(); !errors.Is(err, coco.ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", cut([]byte(text)), err)
		}
	}
}

func FuzzHTTPReply(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		l := reader(text)
		if code, err := l.read(); err == nil && (code < 200 || len(l.in) > len(text)) {
			t.Errorf("status %d, %d bytes", code, len(l.in))
		}
	})
}

func FuzzWebSocketFrames(f *testing.F) {
	f.Add([]byte("\x81\x02{}"))
	f.Add([]byte("\x89\x01p\x01\x01a\x80\x01b"))
	f.Add([]byte("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, frames []byte) {
		l := &webSocket{stream{conn: discard{}, r: bufio.NewReader(bytes.NewReader(frames)), timeout: time.Hour}}
		if reply, err := l.Call([]byte("{}")); err == nil && len(reply) > len(frames) {
			t.Errorf("%d bytes from %d", len(reply), len(frames))
		}
	})
}

// discard is a connection to nowhere.
type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) SetDeadline(time.Time) error { return nil }

func TestWebSocketPutsFragmentsTogether(t *testing.T) {
	frames := "\x89\x02hi" + "\x01\x02[{" + "\x8a\x00" + "\x00\x01}" + "\x80\x01]"
	l := &webSocket{stream{conn: discard{}, r: bufio.NewReader(strings.NewReader(frames)), timeout: time.Hour}}
	if reply, err := l.Call([]byte("x")); err != nil || string(reply) != "[{}]" {
		t.Errorf("%q, %v", reply, err)
	}
	for _, bad := range []string{"\x88\x00", "\x80\x00", "\x01\x01a\x01\x01b", "\xc1\x00", "\x81\x80\x00\x00\x00\x00", "\x09\x00", "\x83\x00", "\x8b\x00", "\x81\x05a"} {
		l := &webSocket{stream{conn: discard{}, r: bufio.NewReader(strings.NewReader(bad)), timeout: time.Hour}}
		if _, err := l.Call([]byte("x")); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // which answers no request
	ctx, cancel := context.WithCancel(t.Context())
	link, err := Dial(ctx, &Target{URL: "http://" + l.Addr().String()}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := link.Call([]byte("{}")); err == nil {
		t.Error("a reply from nobody")
	}
}
