package growth

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

const (
	measureEvery = 10 * time.Minute // if the tables have changed; else as often as it reminds
	remindEvery  = 24 * time.Hour
)

// Watch measures a node's tables from time to time. It implements prometheus.Collector.
type Watch struct {
	Log   *slog.Logger
	Clock host.Clock
	State func() *store.Snapshot // committed; released afterwards
	View  func() uint64

	sizes    atomic.Pointer[[]Size]
	measured uint64                   // the state that was measured last; the caller's of Look, like the following ones
	at       time.Duration            // when
	said     map[string]time.Duration // when a kind was last reported
}

// Look measures if it is time to. Changed is the last seqno that changed the tables, zero for never. One goroutine MUST call it. It
// reads all rows: for a tenth of a second where a network is many years old.
func (w *Watch) Look(changed uint64) {
	now := w.Clock.Elapsed()
	every := measureEvery
	if changed == w.measured {
		every = remindEvery // views pass without a change of the tables
	}
	if old := w.sizes.Load(); old != nil && now-w.at < every {
		return
	}
	s := w.State()
	defer s.Release()
	sizes, err := Measure(s, w.View())
	if err != nil {
		w.Log.Error("the size of the network's own tables is not known", "error", err)
	}
	if sizes == nil {
		return
	}
	w.sizes.Store(&sizes)
	w.measured, w.at = changed, now
	for _, size := range sizes {
		if last, before := w.said[size.Of]; size.Near() && (!before || now-last >= remindEvery) {
			w.Log.Warn("the network has grown half way to a limit: see NearLimit in docs/operations.md", logevent.LimitNear.Attr(), "of", size.Of, "now", size.Now, "limit", size.Most)
			if w.said == nil {
				w.said = map[string]time.Duration{}
			}
			w.said[size.Of] = now
		}
	}
}

// Sizes returns what was measured last; nil if nothing was.
func (w *Watch) Sizes() []Size {
	if all := w.sizes.Load(); all != nil {
		return *all
	}
	return nil
}

// Near returns what is half way to its limit.
func (w *Watch) Near() (near []wire.Limit) {
	for _, s := range w.Sizes() {
		if s.Near() {
			near = append(near, wire.Limit{Of: s.Of, Now: s.Now, Most: s.Most})
		}
	}
	return near
}

// Warning says in one sentence what is near its limit; empty if nothing is.
func (w *Watch) Warning() string {
	var near []string
	for _, l := range w.Near() {
		near = append(near, fmt.Sprintf("%s: %d of %d", l.Of, l.Now, l.Most))
	}
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf("the network has grown half way to a limit (%s): see NearLimit in docs/operations.md", strings.Join(near, "; "))
}

var (
	sizeDesc  = prometheus.NewDesc("coco_network_size", "How far the network's own tables have grown, by what is counted; measured every ten minutes.", []string{"of"}, nil)
	limitDesc = prometheus.NewDesc("coco_network_limit", "How far they may grow.", []string{"of"}, nil)
)

// Describe implements prometheus.Collector.
func (w *Watch) Describe(to chan<- *prometheus.Desc) {
	to <- sizeDesc
	to <- limitDesc
}

// Collect implements prometheus.Collector.
func (w *Watch) Collect(to chan<- prometheus.Metric) {
	for _, s := range w.Sizes() {
		to <- prometheus.MustNewConstMetric(sizeDesc, prometheus.GaugeValue, float64(s.Now), s.Of)
		to <- prometheus.MustNewConstMetric(limitDesc, prometheus.GaugeValue, float64(s.Most), s.Of)
	}
}
