package gateway

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// errNoCertificate is a request that needs a caller and has none. It is answered by 401.
var errNoCertificate error = &wire.Error{
	Problem: wire.ByCode(wire.CodeNoCertificate),
	Message: "denied: this request needs a client certificate of an organisation in the constitution",
}

// connectionKey finds a request's connection in its context.
type connectionKey struct{}

// connection is what the gateway remembers about a client's connection. HTTP/2 sends several
// requests through one at a time.
type connection struct {
	below *conn // nil if the caller of Handler runs the server
	known atomic.Pointer[identity]
}

// identity is what Node.Identify answered.
type identity struct {
	caller     coco.Caller
	err        error
	generation uint64
	until      time.Time // the certificate's end; zero for an error
}

// identify returns the caller of a request and notes it in w.
func (g *Gateway) identify(w *response, r *http.Request) (coco.Caller, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return coco.Caller{}, errNoCertificate
	}
	if err := g.checkUnit(r.TLS.PeerCertificates[0].Subject); err != nil {
		return coco.Caller{}, err
	}
	now := g.cfg.Clock.Now()
	// The generation is read before asking: an answer that Reidentify makes out of date while it
	// is given is asked for again by the next request.
	generation := g.generation.Load()
	w.chain, w.generation = r.TLS.PeerCertificates, generation
	conn, _ := r.Context().Value(connectionKey{}).(*connection)
	if conn != nil {
		id := conn.known.Load()
		if id != nil && id.generation == generation && (id.err != nil || now.Before(id.until)) {
			w.caller = id.caller
			return id.caller, id.err
		}
	}
	caller, err := g.cfg.Node.Identify(w.chain)
	if err != nil {
		caller = coco.Caller{}
	}
	w.caller = caller
	// An error that is no refusal, as of a node that has not joined, is asked again.
	if conn != nil && (err == nil || errors.Is(err, coco.ErrDenied)) {
		if err == nil && conn.below != nil {
			g.conns.belongs(conn.below, caller.Actor)
		}
		conn.known.Store(&identity{caller: caller, err: err, generation: generation, until: w.chain[0].NotAfter})
	}
	return caller, err
}
