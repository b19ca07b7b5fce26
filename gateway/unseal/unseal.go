// Package unseal serves sealed requests (package sealed): it opens them, has the node's own routes answer, and seals the answers.
//
//	POST /sealed ─ size ─ open ─ time ─ once ─▶ Handler, as for any request ─▶ seal ─ 200
//	                        │                      │ no caller: 401, 403
//	                        └───── one refusal ◀───┘
//
// What ends TLS before the node sees all that is not encrypted, and may send anything. So a message that does not decrypt and a message whose
// sender is nobody are refused by the same bytes, both at the same time after they arrived ([Config.RefuseAfter]). Everything else is said inside the
// reply. A request that has an effect each time it is made counts on the one node that it names, once.
//
// Trust: enclave
package unseal

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

const (
	// window is by how much the time of a request may differ from the node's.
	window = 90 * time.Second
	// maxOnce bounds how many requests of one organisation are remembered: they are forgotten once their time is out of the window.
	maxOnce = 1 << 16
	// maxReply bounds a reply's body, in bytes.
	maxReply = 32 << 20
	// refuseAfter is the default of Config.RefuseAfter.
	refuseAfter = 50 * time.Millisecond
)

// Config is what a server needs.
type Config struct {
	// Open opens a message.
	Open func(message []byte) (*sealed.Opened, error)
	// Node is this node's id.
	Node coco.NodeID
	// Handler answers a request as if it had come in plain. Once it knows whose the request is it MUST call known, before anything is done by it, and answer the
	// error that this returns instead. It does not call it for a request of nobody. The request has no
	// TLS state: a certificate that was shown is that of what stands between. A signature from outside counts if the request inside names its signer.
	Handler func(w http.ResponseWriter, r *http.Request, outer sealed.Outer, known func(coco.ActorID) error)
	// Known is told whose an outer request is, for what it holds to count as that organisation's; nil: nobody wants to know. Its error is answered instead of the request.
	Known func(w http.ResponseWriter, of coco.ActorID) error
	// Repeatable reports whether a request with this body may be made twice without a second effect.
	Repeatable func(r *http.Request, body []byte) bool
	// MaxBody is how many bytes a request's body may have.
	MaxBody func() int64
	// Room is asked before a reply of so many bytes is kept in memory, beyond those asked for before; nil: there is always some.
	Room  func(w http.ResponseWriter, bytes int) error
	Clock host.Clock
	// RefuseAfter is how long after a message has arrived it is refused; 50 ms if it is zero.
	RefuseAfter time.Duration
}

// Server opens sealed requests. It is safe for concurrent use.
type Server struct {
	cfg  Config
	once once
}

// New returns a server.
func New(cfg Config) *Server {
	if cfg.RefuseAfter == 0 {
		cfg.RefuseAfter = refuseAfter
	}
	if cfg.Known == nil {
		cfg.Known = func(http.ResponseWriter, coco.ActorID) error { return nil }
	}
	if cfg.Room == nil {
		cfg.Room = func(http.ResponseWriter, int) error { return nil }
	}
	return &Server{cfg: cfg, once: once{seen: map[[sealed.IDSize]byte]times{}, held: map[coco.ActorID]int{}}}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != sealed.MediaType {
		problem.Write(w, wire.ByCode(wire.CodeMediaType), "expected Content-Type: "+sealed.MediaType)
		return
	}
	limit := sealed.MaxMessage(s.cfg.MaxBody())
	if r.ContentLength > limit {
		problem.Write(w, wire.ByCode(wire.CodeTooLarge), fmt.Sprintf("a sealed message may have at most %d bytes", limit))
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		problem.Write(w, wire.AnswerTo(err), err.Error())
		return
	}
	if int64(len(body)) > limit {
		problem.Write(w, wire.ByCode(wire.CodeTooLarge), fmt.Sprintf("a sealed message may have at most %d bytes", limit))
		return
	}
	came := s.cfg.Clock.Elapsed()
	opened, err := s.cfg.Open(body)
	if err != nil {
		s.refuse(w, r, came)
		return
	}
	reply, known := s.answer(w, r, opened, sealed.Outer{Authorization: r.Header["Authorization"], Message: sha256.Sum256(body)})
	if !known {
		s.refuse(w, r, came)
		return
	}
	out, err := opened.Seal(reply)
	if err != nil { // a header that a handler has made
		out, err = opened.Seal(s.problem(wire.CodeInternal, wire.InternalMessage))
	}
	if err != nil {
		problem.Write(w, wire.ByCode(wire.CodeInternal), wire.InternalMessage)
		return
	}
	w.Header().Set("Content-Type", sealed.MediaType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(out) // a client that has gone
}

// refuse answers for every message that does not decrypt, and for every one that is of nobody, alike.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, came time.Duration) {
	select {
	case <-s.cfg.Clock.After(max(came+s.cfg.RefuseAfter-s.cfg.Clock.Elapsed(), 0)):
	case <-r.Context().Done():
	}
	problem.Write(w, wire.ByCode(wire.CodeDenied), "the message does not decrypt, or its sender is not known")
}

// answer makes the reply to an opened request; known is false if it was of nobody and needs a caller.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, o *sealed.Opened, outer sealed.Outer) (_ sealed.Reply, known bool) {
	inner, err := request(r, o)
	if err != nil {
		return s.problem(wire.CodeInvalid, err.Error()), true
	}
	now := s.cfg.Clock.Now()
	made := time.UnixMilli(int64(o.Time))
	if made.Before(now.Add(-window)) || made.After(now.Add(window)) {
		return s.problem(wire.CodeInvalid, fmt.Sprintf("the request was made at %s, and here it is %s: expected at most %v between them: set the clock", made.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), window)), true
	}
	named := o.For != (coco.NodeID{})
	bound := named || !safe(inner.Method) && !s.cfg.Repeatable(inner, o.Body)
	if bound && o.For != s.cfg.Node {
		reply := s.problem(wire.CodeBusy, "this request counts on the one node that it names, which is not this one")
		reply.Misdirected = true
		return reply, true
	}
	id := requestID(o.ID)
	if named {
		if s.once.add(id, made, now) != nil {
			return sealed.Reply{}, false // nobody who has made it needs an answer
		}
	}
	rec := &recorder{header: http.Header{}, room: func(n int) error { return s.cfg.Room(w, n) }}
	s.cfg.Handler(rec, inner, outer, func(of coco.ActorID) error {
		known = true
		if named {
			if err := s.once.own(id, of); err != nil {
				return err
			}
		}
		return s.cfg.Known(w, of)
	})
	if !known && named {
		s.once.forget(id) // what is of nobody has no effect, and anybody could fill the memory with such
	}
	if !known && (rec.status == http.StatusUnauthorized || rec.status == http.StatusForbidden) {
		return sealed.Reply{}, false
	}
	if rec.err != nil {
		return s.problem(wire.AnswerTo(rec.err).Code, rec.err.Error()), true
	}
	return sealed.Reply{Status: uint64(max(rec.status, http.StatusOK)), Header: fields(rec.header), Body: rec.body.Bytes(), Node: s.cfg.Node}, true
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// problem is a reply that is an error.
func (s *Server) problem(code, message string) sealed.Reply {
	row := wire.ByCode(code)
	return sealed.Reply{
		Status: uint64(row.Status), Header: []sealed.Field{{Name: "Content-Type", Value: wire.MediaJSON}}, Body: row.Body(message), Node: s.cfg.Node,
	}
}

// request is the inner request, in the context of the outer one.
func request(outer *http.Request, o *sealed.Opened) (*http.Request, error) {
	u, err := url.ParseRequestURI(o.Target)
	if err != nil {
		return nil, fmt.Errorf("the request's target: expected a path, and maybe a query")
	}
	header := http.Header{}
	for _, f := range o.Header {
		if name := http.CanonicalHeaderKey(f.Name); !hop[name] {
			header.Add(name, f.Value)
		}
	}
	r := &http.Request{
		Method: o.Method, URL: u, RequestURI: o.Target, Host: "node", Proto: "HTTP/2.0", ProtoMajor: 2, // whose requests end without a connection's end
		Header: header, Body: http.NoBody, ContentLength: int64(len(o.Body)), RemoteAddr: outer.RemoteAddr,
	}
	if len(o.Body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(o.Body))
	}
	return r.WithContext(outer.Context()), nil
}

// hop are headers that concern a connection (RFC 9110, section 7.6.1), or a length that the message has by itself.
var hop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Content-Length": true, "Host": true, "Expect": true,
}

// fields is a reply's header, in the order of its names.
func fields(h http.Header) (out []sealed.Field) {
	for name, values := range h {
		for _, v := range values {
			if !hop[name] {
				out = append(out, sealed.Field{Name: name, Value: v})
			}
		}
	}
	slices.SortFunc(out, func(a, b sealed.Field) int {
		return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value)
	})
	return out
}

// recorder is the http.ResponseWriter of an inner request.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	room   func(int) error
	err    error // why the reply is not whole
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if status >= http.StatusOK && r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.err == nil && r.body.Len()+len(p) > maxReply {
		r.err = fmt.Errorf("%w: the reply has more than %d bytes, which is the most that is sealed: ask for less at a time", coco.ErrInvalid, maxReply)
	}
	if r.err == nil {
		r.err = r.room(len(p))
	}
	if r.err != nil {
		r.body = bytes.Buffer{}
		return 0, r.err
	}
	return r.body.Write(p)
}

// once remembers requests until their time is out of the window.
type once struct {
	mu    sync.Mutex
	seen  map[[sealed.IDSize]byte]times
	held  map[coco.ActorID]int // how many of them are of each organisation
	swept time.Time
	// forgotten is when the newest of those was made that were forgotten: what is no newer counts no more, also if the host has turned its
	// clock forward, to have them forgotten, and back.
	forgotten time.Time
}

// times are those of a request, by its sender's clock and this node's.
type times struct {
	made, came time.Time
	of         coco.ActorID // whose it is; zero before that is known
}

// requestID is the ID of a request as a key.
func requestID(id []byte) (key [sealed.IDSize]byte) {
	copy(key[:], id)
	return key
}

// sweepEvery is how often what is old is forgotten.
const sweepEvery = 10 * time.Second

// add remembers a request, of nobody yet: of those there are as many as are being answered. The error is coco.ErrDenied if it was made before, or may have been.
func (o *once) add(id [sealed.IDSize]byte, made, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.swept) >= sweepEvery || now.Before(o.swept) {
		maps.DeleteFunc(o.seen, func(_ [sealed.IDSize]byte, t times) bool {
			old := t.came.Before(now.Add(-2 * window))
			if old && t.made.After(o.forgotten) {
				o.forgotten = t.made
			}
			if old {
				o.give(t.of)
			}
			return old
		})
		o.swept = now
	}
	if !made.After(o.forgotten) {
		return fmt.Errorf("%w: requests as old as this one are not remembered any more", coco.ErrDenied)
	}
	if _, ok := o.seen[id]; ok {
		return fmt.Errorf("%w: this request was made before", coco.ErrDenied)
	}
	o.seen[id] = times{made: made, came: now}
	return nil
}

// own notes whose a request is. The error is coco.ErrBusy if as many of that organisation are remembered as there may be: others are not kept out by it.
func (o *once) own(id [sealed.IDSize]byte, of coco.ActorID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held[of] >= maxOnce {
		delete(o.seen, id) // nothing is done by it
		return fmt.Errorf("%w: this organisation has made %d sealed requests that have effects within minutes: as many are remembered, so that none counts twice", coco.ErrBusy, maxOnce)
	}
	t := o.seen[id]
	t.of = of
	o.seen[id] = t
	o.held[of]++
	return nil
}

// give takes a request from what an organisation holds.
func (o *once) give(of coco.ActorID) {
	if of == (coco.ActorID{}) {
		return
	}
	if o.held[of]--; o.held[of] == 0 {
		delete(o.held, of)
	}
}

func (o *once) forget(id [sealed.IDSize]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.seen, id)
}
