package doctorcmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/wire"
)

func TestSyncIsMeasuredAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	got, err := measureSync(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Samples < syncFewest || got.Filled.Median <= 0 || got.Filled.P99 < got.Filled.Median || got.Append.Median <= 0 || got.SyncsSec < 1 {
		t.Errorf("%+v", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPercentiles(t *testing.T) {
	var took []time.Duration
	for i := range 200 {
		took = append(took, time.Duration(200-i))
	}
	if got := percentilesOf(took); got != (percentiles{Median: 100, P99: 198}) {
		t.Errorf("%+v", got)
	}
	if got := percentilesOf(took[:1]); got != (percentiles{Median: 200, P99: 200}) {
		t.Errorf("of one: %+v", got)
	}
}

func TestDiskIsJudgedInPlainWords(t *testing.T) {
	times := func(median, p99 time.Duration) *syncTimes {
		return &syncTimes{Filled: percentiles{median, p99}}
	}
	for _, tc := range []struct {
		times             *syncTimes
		memory            bool
		level, says, disk string
	}{
		{times(200*time.Microsecond, time.Millisecond), false, finding.OK, "after 200µs", "about 200µs for each commit"},
		{times(25*time.Millisecond, 30*time.Millisecond), false, finding.Warning, "Slow", "about 25ms"},
		{times(time.Millisecond, 300*time.Millisecond), false, finding.Warning, "Slow", "about 1ms"},
		{times(time.Millisecond, 2*time.Second), false, finding.Problem, "losing its place", "about 1ms"},
		{times(3*time.Microsecond, time.Millisecond), false, finding.Warning, "No disk is that fast", "NOT CERTAIN HERE"},
		{times(3*time.Microsecond, time.Millisecond), true, finding.Warning, "kept in memory", "NOT HERE"},
	} {
		level, says := tc.times.judge(tc.memory)
		if level != tc.level || !strings.Contains(says, tc.says) {
			t.Errorf("%+v: %s %s", tc.times.Filled, level, says)
		}
		d := explainDurability(tc.times, tc.memory)
		if !strings.Contains(d.Disk, tc.disk) || strings.Contains(d.Disk, "NOT") != strings.Contains(tc.disk, "NOT") {
			t.Errorf("%+v: %s", tc.times.Filled, d.Disk)
		}
		if !strings.Contains(d.Memory, "can be gone") {
			t.Errorf("memory: %s", d.Memory)
		}
	}
}

func TestCertificatesAndClocksAreJudged(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	day := 24 * time.Hour
	for _, tc := range []struct {
		begins, ends time.Duration // from now
		level        string
	}{
		{-day, 365 * day, finding.OK},
		{-day, finding.EndingSoon, finding.OK},
		{-day, finding.EndingSoon - 1, finding.Warning},
		{-day, 0, finding.Problem},
		{1, 365 * day, finding.Problem},
	} {
		if level, says := judgeCertificate(now.Add(tc.begins), now.Add(tc.ends), now); level != tc.level {
			t.Errorf("%v to %v: %s %s", tc.begins, tc.ends, level, says)
		}
	}
	for apart, want := range map[time.Duration]string{
		0: finding.OK, -2 * time.Second: finding.OK, -clockApart: finding.Warning, clockApart: finding.Warning,
		clockFarApart: finding.Problem, -time.Hour: finding.Problem,
	} {
		if level, says := judgeClock(apart); level != want {
			t.Errorf("%v apart: %s %s", apart, level, says)
		}
	}
}

func TestFolderThatIsNotThereIsMeasuredWhereItWouldBe(t *testing.T) {
	dir := t.TempDir()
	if got, err := existing(filepath.Join(dir, "a", "b")); err != nil || got != dir {
		t.Errorf("%s, %v", got, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{file, filepath.Join(file, "below")} {
		if got, err := existing(wrong); err == nil {
			t.Errorf("%s: measured at %s", wrong, got)
		}
	}
}

func TestDoctorFindsWhatItCannotWriteIn(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	d, err := examine(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.problems() != 1 || !slices.ContainsFunc(d.Findings, func(f observation) bool { return f.Check == "disk" && f.Level == finding.Problem }) {
		t.Errorf("%+v", d.Findings)
	}
}

func TestDoctorFindsANodesCertificateThatEnds(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, c := range []struct {
		left  time.Duration
		level string
	}{{-day, finding.Problem}, {0, finding.Problem}, {day, finding.Warning}, {29 * day, finding.Warning}, {31 * day, finding.OK}} {
		d := &diagnosis{}
		d.addEnds("alpha", []wire.Certificate{
			{Of: "node", NotAfter: now.Add(c.left)}, {Of: "service", NotAfter: now.Add(900 * day)}, {Of: "member", Name: "x", NotAfter: now},
		}, now)
		if len(d.Findings) != 1 || d.Findings[0].Level != c.level {
			t.Errorf("with %v left: %v, expected one finding, %s", c.left, d.Findings, c.level)
		}
		if fails := d.problems() > 0; fails != (c.level == finding.Problem) {
			t.Errorf("with %v left the doctor fails: %v", c.left, fails)
		}
	}
}
