package ledger_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	mrand "math/rand/v2"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
)

// signer is a node's key as the tests use it.
type signer struct {
	*ecdsa.PrivateKey
	id coco.NodeID
}

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := signer{PrivateKey: key}
	s.id = s.nodeID()
	return s
}

func (s signer) nodeID() coco.NodeID {
	der, err := x509.MarshalPKIXPublicKey(&s.PublicKey)
	if err != nil {
		panic(err)
	}
	return sha256.Sum256(der)
}

// makeRecords returns records of about size bytes, the same for the same seed.
func makeRecords(seed uint64, n, size int) []ledger.Record {
	src := mrand.NewChaCha8([32]byte{1, byte(seed), byte(seed >> 8)})
	part := func(n int) []byte {
		b := make([]byte, n)
		src.Read(b)
		return b
	}
	records := make([]ledger.Record, n)
	for i := range records {
		records[i] = ledger.Record{Public: part(size / 5), Private: part(size * 3 / 5), Claims: part(size / 5)}
	}
	return records
}

func equalRecords(a, b []ledger.Record) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i].Public, b[i].Public) || !bytes.Equal(a[i].Private, b[i].Private) || !bytes.Equal(a[i].Claims, b[i].Claims) {
			return false
		}
	}
	return true
}

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
