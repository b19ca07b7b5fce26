package node

import (
	"context"
	"time"

	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/retention"
	"github.com/cocoframework/coco/store"
)

// retained makes the epochs' keys that this node has, or can have again. The replica and the ceremonies are made after it.
func (n *node) retained() *retention.Keys {
	return retention.New(retention.Config{
		Log: n.log, Clock: n.cfg.Host.Clock, Disk: n.cfg.Host.Disk, Snapshots: SnapshotDir, Ring: n.state.keys, Store: n.state.store, Most: seats.MaxAhead,
		Keep: func() time.Duration { return n.decided.constitution.Load().Keys.Retention() },
		Now:  func() time.Time { return n.replica.Now() }, Leads: func() bool { return n.replica.Leads() },
		Open:     func(epoch uint64, ahead ...uint64) error { return n.ceremonies.Open(epoch, ahead...) },
		Ended:    func(r store.Reader) (func(uint64) (time.Time, bool), error) { return n.ceremonies.Ended(r) },
		Expired:  func(epochs []uint64) { n.state.history.Expired(epochs); n.resumed.node.Expired(epochs) },
		Woken:    func() { n.state.history.Wake() },
		Snapshot: func(ctx context.Context) error { _, err := n.replica.Do(ctx, requestSnapshot); return err },
	})
}
