package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/gateway/conns"
	"github.com/cocoframework/coco/wire"
)

// errNoCertificate is a request that needs a caller and has none. It is answered by 401.
var errNoCertificate error = &wire.Error{
	Problem: wire.ByCode(wire.CodeNoCertificate),
	Message: "denied: this request needs a client certificate of an organisation in the constitution",
}

// errNoCredential is the same where other credentials count, too.
var errNoCredential error = &wire.Error{
	Problem: wire.ByCode(wire.CodeNoCertificate),
	Message: "denied: this request needs a client certificate of an organisation in the constitution, or a credential in the header Authorization",
}

// connectionKey finds a request's connection in its context.
type connectionKey struct{}

// connection is what the gateway remembers about a client's connection. HTTP/2 sends several
// requests through one at a time.
type connection struct {
	below *conns.Conn // nil if the caller of Handler runs the server
	known atomic.Pointer[identity]
}

// identity is what a credential was answered: the connection's certificate, or the last one that came in a header.
type identity struct {
	caller.Identity
	err        error
	generation uint64
	credential coco.Digest // SHA-256 of the header's value; zero for the certificate
}

// identify finds out the caller of a request, from the one credential that it has, and notes it in w.
//
// The answer is kept for the connection and this credential until it ends or Reidentify is called.
func (g *Gateway) identify(w *response, r *http.Request) error {
	certified := r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	var credential coco.Digest
	switch in := caller.In(r) && len(g.cfg.Schemes) > 0; {
	case in && certified:
		return caller.Confused("a client certificate and a header Authorization")
	case in:
		credential = sha256.Sum256([]byte(r.Header["Authorization"][0]))
	case !certified && len(g.cfg.Schemes) > 0:
		return errNoCredential
	case !certified:
		return errNoCertificate
	}
	if certified {
		if err := g.checkUnit(r.TLS.PeerCertificates[0].Subject); err != nil {
			return err
		}
	}
	// The generation is read before asking: an answer that Reidentify makes out of date while it
	// is given is asked for again by the next request.
	generation := g.generation.Load()
	w.generation = generation
	conn, _ := r.Context().Value(connectionKey{}).(*connection)
	if conn != nil && (certified || len(r.Header["Authorization"]) <= 1) {
		id := conn.known.Load()
		if id != nil && id.generation == generation && id.credential == credential && (id.err != nil || g.now(certified).Before(id.Until)) {
			w.identity = id.Identity
			return id.err
		}
	}
	found, err := g.ask(r, certified)
	if err != nil {
		found = caller.Identity{}
	}
	w.identity = found
	// An error that is no refusal, as of a node that has not joined, is asked again, and so is what is good for one request. A refusal by
	// time is not kept, as time goes on.
	keep := err == nil && found.Again != nil && !found.Session || certified && errors.Is(err, coco.ErrDenied)
	if conn != nil && err == nil && conn.below != nil {
		g.conns.Belongs(conn.below, found.Caller.Actor)
	}
	if conn != nil && keep {
		conn.known.Store(&identity{Identity: found, err: err, generation: generation, credential: credential})
	}
	return err
}

// now is the time by which a credential ends.
func (g *Gateway) now(certified bool) time.Time {
	if certified {
		return g.cfg.Clock.Now()
	}
	return g.cfg.Now()
}

// ask judges a request's credential.
func (g *Gateway) ask(r *http.Request, certified bool) (caller.Identity, error) {
	if !certified {
		return g.cfg.Schemes.Authenticate(r)
	}
	chain := r.TLS.PeerCertificates
	again := func() (coco.Caller, error) { return g.cfg.Node.Identify(chain) }
	who, err := again()
	return caller.Identity{Caller: who, Until: chain[0].NotAfter, Again: again}, err
}

// endWith ends an upgraded connection when the credential ends that came in a header. The function that it returns MUST be called when the
// connection has ended.
func (g *Gateway) endWith(ctx context.Context, r *http.Request, of *caller.Identity, end func()) func() {
	if !caller.In(r) || of.Until.IsZero() {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for left := of.Until.Sub(g.cfg.Now()); left > 0; left = of.Until.Sub(g.cfg.Now()) {
			select {
			case <-g.cfg.Clock.After(left):
			case <-ctx.Done():
				return
			}
		}
		end()
	}()
	return func() {
		end()
		<-done
	}
}

// checkBody reads a body of which the credential says what it is, before anything is done by it.
func (w *response) checkBody(r *http.Request, most int64) error {
	want := w.identity.Body
	if want == nil {
		return nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return err
	}
	if sha256.Sum256(text) != *want {
		return caller.Refuse("the body is another one than the credential says")
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	return nil
}
