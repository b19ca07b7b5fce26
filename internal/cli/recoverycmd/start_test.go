package recoverycmd

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/nodeconfig"
	coconode "github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/wire"
)

// A member may bring its release twice, and what waits for the last one may hear of it before it is told.
func TestEachReleaseIsToldOnceAndBeforeTheLedgerIsOpened(t *testing.T) {
	state := func(remaining int, released ...string) wire.Recovery {
		w := wire.Recovery{State: wire.RecoveryCollecting, Remaining: remaining}
		for _, name := range []string{"alpha", "bravo", "charlie"} {
			w.Members = append(w.Members, wire.RecoveryMember{Name: name, Released: strings.Contains(strings.Join(released, " "), name)})
		}
		return w
	}
	var out bytes.Buffer
	tell := &teller{a: &app{&cli.App{Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}}
	tell.collecting(state(2), "127.0.0.1:9000")
	out.Reset()
	tell.released(state(1, "alpha"))
	tell.released(state(1, "alpha"))
	tell.opening(state(0, "alpha", "bravo"))
	tell.released(state(0, "alpha", "bravo"))
	const want = `  ✓ released: alpha; 1 remain
  ✓ released: alpha, bravo; enough
  ✓ enough members have released: opening the ledger and replaying it
`
	if got := out.String(); got != want {
		t.Errorf("told:\n%s\nexpected:\n%s", got, want)
	}

	// A node that is started again has releases that it kept: they are in what it shows first.
	tell = &teller{a: tell.a}
	tell.collecting(state(1, "alpha"), "127.0.0.1:9000")
	out.Reset()
	tell.released(state(1, "alpha"))
	if got := out.String(); got != "" {
		t.Errorf("told again: %s", got)
	}
}

func TestAnEndorsementNamesWhatIsBetween(t *testing.T) {
	for others, want := range map[int]string{0: "", 1: ", through 1 service that followed it", 2: ", through 2 services that followed it"} {
		if got := through(others); got != want {
			t.Errorf("%d others: %q, expected %q", others, got, want)
		}
	}
}

// Nobody listens for releases any more once the ledger is open: who asks there learns where to go on.
func TestAStatusWithoutAnAnswerSaysWhereToAsk(t *testing.T) {
	a := &app{&cli.App{Out: cli.NewPrinter(io.Discard), Err: cli.NewPrinter(io.Discard)}}
	cmd := a.statusCommand()
	cmd.SetArgs([]string{"--node", "127.0.0.1:1"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if err == nil || wire.ExitCode(err) != wire.ExitUnreachable || !strings.Contains(err.Error(), "no node recovers at 127.0.0.1:1") || !strings.Contains(err.Error(), "coco recovery accept") {
		t.Errorf("%v", err)
	}
}

// The constitution that members open the network under is noted, and nothing else changes, not even what the operator has written meanwhile.
func TestWhatMembersHaveOpenedIsApprovedInTheNodesSettings(t *testing.T) {
	dir := nodeconfig.Dir(t.TempDir())
	before := nodeconfig.Config{Dir: string(dir), Start: nodeconfig.StartRecover, Peer: "10.0.0.9:7000", Join: []string{"10.0.0.2:7000"}, Service: "service.pem"}
	if err := before.Save(dir.Config()); err != nil {
		t.Fatal(err)
	}
	if err := approve(dir.Config(), coco.Digest{7}); err != nil {
		t.Fatal(err)
	}
	want := before
	want.Approve = coco.Digest{7}
	if got, err := nodeconfig.Load(dir.Config()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v), expected %+v", got, err, want)
	}
}

// The ledger has no contents of resident rows: a recovery says of how many the node lacks them.
func TestARecoveryCountsTheResidentRowsWhoseContentsAreNotThere(t *testing.T) {
	dir := t.TempDir()
	for lacking, want := range map[int]string{0: "", 1: "lacks the contents of 1 resident row of", 4711: "lacks the contents of 4711 resident rows of"} {
		var out bytes.Buffer
		tell := &teller{a: &app{&cli.App{Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}}
		tell.ready(coconode.Info{Lacking: lacking}, nodeconfig.Config{Dir: dir})
		if got := out.String(); !strings.Contains(got, "the network is open") || !strings.Contains(got, want) || lacking == 0 && strings.Contains(got, "resident") {
			t.Errorf("%d rows: %s", lacking, got)
		}
	}
}
