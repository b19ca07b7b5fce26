package catchup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/snapshot"
)

// Record is the ledger's record of a snapshot.
type Record struct {
	Index, View, Seqno uint64 // of its last entry
	Digest             coco.Digest
	Bytes              uint64
}

// Basis is the snapshot that a node begins with, on its disk.
type Basis struct {
	Record Record
	Header snapshot.Header
	Path   string // of the file
	Tree   merkle.Frontier
}

// How often a joiner asks all nodes for the newest snapshot, and for one of those before it, until it goes on without; and for
// the entries before a snapshot, until it joins again, as its admission may have become old.
const (
	snapshotTries = 50
	olderTries    = 3
	bridgeTries   = 300
	tryPause      = 100 * time.Millisecond
)

// Begin gets the newest snapshot that there is of those recorded, which are in this order, and the ledger up to
// it: this node's own file if it has it, another node's otherwise; then the entries after it, and those of the
// same chunk before it, so that the chunks end where every node's do. The ledger is the network's up to the entry shared.
//
// It returns nil if no node has any of them: then the node has to replay the whole ledger. It fails with an
// UnusableError or a StaleError as their comments say, with coco.ErrVerify if a snapshot is not this network's.
func (l *Local) Begin(ctx context.Context, network coco.Digest, recorded []Record, shared uint64) (*Basis, error) {
	for i, rec := range recorded {
		tries := snapshotTries
		if i > 0 {
			tries = olderTries
		}
		info, err := l.obtain(ctx, rec, tries)
		switch {
		case err == nil:
			return l.beginWith(ctx, network, rec, info, shared)
		case ctx.Err() != nil:
			return nil, err
		}
		l.Log.Error("a snapshot that the ledger records is on no node", logevent.SnapshotMissing.Attr(), "seqno", rec.Seqno, "error", err)
	}
	if len(recorded) > 0 {
		l.Log.Error("there is no snapshot to begin with: executing the whole ledger instead", logevent.WholeLedgerExecuted.Attr())
	}
	return nil, nil
}

func (l *Local) beginWith(ctx context.Context, network coco.Digest, rec Record, info snapshot.Info, shared uint64) (*Basis, error) {
	b, err := l.basis(network, rec, info)
	if err != nil {
		return nil, err
	}
	return b, l.bridge(ctx, b, shared)
}

// Obtain gets one recorded snapshot for a node whose own ledger leads up to it: this node's own file if it has it, and another node's otherwise. It asks each node once.
func (l *Local) Obtain(ctx context.Context, network coco.Digest, rec Record) (*Basis, error) {
	info, err := l.obtain(ctx, rec, 1)
	if err != nil {
		return nil, err
	}
	return l.basis(network, rec, info)
}

// basis reads a snapshot whose file has the digest that is recorded.
func (l *Local) basis(network coco.Digest, rec Record, info snapshot.Info) (*Basis, error) {
	h, err := snapshot.ReadHeader(l.Disk, l.path(info))
	if err != nil {
		return nil, err
	}
	b := &Basis{Record: rec, Header: h, Path: l.path(info)}
	if b.Tree, err = h.Frontier(); err != nil {
		return nil, err
	}
	switch {
	case h.Index != rec.Index || h.View != rec.View || h.Seqno != rec.Seqno || b.Tree.Size() != h.Seqno:
		return nil, fmt.Errorf("%w: snapshot %d: its header does not agree with the ledger's record", coco.ErrVerify, rec.Index)
	case h.Network != network:
		return nil, fmt.Errorf("%w: snapshot %d is of another network, %s", coco.ErrVerify, rec.Index, h.Network.Short())
	}
	return b, nil
}

// obtain returns the snapshot on this node's disk, fetching it if need be.
func (l *Local) obtain(ctx context.Context, rec Record, tries int) (snapshot.Info, error) {
	if info, ok, err := l.ownSnapshot(rec); err != nil || ok {
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
		err := l.Fetcher.Any(ctx, func(from coco.NodeID, address string) error {
			l.Log.Info("fetching a snapshot", logevent.SnapshotFetched.Attr(), "seqno", rec.Seqno, "bytes", rec.Bytes, "from", from.Short())
			var err error
			in, err = l.receive(ctx, in, from, address, rec, &info)
			return err
		})
		if err == nil || ctx.Err() != nil || try == tries {
			return info, err
		}
		if !errors.Is(err, coco.ErrBusy) { // with other joiners, however long that takes
			try++
		}
		l.Log.Warn("no snapshot from any node yet, trying again", "seqno", rec.Seqno, "error", err)
		if err := l.pause(ctx, tryPause); err != nil {
			return info, err
		}
	}
}

// receive fetches what is left of a snapshot's file from one node. It returns how far it came, nil for what is of no use.
func (l *Local) receive(ctx context.Context, in *snapshot.Receiver, from coco.NodeID, address string, rec Record, info *snapshot.Info) (*snapshot.Receiver, error) {
	if in == nil {
		var err error
		want := snapshot.Info{Index: rec.Index, Seqno: rec.Seqno, Digest: rec.Digest, Bytes: rec.Bytes}
		if in, err = snapshot.Receive(l.Disk, l.Snapshots, want); err != nil {
			return nil, err
		}
	}
	f, err := l.Fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchSnapshot, Index: rec.Index, Offset: in.Offset()})
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
func (l *Local) ownSnapshot(rec Record) (snapshot.Info, bool, error) {
	all, err := snapshot.List(l.Disk, l.Snapshots)
	if err != nil {
		return snapshot.Info{}, false, fmt.Errorf("list the snapshots: %w", err)
	}
	for _, i := range all {
		if i.Index != rec.Index {
			continue
		}
		_, digest, _, err := snapshot.Verify(l.Disk, l.path(i))
		if err == nil && digest == rec.Digest {
			i.Digest = digest
			return i, true, nil
		}
		if err == nil {
			err = fmt.Errorf("%w: its digest is %s, the ledger records %s", coco.ErrVerify, digest.Short(), rec.Digest.Short())
		}
		l.Log.Error("this node's snapshot is damaged or not the network's: fetching another one", logevent.SnapshotDamaged.Attr(), "index", i.Index, "error", err)
		if err := snapshot.Remove(l.Disk, l.Snapshots, i); err != nil {
			return i, false, err
		}
	}
	return snapshot.Info{}, false, nil
}

// Check reads the ledger's entries from one on, those that consensus will ask for. It fails with an UnusableError
// if one of them is damaged or not there.
func (l *Local) Check(from uint64) error {
	switch err := l.Ledger.Load(from); {
	case errors.Is(err, coco.ErrCorrupt):
		return &UnusableError{err}
	case err != nil:
		return err
	}
	if first := l.Ledger.First(); first > from {
		return &UnusableError{fmt.Errorf("%w: entries %d to %d are not there", coco.ErrMissing, from, first-1)}
	}
	return nil
}
