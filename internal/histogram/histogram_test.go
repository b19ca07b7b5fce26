package histogram

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

func TestHistogramPutsAValueIntoTheBucketThatEndsThere(t *testing.T) {
	h := New("x", "help", 1, 0.5) // buckets end at 2, 4, 8 … 1 << 18, shown by halves
	for _, v := range []uint64{0, 1, 2, 3, 4, 5, 1 << 18, 1<<18 + 1, 1 << 40} {
		h.Observe(v)
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(h); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if _, err := expfmt.MetricFamilyToText(&page, families[0]); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`coco_x_bucket{le="1"} 3`, `coco_x_bucket{le="2"} 5`, `coco_x_bucket{le="4"} 6`, `coco_x_bucket{le="65536"} 6`,
		`coco_x_bucket{le="131072"} 7`, `coco_x_bucket{le="+Inf"} 9`, `coco_x_count 9`,
	} {
		if !strings.Contains(page.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, page.String())
		}
	}
}
