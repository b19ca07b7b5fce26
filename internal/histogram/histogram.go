// Package histogram counts values for a metric whose one writer must not wait.
//
// Trust: enclave
package histogram

import (
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Histogram counts values by powers of two. Unlike Prometheus' own it costs its one writer two
// additions and no lock, so that measuring a batch of one transaction stays below 0.2 µs.
type Histogram struct {
	desc  *prometheus.Desc
	low   int     // the first bucket ends at 1 << low
	scale float64 // what a value of 1 is in the unit that is shown
	// counts are of buckets that each end at twice the bound of the one before; the last one has no end.
	counts [buckets + 1]atomic.Uint64
	sum    atomic.Uint64
}

const buckets = 18

// New returns an empty histogram of the metric coco_NAME. Its first bucket ends at 1 << low, and scale is what a value of 1 is in the unit that is shown.
func New(name, help string, low int, scale float64) *Histogram {
	return &Histogram{desc: prometheus.NewDesc("coco_"+name, help, nil, nil), low: low, scale: scale}
}

// Observe counts a value. One goroutine at a time may call it.
func (h *Histogram) Observe(v uint64) {
	h.counts[min(buckets, max(0, bits.Len64(max(v, 1)-1)-h.low))].Add(1)
	h.sum.Add(v)
}

// Describe implements prometheus.Collector.
func (h *Histogram) Describe(to chan<- *prometheus.Desc) { to <- h.desc }

// Collect implements prometheus.Collector.
func (h *Histogram) Collect(to chan<- prometheus.Metric) {
	upTo, all := make(map[float64]uint64, buckets), uint64(0)
	for i := range h.counts {
		all += h.counts[i].Load()
		if i < buckets {
			upTo[float64(uint64(1)<<(h.low+i))*h.scale] = all
		}
	}
	to <- prometheus.MustNewConstHistogram(h.desc, all, float64(h.sum.Load())*h.scale, upTo)
}
