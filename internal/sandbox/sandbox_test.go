package sandbox

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/wire"
)

var testCode = virtual.Measure([]byte("program"))

// asWritten takes the settings of adapters for complete.
func asWritten(_ string, settings []byte) ([]byte, error) { return settings, nil }

// made returns a sandbox that has been created in a new folder and not started.
func made(t *testing.T, members int) *Sandbox {
	t.Helper()
	lay, err := Prepare(filepath.Join(t.TempDir(), "net"))
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "coco")
	if err := os.WriteFile(exe, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	opts := Options{Dir: lay.Dir, Members: members, Exe: exe, Code: testCode, Verifiers: attest.Verifiers{virtual.Verifier{}}, KeepCode: true, CompleteSettings: asWritten}
	if err := opts.validate(); err != nil {
		t.Fatal(err)
	}
	s := &Sandbox{opts: opts, lay: lay, end: end{done: make(chan struct{})}}
	if s.info, err = genesis.Make(lay, opts.genesis(opts.Report)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestADescriptionSurvivesAndIsPrivate(t *testing.T) {
	s := made(t, 3)
	got, err := localnet.Load(s.lay.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, s.info) {
		t.Errorf("loaded %+v, saved %+v", got, s.info)
	}
	if runtime.GOOS != "windows" {
		for _, name := range []string{s.lay.InfoFile(), s.lay.Member("alpha").OrgKey(), s.lay.Member("alpha").UserKey(), s.lay.Member("alpha").Encryption()} {
			st, err := os.Stat(name)
			if err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, %v", name, st.Mode(), err)
			}
		}
	}
	if len(got.Accounts) != 10 || got.Accounts[0].Key == got.Accounts[1].Key {
		t.Errorf("accounts %v", got.Accounts)
	}
	if got.ChainID < 1<<20 || got.ChainID >= 1<<31 {
		t.Errorf("chain id %d is not in the safe range", got.ChainID)
	}

	// A folder that was moved describes itself.
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(s.lay.Dir, moved); err != nil {
		t.Fatal(err)
	}
	info, err := localnet.Load(moved)
	if err != nil || !strings.HasPrefix(info.Nodes[0].Dir, moved) || !strings.HasPrefix(info.ServicePEM, moved) {
		t.Errorf("moved: %v, %v", info, err)
	}
}

func TestMembersCertificatesMakeTheirUsersCallers(t *testing.T) {
	s := made(t, 2)
	c, err := s.info.LoadConstitution()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.info.Members {
		pair, err := identity.Dir(m.Dir).UserCertificate()
		if err != nil {
			t.Fatal(err)
		}
		var chain []*x509.Certificate
		for _, der := range pair.Certificate {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			chain = append(chain, cert)
		}
		caller, err := constitution.Identify(c, chain, time.Now())
		if err != nil || caller.Name != m.Name || caller.Role != coco.Member {
			t.Errorf("user of %s is %+v, %v", m.Name, caller, err)
		}
		owner, err := identity.LoadOwner(identity.Dir(m.Dir).Org(), identity.Dir(m.Dir).OrgKey(), keyfile.ReadUnattended)
		if err != nil || c.Holder(owner.Certificates()[0]) != caller.Actor {
			t.Errorf("owner %v, %v", owner, err)
		}
		actor, key, err := identity.MemberKey{Certificate: identity.Dir(m.Dir).Org(), Key: identity.Dir(m.Dir).Encryption()}.Load()
		if err != nil || actor != caller.Actor {
			t.Fatalf("member key of %v, %v", actor, err)
		}
		if rec, ok := c.Member(actor); !ok || string(rec.EncryptionKey) != string(key.Public()) {
			t.Errorf("the constitution has another encryption key for %s", m.Name)
		}
	}
	if _, err := s.info.Connect(s.info.Nodes[0], nil); err == nil {
		t.Error("connected without a service certificate to verify the node by")
	}
}

func TestAnOwnersSignatureIsWhatTheNetworkChecks(t *testing.T) {
	s := made(t, 1)
	c, err := s.info.LoadConstitution()
	if err != nil {
		t.Fatal(err)
	}
	dir := identity.Dir(s.info.Members[0].Dir)
	owner, err := identity.LoadOwner(dir.Org(), dir.OrgKey(), keyfile.ReadUnattended)
	if err != nil {
		t.Fatal(err)
	}
	key := []byte("a node's public key")
	rec := table.NodeRecord{Owner: c.Holder(owner.Certificates()[0]), Address: "127.0.0.1:1", ClientAddress: "127.0.0.1:2", Key: key, OwnerCertificates: owner.Certificates(), Time: uint64(time.Now().UnixMilli())}
	if rec.OwnerSignature, err = owner.Sign(t.Context(), table.NodeTuple(rec.Owner, rec.Address, rec.ClientAddress, key)); err != nil {
		t.Fatal(err)
	}
	if err := members.VerifyOwner(c, &rec); err != nil {
		t.Error(err)
	}
	rec.Address = "127.0.0.1:3"
	if err := members.VerifyOwner(c, &rec); err == nil {
		t.Error("the signature holds for another address")
	}
}

func TestForeignFoldersAreRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := Prepare(dir); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(dir); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("a folder with other files: %v", err)
	}
	if _, err := Prepare(filepath.Join(dir, "thesis.txt")); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a file: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Dir: "d", Exe: "e", Code: testCode, Verifiers: attest.Verifiers{virtual.Verifier{}}, CompleteSettings: asWritten}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"members":     func(o *Options) { o.Members = len(localnet.Names) + 1 },
		"negative":    func(o *Options) { o.Members = -1 },
		"port":        func(o *Options) { o.Port = 65536 },
		"chain id":    func(o *Options) { o.ChainID = 1 << 31 },
		"no folder":   func(o *Options) { o.Dir = "" },
		"no code":     func(o *Options) { o.Code = "" },
		"no drivers":  func(o *Options) { o.Verifiers = nil },
		"no adapters": func(o *Options) { o.CompleteSettings = nil },
	} {
		o := good
		change(&o)
		if err := o.validate(); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPortsInUseAreSteppedOver(t *testing.T) {
	taken, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	if port > 65000 {
		t.Skip("the system gave a port at the end of the range")
	}
	s := &Sandbox{opts: Options{Port: port}, info: localnet.Info{Nodes: []localnet.Node{{Name: "alpha", Peer: taken.Addr().String()}, {Name: "bravo"}}}}
	if err := s.assignPorts(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, ln := range s.front.listeners {
			ln.Close()
		}
	}()
	seen := map[string]bool{taken.Addr().String(): true}
	for i, n := range s.info.Nodes {
		at := s.front.listeners[i].Addr().String()
		for _, addr := range []string{at, n.Peer, n.Client} {
			if seen[addr] {
				t.Errorf("%s: %s is in use", n.Name, addr)
			}
			seen[addr] = true
		}
		if n.HTTP != "http://"+at || n.WS != "ws://"+at {
			t.Errorf("%s: %s and %s, listening at %s", n.Name, n.HTTP, n.WS, at)
		}
	}
}

func TestPortsAreKeptOverARestart(t *testing.T) {
	s := &Sandbox{info: localnet.Info{Nodes: []localnet.Node{{Name: "alpha"}}}}
	if err := s.assignPorts(); err != nil {
		t.Fatal(err)
	}
	first := s.info.Nodes[0]
	s.front.listeners[0].Close()
	again := &Sandbox{info: localnet.Info{Nodes: []localnet.Node{first}}}
	if err := again.assignPorts(); err != nil {
		t.Fatal(err)
	}
	defer again.front.listeners[0].Close()
	if got := again.info.Nodes[0]; got != first {
		t.Errorf("got %+v, had %+v", got, first)
	}
}

// entries makes a ledger of empty entries whose views are given.
func entries(t *testing.T, dir nodeconfig.Dir, views ...uint64) {
	t.Helper()
	disk, err := local.Open(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	log, err := ledger.Open(disk, nodeconfig.LedgerDir, ledger.Options{ChunkBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for i, v := range views {
		if err := log.Append([]batch.Entry{{View: v, Index: uint64(i + 1), Kind: batch.KindBatch}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Sync(); err != nil {
		t.Fatal(err)
	}
}

func TestTheFurthestLedgerGoesOn(t *testing.T) {
	s := made(t, 3)
	if _, found, err := s.longestLedger(nil); err != nil || found {
		t.Fatalf("no ledger: found %v, %v", found, err)
	}
	dir := func(i int) nodeconfig.Dir { return nodeconfig.Dir(s.info.Nodes[i].Dir) }
	entries(t, dir(0), 1, 1, 1, 1) // longer, of an older view
	entries(t, dir(1), 1, 2)
	entries(t, dir(2), 1, 2, 2)
	if node, found, err := s.longestLedger(nil); err != nil || !found || node != 2 {
		t.Errorf("chose %d, found %v, %v; want 2", node, found, err)
	}
	s.info.Committed = true
	if err := os.RemoveAll(dir(2).Ledger()); err != nil {
		t.Fatal(err)
	}
	if node, found, err := s.longestLedger(nil); err != nil || !found || node != 1 {
		t.Errorf("chose %d of the two that are left, found %v, %v; want 1", node, found, err)
	}
	if err := os.RemoveAll(dir(1).Ledger()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.longestLedger(nil); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("one of three ledgers: %v, want a refusal", err)
	}
}

func TestNodesRunListedCodeOnly(t *testing.T) {
	s := made(t, 1)
	c, err := s.info.LoadConstitution()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.chooseCode(c); err != nil || s.exe != s.lay.ProgramFile() {
		t.Errorf("runs %s, %v; want the kept program", s.exe, err)
	}
	s.opts.Code = virtual.Measure([]byte("a newer program"))
	if err := s.chooseCode(c); err != nil || s.exe != s.lay.ProgramFile() {
		t.Errorf("with a newer program: runs %s, %v; want the kept one", s.exe, err)
	}
	if err := os.WriteFile(s.lay.ProgramFile(), []byte("tampered"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.chooseCode(c); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("with a newer program and a kept one that was changed: %v", err)
	}
	s.opts.Code = testCode
	if err := s.chooseCode(c); err != nil || s.exe != s.opts.Exe {
		t.Errorf("runs %s, %v; want the program that is listed", s.exe, err)
	}
}

func TestFreshKeepsNothingOfTheOldNetwork(t *testing.T) {
	s := made(t, 3)
	old := s.info
	s.opts.Members, s.opts.Fresh = 2, true
	var err error
	if s.info, err = genesis.Make(s.lay, s.opts.genesis(s.report)); err != nil {
		t.Fatal(err)
	}
	if s.info.ChainID == old.ChainID || s.info.Constitution == old.Constitution || len(s.info.Nodes) != 2 { // its accounts are the well-known ones, too
		t.Errorf("the new network %+v is like the old one", s.info)
	}
	if _, err := os.Stat(string(s.lay.Member("charlie"))); !errors.Is(err, os.ErrNotExist) {
		t.Error("a member of the old network is left")
	}
}

func TestTheControlEndpointAsksForTheToken(t *testing.T) {
	s := made(t, 1)
	c, err := newControl(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	s.end.cancel = cancel
	served := make(chan error, 1)
	go func() { served <- c.serve(ctx) }()
	info := s.info
	info.Control, info.Token = c.url, "guess"
	if err := localnet.Ask(t.Context(), info, "POST", "/stop", nil); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("with another token: %v", err)
	}
	info.Token = c.token
	if _, err := localnet.GetStatus(t.Context(), info); err != nil {
		t.Error(err)
	}
	if err := localnet.Ask(t.Context(), info, "POST", "/stop", nil); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if cause := context.Cause(ctx); !errors.Is(cause, errStopped) {
		t.Errorf("the sandbox ends because of %v", cause)
	}
	if _, err := localnet.GetStatus(t.Context(), info); !errors.Is(err, coco.ErrUnreachable) {
		t.Errorf("after the end: %v", err)
	}
}

func TestDownCleansUpAfterACrash(t *testing.T) {
	s := made(t, 1)
	s.info.Pid, s.info.Control, s.info.Token, s.info.Nodes[0].Pid = 1<<30, "http://127.0.0.1:1", "t", 1<<30
	if err := s.info.Save(); err != nil {
		t.Fatal(err)
	}
	was, err := localnet.Down(t.Context(), s.lay.Dir)
	if err != nil || was {
		t.Errorf("Down = %v, %v", was, err)
	}
	info, err := localnet.Load(s.lay.Dir)
	if err != nil || info.Pid != 0 || info.Control != "" || info.Nodes[0].Pid != 0 {
		t.Errorf("left behind: %+v, %v", info, err)
	}
}

func TestExitCodesTellTheKindOfError(t *testing.T) {
	for code, err := range map[int]error{
		0: nil, 1: errors.New("some"), 2: coco.ErrInvalid, 3: coco.ErrVerify, 4: coco.ErrDenied, 5: coco.ErrNotCommitted, 6: coco.ErrUnreachable,
	} {
		if err != nil {
			err = fmt.Errorf("%w: what and why", err)
		}
		if got := wire.ExitCode(err); got != code {
			t.Errorf("%v: exit code %d, want %d", err, got, code)
		}
		if err == nil {
			continue
		}
		far := nodeconfig.FailedEvent(err).Failure()
		if wire.ExitCode(far) != code || far.Error() != err.Error() {
			t.Errorf("%v: the other process sees %v with code %d", err, far, wire.ExitCode(far))
		}
	}
}
