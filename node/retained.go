package node

import (
	"context"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/retention"
	"github.com/cocoframework/coco/store"
)

// retained makes the epochs' keys that this node has, or can have again. The replica and the ceremonies are made after it.
func (n *node) retained() *retention.Keys {
	return retention.New(retention.Config{
		Log: n.log, Clock: n.cfg.Host.Clock, Disk: n.cfg.Host.Disk, Snapshots: SnapshotDir, Ring: n.state.keys, Store: n.state.store, Most: seats.MaxAhead,
		Keep: func() time.Duration {
			return time.Duration(n.decided.constitution.Load().Keys.RetentionSeconds) * time.Second
		},
		Now: func() time.Time { return n.replica.Now() }, Leads: func() bool { return n.replica.Leads() },
		Open: func(epoch uint64, ahead ...uint64) error {
			if n.ceremonies == nil {
				return fmt.Errorf("%w: this node is starting", coco.ErrPending)
			}
			return n.ceremonies.Open(epoch, ahead...)
		},
		Ended: func(r store.Reader) (func(uint64) (time.Time, bool), error) { return n.ceremonies.Ended(r) },
		Expired: func(epochs []uint64) {
			n.state.history.Expired(epochs)
			if n.resumed.node != nil {
				n.resumed.node.Process.Expired(epochs)
			}
		},
		Woken: func() { n.state.history.Wake() },
		Snapshot: func(ctx context.Context) error {
			_, err := n.replica.Do(ctx, requestSnapshot)
			return err
		},
	})
}

// index makes the index of the past.
func (n *node) index() *history.Index {
	return history.New(history.Config{
		Disk: n.cfg.Host.Disk, Dir: HistoryDir, Ledger: n.state.disk.Ledger, Keys: n.retention.Of, Ahead: n.retention.Ahead, Current: n.state.keys.Current,
		Terms: termsOf(n.cfg.Adapters), Clock: n.cfg.Host.Clock, Log: n.log,
	})
}
