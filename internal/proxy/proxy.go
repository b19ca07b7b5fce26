// Package proxy offers a node's interface as plain HTTP and WebSocket on loopback, so that stock
// wallets and web3 tools reach a node whose own listener speaks mutual TLS only.
//
// It holds a user's identity, so every program that reaches it acts as that user. It therefore answers only
// requests that name a loopback host, which a page of a foreign site cannot make a browser do
// (DNS rebinding), and of browsers' requests only those from pages of this machine and from
// installed extensions. The upstream is a verified connection (client.Transport): a node that has
// not proven its code gets nothing.
//
// Trust: host
package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cocoframework/coco/internal/linger"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

// Config says what a proxy serves.
type Config struct {
	// Upstream reaches the node. Its URL's host is ignored.
	Upstream http.RoundTripper
	// Origins are web origins, such as "https://dapp.example", whose pages may use the proxy
	// beside those of this machine.
	Origins []string
	// Keep is up to which size, in bytes, a request's body is received before the request goes out, so that the upstream may send it again
	// (http.Request.GetBody). Zero: none is waited for.
	Keep int64
	// Page is what a browser is shown at the root path; nil if there is none.
	Page []byte
	Log  *slog.Logger
}

// Proxy is the handler. Its root path is the node's /rpc; all others are the node's own.
type Proxy struct {
	cfg  Config
	bufs sync.Pool

	mu      sync.Mutex
	tunnels map[*tunnel]struct{} // open WebSocket connections; nil once closed
	joined  sync.WaitGroup       // of tunnels
}

// New returns a proxy.
func New(cfg Config) *Proxy {
	p := &Proxy{cfg: cfg, tunnels: map[*tunnel]struct{}{}}
	p.bufs.New = func() any { b := make([]byte, 32<<10); return &b }
	return p
}

// Serve answers on the listener until ctx is done, and closes it.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(p.cfg.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	err := srv.Serve(ln)
	p.closeTunnels()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("proxy at %s: %w", ln.Addr(), err)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := linger.New(r, time.Now)
	w = &response{ResponseWriter: w, body: request}
	defer request.Discard(w)
	if !loopbackHost(r.Host) {
		deny(w, fmt.Sprintf("this proxy answers to localhost only, not to %q", r.Host))
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if !p.allowed(origin) {
			deny(w, fmt.Sprintf("pages of %s may not use this proxy; serve the page from localhost", origin))
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", exposed)
		h.Add("Vary", "Origin")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			preflight(h, r)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	// A browser sends no origin along with what a page merely embeds.
	if r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		deny(w, "pages of other sites may not use this proxy")
		return
	}
	if p.cfg.Page != nil && wantsPage(r) {
		p.servePage(w)
		return
	}
	p.pass(w, r, p.outgoing(r))
}

// response is a response whose answer does not wait for the rest of the request's body.
type response struct {
	http.ResponseWriter
	body *linger.Body
}

// Unwrap lets http.ResponseController find what response does not do itself.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.body.Answer(w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(status)
}

// pass sends a request to the node, and the answer back.
func (p *Proxy) pass(w http.ResponseWriter, r, out *http.Request) {
	if upgrade := r.Header.Get("Upgrade"); upgrade != "" && hasToken(r.Header["Connection"], "upgrade") {
		p.tunnel(w, r, out, upgrade)
		return
	}
	if p.cfg.Keep > 0 {
		p.keep(r, out)
	} else {
		readShort(r, out)
	}
	resp, err := p.cfg.Upstream.RoundTrip(out)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	defer resp.Body.Close()
	copyHeaders(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	p.copy(w, resp)
}

// A short body has mostly arrived with its header.
const (
	short    = 16 << 10 // bytes
	patience = 20 * time.Millisecond
)

// readShort gives out the body of r as a whole, if it is short and has arrived. Otherwise the client may be slow: the
// header goes out without it, and the node may answer before the body is there.
func readShort(r, out *http.Request) {
	if r.ContentLength < 1 || r.ContentLength > short || r.Header.Get("Expect") != "" {
		return
	}
	a := &arriving{content: make([]byte, r.ContentLength), done: make(chan struct{})}
	go a.read(r.Body)
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-a.done:
	case <-late.C:
		out.Body = rest{a}
		return
	}
	if a.err != nil {
		out.Body = rest{a}
		return
	}
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a.content)), nil }
	out.Body, _ = out.GetBody()
}

// keep receives the body of r as a whole. One that is larger than Keep is sent on as it comes.
func (p *Proxy) keep(r, out *http.Request) {
	if out.Body == nil || r.ContentLength > p.cfg.Keep || r.Header.Get("Expect") != "" {
		return
	}
	content, err := io.ReadAll(io.LimitReader(r.Body, p.cfg.Keep+1))
	if err != nil || int64(len(content)) > p.cfg.Keep {
		out.Body = rest{io.MultiReader(bytes.NewReader(content), r.Body)} // which repeats the error
		return
	}
	out.ContentLength = int64(len(content))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	out.Body, _ = out.GetBody()
}

// arriving is a short body that is being received. Its other fields are read once done is closed.
type arriving struct {
	done    chan struct{}
	content []byte
	err     error
	sent    int
}

// read ends with the request at the latest, because net/http then closes its body or ends its connection.
func (a *arriving) read(body io.Reader) {
	defer close(a.done)
	_, a.err = io.ReadFull(body, a.content)
}

// Read implements io.Reader.
func (a *arriving) Read(p []byte) (int, error) {
	<-a.done
	if a.err != nil {
		return 0, a.err
	}
	if a.sent == len(a.content) {
		return 0, io.EOF
	}
	n := copy(p, a.content[a.sent:])
	a.sent += n
	return n, nil
}

// rest is a body that is closed by net/http, once its request has been answered.
type rest struct{ io.Reader }

func (rest) Close() error { return nil }

// wantsPage reports whether a person opens the root path in a browser: a program that asks there is told by the node that the
// endpoint is there.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.Path == "/" && r.Header.Get("Upgrade") == "" &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (p *Proxy) servePage(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(p.cfg.Page) // a browser that has gone
}

// outgoing is the request as the node gets it. What a browser says of the page that asks has been
// judged here, and would mean something else to the node.
func (p *Proxy) outgoing(r *http.Request) *http.Request {
	u := *r.URL
	u.Scheme, u.Host = "https", "node"
	if u.Path == "/" || u.Path == "" {
		u.Path, u.RawPath = "/rpc", ""
	}
	out := &http.Request{
		Method: r.Method, URL: &u, Host: "node", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, len(r.Header)), Body: rest{r.Body}, ContentLength: r.ContentLength,
	}
	switch {
	case r.ContentLength == 0:
		out.Body = nil
	case r.ContentLength > 0:
		// Whoever sends it looks for its end, which may be when the answer is under way, and net/http has closed the body.
		out.Body = rest{io.LimitReader(r.Body, r.ContentLength)}
	}
	copyHeaders(out.Header, r.Header)
	for name := range out.Header {
		if judged(name) {
			delete(out.Header, name)
		}
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // none, instead of Go's own
	}
	return out.WithContext(r.Context())
}

// judged reports whether a header of a request ends here: what a browser says of the page that asks, and whatever could tell the node of a caller or of a way
// that the request has come. The caller is the proxy's.
func judged(name string) bool {
	switch name {
	case "Origin", "Referer", "Authorization", "Cookie", "Forwarded", "X-Real-Ip":
		return true
	}
	return strings.HasPrefix(name, "Sec-Fetch-") || strings.HasPrefix(name, "X-Forwarded-")
}

// copy sends the answer on. An answer of unknown length may be a stream, whose parts go out as
// they come.
func (p *Proxy) copy(w http.ResponseWriter, resp *http.Response) {
	buf := p.bufs.Get().(*[]byte)
	defer p.bufs.Put(buf)
	var dst io.Writer = struct{ io.Writer }{w} // hides ReadFrom, which would not use the buffer
	if resp.ContentLength < 0 {
		dst = flusher{w, http.NewResponseController(w)}
	}
	if _, err := io.CopyBuffer(dst, resp.Body, *buf); err != nil {
		panic(http.ErrAbortHandler) // cut the connection: half an answer must not pass for a whole one
	}
}

type flusher struct {
	w  io.Writer
	rc *http.ResponseController
}

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err == nil {
		err = f.rc.Flush()
	}
	return n, err
}

// hop are the headers that concern one connection only (RFC 9110, section 7.6.1).
var hop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

func copyHeaders(dst, src http.Header) {
	for name, values := range src {
		if !hop[name] && !strings.HasPrefix(name, "Access-Control-Allow-") && !hasToken(src["Connection"], name) {
			dst[name] = append(dst[name], values...)
		}
	}
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// failed answers for a node that did not.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	p.cfg.Log.Warn("request failed", "method", r.Method, "route", route(r.URL.Path), "error", err)
	row := wire.ProblemOf(err)
	if row.Status <= http.StatusInternalServerError {
		// The node refused to be verified, or its answer cannot be read: that says nothing about the request.
		row = wire.ByCode(wire.CodeCorrupt)
	}
	problem.Write(w, row, err.Error())
}

// route is what a log may hold of a path: the rest may be a key, or name an account.
func route(path string) string {
	parts := strings.SplitN(path, "/", 4)
	if len(parts) == 4 {
		parts[3] = "…"
	}
	return strings.Join(parts, "/")
}

func deny(w http.ResponseWriter, message string) {
	problem.Write(w, wire.ByCode(wire.CodeDenied), message)
}

// exposed are the headers of answers that pages may read beside those of the Fetch standard's safe list.
var exposed = strings.Join([]string{"Allow", "ETag", "Retry-After", wire.HeaderTxID, wire.HeaderAge, wire.HeaderStale, wire.HeaderDigest, wire.HeaderVersion, wire.HeaderRequestID, wire.HeaderNodes, wire.HeaderSalt}, ", ")

func preflight(h http.Header, r *http.Request) {
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS, POST, PUT, DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	h.Set("Access-Control-Max-Age", "600")
}

// tunnel passes a WebSocket connection through. The node answers the handshake.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request, out *http.Request, upgrade string) {
	out.Header.Set("Connection", "Upgrade")
	out.Header.Set("Upgrade", upgrade)
	// The server's context ends when ServeHTTP returns, and so does the tunnel.
	resp, err := p.cfg.Upstream.RoundTrip(out)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	defer resp.Body.Close()
	up, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		copyHeaders(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		p.copy(w, resp)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.cfg.Log.Warn("this connection cannot be upgraded", "error", err)
		return
	}
	t := &tunnel{down: conn, up: up, frames: strings.EqualFold(upgrade, "websocket")}
	if !p.register(t) {
		conn.Close()
		return
	}
	defer p.unregister(t)
	_ = conn.SetDeadline(time.Time{})
	resp.Header.Set("Connection", "Upgrade")
	fmt.Fprintf(rw, "HTTP/1.1 %s\r\n", resp.Status)
	_ = resp.Header.Write(rw)
	_, _ = rw.WriteString("\r\n")
	if rw.Flush() == nil {
		t.run(rw.Reader)
	}
}

func (p *Proxy) register(t *tunnel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tunnels == nil {
		return false
	}
	p.tunnels[t] = struct{}{}
	p.joined.Add(1)
	return true
}

func (p *Proxy) unregister(t *tunnel) {
	t.close()
	p.mu.Lock()
	delete(p.tunnels, t)
	p.mu.Unlock()
	p.joined.Done()
}

func (p *Proxy) closeTunnels() {
	p.mu.Lock()
	open := p.tunnels
	p.tunnels = nil
	for t := range open {
		t.leave()
	}
	p.mu.Unlock()
	p.joined.Wait()
}
