package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// raw sends bytes to a proxy and returns the answer.
func raw(t *testing.T, base, request string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

// What a program adds to a request must not reach the node as a word of the proxy's, and no request may hide in another one.
func TestHeadersAreNotSmuggled(t *testing.T) {
	var seen []http.Header
	var hosts []string
	base := start(t, func(w http.ResponseWriter, r *http.Request) {
		seen, hosts = append(seen, r.Header.Clone()), append(hosts, r.Method+" "+r.URL.Path)
		echo(w, r)
	}, func(c *Config) { c.Keep = 1 << 20 })
	names := []string{"Authorization", "Cookie", "Forwarded", "X-Forwarded-For", "X-Forwarded-Client-Cert", "X-Real-Ip", "Referer", "Sec-Fetch-Mode", "Origin"}
	request := "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n"
	for _, name := range names {
		value := "of a page"
		if name == "Origin" {
			value = "http://localhost"
		}
		request += strings.ToLower(name) + ": " + value + "\r\n"
	}
	if status, body := raw(t, base, request+"X-Coco-Max-Age: 5\r\n\r\n{}"); status != http.StatusCreated {
		t.Fatal(status, body)
	}
	for _, name := range names {
		if got, ok := seen[0][name]; ok {
			t.Errorf("the node sees %s: %q", name, got)
		}
	}
	if got := seen[0].Get("X-Coco-Max-Age"); got != "5" {
		t.Errorf("X-Coco-Max-Age %q: what is not the proxy's must pass", got)
	}
	seen, hosts = nil, nil
	for name, request := range map[string]string{
		"two lengths":               "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
		"two hosts":                 "POST / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}",
		"a host in the target":      "POST http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
		"a name with a space":       "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin : http://localhost\r\nContent-Length: 2\r\n\r\n{}",
		"a line that is folded":     "POST / HTTP/1.1\r\nHost: localhost\r\n Origin: https://evil.example\r\nContent-Length: 2\r\n\r\n{}",
		"an encoding of its own":    "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"no host":                   "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
		"a tunnel":                  "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
		"a zero byte in the header": "POST / HTTP/1.1\r\nHost: localhost\r\nX-A: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
	} {
		if status, body := raw(t, base, request); status == http.StatusCreated {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	// Of a length beside chunks, chunks count (RFC 9112, section 6.3), and what is behind them is judged as a request of its own.
	raw(t, base, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /node/nodes HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	if len(hosts) > 1 || len(hosts) == 1 && hosts[0] != "POST /rpc" {
		t.Errorf("the node heard %q", hosts)
	}
}

// A page of another site that lets its name mean this machine, or posts a form, reaches nothing; so does one that embeds an answer.
func TestPagesOfOtherSitesReachNothing(t *testing.T) {
	called := 0
	base := start(t, func(w http.ResponseWriter, r *http.Request) { called++; echo(w, r) }, func(c *Config) { c.Keep = 1 << 20 })
	for name, headers := range map[string][]string{
		"its name means this machine":   {"Host", "rebind.evil.example:9545", "Origin", "http://rebind.evil.example:9545"},
		"and says nothing of itself":    {"Host", "rebind.evil.example:9545"},
		"a form":                        {"Origin", "https://evil.example", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"},
		"a post of text":                {"Origin", "https://evil.example", "Content-Type", "text/plain"},
		"a sandboxed frame":             {"Origin", "null"},
		"a script tag":                  {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"},
		"a foreign page of a localhost": {"Origin", "http://localhost.evil.example"},
	} {
		if resp, _ := do(t, "POST", base, "{}", headers...); resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d, %v", name, resp.StatusCode, resp.Header)
		}
	}
	resp, _ := do(t, "OPTIONS", base, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	if resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Origin") != "" || called != 0 {
		t.Errorf("preflight: %d; the node was asked %d times", resp.StatusCode, called)
	}
}

func TestBodiesAreKeptUpToALimitAndPassBeyondIt(t *testing.T) {
	const limit = 1 << 10
	var again []bool
	base := start(t, echo, func(c *Config) {
		up := c.Upstream
		c.Keep = limit
		c.Upstream = roundTrip(func(r *http.Request) (*http.Response, error) {
			again = append(again, r.GetBody != nil)
			return up.RoundTrip(r)
		})
	})
	for _, size := range []int{0, 1, limit, limit + 1, 1 << 20} {
		for _, chunked := range []bool{false, true} {
			again = nil
			var body io.Reader = bytes.NewReader(bytes.Repeat([]byte("x"), size))
			if chunked {
				body = io.MultiReader(body)
			}
			resp, err := http.Post(base, "application/json", body)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := "POST /rpc? " + strings.Repeat("x", size); string(text) != want {
				t.Errorf("%d bytes, chunked %v: %d bytes arrive", size, chunked, len(text)-len("POST /rpc? "))
			}
			if kept := size > 0 && size <= limit; len(again) != 1 || size > 0 && again[0] != kept {
				t.Errorf("%d bytes, chunked %v: kept %v, want %v", size, chunked, again, kept)
			}
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The end of a node is told to the clients of WebSockets in WebSocket's own way, between two messages, or else the connection breaks off.
func TestALostNodeClosesWebSocketsByAStatus(t *testing.T) {
	frame := func(op byte, payload string) []byte {
		head := []byte{0x80 | op}
		switch n := len(payload); {
		case n < 126:
			head = append(head, byte(n))
		case n < 1<<16:
			head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
		default:
			head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
		}
		return append(head, payload...)
	}
	news, large, huge := frame(1, "news"), frame(1, strings.Repeat("x", 1000)), frame(1, strings.Repeat("x", 70_000))
	for name, c := range map[string]struct {
		sent []byte
		want []int // sizes of the messages
		code websocket.StatusCode
	}{
		"at once":               {nil, nil, websocket.StatusServiceRestart},
		"between two messages":  {bytes.Join([][]byte{news, large, huge}, nil), []int{4, 1000, 70_000}, websocket.StatusServiceRestart},
		"in a message":          {append(bytes.Clone(news), huge[:50_000]...), []int{4}, -1},
		"in a header":           {append(bytes.Clone(news), large[:2]...), []int{4}, -1},
		"by the node's own end": {append(bytes.Clone(news), frame(8, "\x03\xe9stops")...), []int{4}, websocket.StatusGoingAway},
	} {
		t.Run(name, func(t *testing.T) {
			base := start(t, func(w http.ResponseWriter, r *http.Request) {
				conn, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				defer conn.Close()
				fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(r))
				_, _ = rw.Write(c.sent)
				_ = rw.Flush()
			}, nil)
			ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(base, "http"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			ws.SetReadLimit(1 << 20)
			var got []int
			for {
				_, msg, err := ws.Read(t.Context())
				if err != nil {
					if code := websocket.CloseStatus(err); code != c.code || fmt.Sprint(got) != fmt.Sprint(c.want) {
						t.Errorf("messages of %v bytes and status %d, want %v and %d (%v)", got, code, c.want, c.code, err)
					}
					return
				}
				got = append(got, len(msg))
			}
		})
	}
}

// A proxy that ends says so.
func TestAProxyThatEndsClosesWebSocketsByAStatus(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_, _, _ = c.Read(context.Background())
		}
	}))
	defer srv.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- New(Config{Upstream: via{srv}, Log: quiet()}).Serve(ctx, ln) }()
	ws, _, err := websocket.Dial(t.Context(), "ws://"+ln.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	cancel()
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("%v, want status %d", err, websocket.StatusGoingAway)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Whatever a node sends, the client gets it unchanged up to where the stream ends, and "between two frames" means that.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 2, 'h', 'i', 0x88, 0})
	f.Add([]byte{0x81, 126, 0, 3, 1, 2, 3})
	f.Add([]byte{0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x81, 0x82, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		_, err := copyFrames(&out, bytes.NewReader(data))
		if !bytes.HasPrefix(data, out.Bytes()) {
			t.Fatalf("%x becomes %x", data, out.Bytes())
		}
		if !errors.Is(err, errBetween) {
			return
		}
		if out.Len() != len(data) {
			t.Fatalf("of %d bytes %d arrive", len(data), out.Len())
		}
		out.Reset()
		if _, err := copyFrames(&out, bytes.NewReader(append(bytes.Clone(data), 0x81))); errors.Is(err, errBetween) {
			t.Fatal("half a header is no end between two frames")
		}
	})
}

// accept is the Sec-WebSocket-Accept of a handshake (RFC 6455, section 4.2.2).
func accept(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
