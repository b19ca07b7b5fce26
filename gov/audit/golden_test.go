package audit_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/store"
)

var update = flag.Bool("update", false, "write what an audit of the golden ledgers finds")

// found is what an audit of a golden ledger finds. It is compared with the file audit.json beside the ledger. It has a form
// of its own, which no change of another type changes.
type found struct {
	Entries      uint64                 `json:"entries"`
	Transactions uint64                 `json:"transactions"`
	Last         string                 `json:"last"`
	Committed    string                 `json:"committed"`
	Root         coco.Digest            `json:"root"`
	Constitution coco.Digest            `json:"constitution"`
	Version      uint64                 `json:"version"` // of the constitution
	Rules        uint64                 `json:"rules"`
	Epochs       int                    `json:"epochs"`
	Ballots      int                    `json:"ballots"`
	Proposals    []foundProposal        `json:"proposals"`
	Tables       map[string]coco.Digest `json:"tables"` // of all rows of each public table, in order
}

type foundProposal struct {
	Kinds  []string `json:"kinds"`
	State  string   `json:"state"`
	Code   string   `json:"code,omitempty"`   // of the reason
	Reason string   `json:"reason,omitempty"` // in canonical CBOR
}

// Whatever a release wrote, all later ones read, and repeat its decisions by the rules of their time. A golden ledger is
// made once and never again: testdata/golden/make.sh. If this test fails, a format or a rule has changed for networks that
// exist; it is the change that is wrong, and not the expected result.
func TestGoldenLedgersVerifyForEver(t *testing.T) {
	versions, err := filepath.Glob("testdata/golden/v*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no golden ledgers (%v)", err)
	}
	for _, dir := range versions {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			got, err := json.MarshalIndent(auditGolden(t, dir), "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			name := filepath.Join(dir, "audit.json")
			if *update {
				if err := os.WriteFile(name, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("an audit finds\n%s\nexpected (%v)\n%s", got, err, want)
			}
		})
	}
}

// golden returns a disk with a golden ledger.
func golden(t testing.TB, dir string) *mem.Disk {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join(dir, "ledger_1.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	disk := mem.New()
	disk.Put("ledger/ledger_1", data)
	return disk
}

func auditGolden(t *testing.T, dir string) found {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "service.pem"))
	if err != nil {
		t.Fatal(err)
	}
	service, _ := pem.Decode(text)
	a := audit.New(audit.Config{Service: service.Bytes, Verifiers: govtest.Verifiers})
	report, err := ledger.Audit(t.Context(), golden(t, dir), "ledger", a, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := a.Constitution()
	out := found{
		Entries: report.Entries, Transactions: report.Transactions, Last: report.Last.String(), Committed: report.Committed.String(), Root: report.Root,
		Constitution: c.Digest(), Version: c.Version, Rules: c.Rules, Epochs: len(a.Epochs()), Tables: map[string]coco.Digest{},
	}
	counted, err := a.Governance()
	if err != nil {
		t.Fatal(err)
	}
	out.Ballots = counted.Ballots
	r := a.Tables()
	list, err := table.Proposals(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b table.ProposalRecord) int { return int(a.Number) - int(b.Number) })
	for _, p := range list {
		f := foundProposal{Kinds: p.Kinds, State: string(p.State), Code: string(reason.CodeOf(p.Reason))}
		if p.Reason != nil {
			b, err := canon.Marshal(p.Reason)
			if err != nil {
				t.Fatal(err)
			}
			f.Reason = hex.EncodeToString(b)
		}
		out.Proposals = append(out.Proposals, f)
	}
	for _, tab := range table.All() {
		if later := tab.Name == table.CeremoniesTable || tab.Name == table.CommitteesTable || tab.Name == table.RecoveriesTable || tab.Name == table.GrantsTable; !tab.Private && !(later && c.Rules < 3) {
			out.Tables[tab.Name] = digest(r, tab)
		}
	}
	return out
}

// digest returns the SHA-256 of a table's rows. Of tables that are not ordered the rows are known.
func digest(r store.Reader, tab store.Table) coco.Digest {
	h := sha256.New()
	if tab.Ordered {
		r.Range(tab.Name, nil, nil, func(key, value []byte) bool {
			fmt.Fprintf(h, "%x=%x\n", key, value)
			return true
		})
	} else {
		for _, key := range []string{table.CoreKey, table.CertificateKey, table.SettingsKey + "kv", table.SettingsKey + "ethereum"} {
			value, _ := r.Get(tab.Name, []byte(key))
			fmt.Fprintf(h, "%s=%x\n", key, value)
		}
	}
	return coco.Digest(h.Sum(nil))
}

// A golden ledger in which one byte is changed is refused, so that the test above can fail.
func TestAGoldenLedgerThatWasChangedIsRefused(t *testing.T) {
	disk := golden(t, "testdata/golden/v1")
	data := disk.Data("ledger/ledger_1")
	data[len(bytes.TrimRight(data, "\x00"))/2] ^= 1
	disk.Put("ledger/ledger_1", data)
	if _, err := ledger.Audit(t.Context(), disk, "ledger", audit.New(audit.Config{}), nil); err == nil {
		t.Error("no error")
	}
}
