package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/snapshot"
)

// A node that joins begins with the newest snapshot that the ledger records, if there is one: its own file if it has
// it, another node's otherwise. Then it needs the entries after it, and those of the same chunk before it, so that
// its chunks end where everybody's do. The rest of the past comes later, see backfill.
//
// A crash meanwhile leaves a snapshot, or a part of one, and a ledger that ends earlier: the next life goes on from there.

// basis is the snapshot that a node begins with.
type basis struct {
	record gov.SnapshotRecord
	header snapshot.Header
	info   snapshot.Info
	tree   merkle.Frontier
}

// resume gets a snapshot that the network granted, the newest that there is, and the ledger up to it. It returns nil if no node
// has any of them.
func (n *node) resume(ctx context.Context, records []gov.SnapshotRecord, shared uint64) (*basis, error) {
	for i, rec := range records {
		tries := snapshotTries
		if i > 0 {
			tries = olderTries
		}
		info, err := n.obtain(ctx, rec, tries)
		switch {
		case err == nil:
			return n.resumeFrom(ctx, rec, info, shared)
		case ctx.Err() != nil:
			return nil, err
		}
		n.log.Error("a snapshot that the ledger records is on no node", logevent.SnapshotMissing.Attr(), "seqno", rec.Seqno, "error", err)
	}
	if len(records) > 0 {
		n.log.Error("there is no snapshot to begin with: executing the whole ledger instead", logevent.WholeLedgerExecuted.Attr())
	}
	return nil, nil
}

func (n *node) resumeFrom(ctx context.Context, rec gov.SnapshotRecord, info snapshot.Info, shared uint64) (*basis, error) {
	h, err := snapshot.ReadHeader(n.cfg.Host.Disk, snapshotPath(info))
	if err != nil {
		return nil, err
	}
	b := &basis{record: rec, header: h, info: info}
	if b.tree, err = h.Frontier(); err != nil {
		return nil, err
	}
	switch {
	case h.Index != rec.Index || h.View != rec.View || h.Seqno != rec.Seqno || b.tree.Size() != h.Seqno:
		return nil, fmt.Errorf("%w: snapshot %d: its header does not agree with the ledger's record", coco.ErrVerify, rec.Index)
	case h.Network != n.networkID():
		return nil, fmt.Errorf("%w: snapshot %d is of another network, %s", coco.ErrVerify, rec.Index, h.Network.Short())
	}
	return b, n.bridge(ctx, b, shared)
}

// How often a joiner asks all nodes for the newest snapshot, and for one of those before it, until it goes on without; and for
// the entries before a snapshot, until it joins again, as its grant may have become old.
const (
	snapshotTries = 50
	olderTries    = 3
	bridgeTries   = 300
)

// obtain returns the snapshot on this node's disk, fetching it if need be.
func (n *node) obtain(ctx context.Context, rec gov.SnapshotRecord, tries int) (snapshot.Info, error) {
	if info, ok, err := n.ownSnapshot(rec); err != nil || ok {
		return info, err
	}
	var in *snapshot.Receiver // goes on from one node to the next
	defer func() {
		if in != nil {
			in.Abort()
		}
	}()
	for try := 1; ; {
		var info snapshot.Info
		err := n.fetcher.Any(ctx, func(from coco.NodeID, address string) error {
			n.log.Info("fetching a snapshot", logevent.SnapshotFetched.Attr(), "seqno", rec.Seqno, "bytes", rec.Bytes, "from", from.Short())
			var err error
			in, err = n.receive(ctx, in, from, address, rec, &info)
			return err
		})
		if err == nil || ctx.Err() != nil || try == tries {
			return info, err
		}
		if !errors.Is(err, coco.ErrBusy) { // with other joiners, however long that takes
			try++
		}
		n.log.Warn("no snapshot from any node yet, trying again", "seqno", rec.Seqno, "error", err)
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-n.cfg.Host.Clock.After(joinPause):
		}
	}
}

// receive fetches what is left of a snapshot's file from one node. It returns how far it came, nil for what is of no use.
func (n *node) receive(ctx context.Context, in *snapshot.Receiver, from coco.NodeID, address string, rec gov.SnapshotRecord, info *snapshot.Info) (*snapshot.Receiver, error) {
	if in == nil {
		var err error
		want := snapshot.Info{Index: rec.Index, Seqno: rec.Seqno, Digest: rec.Digest, Bytes: rec.Bytes}
		if in, err = snapshot.Receive(n.cfg.Host.Disk, SnapshotDir, want); err != nil {
			return nil, err
		}
	}
	f, err := n.fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchSnapshot, Index: rec.Index, Offset: in.Offset()})
	if err != nil {
		return in, err
	}
	defer f.Close()
	for {
		piece, err := f.Piece()
		if errors.Is(err, io.EOF) {
			*info, err = in.Done(f.Receipt)
			return nil, err
		}
		if err != nil {
			return in, err
		}
		if _, err := in.Write(piece); err != nil {
			in.Abort()
			return nil, err
		}
	}
}

// ownSnapshot finds the snapshot among this node's files. A damaged one is removed.
func (n *node) ownSnapshot(rec gov.SnapshotRecord) (snapshot.Info, bool, error) {
	disk := n.cfg.Host.Disk
	all, err := snapshot.List(disk, SnapshotDir)
	if err != nil {
		return snapshot.Info{}, false, fmt.Errorf("list the snapshots: %w", err)
	}
	for _, i := range all {
		if i.Index != rec.Index {
			continue
		}
		_, digest, _, err := snapshot.Verify(disk, snapshotPath(i))
		if err == nil && digest == rec.Digest {
			i.Digest = digest
			return i, true, nil
		}
		if err == nil {
			err = fmt.Errorf("%w: its digest is %s, the ledger records %s", coco.ErrVerify, digest.Short(), rec.Digest.Short())
		}
		n.log.Error("this node's snapshot is damaged or not the network's: fetching another one", logevent.SnapshotDamaged.Attr(), "index", i.Index, "error", err)
		if err := snapshot.Remove(disk, SnapshotDir, i); err != nil {
			return i, false, err
		}
	}
	return snapshot.Info{}, false, nil
}

// bridge makes the ledger reach up to a snapshot. What is shared with the network stays; a ledger that ended earlier
// goes on with the chunk that the snapshot's entry is in.
func (n *node) bridge(ctx context.Context, b *basis, shared uint64) error {
	log, at := n.ledgerLog, b.header.Index
	if shared >= at && log.First() <= at+1 {
		return nil // what the leader compared leads to the snapshot's entry, and beyond
	}
	if log.First() > at+1 {
		if err := log.TruncateAfter(at); err != nil {
			return fmt.Errorf("cut the ledger after entry %d: %w", at, err)
		}
	}
	for try := 1; ; try++ {
		err := n.fetcher.Any(ctx, func(from coco.NodeID, address string) error {
			chunk, err := n.fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchChunk, Index: at})
			if err != nil {
				return err
			}
			chunk.Close()
			return n.fetchBridge(ctx, from, address, chunk.First, at)
		})
		if err == nil {
			if err = n.checkBridge(b); err == nil || !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrCorrupt) {
				return err
			}
			return &spoiltError{err}
		}
		if ctx.Err() != nil {
			return err
		}
		if try == bridgeTries {
			return n.leftBehind(fmt.Sprintf("the entries before the snapshot at entry %d do not come: %v", at, err))
		}
		if try == 1 {
			n.log.Warn("the entries before the snapshot do not come yet, trying again", "index", at, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.cfg.Host.Clock.After(joinPause):
		}
	}
}

// fetchBridge appends entries from one node, from the chunk's first or what comes after this node's last.
func (n *node) fetchBridge(ctx context.Context, from coco.NodeID, address string, first, at uint64) error {
	log := n.ledgerLog
	next := max(first, log.Last()+1)
	if next > log.Last()+1 || log.Last() == 0 && next > 1 {
		if err := log.StartAt(next); err != nil {
			return fmt.Errorf("begin the ledger at entry %d: %w", next, err)
		}
	}
	if next > at {
		return nil
	}
	in, err := n.fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchEntries, Index: next, To: at + 1})
	if err != nil {
		return err
	}
	defer in.Close()
	for {
		entries, err := in.Entries(next)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = log.Append(entries)
		}
		if err != nil {
			return errors.Join(err, log.Sync())
		}
		next += uint64(len(entries))
	}
	if next != at+1 {
		err = fmt.Errorf("%w: its entries end before %d", coco.ErrNotFound, next)
	}
	return errors.Join(err, log.Sync())
}

// checkBridge compares the entries up to the snapshot with its chain digest, as far as its chunk goes back.
func (n *node) checkBridge(b *basis) error {
	log, at := n.ledgerLog, b.header.Index
	first := max(log.First(), 1)
	for _, c := range log.Chunks() {
		if c.First <= at && (at <= c.Last || !c.Complete) {
			first = c.First
		}
	}
	check := &chainCheck{prev: link{chain: b.header.Chain}, first: first}
	for next := first; next <= at; {
		entries, err := log.Read(next, at+1, peer.FetchPiece)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := check.next(e, at); err != nil {
				return err
			}
		}
		next += uint64(len(entries))
	}
	return nil
}

// restore fills the store, and everybody who follows it, with the snapshot's state.
func (n *node) restore(ctx context.Context, b *basis) error {
	began := n.cfg.Host.Clock.Elapsed()
	secret, err := n.keys.Secret(b.header.Epoch)
	if err != nil {
		return err
	}
	h, err := snapshot.Load(ctx, n.cfg.Host.Disk, snapshotPath(b.info), b.record.Digest, secret, n.store)
	if err != nil {
		return fmt.Errorf("load the snapshot of seqno %d: %w", b.header.Seqno, err)
	}
	// The header was read before, for the ledger and for consensus. Only now its digest is known.
	if !reflect.DeepEqual(h, b.header) {
		return fmt.Errorf("%w: the disk gave another header of the snapshot of seqno %d than it gives now", coco.ErrVerify, h.Seqno)
	}
	n.pace.pacer.Reset(h.Seqno, h.Time)
	s := n.store.Snapshot()
	defer s.Release()
	if err := n.pace.governed(s, h.Seqno+1); err != nil {
		return err
	}
	n.history.Start(history.Position{Index: h.Index, View: h.View, Seqno: h.Seqno, Tree: b.tree})
	n.log.Info("beginning with a snapshot", logevent.SnapshotLoaded.Attr(), "seqno", h.Seqno, "bytes", b.record.Bytes, "took", n.cfg.Host.Clock.Elapsed()-began)
	return nil
}

// batch is the committed batch whose state the snapshot holds; the zero one for none.
func (b *basis) batch() replica.Batch {
	if b == nil {
		return replica.Batch{}
	}
	h := b.header
	return replica.Batch{
		Position: replica.Position{Index: h.Index, Chain: h.Chain, Tree: b.tree, Seqno: h.Seqno, Time: h.Time},
		View:     h.View, First: h.First, Epoch: h.Epoch,
	}
}

// beginAfter sets up consensus after the snapshot.
func (n *node) beginAfter(b *basis, cfg *raft.Config) {
	cfg.First = min(n.ledgerLog.First(), b.header.Index+1)
	cfg.Base = raft.Base{Index: b.header.Index, View: b.header.View}
	cfg.Members = consensus.Membership{
		Voters: asConsensus(b.header.Voters), Learners: asConsensus(b.header.Learners), Outgoing: asConsensus(b.header.Outgoing),
	}
}

// asConsensus converts members' names of a snapshot's header.
func asConsensus(in []uint64) (out []consensus.ID) {
	for _, id := range in {
		out = append(out, consensus.ID(id))
	}
	return out
}
