package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// chosen makes a network with settings. The adapters take everything but the word "bad".
func chosen(dir string, settings ...string) (*constitution.Constitution, error) {
	check := func(adapter string, text []byte) error {
		if strings.Contains(string(text), "bad") {
			return fmt.Errorf("%w: %s takes no %s", coco.ErrInvalid, adapter, text)
		}
		return nil
	}
	info, err := Create(Options{
		Dir: dir, Exe: "coco", Code: testCode, Verifiers: attest.Verifiers{virtual.Verifier{}},
		Constitution: func(c *constitution.Constitution) error { return Set(c, settings, check) },
	})
	if err != nil {
		return nil, err
	}
	return info.LoadConstitution()
}

func TestANewNetworkHasTheSettingsThatWereChosen(t *testing.T) {
	c, err := chosen(filepath.Join(t.TempDir(), "net"),
		"ledger.chunk_bytes=65536", "snapshots.transactions=0", "snapshots.seconds=7", "limits.queue=9", "shares.threshold=3", "consensus.durability=memory",
		"adapters.kv.max_value_bytes=4096", `adapters.kv.deep.list=[1,{"x":"y"}]`, "adapters.kv.deep.word=some text", "adapters.kv.large=12345678901234567890123")
	if err != nil {
		t.Fatal(err)
	}
	if c.Ledger.ChunkBytes != 65536 || c.Snapshots.Transactions != 0 || c.Snapshots.Seconds != 7 || c.Limits.Queue != 9 || c.Shares.Threshold != 3 || c.Consensus.Durability != constitution.DurableMemory {
		t.Errorf("%+v", c)
	}
	if want := `{"deep":{"list":[1,{"x":"y"}],"word":"some text"},"large":12345678901234567890123,"max_value_bytes":4096}`; string(c.Settings("kv")) != want {
		t.Errorf("kv has %s, expected %s", c.Settings("kv"), want)
	}
	d, err := chosen(filepath.Join(t.TempDir(), "net"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Snapshots.Transactions == 0 || d.Snapshots.Bytes != c.Snapshots.Bytes || len(c.Members) != len(d.Members) || string(c.Settings("ethereum"))[:8] != string(d.Settings("ethereum"))[:8] {
		t.Error("what was not chosen is not the default")
	}
}

func TestSettingsThatCannotBeAreRefusedAndNothingIsMade(t *testing.T) {
	for setting, want := range map[string]string{
		"ledger.chunk_byte=1":            "unknown setting: expected one of consensus.durability, ledger.chunk_bytes, ",
		"network.insecure=false":         "unknown setting",
		"ledger=1":                       "unknown setting",
		"=1":                             "unknown setting",
		"adapters=1":                     "expected adapters.NAME.SETTING",
		"adapters.kv=1":                  "expected adapters.NAME.SETTING",
		"adapters.kv..x=1":               "expected adapters.NAME.SETTING",
		"adapters.sql.x=1":               `no adapter "sql": expected one of ethereum, kv`,
		"adapters.kv.x=bad":              "kv takes no",
		"adapters.ethereum.chain_id.x=1": "use --chain-id",
		"ledger.chunk_bytes":             "expected KEY=VALUE",
		"ledger.chunk_bytes=1":           "ledger.chunk_bytes: expected 65536 to",
		"ledger.chunk_bytes=1e6":         "expected a whole number",
		"limits.queue=many":              `expected a whole number, found "many"`,
		"limits.queue=0":                 "limits.queue: expected 1 to",
		"consensus.durability=7":         `expected "disk" or "memory", found "7"`,
		"shares.threshold=4":             "shares.threshold",
	} {
		dir := filepath.Join(t.TempDir(), "net")
		_, err := chosen(dir, setting)
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: found %v, expected %q", setting, err, want)
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Errorf("%s: it left %v, %v", setting, files, err)
		}
	}
	if _, err := chosen(filepath.Join(t.TempDir(), "net"), "limits.queue=5", "limits.queue=6"); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a setting given twice: %v", err)
	}
}

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
		opts.Constitution = func(c *constitution.Constitution) error { return Set(c, []string{"limits.queue=0"}, nil) }
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
