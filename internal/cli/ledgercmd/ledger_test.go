package ledgercmd

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/wire"
)

// copyOfALedger writes a ledger in which members have voted, and nothing else of its network, to a folder.
func copyOfALedger(t *testing.T) (dir string, data []byte) {
	t.Helper()
	f, err := os.Open("../../../gov/audit/testdata/golden/v1/ledger_1.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		data, err = io.ReadAll(z)
	}
	if err != nil {
		t.Fatal(err)
	}
	return folderOf(t, data), data
}

func folderOf(t *testing.T, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ledger_1"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs `coco ledger` and returns its exit code and what it wrote.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a := &cli.App{
		Program: cli.Program{Version: "test", Platforms: []cli.Platform{{Verifier: virtual.Verifier{}}}},
		Out:     cli.NewPrinter(&out), Err: cli.NewPrinter(&errs),
	}
	root := &cobra.Command{Use: "coco", SilenceErrors: true, SilenceUsage: true}
	a.Add(root, []cli.Group{{Commands: []func(*cli.App) *cobra.Command{Command}}})
	code = a.Run(t.Context(), root, append([]string{"ledger"}, args...))
	return code, out.String(), errs.String()
}

func TestAnAuditorReadsWhatWasVotedInACopyOfALedger(t *testing.T) {
	dir, _ := copyOfALedger(t)
	code, out, errs := run(t, "show", dir, "--governance")
	if code != wire.ExitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"Constitution", "genesis", "#2 is rejected: ", "#3 is withdrawn", "#8 is accepted", "remove-member", " yes, signed 20", " no, signed 20"} {
		if !strings.Contains(out, want) {
			t.Errorf("expected %q in\n%s", want, out)
		}
	}
	all := shown(t, dir, wire.ExitOK)
	if len(all.Constitutions) != 6 || len(all.Proposals) != 8 || len(all.Nodes) == 0 || all.Last.String() != "1.35" || all.Fault != nil {
		t.Errorf("%d constitutions, %d proposals, %d nodes up to %s", len(all.Constitutions), len(all.Proposals), len(all.Nodes), all.Last)
	}
	ballots := 0
	for _, p := range all.Proposals {
		if ballots += len(p.Ballots); p.Actions == "" || len(p.Envelope) == 0 {
			t.Errorf("#%d lacks its actions or its envelope", p.Number)
		}
	}
	if ballots != 15 {
		t.Errorf("%d ballots, expected 15", ballots)
	}
	_, first, _ := run(t, "show", dir, "--constitution", "1")
	_, last, _ := run(t, "show", dir, "--constitution", "0")
	_, sixth, _ := run(t, "show", dir, "--constitution", "6")
	if !strings.Contains(first, "[[members]]") || first == last || last != sixth {
		t.Errorf("the first constitution is\n%s\nthe last one\n%s", first, last)
	}
	if code, _, errs = run(t, "show", dir, "--constitution", "7"); code != wire.ExitCode(coco.ErrNotFound) || !strings.Contains(errs, "constitutions 1 to 6") {
		t.Errorf("constitution 7: exit code %d, %s", code, errs)
	}
}

// Whoever forges a batch with a vote has no node's key: what the batch holds is never shown for voted.
func TestNothingFromAFaultOnIsShownAsVoted(t *testing.T) {
	dir, _ := copyOfALedger(t)
	all := shown(t, dir, wire.ExitOK)
	disk, err := local.OpenReadOnly(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	log, err := ledger.OpenReadOnly(disk, filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	entries, err := log.Read(1, log.Last()+1, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	decided := all.Proposals[3].Decided
	forged := t.TempDir()
	to, err := local.Open(forged)
	if err != nil {
		t.Fatal(err)
	}
	out, err := ledger.Open(to, "ledger", ledger.Options{ChunkBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	met := false
	for _, e := range entries {
		if e.Kind == batch.KindBatch {
			b, err := batch.Decode(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			if b.Header.First <= decided && decided <= b.Header.Last() {
				at := bytes.Index(e.Data, b.Signature)
				if met = at >= 0; met {
					e.Data = bytes.Clone(e.Data)
					e.Data[at+len(b.Signature)-1] ^= 1
				}
			}
		}
		if err := out.Append([]batch.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Sync(), out.Close(), to.Close()); err != nil || !met {
		t.Fatalf("no batch was forged (%v)", err)
	}
	got := shown(t, forged, wire.ExitCode(coco.ErrVerify))
	if got.Fault == nil || len(got.Proposals) < 4 || len(got.Constitutions) != 2 || got.Proposals[3].State != "open" {
		t.Fatalf("shown with the fault %+v: %d proposals, %d constitutions", got.Fault, len(got.Proposals), len(got.Constitutions))
	}
	for _, p := range got.Proposals {
		if p.Since >= decided || p.Decided >= decided {
			t.Errorf("#%d is shown as of seqno %d, decided at %d: the ledger verifies up to %d", p.Number, p.Since, p.Decided, decided-1)
		}
	}
}

func shown(t *testing.T, dir string, want int) (all decisions) {
	t.Helper()
	code, out, errs := run(t, "show", dir, "--governance", "-o", "json")
	if code != want {
		t.Fatalf("exit code %d, expected %d: %s", code, want, errs)
	}
	line, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(line), &all); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return all
}

func TestALedgerThatLacksAKnownTransactionIsRefused(t *testing.T) {
	dir, _ := copyOfALedger(t)
	for tx, want := range map[string]string{"1.1": "", "1.17": "", "1.35": "", "1.36": "ends with transaction 1.35 and lacks 1.36", "2.36": "lacks 2.36", "2.35": "has transaction 1.35 where 2.35"} {
		code, out, errs := run(t, "verify", dir, "--at-least", tx)
		if want == "" && code != wire.ExitOK || want != "" && (code != wire.ExitCode(coco.ErrVerify) || !strings.Contains(errs, want) || !strings.Contains(out, "35 transactions up to 1.35")) {
			t.Errorf("--at-least %s: exit code %d, %s%s", tx, code, out, errs)
		}
	}
	if code, _, _ := run(t, "verify", dir, "--at-least", "35"); code != wire.ExitUsage {
		t.Errorf("--at-least 35: exit code %d", code)
	}
}

func TestAReportSaysWhatWasFound(t *testing.T) {
	dir, data := copyOfALedger(t)
	file := filepath.Join(t.TempDir(), "audit.txt")
	if code, _, errs := run(t, "verify", dir, "--report", file); code != wire.ExitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Result: correct", "Batches signed", "1.34 (entry", "#8 is accepted", time.Now().UTC().Format("2006-01-02")} {
		if !strings.Contains(string(text), want) {
			t.Errorf("expected %q in\n%s", want, text)
		}
	}
	if code, _, _ := run(t, "verify", dir, "--report", file); code == wire.ExitOK {
		t.Error("a report replaced another one")
	}
	data[len(data)/2] ^= 1
	file += ".damaged"
	if code, _, _ := run(t, "verify", folderOf(t, data), "--report", file); code != wire.ExitCode(coco.ErrVerify) {
		t.Errorf("a damaged ledger: exit code %d", code)
	}
	text, err = os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "Result: NOT CORRECT") || !strings.Contains(string(text), "Fault: ") {
		t.Errorf("of a damaged ledger: %s (%v)", text, err)
	}
}
