package ledgercmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/wire"
)

// nodes makes folders of nodes that have the same ledger, in small chunks, and returns the names of those that are complete.
func nodes(t *testing.T, count int) (dirs, complete []string) {
	t.Helper()
	copied, _ := copyOfALedger(t)
	disk, err := local.OpenReadOnly(filepath.Dir(copied))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	from, err := ledger.OpenReadOnly(disk, filepath.Base(copied))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	all, err := from.Read(1, from.Last()+1, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		dir := t.TempDir()
		dirs, complete = append(dirs, dir), nil
		disk, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		log, err := ledger.Open(disk, nodeconfig.LedgerDir, ledger.Options{ChunkBytes: 20_000})
		for _, e := range all {
			if err == nil {
				err = log.Append([]batch.Entry{e})
			}
		}
		if err == nil {
			err = log.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		disk.Close()
		files, err := os.ReadDir(filepath.Join(dir, nodeconfig.LedgerDir))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.Contains(f.Name(), "-") {
				complete = append(complete, f.Name())
			}
		}
	}
	if len(complete) < 3 {
		t.Fatalf("complete chunks: %v: the test shows nothing", complete)
	}
	return dirs, complete
}

// damage changes a byte in the middle of a chunk, and returns the file as it is then.
func damage(t *testing.T, dir, chunk string) []byte {
	t.Helper()
	file := filepath.Join(dir, nodeconfig.LedgerDir, chunk)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestALedgerIsRepairedFromOthersAndNothingIsDeleted(t *testing.T) {
	dirs, chunks := nodes(t, 3)
	mine, one, two := dirs[0], dirs[1], dirs[2]
	was := damage(t, mine, chunks[1])
	damage(t, one, chunks[1])
	for dir, chunk := range map[string]string{mine: chunks[0], two: chunks[2]} {
		if err := os.Remove(filepath.Join(dir, nodeconfig.LedgerDir, chunk)); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := run(t, "repair", mine, one)
	if code != wire.ExitCode(coco.ErrCorrupt) || !strings.Contains(errs, "damaged") {
		t.Errorf("nobody has the damaged chunk: exit code %d, %s%s", code, out, errs)
	}
	code, out, errs = run(t, "repair", mine, one, two, "-o", "json")
	var page struct {
		OK       bool
		Repaired []repaired
	}
	if err := json.Unmarshal([]byte(out), &page); err != nil || code != wire.ExitOK || !page.OK || len(page.Repaired) != 2 ||
		page.Repaired[0].From != filepath.Join(two, nodeconfig.LedgerDir) || page.Repaired[0].Damage == "" ||
		page.Repaired[1].From != filepath.Join(one, nodeconfig.LedgerDir) || page.Repaired[1].Damage != "" {
		t.Errorf("exit code %d, %v, %s%s", code, err, out, errs)
	}
	if code, out, errs := run(t, "verify", mine); code != wire.ExitOK {
		t.Errorf("the repaired ledger: exit code %d, %s%s", code, out, errs)
	}
	aside, err := os.ReadFile(filepath.Join(mine, nodeconfig.LedgerDir, chunks[1]+".damaged"))
	if err != nil || !bytes.Equal(aside, was) {
		t.Errorf("the damaged file is not what it was: %v", err)
	}
	if code, out, errs := run(t, "repair", mine, one); code != wire.ExitOK || !strings.Contains(out, "0 ranges repaired") {
		t.Errorf("again: exit code %d, %s%s", code, out, errs)
	}
}

func TestARepairTouchesNothingWhereItMustNot(t *testing.T) {
	dirs, chunks := nodes(t, 2)
	was := damage(t, dirs[0], chunks[1])
	disk, err := local.Open(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, "repair", dirs[0], dirs[1]); code == wire.ExitOK || !strings.Contains(errs, dirs[0]) {
		t.Errorf("while a node runs: exit code %d, %s", code, errs)
	}
	disk.Close()
	if code, _, errs := run(t, "repair", dirs[0], dirs[0]); code != wire.ExitCode(coco.ErrInvalid) {
		t.Errorf("from itself: exit code %d, %s", code, errs)
	}
	if code, _, errs := run(t, "repair", t.TempDir(), dirs[1]); code != wire.ExitCode(coco.ErrNotFound) {
		t.Errorf("a folder without a ledger: exit code %d, %s", code, errs)
	}
	now, err := os.ReadFile(filepath.Join(dirs[0], nodeconfig.LedgerDir, chunks[1]))
	if err != nil || !slices.Equal(now, was) {
		t.Errorf("the damaged chunk was touched: %v", err)
	}
}
