package retention

import (
	"context"
	"errors"
	"sort"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/store"
)

// Expire erases the secrets of epochs that ended so long ago as the constitution says, by the ledger's time: so a node that restarts, and one that did not, hold the same. Before that, the node that leads sees
// to a snapshot of a later epoch: nodes that join, and nodes that go on together after all have stopped, begin with one that they can open.
func (k *Keys) Expire(ctx context.Context) error {
	keep := k.cfg.Keep()
	if keep <= 0 {
		return nil
	}
	r := k.cfg.Store.Snapshot()
	defer r.Release()
	ended := k.cfg.Ended(r)
	if ended == nil {
		return nil
	}
	now := k.cfg.Now()
	if err := k.snapshot(ctx, r, now.Add(-keep/2), ended); err != nil {
		return err
	}
	expired := k.cfg.Ring.Expire(now, keep, ended)
	if len(expired) == 0 {
		return nil
	}
	k.expired.Add(uint64(len(expired)))
	k.cfg.Expired(expired)
	k.cfg.Log.Info("the secrets of epochs that ended long ago are erased on this node", logevent.EpochExpired.Attr(), "epochs", expired)
	return nil
}

// patience is for how long a snapshot that was asked for may take before another one is.
const patience = time.Minute

// snapshot has the network write a snapshot if the newest one may be of an epoch that ended before a time. However short epochs are, the one that is written is of the epoch in use, and so of a later one.
func (k *Keys) snapshot(ctx context.Context, r store.Reader, before time.Time, ended func(epoch uint64) (time.Time, bool)) error {
	used, _ := k.cfg.Ring.Current()
	if used < 2 || !k.cfg.Leads() || k.asked != 0 && k.cfg.Clock.Elapsed()-k.asked < patience {
		return nil
	}
	old := sort.Search(int(used-1), func(i int) bool { // how many epochs ended before it: those are the first ones
		since, over := ended(uint64(i) + 1)
		return !over || since.After(before)
	})
	if old == 0 {
		return nil
	}
	rec, err := table.Epoch(r, uint64(old)+1)
	if errors.Is(err, coco.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	newest, has, err := table.NewestSnapshot(r)
	if err != nil || has && newest.Seqno > rec.Since {
		return err
	}
	k.asked = k.cfg.Clock.Elapsed()
	if err := k.cfg.Snapshot(ctx); err != nil && ctx.Err() == nil {
		k.cfg.Log.Debug("no snapshot of the epoch in use yet", "error", err)
	}
	return nil
}

// Collectors are what Prometheus reads of the secrets that this node holds.
func (k *Keys) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "coco", Name: "epochs_held", Help: "Epochs whose secrets this node holds in memory."}, func() float64 { return float64(len(k.cfg.Ring.Epochs())) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "coco", Name: "epochs_expired_total", Help: "Epochs whose secrets this node has erased, as they had ended, or been opened again, for so long as the constitution says."}, load(&k.expired)),
	}
}

func load(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
