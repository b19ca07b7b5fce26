package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/cli"
)

func TestACertificateThatEndsIsSeenInTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, c := range []struct {
		left  time.Duration
		level string
	}{{-day, findingProblem}, {0, findingProblem}, {day, findingWarning}, {29 * day, findingWarning}, {31 * day, findingOK}} {
		d := &diagnosis{}
		d.addEnds("alpha", []client.Certificate{
			{Of: "node", NotAfter: now.Add(c.left)}, {Of: "service", NotAfter: now.Add(900 * day)}, {Of: "member", Name: "x", NotAfter: now},
		}, now)
		if len(d.Findings) != 1 || d.Findings[0].Level != c.level {
			t.Errorf("with %v left: %v, expected one finding, %s", c.left, d.Findings, c.level)
		}
		if fails := d.problems() > 0; fails != (c.level == findingProblem) {
			t.Errorf("with %v left the doctor fails: %v", c.left, fails)
		}

		var out bytes.Buffer
		page := networkStatus{Nodes: []nodeStatus{
			{Name: "alpha", Status: &client.Status{Certificates: []client.Certificate{{Of: "node", NotAfter: now.Add(c.left)}, {Of: "service", NotAfter: now.Add(900 * day)}}}},
			{Name: "bravo"},
		}}
		(&app{&cli.App{Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}).showEnds(page, now)
		if alarm := strings.Contains(out.String(), "✗ the certificate of node alpha"); alarm != (c.level != findingOK) {
			t.Errorf("with %v left, status says %q", c.left, out.String())
		}
	}
}
