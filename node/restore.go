package node

import (
	"context"
	"fmt"
	"reflect"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/snapshot"
)

// restore fills the store, and what follows it, with the snapshot's state.
func (n *node) restore(ctx context.Context, b *catchup.Basis) error {
	began := n.cfg.Host.Clock.Elapsed()
	secret, err := n.state.keys.Secret(b.Header.Epoch)
	if err != nil {
		return err
	}
	defer clear(secret[:])
	h, err := snapshot.Load(ctx, n.cfg.Host.Disk, b.Path, b.Record.Digest, secret, n.state.store)
	if err != nil {
		return fmt.Errorf("load the snapshot of seqno %d: %w", b.Header.Seqno, err)
	}
	// The header was read before, for the ledger and for consensus. Only now its digest is known.
	if !reflect.DeepEqual(h, b.Header) {
		return fmt.Errorf("%w: the disk gave another header of the snapshot of seqno %d than it gives now", coco.ErrVerify, h.Seqno)
	}
	s := n.state.store.Snapshot()
	defer s.Release()
	if err := n.snapshots.pace.Restart(batchOf(b), s); err != nil {
		return err
	}
	n.state.history.Start(history.Position{Index: h.Index, View: h.View, Seqno: h.Seqno, Tree: b.Tree})
	n.log.Info("beginning with a snapshot", logevent.SnapshotLoaded.Attr(), "seqno", h.Seqno, "bytes", b.Record.Bytes, "took", n.cfg.Host.Clock.Elapsed()-began)
	return nil
}

// batchOf returns the committed batch whose state the snapshot holds; the zero one for none.
func batchOf(b *catchup.Basis) replica.Batch {
	if b == nil {
		return replica.Batch{}
	}
	h := b.Header
	return replica.Batch{
		Position: replica.Position{Index: h.Index, Chain: h.Chain, Tree: b.Tree, Seqno: h.Seqno, Time: h.Time},
		View:     h.View, First: h.First, Epoch: h.Epoch,
	}
}
