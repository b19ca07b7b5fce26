package node

import (
	"context"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Snapshots implements gateway.Node.
func (n *node) Snapshots() ([]wire.Snapshot, error) {
	s := n.state.store.Snapshot()
	defer s.Release()
	records, err := table.Snapshots(s)
	if err != nil {
		return nil, err
	}
	files, err := snapshot.List(n.cfg.Host.Disk, SnapshotDir)
	if err != nil {
		return nil, err
	}
	held := map[uint64]bool{}
	for _, f := range files {
		held[f.Index] = held[f.Index] || !f.Pending
	}
	out := make([]wire.Snapshot, len(records))
	for i, r := range records {
		out[i] = wire.Snapshot{
			ID: coco.TxID{View: r.View, Seqno: r.Seqno}, Index: r.Index, Digest: r.Digest, Bytes: r.Bytes, Since: r.Since, Held: held[r.Index],
		}
	}
	return out, nil
}

// RequestSnapshot implements gateway.Node. Which batches have a snapshot is in the ledger, so the request is a
// transaction, and the leader's to make.
func (n *node) RequestSnapshot(ctx context.Context, caller coco.Caller) (uint64, error) {
	r := n.links.forwarder.AskOnce(ctx, peer.Request{Kind: peer.Snapshot})
	if r.Err != nil {
		return 0, r.Err
	}
	n.log.Info("a snapshot was asked for", "by", caller.Name, "seqno", r.TxID.Seqno)
	return r.TxID.Seqno, nil
}

func requestSnapshot(tx *store.Tx) ([]byte, error) { return nil, members.RequestSnapshot(tx) }
