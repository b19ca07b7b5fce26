package replica

import (
	"testing"

	"github.com/cocoframework/coco/host/local"
)

// What the executor, the writer and the loop add for a batch, which is at least one transaction.
func BenchmarkMeasuringABatch(b *testing.B) {
	m, clock := newMeter(), local.Clock{}
	for b.Loop() {
		sealed, began := clock.Elapsed(), clock.Elapsed()
		m.writing.Store(int64(began))
		m.sync.Observe(uint64(clock.Elapsed() - began))
		m.writing.Store(0)
		m.batch.Observe(17)
		m.commit.Observe(uint64(clock.Elapsed() - sealed))
	}
}
