package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

// reader is an httpLink that reads a reply from text.
func reader(text string) *httpLink {
	return newHTTPLink(stream{r: bufio.NewReader(strings.NewReader(text))}, address{host: "h", path: "/"})
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
		l := &wsLink{stream{conn: discard{}, r: bufio.NewReader(bytes.NewReader(frames)), timeout: time.Hour}}
		if reply, err := l.call([]byte("{}")); err == nil && len(reply) > len(frames) {
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
	l := &wsLink{stream{conn: discard{}, r: bufio.NewReader(strings.NewReader(frames)), timeout: time.Hour}}
	if reply, err := l.call([]byte("x")); err != nil || string(reply) != "[{}]" {
		t.Errorf("%q, %v", reply, err)
	}
	for _, bad := range []string{"\x88\x00", "\x80\x00", "\x01\x01a\x01\x01b", "\xc1\x00", "\x81\x80\x00\x00\x00\x00", "\x09\x00", "\x83\x00", "\x8b\x00", "\x81\x05a"} {
		l := &wsLink{stream{conn: discard{}, r: bufio.NewReader(strings.NewReader(bad)), timeout: time.Hour}}
		if _, err := l.call([]byte("x")); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestAnswersAreMatchedByID(t *testing.T) {
	answers, err := parseAnswers([]byte(` [{"id":2,"result":"b"},{"id":1,"error":{"code":-32000,"message":"no"}}]`), 2)
	if err != nil || answers[0].Error == nil || string(answers[1].Result) != `"b"` {
		t.Errorf("%+v, %v", answers, err)
	}
	answers, err = parseAnswers([]byte(`{"id":null,"error":{"code":-32600,"message":"batch too large"}}`), 3)
	if err != nil || answers[2].Error == nil {
		t.Errorf("%+v, %v", answers, err)
	}
	for _, bad := range []string{
		``, `[]`, `{"id":1,"result":"0x"}`, `[{"id":1},{"id":1}]`, `[{"id":1},{"id":3}]`, `[{"id":0},{"id":1}]`, `[{"id":1}]`, `[1,2]`, `"x"`, `[{"id":1},{"id":2}`,
	} {
		if _, err := parseAnswers([]byte(bad), 2); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`[{"id":2,"result":"0x1"},{"id":1,"error":{"code":-32000,"message":"no"}}]`), 2)
	f.Add([]byte(`{"id":1,"result":null}`), 1)
	f.Fuzz(func(t *testing.T, reply []byte, n int) {
		n = max(1, min(n, 100))
		if answers, err := parseAnswers(reply, n); err == nil && len(answers) != n {
			t.Errorf("%d answers, expected %d", len(answers), n)
		}
	})
}

func TestQuantilesAreWithinTheirError(t *testing.T) {
	var h, parts histogram
	var all []time.Duration
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		d := time.Duration(r.ExpFloat64() * float64(20*time.Millisecond)).Truncate(time.Microsecond)
		all = append(all, d)
		h.record(d, 1)
		var part histogram
		part.record(d, 1)
		parts.merge(&part)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[min(int(q*float64(len(all))), len(all)-1)]
		got := h.quantile(q)
		if got < exact || float64(got) > float64(exact)*(1+1.0/subBuckets)+float64(time.Microsecond) {
			t.Errorf("q %v: %v, exactly %v", q, got, exact)
		}
		if other := parts.quantile(q); other != got {
			t.Errorf("q %v: merged %v, whole %v", q, other, got)
		}
	}
	if h.quantile(1) != all[len(all)-1] {
		t.Errorf("max %v, expected %v", h.quantile(1), all[len(all)-1])
	}
	var empty histogram
	empty.record(1000*time.Hour, 1)
	if new(histogram).quantile(0.5) != 0 || empty.quantile(0.5) == 0 {
		t.Error("no events, or one longer than all buckets")
	}
}

func TestBucketsFollowOneAnother(t *testing.T) {
	for us := range uint64(100_000) {
		i := bucketOf(us)
		if us >= bucketEnd(i) || i > 0 && us < bucketEnd(i-1) {
			t.Fatalf("%d µs is in bucket %d, which ends at %d", us, i, bucketEnd(i))
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // which accepts nobody's request
	ctx, cancel := context.WithCancel(t.Context())
	link, err := dial(ctx, &Target{URL: "http://" + l.Addr().String()}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := link.call([]byte("{}")); err == nil {
		t.Error("a reply from nobody")
	}
}
