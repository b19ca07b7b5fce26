package ledger_test

import (
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
)

func BenchmarkSeal(b *testing.B) {
	const count = 500
	s, keys, recs := newSigner(b), ledger.NewKeys(1, [32]byte{1}), makeRecords(1, count, 500)
	var tree merkle.Frontier
	h := ledger.Header{View: 2, Index: 1, First: 1, Node: s.id, Epoch: 1}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ledger.Seal(h, recs, &tree, keys, s.PrivateKey); err != nil {
			b.Fatal(err)
		}
		h.First, h.Index, h.Prev = h.First+count, h.Index+1, coco.Digest{1}
	}
	perRecord(b, count)
}

func BenchmarkSealOne(b *testing.B) {
	s, keys, recs := newSigner(b), ledger.NewKeys(1, [32]byte{1}), makeRecords(1, 1, 500)
	h := ledger.Header{View: 2, Index: 1, First: 1, Node: s.id, Epoch: 1}
	b.ReportAllocs()
	for b.Loop() {
		var tree merkle.Frontier
		if _, err := ledger.Seal(h, recs, &tree, keys, s.PrivateKey); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	const count = 500
	s, keys, recs := newSigner(b), ledger.NewKeys(1, [32]byte{1}), makeRecords(1, count, 500)
	var tree merkle.Frontier
	h := ledger.Header{View: 2, Index: 1, First: 1, Node: s.id, Epoch: 1}
	data, err := ledger.Seal(h, recs, &tree, keys, s.PrivateKey)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var tree merkle.Frontier
		batch, err := ledger.Decode(data)
		if err != nil {
			b.Fatal(err)
		}
		if err := batch.VerifyRoot(&tree); err != nil {
			b.Fatal(err)
		}
		if _, err := batch.Open(keys); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, count)
}

func BenchmarkChain(b *testing.B) {
	e := ledger.Entry{View: 1, Index: 1, Kind: ledger.KindBatch, Data: make([]byte, 600*500)}
	for b.Loop() {
		e.Chain(coco.Digest{})
	}
	perRecord(b, 500)
}

func perRecord(b *testing.B, count int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/record")
}

func BenchmarkAppendSync(b *testing.B) {
	const count = 500
	disk := discard{newMemDisk()}
	l, err := ledger.Open(disk, dir, ledger.Options{})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 600*count)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for index := uint64(1); b.Loop(); index++ {
		if err := l.Append([]ledger.Entry{{View: 1, Index: index, Kind: ledger.KindBatch, Data: data}}); err != nil {
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
	w := newWriter(b, disk, 0)
	defer w.log.Close()
	data := make([]byte, 600*count)
	for b.Loop() {
		w.entry(1, ledger.KindBatch, data)
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
		got, err := audit(disk)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(got.Bytes)
	}
}
