package ceremony_test

import (
	"fmt"
	"testing"

	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/store"
)

// BenchmarkRotation measures the transaction that announces an epoch, on the leader's executor, which executes nothing else meanwhile. The rest of a rotation runs beside
// the work: the secret goes to the other nodes in one message each, and the next batch is sealed under it.
func BenchmarkRotation(b *testing.B) {
	for _, seats := range []int{3, 10, 50} {
		b.Run(fmt.Sprintf("%d members", seats), func(b *testing.B) {
			n := govtest.New(b)
			for i := len(n.Members); i < seats; i++ {
				n.Members = append(n.Members, govtest.Issue(b, fmt.Sprintf("member%d", i), nil, true, nil))
			}
			n.XWing().Genesis()
			before := len(n.Records)
			for b.Loop() {
				if err := n.Transact(func(tx *store.Tx) error { _, _, err := ceremony.Announce(tx); return err }); err != nil {
					b.Fatal(err)
				}
			}
			size := 0
			for _, r := range n.Records[before:] {
				size += len(r.Public)
			}
			b.ReportMetric(float64(size)/float64(len(n.Records)-before), "row-bytes/op")
		})
	}
}
