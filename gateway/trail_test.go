package gateway

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/trail"
)

// What nobody follows costs nothing but looking at the level and for a header.
func TestARequestThatIsNotFollowedCostsNoAllocation(t *testing.T) {
	g := &Gateway{cfg: Config{
		Log: slog.New(slog.NewJSONHandler(t.Output(), &slog.HandlerOptions{Level: new(slog.LevelVar)})), Trail: trail.NewSource(coco.NodeID{1}), Clock: local.Clock{},
	}}
	r := httptest.NewRequest(http.MethodPut, "/app/kv/key", nil)
	w := &response{ResponseWriter: httptest.NewRecorder()}
	if n := testing.AllocsPerRun(100, func() {
		if g.follow(w, r) != r {
			t.Fatal("it is followed")
		}
		g.accepted(w, r)
		g.answered(w, r, http.StatusNoContent)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if followed := g.follow(w, r); followed == r || w.Header().Get("X-Request-Id") != "01000000-1" {
		t.Errorf("a client that names its trace is told the name %q", w.Header().Get("X-Request-Id"))
	}
}
