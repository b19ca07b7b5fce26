package sandbox

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// folder makes a sandbox that is not started, with a program of its own.
func folder(t *testing.T) *Sandbox {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(exe, []byte("the old program"), 0o700); err != nil {
		t.Fatal(err)
	}
	opts := Options{
		Dir: filepath.Join(t.TempDir(), "net"), Exe: exe, Code: virtual.Measure([]byte("the old program")), KeepCode: true,
		Verifiers: attest.Verifiers{virtual.Verifier{}}, CompleteSettings: asWritten,
	}
	info, err := Create(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := opts.validate(); err != nil {
		t.Fatal(err)
	}
	con, err := info.LoadConstitution()
	if err != nil {
		t.Fatal(err)
	}
	s := &Sandbox{opts: opts, lay: localnet.Layout{Dir: info.Dir}, info: info, known: known{con: con}}
	s.exe = s.lay.ProgramFile()
	return s
}

func TestNodesRunTwoProgramsUntilAllHaveTheNewOne(t *testing.T) {
	s := folder(t)
	old := s.exe
	file := filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(file, []byte("the new program"), 0o700); err != nil {
		t.Fatal(err)
	}
	code := virtual.Measure([]byte("the new program"))
	if err := s.assign(0, code); err == nil {
		t.Error("a node is to run a program that is not there")
	}
	if err := copyProgram(file, filepath.Join(s.lay.Code(), programName(code)), code); err != nil {
		t.Fatal(err)
	}
	for i := range s.info.Nodes {
		if err := s.adopt(code); err == nil {
			t.Errorf("adopted with %d of %d nodes", i, len(s.info.Nodes))
		}
		if err := s.assign(i, code); err != nil {
			t.Fatal(err)
		}
		for k := range s.info.Nodes {
			got, err := localnet.Measure(s.exeOf(k))
			if err != nil || (got == code) != (k <= i) {
				t.Errorf("after %d of 3, node %d runs %s, %v", i+1, k, got, err)
			}
		}
	}
	kept, err := localnet.Load(s.info.Dir) // as a supervisor that starts anew finds it
	if err != nil || kept.Nodes[2].Code == "" || kept.Measurement != string(s.opts.Code) {
		t.Errorf("the description says %+v, %v", kept, err)
	}
	if err := s.adopt(code); err != nil {
		t.Fatal(err)
	}
	if got, err := localnet.Measure(s.exeOf(1)); err != nil || got != code || s.exeOf(1) != old {
		t.Errorf("in the end node 1 runs %s from %s, %v", got, s.exeOf(1), err)
	}
	again, err := localnet.Load(s.info.Dir)
	if err != nil || again.Nodes[0].Code != "" || again.Measurement != string(code) {
		t.Errorf("the description says %+v, %v", again, err)
	}
	// A crash before the description was written leaves names of a file that is gone: they run the sandbox's.
	s.info.Nodes[0].Code = programName(code)
	if s.exeOf(0) != old {
		t.Errorf("node 0 runs %s, expected %s", s.exeOf(0), old)
	}
}

func TestAProgramThatChangesWhileItIsCopiedIsRefused(t *testing.T) {
	s := folder(t)
	to := filepath.Join(s.lay.Code(), "x")
	if err := copyProgram(s.exe, to, virtual.Measure([]byte("what was measured"))); err == nil || isFile(to) {
		t.Errorf("copied: %v", err)
	}
}

func TestAConstitutionThatMembersChangedIsRemembered(t *testing.T) {
	s := folder(t)
	if c, err := s.info.InForce(); err != nil || c.Digest() != s.info.Constitution {
		t.Fatalf("at first %v", err)
	}
	changed := *s.known.con
	changed.Code = append(slices.Clone(s.known.con.Code), constitution.Code{Measurement: coco.Measurement("virtual:" + strings.Repeat("ab", 32))})
	if err := changed.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(s.lay.InForceFile(), changed.TOML()); err != nil {
		t.Fatal(err)
	}
	if c, err := s.info.InForce(); err != nil || c.Digest() != changed.Digest() || len(c.Measurements()) != 2 {
		t.Errorf("after a change %v", err)
	}
	if _, err := Prepare(s.info.Dir); err != nil {
		t.Errorf("the folder is not taken for a sandbox's any more: %v", err)
	}
	s.opts.Members, s.opts.Fresh = DefaultMembers, true
	if _, err := genesis.Make(s.lay, s.opts.genesis(s.report)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.lay.InForceFile()); err == nil {
		t.Error("it outlives its network")
	}
}

func TestOnlyALaterCertificateOfTheSameServiceIsTakenOver(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	service, err := channel.NewService("net", true, now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := channel.NewService("net", true, now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	renew := func(s *channel.Service, at time.Time) *x509.Certificate {
		der, err := s.RenewSelf(at)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	known := service.Certificate()
	for name, c := range map[string]struct {
		known, found *x509.Certificate
		ok           bool
	}{
		"later":           {known, renew(service, now.AddDate(7, 0, 0)), true},
		"the same":        {known, known, false},
		"an earlier one":  {renew(service, now.AddDate(7, 0, 0)), known, false},
		"another service": {known, other.Certificate(), false},
		"nothing known":   {nil, known, false},
	} {
		if got := Renewed(c.known, c.found); got != c.ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}
