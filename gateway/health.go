package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// Check is one of the conditions under which a node serves as it should.
type Check struct {
	Name    string // one word
	Problem string // empty if it holds, else one sentence without secrets: it is shown to clients without certificate
	Warning string // as Problem, for what must be looked after and does not keep the node from serving
}

// serveLive answers as long as the process does. It passes no gate: a node that has too much to do
// must not be killed for it.
func (g *Gateway) serveLive(w http.ResponseWriter, _ *http.Request) {
	write(w, wire.MediaText, []byte("ok\n"))
}

// serveReady answers 200 if every check holds, else 503 and which ones do not; with ?verbose all. Warnings are always shown.
func (g *Gateway) serveReady(w http.ResponseWriter, r *http.Request) {
	verbose, ready := r.URL.Query().Has("verbose"), true
	var page strings.Builder
	for _, c := range append(g.cfg.Node.Health(), g.outages()...) {
		switch {
		case c.Problem != "":
			ready = false
			fmt.Fprintf(&page, "[-] %s: %s\n", c.Name, c.Problem)
		case c.Warning != "":
			fmt.Fprintf(&page, "[!] %s: %s\n", c.Name, c.Warning)
		case verbose:
			fmt.Fprintf(&page, "[+] %s\n", c.Name)
		}
	}
	h := w.Header()
	h.Set("Content-Type", wire.MediaText)
	h.Set("Cache-Control", "no-store")
	if ready {
		page.WriteString("ok\n")
	} else {
		page.WriteString("not ready\n")
		h.Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(page.String())) // a client that has gone
}

// outages is the check of issuers of tokens. Users of theirs are locked out in the end, and nothing else of the node is.
func (g *Gateway) outages() []Check {
	if g.cfg.Outages == nil {
		return nil
	}
	warning, _ := g.cfg.Outages()
	return []Check{{Name: "issuers", Warning: warning}}
}

func (g *Gateway) serveVersion(w http.ResponseWriter, r *http.Request) {
	s := g.cfg.Node.Status()
	g.answer(w, r, wire.Version{Version: s.Version, Go: runtime.Version(), Measurement: s.Measurement, Insecure: s.Insecure}, nil)
}

// logLevels are the levels that may be set. The log goes to the host, so none may show what the host
// must not know; a lower one still shows it more of what happens when.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// serveLogLevel changes how much this node logs, until its process ends. It is for the organisation
// that runs the node: its disk fills, and its people read.
func (g *Gateway) serveLogLevel(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("level")
	level, ok := logLevels[text]
	switch {
	case caller.Actor != g.cfg.Owner:
		g.fail(w, r, fmt.Errorf("%w: only the organisation that runs this node sets its log level", coco.ErrDenied))
		return
	case !ok:
		g.fail(w, r, fmt.Errorf("%w: level %q: expected debug, info, warn or error, such as ?level=debug", coco.ErrInvalid, text))
		return
	}
	old := g.cfg.LogLevel.Level()
	g.cfg.LogLevel.Set(min(old, level, slog.LevelWarn)) // for the line that says so
	g.cfg.Log.Warn("gateway: log level changed", "from", strings.ToLower(old.String()), "to", text, "by", caller.Name)
	g.cfg.LogLevel.Set(level)
	w.WriteHeader(http.StatusNoContent)
}
