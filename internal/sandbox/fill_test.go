package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/ledger"
)

// chunks writes a ledger of many complete chunks.
func chunks(t *testing.T, dir nodeconfig.Dir) {
	t.Helper()
	disk, err := local.Open(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	log, err := ledger.Open(disk, nodeconfig.LedgerDir, ledger.Options{ChunkBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for i := range uint64(40) {
		if err := log.Append([]batch.Entry{{View: 1, Index: i + 1, Kind: batch.KindView}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Sync(); err != nil {
		t.Fatal(err)
	}
}

// The node that recovers has not fetched all of the past, and each of the others has a part of it.
func TestARecoveryTakesWhatItLacksFromTheOtherLedgers(t *testing.T) {
	s := made(t, 3)
	dir := func(i int) nodeconfig.Dir { return nodeconfig.Dir(s.info.Nodes[i].Dir) }
	for i := range 3 {
		chunks(t, dir(i))
		files, err := filepath.Glob(filepath.Join(dir(i).Ledger(), "ledger_*-*"))
		if err != nil || len(files) < 6 {
			t.Fatalf("%d complete chunks, %v: the test shows nothing", len(files), err)
		}
		for k, f := range files {
			if i == 0 && !strings.Contains(f, "-40") || i > 0 && k%2 == i-1 {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := s.fillGaps(0); err != nil {
		t.Fatal(err)
	}
	if _, index, whole, err := ledgerEnd(dir(0)); err != nil || index != 40 || !whole {
		t.Errorf("the ledger ends with entry %d, whole: %v, %v", index, whole, err)
	}
}
