package history

import (
	"context"
	"fmt"
	"testing"

	"github.com/cocoframework/coco/store"
)

// large returns a network with batches of 500 transactions of two private writes and a public one.
func large(b *testing.B, batches int) *network {
	n := newNetwork(b, 8<<20)
	value := make([]byte, 100)
	serial := 0
	for range batches {
		txs := make([][]store.Write, 500)
		for i := range txs {
			serial++
			txs[i] = []store.Write{
				{Table: "private", Key: fmt.Appendf(nil, "account %d", serial), Value: value},
				{Table: "private", Key: fmt.Appendf(nil, "account %d", serial/7), Value: value},
				{Table: "public", Key: []byte("head"), Value: value[:8]},
			}
		}
		n.commit(txs...)
	}
	return n
}

// build makes an index over all of a ledger.
func build(n *network) *Index {
	x := n.index(0)
	x.limits.slice = New(Config{}).limits.slice
	runOn(x)
	return x
}

func BenchmarkIndex(b *testing.B) {
	n := large(b, 100)
	for b.Loop() {
		b.StopTimer()
		for name := range n.world.Files("n", indexDir) {
			if err := n.disk.Remove(name); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if s := build(n).Status(); s.Indexed != s.Committed {
			b.Fatalf("status %+v", s)
		}
	}
	b.SetBytes(n.log.Bytes())
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/50_000, "ns/tx")
}

func BenchmarkGet(b *testing.B) {
	n := large(b, 200)
	x := build(n)
	last := n.tree.Size()
	get := func(b *testing.B, key string, at uint64, found bool) {
		if _, err := x.Get(context.Background(), "private", []byte(key), at); (err == nil) != found {
			b.Fatal(err)
		}
	}
	b.Run("same batch", func(b *testing.B) {
		for b.Loop() {
			get(b, "account 10", last, true)
		}
	})
	b.Run("other batch each time", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			get(b, fmt.Sprint("account ", 1+(i*7919)%last), last, true)
		}
	})
	b.Run("never written", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			get(b, fmt.Sprint("nobody ", i), last, false)
		}
	})
	b.Run("receipt", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			if _, _, err := x.Batch(context.Background(), 1+(i*7919)%last); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(x.Status().Segments), "segments")
}
