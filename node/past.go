package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ceremonies"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/snapshot"
)

// What a node needs of the past whose keys have expired: it has the epoch opened again by the members' nodes (ceremonies.Driver.Open).

// indexed is what the index of the past works with.
func (n *node) indexed() history.Config {
	return history.Config{
		Disk: n.cfg.Host.Disk, Dir: HistoryDir, Ledger: n.state.disk.Ledger, Keys: n.keysOf, Ahead: n.keysAhead, Current: n.state.keys.Current, Terms: termsOf(n.cfg.Adapters), Clock: n.cfg.Host.Clock, Log: n.log,
	}
}

// retention is for how long this node keeps the secret of an epoch after its end; 0 for ever.
func (n *node) retention() time.Duration {
	return time.Duration(n.decided.constitution.Load().Keys.RetentionSeconds) * time.Second
}

// keysOf returns the keys of an epoch. If they have expired, it has the epoch opened, and fails with coco.ErrPending or coco.ErrBusy: they may be asked for again.
func (n *node) keysOf(epoch uint64) (*batch.Keys, error) { return n.keysOr(epoch, nil) }

// keysAhead is keysOf for one who goes through the ledger: the epochs after it are opened along with it, where that takes no more.
func (n *node) keysAhead(epoch uint64) (*batch.Keys, error) {
	return n.keysOr(epoch, func() []uint64 {
		newest, _ := n.state.keys.Current()
		return ceremonies.Ahead(epoch, newest, n.state.keys.Holds)
	})
}

func (n *node) keysOr(epoch uint64, ahead func() []uint64) (*batch.Keys, error) {
	k, err := n.state.keys.Of(epoch)
	if err == nil || n.ceremonies == nil || n.retention() == 0 {
		return k, err
	}
	var more []uint64
	if ahead != nil {
		more = ahead()
	}
	if err := n.ceremonies.Open(epoch, more...); err != nil {
		return nil, err
	}
	return n.state.keys.Of(epoch)
}

// opened keeps an epoch that was opened again.
func (n *node) opened(epoch uint64, secret *keys.Secret) {
	n.state.keys.Open(epoch, *secret, n.replica.Now())
	clear(secret[:])
	n.state.history.Wake()
}

// expired drops what this node has of epochs beside their keys, which are erased.
func (n *node) expired(epochs []uint64) {
	n.state.history.Expired(epochs)
	if n.resumed.node != nil {
		n.resumed.node.Process.Expired(epochs)
	}
}

// snapshotOfEpoch has the network write a snapshot.
func (n *node) snapshotOfEpoch(ctx context.Context) error {
	_, err := n.replica.Do(ctx, requestSnapshot)
	return err
}

// openAgain has an epoch opened that another node lacks, which asks on.
func (n *node) openAgain(epoch uint64) {
	if _, err := n.keysOf(epoch); err != nil && !errors.Is(err, coco.ErrPending) {
		n.log.Debug("an epoch that another node lacks does not open", "epoch", epoch, "error", err)
	}
}

const (
	grantPatience = 3 * time.Second // for how long a node that joins waits for an epoch to be opened
	grantPause    = 50 * time.Millisecond
)

// granted returns the secrets that a node which joins is given: those that this one keeps, and those of the epochs of recorded snapshots, without which it could not begin. What
// they are to keep no longer they erase once they have begun.
func (n *node) granted(ctx context.Context) (map[uint64]keys.Secret, error) {
	var needed []uint64
	for _, epoch := range n.snapshotEpochs() {
		if err := n.awaitKeys(ctx, epoch); err != nil {
			return nil, fmt.Errorf("the snapshot that the node would begin with: %w", err)
		}
		needed = append(needed, epoch)
	}
	return n.state.keys.Kept(needed...), nil
}

func (n *node) awaitKeys(ctx context.Context, epoch uint64) error {
	for began := n.cfg.Host.Clock.Elapsed(); ; {
		_, err := n.keysOf(epoch)
		if err == nil || n.cfg.Host.Clock.Elapsed()-began > grantPatience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.cfg.Host.Clock.After(grantPause):
		}
	}
}

// snapshotEpochs returns the epochs of the newest snapshots that the ledger records, as far as their files are on this node.
func (n *node) snapshotEpochs() (epochs []uint64) {
	if n.retention() == 0 {
		return nil
	}
	s := n.state.store.Snapshot()
	defer s.Release()
	records, err := table.Snapshots(s)
	if err != nil {
		return nil
	}
	files, err := snapshot.List(n.cfg.Host.Disk, SnapshotDir)
	if err != nil {
		return nil
	}
	for _, f := range files {
		for _, r := range records {
			if f.Index != r.Index || f.Seqno != r.Seqno {
				continue
			}
			if h, err := snapshot.ReadHeader(n.cfg.Host.Disk, SnapshotDir+"/"+f.Name()); err == nil {
				epochs = append(epochs, h.Epoch)
			}
		}
	}
	return epochs
}
