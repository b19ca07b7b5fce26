package sandbox

import (
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
