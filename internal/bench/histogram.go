package bench

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets whose width grows with the value: exact below 64 µs,
// and to within 1/64 (1.6 %) above. Its memory is fixed, so recording never allocates.
const (
	subBits    = 6
	subBuckets = 1 << subBits
	octaves    = 30 // up to 2^36 µs, some 19 hours; longer ones count as that
)

type histogram struct {
	counts [(octaves + 1) * subBuckets]uint64
	total  uint64
	max    time.Duration
}

// record counts n events of the same duration.
func (h *histogram) record(d time.Duration, n uint64) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d/time.Microsecond))] += n
	h.total += n
	if n > 0 && d > h.max {
		h.max = d
	}
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

// quantile returns a duration that the fraction q of the events did not exceed: the upper end of
// the bucket that the q-th event is in, and never more than the longest event.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := min(uint64(q*float64(h.total))+1, h.total)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(bucketEnd(i))*time.Microsecond, h.max)
		}
	}
	return h.max
}

func (h *histogram) latency() Latency {
	return Latency{
		P50: milliseconds(h.quantile(0.50)),
		P90: milliseconds(h.quantile(0.90)),
		P99: milliseconds(h.quantile(0.99)),
		Max: milliseconds(h.max),
	}
}

// bucketOf numbers the buckets: 64 of one microsecond, then 64 for each doubling.
func bucketOf(us uint64) int {
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - subBits
	if shift >= octaves {
		return (octaves+1)*subBuckets - 1
	}
	return (shift+1)*subBuckets + int(us>>shift) - subBuckets
}

// bucketEnd is the first value, in microseconds, beyond bucket i.
func bucketEnd(i int) uint64 {
	if i < subBuckets {
		return uint64(i) + 1
	}
	shift := i/subBuckets - 1
	return (uint64(i%subBuckets) + subBuckets + 1) << shift
}

// milliseconds rounds to the microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)/time.Microsecond) / 1000
}
