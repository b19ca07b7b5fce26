package batch_test

import (
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/merkle"
)

func BenchmarkSeal(b *testing.B) {
	const count = 500
	s, keys, recs := newSigner(b), batch.NewKeys(1, [32]byte{1}), makeRecords(1, count, 500)
	var tree merkle.Frontier
	h := batch.Header{View: 2, Index: 1, First: 1, Node: s.id, Epoch: 1}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := batch.Seal(h, recs, &tree, keys, s.PrivateKey); err != nil {
			b.Fatal(err)
		}
		h.First, h.Index, h.Prev = h.First+count, h.Index+1, coco.Digest{1}
	}
	perRecord(b, count)
}

func BenchmarkSealOne(b *testing.B) {
	s, keys, recs := newSigner(b), batch.NewKeys(1, [32]byte{1}), makeRecords(1, 1, 500)
	h := batch.Header{View: 2, Index: 1, First: 1, Node: s.id, Epoch: 1}
	b.ReportAllocs()
	for b.Loop() {
		var tree merkle.Frontier
		if _, err := batch.Seal(h, recs, &tree, keys, s.PrivateKey); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	const count = 500
	s, keys, recs := newSigner(b), batch.NewKeys(1, [32]byte{1}), makeRecords(1, count, 500)
	var tree merkle.Frontier
	h := batch.Header{View: 2, Index: 1, First: 1, Node: s.id, Epoch: 1}
	data, err := batch.Seal(h, recs, &tree, keys, s.PrivateKey)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var tree merkle.Frontier
		d, err := batch.Decode(data)
		if err != nil {
			b.Fatal(err)
		}
		if err := d.VerifyRoot(&tree); err != nil {
			b.Fatal(err)
		}
		if _, err := d.Open(keys); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, count)
}

func BenchmarkChain(b *testing.B) {
	e := batch.Entry{View: 1, Index: 1, Kind: batch.KindBatch, Data: make([]byte, 600*500)}
	for b.Loop() {
		e.Chain(coco.Digest{})
	}
	perRecord(b, 500)
}

func perRecord(b *testing.B, count int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/record")
}
