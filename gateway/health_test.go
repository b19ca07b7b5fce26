package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

func TestMetricsCountAnswersByRouteAndNeverByPath(t *testing.T) {
	batches := prometheus.NewGauge(prometheus.GaugeOpts{Name: "coco_of_the_node", Help: "x"})
	batches.Set(7)
	w := start(t, one("GET /app/x/{key...}", func(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
		if r.PathValue("key") == "account-0xdead" {
			w.WriteHeader(http.StatusTeapot)
		}
	}), func(c *Config) { c.Metrics = batches })
	c := w.client("Alpha")
	w.get(c, "/app/x/account-0xbeef")
	w.get(c, "/app/x/account-0xdead")
	w.get(c, "/nowhere/account-0xbeef")
	w.get(c, "/app//account-0xbeef")
	if err := w.g.Mount(1000, one("GET /app/y", func(coco.Caller, http.ResponseWriter, *http.Request) { panic("x") })...); err != nil {
		t.Fatal(err)
	}
	w.get(w.client("Alpha"), "/app/y")
	got := w.get(c, "/metrics")
	if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%d %v", got.status, got.header)
	}
	for _, line := range []string{
		`coco_http_requests_total{class="2xx",route="GET /app/x/{key...}"} 1`,
		`coco_http_requests_total{class="4xx",route="GET /app/x/{key...}"} 1`,
		`coco_http_requests_total{class="4xx",route="other"} 2`,
		`coco_http_requests_total{class="5xx",route="GET /app/y"} 1`,
		`coco_http_requests_in_flight 1`,
		`coco_of_the_node 7`,
	} {
		if !strings.Contains(got.body, line+"\n") {
			t.Errorf("no line %q in\n%s", line, got.body)
		}
	}
	for _, secret := range []string{"0xbeef", "0xdead", "Alpha", "nowhere"} {
		if strings.Contains(got.body, secret) {
			t.Errorf("the metrics show %q", secret)
		}
	}
}

// Sizes and counts tell of what others have written. Where a ledger hides that, they are for the organisation that runs the node, which reads them on its disk, and for those who see all.
func TestMetricsAreTheOwnersWhereALedgerHidesSomething(t *testing.T) {
	for _, owner := range []bool{true, false} {
		w := start(t, nil, func(c *Config) {
			if owner {
				c.Owner = coco.ActorID{'A'}
			}
		})
		if got := w.get(w.client("Alpha"), "/metrics"); got.status != 200 || len(w.node.asked) != map[bool]int{true: 0, false: 1}[owner] {
			t.Errorf("owner %v, where all is shown: %d, asked %+v", owner, got.status, w.node.asked)
		}
		w.node.denial = fmt.Errorf("%w: by the test", coco.ErrDenied)
		if got := w.get(w.client("Alpha"), "/metrics"); got.status != map[bool]int{true: 200, false: 403}[owner] || !owner && strings.Contains(got.body, "coco_") {
			t.Errorf("owner %v, where a ledger hides something: %d %s", owner, got.status, got.body)
		}
	}
}

func TestMetricsAreForCallers(t *testing.T) {
	w := start(t, nil)
	if got := w.get(w.client(""), "/metrics"); got.status != 401 {
		t.Errorf("without certificate: %d", got.status)
	}
	if got := w.get(w.client("Mallory"), "/metrics"); got.status != 403 {
		t.Errorf("a stranger: %d", got.status)
	}
}

func TestReadySaysWhatIsWrong(t *testing.T) {
	w := start(t, nil)
	c := w.client("")
	w.node.checks = []Check{{Name: "leader"}, {Name: "disk"}}
	for _, tc := range []struct {
		path   string
		status int
		body   string
	}{
		{"/readyz", 200, "ok\n"},
		{"/readyz?verbose", 200, "[+] leader\n[+] disk\nok\n"},
	} {
		if got := w.get(c, tc.path); got.status != tc.status || got.body != tc.body {
			t.Errorf("%s: %d %q", tc.path, got.status, got.body)
		}
	}
	w.node.checks[1].Problem = "it hangs"
	for _, tc := range []struct{ path, body string }{
		{"/readyz", "[-] disk: it hangs\nnot ready\n"},
		{"/readyz?verbose", "[+] leader\n[-] disk: it hangs\nnot ready\n"},
	} {
		if got := w.get(c, tc.path); got.status != 503 || got.body != tc.body || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %q", tc.path, got.status, got.body)
		}
	}
}

func TestNodeWithTooManyAnonymousRequestsIsAliveAndNotReady(t *testing.T) {
	w := start(t, nil, func(c *Config) { c.MaxAnonymous = 1 })
	if !w.g.gates.anonymous.enter() {
		t.Fatal("the gate is full at the start")
	}
	defer w.g.gates.anonymous.leave()
	c := w.client("")
	if got := w.get(c, "/livez"); got.status != 200 || got.body != "ok\n" {
		t.Errorf("/livez: %d %q", got.status, got.body)
	}
	if got := w.get(c, "/readyz"); got.status != 503 {
		t.Errorf("/readyz: %d", got.status)
	}
}

func TestVersionSaysWhatRuns(t *testing.T) {
	w := start(t, nil)
	got := w.get(w.client(""), "/version")
	var v map[string]any
	if err := json.Unmarshal([]byte(got.body), &v); err != nil {
		t.Fatal(err)
	}
	if v["version"] != "0.1.0" || v["go"] != runtime.Version() || v["measurement"] != "virtual:00" || v["insecure"] != true || len(v) != 4 {
		t.Errorf("%s", got.body)
	}
}

func TestOnlyTheOwnerSetsTheLogLevel(t *testing.T) {
	level := new(slog.LevelVar)
	w := startAdmin(t, func(c *Config) { c.LogLevel, c.Owner = level, coco.ActorID{'A'} })
	for _, tc := range []struct {
		who, query string
		status     int
		want       slog.Level
	}{
		{"", "?level=debug", 401, slog.LevelInfo},
		{"Mallory", "?level=debug", 403, slog.LevelInfo},
		{"Beta", "?level=debug", 403, slog.LevelInfo},
		{"Alpha", "", 400, slog.LevelInfo},
		{"Alpha", "?level=all", 400, slog.LevelInfo},
		{"Alpha", "?level=debug", 204, slog.LevelDebug},
		{"Alpha", "?level=error", 204, slog.LevelError},
	} {
		c := w.client("")
		if tc.who != "" {
			c = w.governor(tc.who)
		}
		got := w.do(c, "PUT", "/node/log-level"+tc.query, nil)
		if got.status != tc.status || level.Level() != tc.want {
			t.Errorf("%q %s: %d %s, level %v", tc.who, tc.query, got.status, got.body, level.Level())
		}
	}
	if n := strings.Count(w.logs.String(), `"by":"Alpha"`); n != 2 {
		t.Errorf("the log tells of %d changes, want 2:\n%s", n, w.logs)
	}
	if got := startAdmin(t); got.do(got.governor("Alpha"), "PUT", "/node/log-level?level=debug", nil).status == 204 {
		t.Error("a level that is fixed was set")
	}
}

func TestAdapterCannotTakeAPathThatProbesUse(t *testing.T) {
	w := start(t, nil)
	for _, path := range []string{"/livez", "/readyz", "/version", "POST /metrics"} {
		if err := w.g.Mount(10, adapter.Endpoint{Pattern: path, Handler: func(coco.Caller, http.ResponseWriter, *http.Request) {}}); err == nil {
			t.Errorf("%s was given to an adapter", path)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	w := start(b, one("GET /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {}))
	r := &http.Request{Pattern: "GET /app/x"}
	resp := &response{status: 200}
	for b.Loop() {
		w.g.count(resp, r)
	}
}
