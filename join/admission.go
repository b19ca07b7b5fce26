package join

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/peer"
)

// Dialer connects to the nodes of the network, before this node takes part in it.
func (a *Admission) Dialer(net host.Net, clock host.Clock) peer.Dialer {
	return peer.Dialer{Net: net, Identity: a.Identity, Verify: func(p channel.PeerCert) error {
		if err := p.EndorsedBy(a.Network.Service.Certificate(), clock.Now()); err != nil {
			return err
		}
		if _, ok := a.Network.Nodes[p.ID]; !ok {
			return fmt.Errorf("%w: node %s is not in this network's list", coco.ErrDenied, p.ID.Short())
		}
		return nil
	}}
}

// Prepare makes the ledger on this node's disk what the admission says, so that consensus can go on
// from its end. It returns the snapshot to begin with, nil to begin with the ledger's first entry. It
// needs local's Fetcher only while it runs, and sets it.
//
// It fails with a catchup.UnusableError if the ledger has to be set aside, with a LeftBehindError if the
// admission has become old, and with coco.ErrVerify, before it changes anything, if the folder holds another
// network's ledger, or one of which the network has nothing and that does not say whose it is.
func (a *Admission) Prepare(ctx context.Context, net host.Net, local catchup.Local, folder Folder) (*catchup.Basis, error) {
	log, service := local.Ledger, a.Network.Service.Certificate()
	if err := folder.Admits(service); err != nil {
		return nil, err
	}
	local.Fetcher = &peer.Fetcher{
		Clock: local.Clock, Dialer: a.Dialer(net, local.Clock),
		Nodes:  func() map[coco.NodeID]string { return a.Network.Nodes },
		Leader: func() coco.NodeID { return a.Sponsor },
	}
	last := log.Last()
	if a.Shared == 0 && last > 0 {
		// It may be a past that no other node has any more: not for this node to delete.
		if err := folder.Belongs(service); err != nil {
			return nil, err
		}
		return nil, &catchup.UnusableError{Err: fmt.Errorf("%w: none of its %d entries is known to be the network's", coco.ErrVerify, last)}
	}
	if err := folder.Note(service); err != nil {
		return nil, err
	}
	if a.Shared < last {
		local.Log.Info("the end of this node's ledger is not the network's, or not known to be: fetching it again", logevent.LedgerEndReplaced.Attr(), "entry", a.Shared+1, "to", last)
		if err := log.TruncateAfter(a.Shared); err != nil {
			return nil, fmt.Errorf("cut the ledger after entry %d: %w", a.Shared, err)
		}
	}
	if err := log.SetChunkBytes(a.Network.Constitution.Ledger.ChunkBytes); err != nil {
		return nil, err
	}
	recorded := make([]catchup.Record, len(a.Snapshots))
	for i, s := range a.Snapshots {
		recorded[i] = catchup.Record{Index: s.Index, View: s.View, Seqno: s.Seqno, Digest: s.Digest, Bytes: s.Bytes}
	}
	basis, err := local.Begin(ctx, a.Network.ID(), recorded, a.Shared)
	if stale := (*catchup.StaleError)(nil); errors.As(err, &stale) {
		return nil, a.leftBehind(stale)
	}
	if err != nil {
		return nil, err
	}
	from := uint64(1)
	if basis != nil {
		from = basis.Header.Index + 1
	}
	if log.Last() >= from {
		err = local.Check(from)
	}
	return basis, err
}

// leftBehind asks for another admission.
func (a *Admission) leftBehind(why error) *LeftBehindError {
	nodes := maps.Clone(a.Network.Nodes)
	delete(nodes, a.Identity.ID())
	return &LeftBehindError{
		Ask: slices.Sorted(maps.Values(nodes)), Constitution: a.Network.Constitution.Digest(),
		Service: a.Network.Service.Certificate().Raw, Why: why.Error(),
	}
}
