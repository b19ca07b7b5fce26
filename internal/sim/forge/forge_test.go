package forge

import (
	"bytes"
	"testing"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/ledger"
)

// write writes a ledger of a few entries and returns its file.
func write(t *testing.T, disk *sim.World) map[string][]byte {
	t.Helper()
	log, err := ledger.Open(disk.Host("a").Disk, "ledger", ledger.Options{ChunkBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= 3; i++ {
		if err := log.Append([]batch.Entry{{View: 1, Index: i, Kind: batch.KindBatch, Data: bytes.Repeat([]byte{byte(i)}, 100)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return disk.Files("a", "")
}

func TestAMendedEntryHasAValidChecksumAndOtherBytes(t *testing.T) {
	w := sim.New(1)
	files := write(t, w)
	b := files["ledger/ledger_1"]
	if n := len(frames(b)); n != 3 || Written(b) != 3*(frameHead+100) {
		t.Fatalf("%d frames in %d bytes", n, Written(b))
	}
	for at := range Written(b) {
		file := bytes.Clone(b)
		f, ok := Mend(file, at)
		if !ok || bytes.Equal(file, b) || f.Index != uint64(1+at/(frameHead+100)) {
			t.Fatalf("at %d: entry %d, changed: %t", at, f.Index, !bytes.Equal(file, b))
		}
		if at%20 > 0 {
			continue
		}
		w.SetFiles("a", map[string][]byte{"ledger/ledger_1": file})
		log, err := ledger.Open(w.Host("a").Disk, "ledger", ledger.Options{ChunkBytes: 1 << 20})
		if err != nil {
			t.Fatalf("at %d: %v", at, err)
		}
		if entries, err := log.Read(1, 4, 1<<20); err != nil || len(entries) != 3 {
			t.Errorf("at %d: %d entries, %v", at, len(entries), err)
		}
		_ = log.Close()
	}
}
