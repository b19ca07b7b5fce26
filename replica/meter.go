package replica

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco/internal/histogram"
)

// meter is where the goroutines note what the metrics show. They note it once for a batch, a sync or
// a change, never for a transaction; everything else is read from the replica when a metric is collected.
type meter struct {
	batch   *histogram.Histogram // transactions; the executor's
	commit  *histogram.Histogram // nanoseconds; the executor's
	sync    *histogram.Histogram // nanoseconds; the writer's
	refused atomic.Uint64        // lists of calls that found no room in the queue
	unfair  atomic.Uint64        // those of them whose caller had its share already
	// writing is when the writer began what it does now, by Clock.Elapsed; 0 while it does nothing.
	writing atomic.Int64
}

func newMeter() *meter {
	const seconds = 1e-9 // of a nanosecond
	return &meter{
		batch: histogram.New("batch_transactions", "Transactions of a batch that this node sealed as leader and that was committed.", 0, 1),
		commit: histogram.New("commit_latency_seconds", "From the sealing of a batch on this leader until it was committed and applied here.",
			16, seconds),
		sync: histogram.New("sync_latency_seconds", "How long the disk took to write entries and make them durable.", 16, seconds),
	}
}

// Collectors returns what the replica measures by itself.
func (r *Replica) Collectors() []prometheus.Collector {
	return []prometheus.Collector{r.meter.batch, r.meter.commit, r.meter.sync}
}

// Refused returns how many lists of calls found no room in the queue, and how many of them because their caller had
// its share of it already.
func (r *Replica) Refused() (all, unfair uint64) {
	return r.meter.refused.Load(), r.meter.unfair.Load()
}

// Writing returns how long the disk has been at its present write; 0 while there is none.
func (r *Replica) Writing() time.Duration {
	if since := r.meter.writing.Load(); since != 0 {
		return r.cfg.Clock.Elapsed() - time.Duration(since)
	}
	return 0
}
