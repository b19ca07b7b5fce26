package ledger_test

import (
	"testing"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/ledger"
)

func BenchmarkAppendSync(b *testing.B) {
	const count = 500
	disk := discard{newMemDisk()}
	l, err := ledger.Open(disk, dir, ledger.Options{ChunkBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 600*count)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for index := uint64(1); b.Loop(); index++ {
		if err := l.Append([]batch.Entry{{View: 1, Index: index, Kind: batch.KindBatch, Data: data}}); err != nil {
			b.Fatal(err)
		}
		if err := l.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, count)
}

func BenchmarkAppendSyncToDisk(b *testing.B) {
	const count = 500
	disk, err := local.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer disk.Close()
	w := newWriter(b, disk, 64<<20)
	defer w.log.Close()
	data := make([]byte, 600*count)
	for b.Loop() {
		w.entry(1, batch.KindBatch, data)
		if err := w.log.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, count)
}

func BenchmarkAudit(b *testing.B) {
	disk := newMemDisk()
	w := newWriter(b, disk, 8<<20)
	a := newSigner(b)
	w.batch(1, 0, a, nodeRecord(a))
	for range 20 {
		w.batch(1, 0, a, makeRecords(1, 500, 500)...)
	}
	b.ReportAllocs()
	for b.Loop() {
		got, err := ledger.Audit(b.Context(), disk, dir, newChecker(), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(got.Bytes)
	}
}

func perRecord(b *testing.B, count int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/record")
}
