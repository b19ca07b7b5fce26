package doctorcmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/nodeconfig"
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
		if !strings.Contains(d.Disk, "recovery.unattended") {
			t.Errorf("going on after a loss of power does not always take members: %s", d.Disk)
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
	d, err := examine(t.Context(), &network.Flags{Dir: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.problems() != 1 || !slices.ContainsFunc(d.Findings, func(f observation) bool { return f.Check == "disk" && f.Level == finding.Problem }) {
		t.Errorf("%+v", d.Findings)
	}
}

// A node that waits for others answers nobody. Its operator reads what it waits for, and not to start what runs.
func TestTheDoctorOfANodeThatWaitsSaysForWhat(t *testing.T) {
	dir := nodeconfig.Dir(t.TempDir())
	cfg := nodeconfig.Config{Dir: string(dir), Start: nodeconfig.StartJoin, Peer: "127.0.0.1:1", Client: "127.0.0.1:1", Join: []string{"127.0.0.1:1"}, Ask: []string{"127.0.0.1:1"}}
	if err := cfg.Save(dir.Config()); err != nil {
		t.Fatal(err)
	}
	examined := func() string {
		t.Helper()
		d, err := examine(t.Context(), &network.Flags{Config: dir.Config()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(d.Findings, func(f observation) bool { return f.Check == "nodes" })
		if i < 0 || d.Findings[i].Level != finding.Problem {
			t.Fatalf("%+v", d.Findings)
		}
		return d.Findings[i].Message
	}
	if said := examined(); !strings.Contains(said, "coco node join") {
		t.Errorf("a node that does not run: %q", said)
	}
	note, err := dir.NoteWaits()
	if err == nil {
		err = note.Write("1 of 2 nodes wait, and 2 are needed", time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	if said := examined(); said != "this node runs and does not serve yet: 1 of 2 nodes wait, and 2 are needed" {
		t.Errorf("a node that waits: %q", said)
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

func TestANodeThatIsNotWellIsNamedWithWhatToDo(t *testing.T) {
	well := wire.Status{Role: "follower", View: 3, Voter: true, Committed: coco.TxID{View: 3, Seqno: 100}, Known: 100}
	status := func(change func(*wire.Status)) *wire.Status {
		s := well
		change(&s)
		return &s
	}
	dir := nodeconfig.Dir(t.TempDir())
	note, err := dir.NoteWaits()
	if err == nil {
		err = note.Write("1 of 2 nodes wait", time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	waits := network.Node{Name: "delta", Dir: string(dir)}
	own, other := network.Node{Name: "delta", Dir: "/delta"}, network.Node{Name: "a:7000", Owner: "alpha", Elsewhere: true}
	for _, c := range []struct {
		node   network.Node
		status *wire.Status
		err    error
		level  string
		says   []string
	}{
		{own, &well, nil, finding.OK, []string{"delta serves as follower in view 3"}},
		{other, &well, nil, finding.OK, []string{"alpha at a:7000 serves"}},
		{own, nil, coco.ErrUnreachable, finding.Problem, []string{"does not answer", "coco node join", "/delta/node.log"}},
		{waits, nil, coco.ErrUnreachable, finding.Problem, []string{"delta runs and does not serve yet: 1 of 2 nodes wait"}},
		{waits, nil, coco.ErrVerify, finding.Problem, []string{"send it nothing"}},
		{waits, &well, nil, finding.OK, []string{"serves as follower"}},
		{other, nil, coco.ErrUnreachable, finding.Warning, []string{"does not answer here", "ask alpha, who runs it"}},
		{own, nil, coco.ErrVerify, finding.Problem, []string{"does not prove what it should", "send it nothing"}},
		{other, nil, coco.ErrVerify, finding.Problem, []string{"send it nothing", "ask alpha"}},
		{own, status(func(s *wire.Status) { s.Role = "joining" }), nil, finding.Problem, []string{"is joining", "/delta/node.log"}},
		{own, status(func(s *wire.Status) { s.Problem = "its disk is full" }), nil, finding.Problem, []string{"its disk is full"}},
		{other, status(func(s *wire.Status) { s.Problem = "its disk is full" }), nil, finding.Warning, []string{"its disk is full", "ask alpha"}},
		{own, status(func(s *wire.Status) { s.Closed, s.Warning = true, "too few seats" }), nil, finding.Problem, []string{"delta serves no client", "coco gov propose open-network"}},
		{own, status(func(s *wire.Status) { s.Age = 20 }), nil, finding.Problem, []string{"20 s old", "links"}},
		{own, status(func(s *wire.Status) { s.Known = 1000 }), nil, finding.Warning, []string{"900 transactions behind"}},
		{own, status(func(s *wire.Status) { s.Voter = false }), nil, finding.Warning, []string{"does not vote yet"}},
		{own, status(func(s *wire.Status) { s.Voter, s.Learns = false, true }), nil, finding.OK, []string{"does not vote: its organisation"}},
		{own, status(func(s *wire.Status) { s.Warning = "a certificate ends" }), nil, finding.Warning, []string{"a certificate ends"}},
	} {
		level, said := judgeNode(network.Answer{Node: c.node, Status: c.status, Err: c.err}, &network.Network{}, time.Now())
		if level != c.level {
			t.Errorf("%+v, %v: %s %q, expected %s", c.status, c.err, level, said, c.level)
		}
		for _, part := range c.says {
			if !strings.Contains(said, part) {
				t.Errorf("%q does not say %q", said, part)
			}
		}
	}
}

func TestTheDoctorCountsTheVotersThatAnswer(t *testing.T) {
	voter := network.Answer{Status: &wire.Status{Role: "follower", Voter: true}}
	dead := network.Answer{Node: network.Node{Elsewhere: true, Voter: true}, Err: coco.ErrUnreachable}
	learner := network.Answer{Status: &wire.Status{Role: "follower", Learns: true}}
	unknown := network.Answer{Node: network.Node{Elsewhere: true}, Err: coco.ErrUnreachable}
	left := network.Answer{Node: network.Node{Retired: true}}
	for _, c := range []struct {
		answers []network.Answer
		level   string
	}{
		{[]network.Answer{voter}, finding.OK},
		{[]network.Answer{voter, voter}, finding.OK},
		{[]network.Answer{voter, dead}, finding.Problem},
		{[]network.Answer{voter, voter, voter, left, learner, unknown}, finding.OK},
		{[]network.Answer{voter, voter, dead}, finding.Warning},
		{[]network.Answer{voter, dead, dead}, finding.Problem},
		{[]network.Answer{voter, voter, voter, voter, dead}, finding.OK},
	} {
		d := &diagnosis{}
		if d.addVoters(c.answers, true); len(d.Findings) != 1 || d.Findings[0].Level != c.level {
			t.Errorf("%d answers: %+v, expected one finding, %s", len(c.answers), d.Findings, c.level)
		}
	}
}

// From some of the nodes it does not follow how many votes are needed.
func TestTheDoctorClaimsNoQuorumOfNodesThatItDoesNotKnow(t *testing.T) {
	voter := network.Answer{Status: &wire.Status{Role: "follower", Voter: true}}
	d := &diagnosis{}
	d.addVoters([]network.Answer{voter, voter, voter}, false)
	if len(d.Findings) != 1 || d.Findings[0].Level != finding.Warning || strings.Contains(d.Findings[0].Message, "2 are needed") {
		t.Errorf("%+v", d.Findings)
	}
}
