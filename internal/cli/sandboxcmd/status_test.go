package sandboxcmd

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/wire"
)

func TestStatusShowsACertificateThatEnds(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, c := range []struct {
		left  time.Duration
		level string
	}{{-day, finding.Problem}, {0, finding.Problem}, {day, finding.Warning}, {29 * day, finding.Warning}, {31 * day, finding.OK}} {
		var out bytes.Buffer
		page := NetworkStatus{Nodes: []NodeStatus{
			{Name: "alpha", Status: &wire.Status{Certificates: []wire.Certificate{{Of: "node", NotAfter: now.Add(c.left)}, {Of: "service", NotAfter: now.Add(900 * day)}}}},
			{Name: "bravo"},
		}}
		(&app{&cli.App{Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}).showEnds(page, now)
		if alarm := strings.Contains(out.String(), "✗ the certificate of node alpha"); alarm != (c.level != finding.OK) {
			t.Errorf("with %v left, status says %q", c.left, out.String())
		}
	}
}

func TestStatusListsSeatsByTheirMembersNames(t *testing.T) {
	var out bytes.Buffer
	page := NetworkStatus{Nodes: []NodeStatus{{Name: "alpha", Status: &wire.Status{Keys: &wire.Keys{
		Committee: 2, Threshold: 2, Whole: true, Seats: []wire.KeySeat{{Name: "charlie", Live: true}, {Name: "alpha"}, {Name: "bravo"}},
	}}}}}
	(&app{&cli.App{Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}).showKeys(page)
	var names []string
	for line := range strings.Lines(out.String()) {
		if f := strings.Fields(line); len(f) > 2 && (f[1] == "with" || f[1] == "in") {
			names = append(names, f[0])
		}
	}
	if got := strings.Join(names, " "); got != "alpha bravo charlie" || page.Nodes[0].Status.Keys.Seats[0].Name != "charlie" {
		t.Errorf("the seats are listed as %q, expected by name, and the status as it was: %s", got, out.String())
	}
}

func TestAStatusSaysForHowManyMembersACeremonyWaits(t *testing.T) {
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprint("m", i+1))
	}
	for n, want := range map[int]string{1: "m1", 6: "m1, m2, m3, m4, m5, m6", 7: "7 members: m1, m2, m3, m4, m5 and 2 more", 50: "50 members: m1, m2, m3, m4, m5 and 45 more"} {
		if got := waiting(names[:n]); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}

// A closed network commits votes and serves no client, so it is neither healthy nor without a quorum.
func TestAStatusSaysThatARecoveredNetworkIsClosed(t *testing.T) {
	var out bytes.Buffer
	page := NetworkStatus{Nodes: []NodeStatus{{Name: "rescue", Status: &wire.Status{Role: "leader", Closed: true, Warning: "too few seats"}}}}
	page.judge()
	(&app{&cli.App{Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}).showStatus(page)
	if page.Health != degraded || !strings.Contains(out.String(), "✗ rescue: "+finding.Closed) || strings.Contains(out.String(), "every node serves\n") && strings.Contains(out.String(), "healthy") {
		t.Errorf("health %q, expected %q, and what members do: %s", page.Health, degraded, out.String())
	}
}
