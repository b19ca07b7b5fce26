package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreWithinTheirError(t *testing.T) {
	var h, parts histogram
	var all []time.Duration
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		d := time.Duration(r.ExpFloat64() * float64(20*time.Millisecond)).Truncate(time.Microsecond)
		all = append(all, d)
		h.record(d, 1)
		var part histogram
		part.record(d, 1)
		parts.merge(&part)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[min(int(q*float64(len(all))), len(all)-1)]
		got := h.quantile(q)
		if got < exact || float64(got) > float64(exact)*(1+1.0/subBuckets)+float64(time.Microsecond) {
			t.Errorf("q %v: %v, exactly %v", q, got, exact)
		}
		if other := parts.quantile(q); other != got {
			t.Errorf("q %v: merged %v, whole %v", q, other, got)
		}
	}
	if h.quantile(1) != all[len(all)-1] {
		t.Errorf("max %v, expected %v", h.quantile(1), all[len(all)-1])
	}
	var empty histogram
	empty.record(1000*time.Hour, 1)
	if new(histogram).quantile(0.5) != 0 || empty.quantile(0.5) == 0 {
		t.Error("no events, or one longer than all buckets")
	}
}

func TestBucketsFollowOneAnother(t *testing.T) {
	for us := range uint64(100_000) {
		i := bucketOf(us)
		if us >= bucketEnd(i) || i > 0 && us < bucketEnd(i-1) {
			t.Fatalf("%d µs is in bucket %d, which ends at %d", us, i, bucketEnd(i))
		}
	}
}
