package genesis

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/localnet"
)

// chosen makes a network with settings. The adapters take everything but the word "bad".
func chosen(dir string, settings ...string) (*constitution.Constitution, error) {
	complete := func(adapter string, text []byte) ([]byte, error) {
		if strings.Contains(string(text), "bad") {
			return nil, fmt.Errorf("%w: %s takes no %s", coco.ErrInvalid, adapter, text)
		}
		return bytes.Replace(text, []byte(`"max_value_bytes"`), []byte(`"left_out":7,"max_value_bytes"`), 1), nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := Make(localnet.Layout{Dir: dir}, Options{
		Members: 3, Exe: "coco", Code: virtual.Measure([]byte("program")), Report: func(localnet.Step) {},
		Constitution: func(c *constitution.Constitution) error { return Set(c, settings) }, CompleteSettings: complete,
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
	if want := `{"deep":{"list":[1,{"x":"y"}],"word":"some text"},"large":12345678901234567890123,"left_out":7,"max_value_bytes":4096}`; string(c.Settings("kv")) != want {
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
		"ledger.chunk_byte=1":            "unknown setting: expected one of consensus.durability, epochs.bytes, ",
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
		`adapters.kv.x={"a":1,"a":2}`:    `"a" stands twice in one object`,
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
