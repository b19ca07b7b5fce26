package gateway

import (
	"strings"
	"testing"
)

// Operators read of an issuer's outage wherever they look after a node: its status, its readiness, and its metrics.
func TestAnIssuersOutageIsToldToOperators(t *testing.T) {
	const said = `The keys of the issuer "login" cannot be fetched since 2027-01-15T08:00:00Z: its tokens count on this node until 2027-01-15T08:30:00Z.`
	warning, issuers := said, 1
	w := start(t, nil, func(c *Config) { c.Outages = func() (string, int) { return warning, issuers } })
	client := w.client("Alpha")
	ask := func(path string) string { return w.do(client, "GET", path, nil).body }
	if page := ask("/node/status"); !strings.Contains(page, `cannot be fetched since`) {
		t.Errorf("status: %s", page)
	}
	if page := ask("/readyz"); !strings.Contains(page, "[!] issuers: "+said) || !strings.HasSuffix(page, "ok\n") {
		t.Errorf("readiness: %s", page)
	}
	if page := ask("/metrics"); !strings.Contains(page, "coco_issuers_unreachable 1\n") {
		t.Errorf("metrics: %.2000s", page)
	}
	warning, issuers = "", 0
	if page := ask("/node/status") + ask("/readyz"); strings.Contains(page, "issuers:") || strings.Contains(page, `"warning"`) {
		t.Errorf("without one: %s", page)
	}
	if page := ask("/metrics"); !strings.Contains(page, "coco_issuers_unreachable 0\n") {
		t.Errorf("metrics: %.2000s", page)
	}
}
