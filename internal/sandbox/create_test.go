package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
)

func TestANetworkIsMadeOnceAndNotStarted(t *testing.T) {
	opts := Options{Dir: filepath.Join(t.TempDir(), "net"), Exe: "coco", Code: testCode, Verifiers: attest.Verifiers{virtual.Verifier{}}, CompleteSettings: asWritten}
	info, err := Create(opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Nodes) != DefaultMembers || info.Committed || info.Pid != 0 {
		t.Errorf("made %d nodes, committed %v, process %d; want %d, not committed, none", len(info.Nodes), info.Committed, info.Pid, DefaultMembers)
	}
	if _, err := info.LoadConstitution(); err != nil {
		t.Errorf("its constitution: %v", err)
	}
	for _, m := range info.Members {
		if _, err := identity.Dir(m.Dir).UserCertificate(); err != nil {
			t.Errorf("the user of %s: %v", m.Name, err)
		}
	}
	before, err := os.ReadFile(localnet.Layout{Dir: info.Dir}.InfoFile())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(opts); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("making another one in its folder: %v, want coco.ErrInvalid", err)
	}
	if after, err := os.ReadFile(localnet.Layout{Dir: info.Dir}.InfoFile()); err != nil || string(after) != string(before) {
		t.Errorf("the refusal changed the network that was there (%v)", err)
	}
}
