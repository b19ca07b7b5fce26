package gateway

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/cocoframework/coco/internal/trail"
	"github.com/cocoframework/coco/wire"
)

// followed is what is noted of a request whose way is to be seen; zero of all others.
type followed struct {
	id   trail.ID
	came time.Duration // when, by Clock.Elapsed
}

// follow names a request, and tells the client the name, if its way is to be seen: the log is at level debug, or the client asks
// for it by a traceparent. Of all others nothing is noted.
func (g *Gateway) follow(w *response, r *http.Request) *http.Request {
	if g.cfg.Trail == nil {
		return r
	}
	if _, asked := trail.TraceID(r.Header[wire.HeaderTraceParent]); !asked && !g.cfg.Log.Enabled(r.Context(), slog.LevelDebug) {
		return r
	}
	w.followed = followed{g.cfg.Trail.Next(), g.cfg.Clock.Elapsed()}
	w.Header().Set(wire.HeaderRequestID, w.followed.id.String())
	return r.WithContext(trail.With(r.Context(), w.followed.id))
}

// accepted shows that a request is handed to what answers it. No record has the path, in which there may be a key.
func (g *Gateway) accepted(w *response, r *http.Request) {
	if !w.followed.id.Named() || !g.cfg.Log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	trace, _ := trail.TraceID(r.Header[wire.HeaderTraceParent])
	g.cfg.Log.Debug(trail.Message, trail.Step, "accepted", trail.Request, w.followed.id.String(), "route", r.Pattern, "trace", trace)
}

// answered shows how a request ended.
func (g *Gateway) answered(w *response, r *http.Request, status int) {
	if w.followed.id.Named() && g.cfg.Log.Enabled(r.Context(), slog.LevelDebug) {
		g.cfg.Log.Debug(trail.Message, trail.Step, "answered", trail.Request, w.followed.id.String(), "route", r.Pattern, "status", status, "took", g.cfg.Clock.Elapsed()-w.followed.came)
	}
}
