package gateway

import (
	"bytes"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/cocoframework/coco"
)

// otherRoute is the label of what no route matches.
const otherRoute = "other"

// classes counts answers by the class of their status, 1xx to 5xx.
type classes [5]atomic.Uint64

func (c *classes) add(status int) {
	if i := status/100 - 1; i >= 0 && i < len(c) {
		c[i].Add(1)
	}
}

// tally counts answers by route. A route is a pattern, as "GET /app/kv/{key}", and never a path: paths
// hold keys and accounts, and there is no end of them.
type tally struct {
	desc *prometheus.Desc

	mu  sync.Mutex
	all map[string]*classes // under mu
}

func newTally() *tally {
	return &tally{
		desc: prometheus.NewDesc("coco_http_requests_total", "Requests of clients answered, by route and class of status.",
			[]string{"route", "class"}, nil),
		all: make(map[string]*classes),
	}
}

// of returns a pattern's counts. They live as long as the gateway, over any number of Mounts.
func (t *tally) of(pattern string) *classes {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.all[pattern]
	if c == nil {
		c = new(classes)
		t.all[pattern] = c
	}
	return c
}

// Describe implements prometheus.Collector.
func (t *tally) Describe(to chan<- *prometheus.Desc) { to <- t.desc }

// Collect implements prometheus.Collector.
func (t *tally) Collect(to chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for route, c := range t.all {
		for i, class := range [len(c)]string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
			if n := c[i].Load(); n > 0 {
				to <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, float64(n), route, class)
			}
		}
	}
}

// count notes the answer to a request, once it is over.
func (g *Gateway) count(w *response, r *http.Request) {
	status := w.status
	switch {
	case w.hijacked != nil:
		status = http.StatusSwitchingProtocols
	case status == 0:
		status = http.StatusOK // what net/http sends if a handler says nothing
	}
	rt := g.routes.Load()
	c := rt.counts[r.Pattern]
	if c == nil {
		c = rt.counts[otherRoute]
	}
	c.add(status)
	g.answered(w, r, status)
}

// newRegistry collects the metrics of the gateway and of the node behind it. There are none of the
// process: those are the host's to measure.
func (g *Gateway) newRegistry() (*prometheus.Registry, error) {
	in := func(name, help string, through *gate) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "coco", Name: name, Help: help}, func() float64 {
			return float64(through.n.Load() % gateClosed)
		})
	}
	registry := prometheus.NewRegistry()
	all := []prometheus.Collector{
		g.tally,
		in("http_requests_in_flight", "Requests of callers that are being served.", &g.gates.requests),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "coco", Name: "http_body_bytes", Help: "Bytes of the bodies of the requests that are being served.",
		}, func() float64 { return float64(g.shares.held()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "coco", Name: "http_answer_bytes", Help: "Bytes of replies that are being built, or that clients have not taken yet.",
		}, func() float64 { return float64(g.replies.Used()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "coco", Name: "http_refused_share_total", Help: "Requests refused because their caller had its share, or the memory for replies was in use.",
		}, func() float64 { return float64(g.shares.refused.Load() + g.replies.Refused()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "coco", Name: "panics_total", Help: "Faults of the program that ended one request, message or connection.",
		}, func() float64 { return float64(g.cfg.Panics.Total()) }),
		in("http_streams", "Upgraded (WebSocket) connections.", &g.gates.streams),
	}
	if g.cfg.Outages != nil {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "coco", Name: "issuers_unreachable", Help: "Issuers of tokens whose keys cannot be fetched for long.",
		}, func() float64 { _, n := g.cfg.Outages(); return float64(n) }))
	}
	if g.cfg.Metrics != nil {
		all = append(all, g.cfg.Metrics)
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

func (g *Gateway) serveMetrics(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	families, err := g.registry.Gather()
	var page bytes.Buffer
	for _, f := range families {
		if err == nil {
			_, err = expfmt.MetricFamilyToText(&page, f)
		}
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	write(w, string(expfmt.NewFormat(expfmt.TypeTextPlain)), page.Bytes())
}
