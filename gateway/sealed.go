package gateway

import (
	"context"
	"fmt"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/gateway/unseal"
	"github.com/cocoframework/coco/sealed"
)

// newUnseal returns what opens sealed requests; nil if the node has no keys for them.
func (g *Gateway) newUnseal() *unseal.Server {
	if g.cfg.Sealed == nil || g.governor != nil {
		return nil
	}
	return unseal.New(unseal.Config{
		Open: g.cfg.Sealed.Open, Node: g.cfg.Sealed.Node(), Handler: g.serveOpened, Clock: g.cfg.Clock,
		Repeatable: func(r *http.Request, body []byte) bool {
			rt := g.routes.Load()
			_, pattern := rt.mux.Handler(r)
			repeatable := rt.again[pattern]
			return repeatable != nil && repeatable(body)
		},
		MaxBody: func() int64 { return g.routes.Load().maxBody.Load() },
		Room:    func(w http.ResponseWriter, n int) error { return w.(*response).Claim().Take(n) },
		Known:   func(w http.ResponseWriter, of coco.ActorID) error { return w.(*response).place.pass(of) },
	})
}

// serveSealedKey announces the network's key.
func (g *Gateway) serveSealedKey(w http.ResponseWriter, r *http.Request) {
	g.quote(w, r, func(nonce []byte) (any, error) {
		if g.unseal == nil {
			return nil, fmt.Errorf("%w: this node opens no sealed requests", coco.ErrNotFound)
		}
		return g.cfg.Sealed.Announce(r.Context(), nonce)
	})
}

// serveSealed opens a request. Whose it is is known afterwards only: until then it counts as one of a caller without a name, and from then on its bytes count as
// that organisation's, beside the request that was inside.
func (g *Gateway) serveSealed(rw http.ResponseWriter, r *http.Request) {
	w := rw.(*response)
	if r.Context().Value(openedKey{}) != nil {
		g.fail(w, r, fmt.Errorf("%w: a sealed request within a sealed request", coco.ErrNotFound))
		return
	}
	if g.unseal == nil || g.routes.Load().maxBody.Load() == 0 {
		g.fail(w, r, fmt.Errorf("%w: this node opens no sealed requests, or none yet", coco.ErrBusy))
		return
	}
	limit, err := sealed.MaxMessage(g.routes.Load().maxBody.Load()), error(nil)
	if r.ContentLength > limit {
		g.fail(w, r, &http.MaxBytesError{Limit: limit})
		return
	}
	if w.place, err = g.shares.enter(coco.ActorID{}, false, bodySize(r, limit)); err != nil {
		g.fail(w, r, err)
		return
	}
	if !g.enter(w, &g.gates.sealed) {
		return
	}
	w.limitBody(r, limit)
	g.unseal.ServeHTTP(w, r)
}

// openedKey finds in a request's context whom to tell its caller.
type openedKey struct{}

// serveOpened answers what was inside of a sealed request, as any other, and tells its caller, if it has one.
func (g *Gateway) serveOpened(w http.ResponseWriter, r *http.Request, outer sealed.Outer, known func(coco.ActorID) error) {
	ctx := caller.WithOuter(context.WithValue(r.Context(), openedKey{}, known), outer)
	ctx = context.WithValue(ctx, connectionKey{}, (*connection)(nil)) // the connection is that of what stands between
	g.serve(w, r.WithContext(ctx))
}

// noteCaller tells whose a request is, if somebody wants to know, who may refuse it. What was inside of a sealed request has no connection, so for a request of
// one nothing is looked for.
func noteCaller(r *http.Request, of coco.ActorID) error {
	if r.TLS != nil {
		return nil
	}
	if known, ok := r.Context().Value(openedKey{}).(func(coco.ActorID) error); ok {
		return known(of)
	}
	return nil
}
