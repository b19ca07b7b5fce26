package sandbox

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// What is refused leaves the network in the folder as it is, whether it was to go on or to be discarded.
func TestRefusedSettingsDoNotHarmTheNetworkThatIsThere(t *testing.T) {
	s := made(t, 1)
	before, err := os.ReadFile(s.lay.ConstitutionFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, fresh := range []bool{false, true} {
		opts := s.opts
		opts.Members, opts.Fresh = 0, fresh
		opts.Constitution = func(c *constitution.Constitution) error { return genesis.Set(c, []string{"limits.queue=0"}) }
		want := "limits.queue: expected 1 to"
		if !fresh {
			want = "has its constitution already: leave --set out"
		}
		if _, err := Start(t.Context(), opts); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("fresh=%v: found %v, expected %q", fresh, err, want)
		}
		if after, err := os.ReadFile(s.lay.ConstitutionFile()); err != nil || !slices.Equal(after, before) {
			t.Errorf("fresh=%v: the constitution has changed (%v)", fresh, err)
		}
	}
}

func TestANodesSettingsAreNotReplacedUnlessTheyCanBeRead(t *testing.T) {
	s := made(t, 1)
	file := s.lay.Node("alpha").Config()
	if err := s.nodeConfig(0, nodeconfig.StartGenesis, nil); err != nil {
		t.Fatalf("there is none yet: %v", err)
	}
	c, err := nodeconfig.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	c.LedgerFolders = []string{"/archive"}
	if err := c.SaveSupervised(file); err != nil {
		t.Fatal(err)
	}
	if err := s.nodeConfig(0, nodeconfig.StartRecover, nil); err != nil {
		t.Fatal(err)
	}
	if c, err = nodeconfig.Load(file); err != nil || c.Start != nodeconfig.StartRecover || !slices.Equal(c.LedgerFolders, []string{"/archive"}) {
		t.Errorf("%+v, %v", c, err)
	}
	broken := []byte("ledger_folders = [\"/archive\"\nstart = \"join\"\n")
	if err := os.WriteFile(file, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.nodeConfig(0, nodeconfig.StartRecover, nil); !errors.Is(err, coco.ErrInvalid) || !final(err) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "correct the file") {
		t.Errorf("a file that cannot be read: %v", err)
	}
	if now, err := os.ReadFile(file); err != nil || !slices.Equal(now, broken) {
		t.Errorf("the file is %q now, %v", now, err)
	}
}

// The command that made a network in development mode is the one that its user repeats; another network does not become one.
func TestANetworkInDevelopmentModeGoesOnByTheOptionThatMadeIt(t *testing.T) {
	for _, development := range []bool{true, false} {
		s := made(t, 2)
		info, err := localnet.Load(s.lay.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Development = development; info.Save() != nil {
			t.Fatal("the description is not written")
		}
		s.opts.Members, s.opts.Development = 0, true
		resume, err := s.load()
		switch {
		case development && (err != nil || !resume || len(s.info.Members) != 2):
			t.Errorf("goes on %v with %d members: %v", resume, len(s.info.Members), err)
		case !development && (!errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "leave --dev out")):
			t.Errorf("a network that is not in development mode: %v", err)
		}
	}
}
