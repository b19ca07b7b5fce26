package nodecmd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/resume"
	"github.com/cocoframework/coco/wire"
)

func waitingApp() (*app, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return &app{&cli.App{Program: cli.Program{Platforms: []cli.Platform{{Measure: virtual.Self}}}, Out: cli.NewPrinter(out), Err: cli.NewPrinter(io.Discard)}}, out
}

// An operator whose node waits for others reads how many are there, which are not, and what to do, once for each change, and not that nobody answers.
func TestANodeThatWaitsForOthersSaysSo(t *testing.T) {
	a, out := waitingApp()
	tell := &joinTeller{a: a}
	nobody := &join.RefusedError{} // no rule is the reason: nobody answers
	for range 3 {
		tell.waits(waitsText(resume.Waiting{Here: 1, Nodes: 3, Needed: 3, Missing: []string{"10.0.0.2:7000", "10.0.0.3:7000"}}))
		tell.refused(nobody)
	}
	tell.waits(waitsText(resume.Waiting{Here: 2, Nodes: 3, Needed: 3, Missing: []string{"10.0.0.3:7000"}}))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "1 of 3 nodes wait, and 3 are needed") || !strings.Contains(lines[0], "10.0.0.2:7000, 10.0.0.3:7000 (`coco node join`)") ||
		!strings.Contains(lines[1], "2 of 3 nodes wait") || strings.Contains(lines[1], "10.0.0.2") {
		t.Errorf("said %q", lines)
	}
	if text := waitsText(resume.Waiting{Here: 1, Nodes: 1, Needed: 2}); !strings.Contains(text, "a network of 1 node does not go on by itself") || !strings.Contains(text, "coco recovery start") {
		t.Errorf("a network of one: %q", text)
	}
	if text := waitsText(resume.Waiting{Here: 1, Nodes: 3, Needed: 3, Missing: []string{"10.0.0.3:7000"}, Lacks: true}); !strings.Contains(text, "no snapshot yet") || !strings.Contains(text, "Start those at 10.0.0.3:7000") {
		t.Errorf("one that fetches a snapshot: %q", text)
	}
	if text := waitsText(resume.Waiting{Here: 1, Nodes: 2, Needed: 2}); strings.Contains(text, "Start") || !strings.Contains(text, "answer and do not wait yet") {
		t.Errorf("nobody is to be started: %q", text)
	}
}

// A node that waits answers nobody. Its status is what its process says on this machine.
func TestTheStatusOfANodeThatWaitsIsThatItWaits(t *testing.T) {
	dir := nodeconfig.Dir(t.TempDir())
	cfg := nodeconfig.Config{Dir: string(dir)}
	note, err := dir.NoteWaits()
	if err == nil {
		err = note.Write("1 of 2 nodes wait, and 2 are needed", time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	a, _ := waitingApp()
	err = a.status(t.Context(), cfg)
	if !errors.Is(err, coco.ErrBusy) || wire.ExitCode(err) != 5 || !strings.Contains(err.Error(), "the node runs and does not serve yet: 1 of 2 nodes wait, and 2 are needed") {
		t.Errorf("%v", err)
	}
	if err := note.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := a.status(t.Context(), cfg); err == nil || errors.Is(err, coco.ErrBusy) {
		t.Errorf("a node that does not wait, nor answer: %v", err)
	}
}

// Members' vote is the approval of what a recovered node runs under, so the node starts as any other afterwards, and not before.
func TestARecoveredNodeTakesPartOnceMembersHaveOpenedItsNetwork(t *testing.T) {
	file := nodeconfig.Dir(t.TempDir()).Config()
	cfg := nodeconfig.Config{Start: nodeconfig.StartRecover, Peer: "10.0.0.9:7000", Service: "service.pem"}
	if recovered(cfg) {
		t.Error("a network that is closed counts as open")
	}
	cfg.Approve = coco.Digest{1}
	keys := cfg
	keys.RecoverKeys = []identity.MemberKey{{Key: "alpha.key"}}
	if !recovered(cfg) || recovered(keys) {
		t.Error("the settings of `coco recovery start` are those that count, and no sandbox's")
	}
	a, _ := waitingApp()
	for _, join := range [][]string{nil, {"10.0.0.2:7000"}} {
		now := cfg
		now.Join = join
		if err := a.takesPart(file, &now); err != nil {
			t.Fatal(err)
		}
		got, err := nodeconfig.Load(file)
		if want := append(join, "10.0.0.9:7000")[0]; err != nil || got.Start != nodeconfig.StartJoin || got.Approve != cfg.Approve || len(got.Join) != 1 || got.Join[0] != want {
			t.Errorf("join %q: %+v (%v), expected %q", join, got, err, want)
		}
	}
}
