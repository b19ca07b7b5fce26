package unseal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

var (
	here  = coco.NodeID{1}
	there = coco.NodeID{2}
)

// node is a server with a state that requests change.
type node struct {
	*Server
	key    *sealed.Key
	clock  host.Clock
	writes []string
}

func newNode(t *testing.T, id coco.NodeID) *node {
	t.Helper()
	key, err := sealed.Derive([]byte("service"), []byte("secret"), 5)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{key: key, clock: local.Clock{}}
	n.Server = New(Config{
		Node: id, Clock: n.clock, MaxBody: func() int64 { return 1 << 20 },
		Open: func(message []byte) (*sealed.Opened, error) {
			if epoch, err := sealed.Epoch(message); err != nil || epoch != 5 {
				return nil, coco.ErrNotFound
			}
			return key.Open(message)
		},
		Repeatable: func(r *http.Request, _ []byte) bool { return r.URL.Path == "/rpc" },
		Handler:    n.handle,
	})
	return n
}

// handle knows the caller of one token.
func (n *node) handle(w http.ResponseWriter, r *http.Request, _ sealed.Outer, known func(coco.ActorID) error) {
	if r.TLS != nil {
		panic("the inner request has the outer one's certificates")
	}
	if r.URL.Path == "/node/status" {
		_, _ = io.WriteString(w, "fine")
		return
	}
	of := coco.ActorID{1}
	if r.Header.Get("Authorization") == "Bearer other" {
		of = coco.ActorID{2}
	} else if r.Header.Get("Authorization") != "Bearer good" {
		time.Sleep(10 * time.Millisecond) // looking for it
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "who are you")
		return
	}
	if err := known(of); err != nil {
		problem.Write(w, wire.AnswerTo(err), err.Error())
		return
	}
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/denied":
		w.WriteHeader(http.StatusForbidden)
	case "/huge":
		for range 40 {
			_, _ = w.Write(make([]byte, 1<<20))
		}
	default:
		if r.Method != http.MethodGet {
			n.writes = append(n.writes, string(body))
		}
		w.Header().Set("X-Coco-Transaction-Id", "2.17")
		w.Header().Set("Connection", "close")
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
	}
}

func (n *node) request(method, target, token, body string) sealed.Request {
	r := sealed.Request{Method: method, Target: target, Body: []byte(body), Time: uint64(n.clock.Now().UnixMilli())}
	if body == "" {
		r.Body = nil
	}
	if token != "" {
		r.Header = []sealed.Field{{Name: "Authorization", Value: "Bearer " + token}}
	}
	return r
}

func newID() []byte {
	id := make([]byte, sealed.IDSize)
	_, _ = rand.Read(id)
	return id
}

func (n *node) post(message []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/sealed", bytes.NewReader(message))
	r.Header.Set("Content-Type", sealed.MediaType)
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w
}

func (n *node) ask(t *testing.T, r sealed.Request) (sealed.Reply, *httptest.ResponseRecorder, []byte) {
	t.Helper()
	message, answer, err := sealed.SealRequest(n.key.Announce(here), r)
	if err != nil {
		t.Fatal(err)
	}
	w := n.post(message)
	if w.Code != http.StatusOK {
		return sealed.Reply{}, w, message
	}
	reply, err := answer.Open(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return reply, w, message
}

func TestASealedRequestIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, here)
		reply, w, _ := n.ask(t, n.request("POST", "/rpc?max_age=5", "good", "hello"))
		if string(reply.Body) != "POST /rpc?max_age=5 hello" || reply.Status != 200 || reply.Node != here {
			t.Errorf("%+v", reply)
		}
		if len(reply.Header) != 2 || reply.Header[0].Name != "Content-Type" && reply.Header[0].Name != "X-Coco-Transaction-Id" {
			for _, f := range reply.Header {
				if f.Name == "Connection" {
					t.Error("a header of the connection is in the reply")
				}
			}
		}
		if w.Header().Get("X-Coco-Transaction-Id") != "" || w.Header().Get("Content-Type") != sealed.MediaType {
			t.Errorf("outside: %v", w.Header())
		}
		// What needs no caller is answered to all, sealed.
		if reply, _, _ := n.ask(t, n.request("GET", "/node/status", "", "")); string(reply.Body) != "fine" {
			t.Errorf("%+v", reply)
		}
		// A known caller is told inside what it may not do.
		if reply, w, _ := n.ask(t, n.request("GET", "/denied", "good", "")); reply.Status != http.StatusForbidden {
			t.Errorf("%+v, outside %d", reply, w.Code)
		}
	})
}

// A message that does not decrypt, one to another epoch's key, one whose form is wrong, one of nobody and one that comes again: the same bytes, after the same time.
func TestRefusalsAreAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, here)
		seal := func(k *sealed.Key, r sealed.Request) []byte {
			b, _, err := sealed.SealRequest(k.Announce(here), r)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		other, _ := sealed.Derive([]byte("service"), []byte("another"), 5)
		early, _ := sealed.Derive([]byte("service"), []byte("secret"), 4)
		good := seal(n.key, n.request("POST", "/rpc", "good", "x"))
		damaged := bytes.Clone(good)
		damaged[len(damaged)-1] ^= 1
		write := n.request("PUT", "/app/kv/key", "good", "once")
		write.For, write.ID = here, newID()
		once := seal(n.key, write)
		if w := n.post(once); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
		var first string
		for name, message := range map[string][]byte{
			"damaged":         damaged,
			"cut":             good[:len(good)-20],
			"empty":           {},
			"no message":      []byte("GET / HTTP/1.1"),
			"another key":     seal(other, n.request("POST", "/rpc", "good", "x")),
			"another epoch":   seal(early, n.request("POST", "/rpc", "good", "x")),
			"an unknown user": seal(n.key, n.request("POST", "/rpc", "bad", "x")),
			"no credential":   seal(n.key, n.request("POST", "/rpc", "", "x")),
			"a write again":   once,
		} {
			began := time.Now() // of the bubble
			w := n.post(message)
			got := fmt.Sprint(w.Code, w.Header(), w.Body.String(), time.Since(began))
			if first == "" {
				first = got
			}
			if got != first || w.Code != http.StatusForbidden {
				t.Errorf("%s: %s\nwant %s", name, got, first)
			}
		}
		if len(n.writes) != 1 {
			t.Errorf("writes %q", n.writes)
		}
		// Nobody's messages take no memory.
		write.Header, write.ID = nil, newID()
		n.post(seal(n.key, write))
		open := n.request("GET", "/node/status", "", "") // it is answered to all
		open.For, open.ID = here, newID()
		if w := n.post(seal(n.key, open)); w.Code != http.StatusOK {
			t.Errorf("of nobody, for one node: %d", w.Code)
		}
		if len(n.once.seen) != 1 {
			t.Errorf("%d messages are remembered, want 1", len(n.once.seen))
		}
	})
}

func TestAWriteCountsOnOneNodeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, here), newNode(t, there)
		write := a.request("PUT", "/app/kv/key", "good", "value")
		// It names no node.
		if reply, _, _ := a.ask(t, write); !reply.Misdirected || reply.Node != here || len(a.writes) != 0 {
			t.Errorf("%+v, writes %q", reply, a.writes)
		}
		write.For, write.ID = here, newID()
		reply, _, message := a.ask(t, write)
		if reply.Misdirected || reply.Status != 200 {
			t.Errorf("%+v", reply)
		}
		// A balancer sends it to the other node, and again to this one.
		b.post(message)
		a.post(message)
		if len(a.writes) != 1 || len(b.writes) != 0 {
			t.Errorf("writes %q and %q", a.writes, b.writes)
		}
		// The node starts again: its id is another one, and it has forgotten what it has seen.
		again := newNode(t, coco.NodeID{3})
		again.post(message)
		if len(again.writes) != 0 {
			t.Errorf("writes %q", again.writes)
		}
		// A read that names another node is not answered by this one either.
		read := a.request("GET", "/app/kv/key", "good", "")
		read.For, read.ID = there, newID()
		if reply, _, _ := a.ask(t, read); !reply.Misdirected {
			t.Errorf("%+v", reply)
		}
	})
}

func TestOldAndEarlyRequestsAreNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, here)
		for d, ok := range map[time.Duration]bool{0: true, -80 * time.Second: true, 80 * time.Second: true, -100 * time.Second: false, 100 * time.Second: false} {
			r := n.request("POST", "/rpc", "good", "x")
			r.Time = uint64(n.clock.Now().Add(d).UnixMilli())
			if reply, _, _ := n.ask(t, r); (reply.Status == 200) != ok {
				t.Errorf("%v: %+v", d, reply)
			}
		}
		// A write cannot be sent again after what was seen is forgotten.
		write := n.request("PUT", "/app/kv/key", "good", "value")
		write.For, write.ID = here, newID()
		_, _, message := n.ask(t, write)
		for range 10 {
			time.Sleep(30 * time.Second)
			n.post(message)
		}
		if got := strings.Count(strings.Join(n.writes, " "), "value"); got != 1 {
			t.Errorf("written %d times", got)
		}
		if r := n.request("PUT", "/app/kv/key", "good", "next"); true {
			r.For, r.ID = here, newID()
			n.ask(t, r)
		}
		if len(n.once.seen) != 1 {
			t.Errorf("%d requests are remembered, want 1", len(n.once.seen))
		}
	})
}

// turned is a clock whose time of day a host has changed.
type turned struct {
	host.Clock
	by *time.Duration
}

func (c turned) Now() time.Time { return c.Clock.Now().Add(*c.by) }

func TestAHostThatTurnsItsClockForwardAndBackHasNoRequestDoneTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, by := newNode(t, here), new(time.Duration)
		n.clock = turned{n.clock, by}
		n.cfg.Clock = n.clock
		write := func(value string) []byte {
			r := n.request("PUT", "/app/kv/key", "good", value)
			r.For, r.ID = here, newID()
			_, _, message := n.ask(t, r)
			return message
		}
		first := write("first")
		*by = time.Hour
		write("second") // has what is old forgotten
		*by = time.Second
		n.post(first)
		write("third")
		if got := strings.Join(n.writes, " "); got != "first second third" {
			t.Errorf("written: %s", got)
		}
	})
}

func TestSizesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, here)
		if w := n.post(make([]byte, sealed.MaxMessage(1<<20)+1)); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%d", w.Code)
		}
		r := httptest.NewRequest(http.MethodPost, "/sealed", io.MultiReader(bytes.NewReader(make([]byte, sealed.MaxMessage(1<<20)+1))))
		r.Header.Set("Content-Type", sealed.MediaType)
		w := httptest.NewRecorder()
		if n.ServeHTTP(w, r); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("of unknown length: %d", w.Code)
		}
		if reply, _, _ := n.ask(t, n.request("GET", "/huge", "good", "")); reply.Status != http.StatusBadRequest || len(reply.Body) > 1000 {
			t.Errorf("status %d, %d bytes", reply.Status, len(reply.Body))
		}
		r = httptest.NewRequest(http.MethodPost, "/sealed", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w = httptest.NewRecorder()
		if n.ServeHTTP(w, r); w.Code != http.StatusUnsupportedMediaType {
			t.Errorf("%d", w.Code)
		}
		n.cfg.Room = func(http.ResponseWriter, int) error { return coco.ErrBusy }
		if reply, _, _ := n.ask(t, n.request("POST", "/rpc", "good", "x")); reply.Status != http.StatusServiceUnavailable {
			t.Errorf("without room: %+v", reply)
		}
	})
}

// Each organisation has a memory of its own: one that has filled it keeps no other one out, and is told so inside of the reply.
func TestOneOrganisationFillsNobodyElsesMemoryOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, here)
		for i := range maxOnce {
			id := [sealed.IDSize]byte{1, byte(i), byte(i >> 8), byte(i >> 16)}
			if err := errors.Join(n.once.add(id, n.clock.Now(), n.clock.Now()), n.once.own(id, coco.ActorID{1})); err != nil {
				t.Fatal(err)
			}
		}
		write := func(token string) sealed.Reply {
			r := n.request("PUT", "/app/x", token, "paid by "+token)
			r.For, r.ID = here, newID()
			reply, _, _ := n.ask(t, r)
			return reply
		}
		if reply := write("good"); reply.Status != http.StatusServiceUnavailable || !strings.Contains(string(reply.Body), "this organisation has made") {
			t.Errorf("one more: %d %s", reply.Status, reply.Body)
		}
		if reply := write("other"); reply.Status != http.StatusOK {
			t.Errorf("another organisation: %d %s", reply.Status, reply.Body)
		}
		time.Sleep(2*window + sweepEvery)
		if reply := write("good"); reply.Status != http.StatusOK || len(n.once.held) != 1 || n.once.held[coco.ActorID{1}] != 1 {
			t.Errorf("when all is forgotten: %d %s, %v", reply.Status, reply.Body, n.once.held)
		}
		if len(n.writes) != 2 {
			t.Errorf("writes %q", n.writes)
		}
	})
}

// What a message has inside must not become a header of the connection, nor another request.
func TestNothingIsSmuggledInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, here)
		var seen *http.Request
		n.cfg.Handler = func(w http.ResponseWriter, r *http.Request, _ sealed.Outer, known func(coco.ActorID) error) {
			seen = r
			_ = known(coco.ActorID{1})
			w.WriteHeader(204)
		}
		r := n.request("GET", "/rpc", "good", "")
		for _, name := range []string{"Connection", "upgrade", "transfer-encoding", "Content-Length", "host", "Expect", "Te"} {
			r.Header = append(r.Header, sealed.Field{Name: name, Value: "websocket"})
		}
		if reply, _, _ := n.ask(t, r); reply.Status != 204 {
			t.Fatalf("%+v", reply)
		}
		if len(seen.Header) != 1 || seen.Host != "node" || seen.TLS != nil || seen.ContentLength != 0 {
			t.Errorf("%v, host %q", seen.Header, seen.Host)
		}
	})
}
