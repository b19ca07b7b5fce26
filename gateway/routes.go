package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/caller/session"
	"github.com/cocoframework/coco/gateway/openapi"
	"github.com/cocoframework/coco/internal/linger"
	"github.com/cocoframework/coco/wire"
)

// routes is what a gateway serves from one Mount to the next. It is never changed.
type routes struct {
	mux      *http.ServeMux
	mounted  bool
	nothing  map[string]bool              // the patterns of which none is the handler
	again    map[string]func([]byte) bool // by pattern of an endpoint: Repeatable, unless nil
	counts   map[string]*classes          // by pattern; and for otherRoute
	maxBody  atomic.Int64                 // of the adapters' endpoints
	document []byte                       // OpenAPI, of all that is served
}

func (g *Gateway) newRoutes(maxBody int64, endpoints []adapter.Endpoint) (rt *routes, err error) {
	rt = &routes{mux: http.NewServeMux(), mounted: maxBody > 0 || g.governor != nil, nothing: map[string]bool{"/": true}, again: map[string]func([]byte) bool{}}
	rt.counts = map[string]*classes{otherRoute: g.tally.of(otherRoute)}
	rt.maxBody.Store(maxBody)
	facts := g.facts()
	if rt.document, err = openapi.Document(documented(facts), endpoints); err != nil {
		return nil, err
	}
	for _, f := range facts {
		switch {
		case f.always != nil:
			rt.mux.Handle(f.pattern, f.always)
		case f.anonymous != nil:
			rt.mux.Handle(f.pattern, g.withQuery(f.query, g.withoutCaller(f.anonymous)))
		case f.owners:
			rt.mux.Handle(f.pattern, g.withQuery(f.query, g.withCaller(f.body, g.authorized(f))))
		default:
			rt.mux.Handle(f.pattern, g.withQuery(f.query, g.withCaller(f.body, g.forMembers(g.authorized(f)))))
		}
		rt.counts[f.pattern] = g.tally.of(f.pattern)
	}
	none := g.withoutCaller(rt.none(g))
	rt.mux.Handle("/", none)
	for _, e := range endpoints {
		if err := rt.mount(g, e); err != nil {
			return nil, err
		}
	}
	for _, e := range endpoints {
		rt.withoutRedirect(e.Pattern, none)
	}
	return rt, nil
}

// withoutRedirect keeps ServeMux from answering /x by a redirect to /x/, if that is all there is.
func (rt *routes) withoutRedirect(pattern string, none http.Handler) {
	method, path, found := strings.Cut(pattern, " ")
	if !found {
		method, path = "", pattern
	}
	path = strings.TrimSpace(path)
	i := strings.LastIndexByte(path, '/')
	if rest := path[i+1:]; rest != "" && !strings.HasSuffix(rest, "...}") || strings.Contains(path[:i], "{") {
		return
	}
	for _, m := range openapi.Methods {
		if method != "" && method != m {
			continue
		}
		r := &http.Request{Method: m, URL: &url.URL{Path: path[:i]}}
		if _, got := rt.mux.Handler(r); got == pattern {
			closed := strings.TrimSpace(method + " " + path[:i])
			rt.mux.Handle(closed, none)
			rt.nothing[closed] = true
			return
		}
	}
}

func (rt *routes) mount(g *Gateway, e adapter.Endpoint) (err error) {
	path := e.Pattern[strings.LastIndexByte(e.Pattern, ' ')+1:]
	if e.Handler == nil || len(path) < 2 || path[0] != '/' || strings.HasPrefix(path, "/{") ||
		path == "/node" || strings.HasPrefix(path, "/node/") || path == "/gov" || strings.HasPrefix(path, "/gov/") || slices.Contains(ownPaths, path) {
		return fmt.Errorf("%w: endpoint %q: expected a handler and a path of its own, such as \"POST /app/name\"", coco.ErrInvalid, e.Pattern)
	}
	// ServeMux has no other way to say that a pattern is malformed or taken.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: endpoint %q: %v", coco.ErrInvalid, e.Pattern, v)
		}
	}()
	rt.mux.Handle(e.Pattern, g.forPages(e.Sessions, g.withQuery(e.Query, g.withBody(rt.maxBody.Load, e.Handler))))
	if ask := "OPTIONS " + path; e.Sessions != nil && rt.counts[ask] == nil {
		rt.mux.Handle(ask, g.withoutCaller(g.cfg.Pages.Preflight))
		rt.counts[ask] = g.tally.of(ask)
	}
	rt.counts[e.Pattern], rt.again[e.Pattern] = g.tally.of(e.Pattern), e.Repeatable
	return nil
}

// forPages has an endpoint's sessions count there, and answers pages that may ask with what their browsers want to know.
func (g *Gateway) forPages(of adapter.Sessions, h http.Handler) http.Handler {
	if of == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session.Lift(r)
		g.cfg.Pages.Answer(w.Header(), r)
		h.ServeHTTP(w, r.WithContext(session.With(r.Context(), of)))
	})
}

// serve is the way of every request.
func (g *Gateway) serve(rw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: rw, g: g}
	r = g.follow(w, r)
	defer g.finish(w, r)
	if g.end.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	if r.ContentLength != 0 {
		w.setReadDeadline()
		w.body = linger.New(r, g.cfg.Clock.Now)
		r.Body = &body{r.Body, w}
	}
	if err := checkPath(r); err != nil {
		g.fail(w, r, err)
		return
	}
	g.routes.Load().mux.ServeHTTP(w, r)
}

// checkPath refuses a path that ServeMux would answer by a redirect to another one: a key that
// has a slash of its own must not become a different key.
func checkPath(r *http.Request) error {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	clean := strings.HasPrefix(path, "/") && !strings.Contains(path, "//")
	if clean && strings.Contains(path, "/.") {
		for segment := range strings.SplitSeq(path, "/") {
			clean = clean && segment != "." && segment != ".."
		}
	}
	if !clean || r.Method == http.MethodConnect {
		return fmt.Errorf("%w: the request's target: expected an absolute path without empty or dot segments; escape a slash as %%2F and a dot as %%2E", coco.ErrInvalid)
	}
	return nil
}

// withQuery refuses queries with parameters that the route does not know: a misspelt one must not be taken for its absence.
func (g *Gateway) withQuery(names []string, h http.Handler) http.Handler {
	if slices.Equal(names, adapter.AnyQuery) {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checkQuery(r.URL.RawQuery, names); err != nil {
			g.fail(w, r, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func checkQuery(query string, names []string) error {
	if query == "" {
		return nil
	}
	expected := "no parameters"
	if len(names) > 0 {
		expected = strings.Join(names, ", ")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("%w: query: expected %s: %w", coco.ErrInvalid, expected, err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !slices.Contains(names, name):
			return fmt.Errorf("%w: query: expected %s, found %q", coco.ErrInvalid, expected, name)
		case len(values[name]) > 1:
			return fmt.Errorf("%w: query: %q is given %d times", coco.ErrInvalid, name, len(values[name]))
		}
	}
	return nil
}

// withoutCaller serves what a client needs before it can trust the node.
func (g *Gateway) withoutCaller(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := rw.(*response)
		if !g.enter(w, &g.gates.anonymous) {
			return
		}
		h(w, r)
	})
}

// withCaller serves callers only. A body may have at most maxBody bytes; none if that is zero.
func (g *Gateway) withCaller(maxBody int64, h adapter.Handler) http.Handler {
	return g.withBody(func() int64 { return maxBody }, h)
}

// withBody is withCaller for a size of bodies that is asked for at every request.
func (g *Gateway) withBody(limit func() int64, h adapter.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w, maxBody := rw.(*response), limit()
		err := g.identify(w, r)
		if err == nil {
			if err = noteCaller(r, w.identity.Caller.Actor); err == nil {
				err = g.checkOrigin(w, r)
			}
		}
		if err == nil && r.ContentLength > maxBody {
			err = &http.MaxBytesError{Limit: maxBody}
		}
		stream := len(r.Header["Upgrade"]) > 0
		if err == nil && stream && w.identity.Again == nil {
			err = caller.Refuse("a credential that is good for one request begins no connection that outlives it")
		}
		if err != nil {
			g.fail(w, r, err)
			return
		}
		if w.place, err = g.shares.enter(w.identity.Caller.Actor, stream, bodySize(r, maxBody)); err != nil {
			g.fail(w, r, err)
			return
		}
		if stream {
			if g.end.leaving.Load() {
				g.fail(w, r, fmt.Errorf("%w: the node is shutting down", coco.ErrBusy))
				return
			}
			if !g.enter(w, &g.gates.streams) {
				return
			}
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(g.end.draining, cancel)()
			defer g.endWith(ctx, r, &w.identity, cancel)()
			r = r.WithContext(ctx)
		} else if !g.enter(w, &g.gates.requests) {
			return
		}
		w.limitBody(r, maxBody)
		if err := w.checkBody(r, maxBody); err != nil {
			g.fail(w, r, err)
			return
		}
		if w.identity.Session {
			r = r.WithContext(adapter.WithScope(r.Context(), w.identity.Scope))
		}
		g.accepted(w, r)
		h(w.identity.Caller, w, r)
	})
}

func (g *Gateway) enter(w *response, through *gate) bool {
	if through.enter() {
		w.gate = through
		return true
	}
	message := "too many requests at a time"
	if through.closed() {
		message = "the node is shutting down"
		w.Header().Set("Connection", "close")
	}
	refuse(w, wire.CodeBusy, message)
	return false
}

// checkOrigin refuses what a web page of another site makes a browser send: a browser adds the
// user's certificate to the requests of every page.
func (g *Gateway) checkOrigin(w *response, r *http.Request) error {
	if w.identity.Session && g.cfg.Pages.Admits(r) {
		return nil // no browser adds a session by itself
	}
	err := g.origin.Check(r)
	if err == nil && len(r.Header["Upgrade"]) > 0 && len(r.Header["Origin"]) > 0 {
		// A WebSocket begins with a GET, which the check above lets pass.
		asPost := *r
		asPost.Method = http.MethodPost
		err = g.origin.Check(&asPost)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", coco.ErrDenied, err)
	}
	return nil
}

// none answers what no pattern matches.
func (rt *routes) none(g *Gateway) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, m := range openapi.Methods {
			other := *r
			other.Method = m
			if _, pattern := rt.mux.Handler(&other); !rt.nothing[pattern] {
				allowed = append(allowed, m)
			}
		}
		switch {
		case len(allowed) > 0 && r.Method == http.MethodOptions:
			w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
			w.WriteHeader(http.StatusNoContent)
		case len(allowed) > 0:
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			refuse(w, wire.CodeMethod, "this path has other methods: see Allow")
		case !rt.mounted:
			refuse(w, wire.CodeBusy, "the node serves nobody yet: it has not joined its network, or the network was recovered, and its members have yet to open it")
		default:
			refuse(w, wire.CodeNotFound, "nothing is served at this path")
		}
	}
}

// finish runs after every request, also after a panic, which is answered by 500.
func (g *Gateway) finish(w *response, r *http.Request) {
	v := recover()
	defer w.discardBody()
	defer w.leave()
	defer g.count(w, r)
	if v == nil {
		if w.hijacked == nil {
			w.extend() // for what net/http sends now
		}
		return
	}
	if w.hijacked != nil {
		w.hijacked.abort()
	}
	if v != http.ErrAbortHandler {
		g.cfg.Panics.Caught(r.Pattern, v)
		if !w.begun {
			clear(w.Header())
			w.Header().Set("Connection", "close")
			refuse(w, wire.CodeInternal, wire.InternalMessage)
			return
		}
	}
	w.body = nil
	panic(http.ErrAbortHandler) // the client must not take what it has for the whole answer
}
