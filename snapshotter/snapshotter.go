// Package snapshotter writes snapshots of the committed state, and has the network record them.
//
//	executor ── Pace: due? ──▶ pinned state ──▶ Writer ──▶ file ──▶ digest in the ledger ──▶ receipt in the file
//
// Every node writes a snapshot at the same batches, because when one is due follows from the ledger alone. So the
// files are the same, to the byte, on all nodes, and each node has one to begin with after a restart. The
// leader commits its file's digest, which is the claim of that transaction. A node whose own file
// has another digest removes the file and says so. Otherwise the file gets the transaction's receipt, which
// binds it to a signed Merkle root.
//
// A crash leaves a file without a receipt. The next life compares it with the ledger's record, as any other.
//
// Trust: enclave
package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/store"
)

// keepPending is how many files may wait for the ledger to record them.
const keepPending = 4

// keepRecorded is how many recorded files a node keeps: the newest may turn out damaged.
const keepRecorded = 2

// Config is what a Writer needs of its node.
type Config struct {
	Log       *slog.Logger
	Clock     host.Clock
	Disk      host.Disk
	Dir       string // of the files
	Store     *store.Store
	Pace      *Pace
	NetworkID coco.Digest
	Origin    coco.NodeID // the network's first voter

	// Secret returns the secret of an epoch, under which a file is sealed.
	Secret func(epoch uint64) (keys.Secret, error)
	// Members returns the members of consensus as of an entry.
	Members func(ctx context.Context, index uint64) (consensus.Membership, error)
	// Leads reports whether this node leads, and Ready whether it has applied what was committed when it began.
	Leads, Ready func() bool
	// Commit commits a transaction of the node's own. It fails with coco.ErrNotCommitted if this node does not lead.
	Commit func(context.Context, func(*store.Tx) ([]byte, error)) (adapter.Result, error)
	// Receipt returns the receipt of the transaction with a seqno.
	Receipt func(ctx context.Context, seqno uint64) ([]byte, error)
}

// Writer is the goroutine that writes snapshots.
type Writer struct {
	cfg     Config
	pending []snapshot.Info // written, not recorded in the ledger as far as is known; oldest first

	seqno, bytes atomic.Uint64 // of the newest one on this disk that the ledger records
	differing    atomic.Uint64
}

// NewWriter returns a writer, to be run once.
func NewWriter(cfg Config) *Writer { return &Writer{cfg: cfg} }

// Newest returns the seqno and size of the newest file on this disk that the ledger records.
func (w *Writer) Newest() (seqno, bytes uint64) { return w.seqno.Load(), w.bytes.Load() }

// Differing returns how many files were not what the ledger records.
func (w *Writer) Differing() uint64 { return w.differing.Load() }

func (w *Writer) path(i snapshot.Info) string { return w.cfg.Dir + "/" + i.Name() }

// evidenceEvery is how often a node looks whether the ledger records the snapshots that it wrote.
const evidenceEvery = time.Second

// Run writes snapshots until ctx ends.
func (w *Writer) Run(ctx context.Context) error {
	defer w.release()
	if err := w.leftovers(); err != nil {
		return err
	}
	tick := w.cfg.Clock.NewTicker(evidenceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-w.cfg.Pace.points:
			if err := w.write(ctx, p); err != nil && ctx.Err() == nil {
				w.cfg.Log.Error("no snapshot written: the next one is tried when it is due", "seqno", p.at.Seqno, "error", err)
			}
			p.state.Release()
		case <-tick.C():
		}
		if err := w.compareAll(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, coco.ErrNotCommitted) {
			w.cfg.Log.Warn("snapshot not recorded yet", "error", err)
		}
	}
}

// release unpins a state that is not written any more.
func (w *Writer) release() {
	select {
	case p := <-w.cfg.Pace.points:
		p.state.Release()
	default:
	}
}

// leftovers finds what an earlier life of this node wrote.
func (w *Writer) leftovers() error {
	disk := w.cfg.Disk
	if err := snapshot.Sweep(disk, w.cfg.Dir); err != nil {
		return err
	}
	all, err := snapshot.List(disk, w.cfg.Dir)
	if err != nil {
		return fmt.Errorf("list the snapshots: %w", err)
	}
	for _, i := range all {
		if i.Pending {
			w.pending = append(w.pending, i)
		}
	}
	return nil
}

func (w *Writer) write(ctx context.Context, p point) error {
	voting, err := w.cfg.Members(ctx, p.at.Index)
	if err != nil {
		return err
	}
	secret, err := w.cfg.Secret(p.at.Epoch)
	if err != nil {
		return err
	}
	tree, err := p.at.Tree.MarshalBinary()
	if err != nil {
		return err
	}
	began := w.cfg.Clock.Elapsed()
	info, err := snapshot.Write(ctx, w.cfg.Disk, w.cfg.Dir, snapshot.Header{
		Network: w.cfg.NetworkID, Epoch: p.at.Epoch, Index: p.at.Index, View: p.at.View, First: p.at.First, Seqno: p.at.Seqno,
		Time: p.at.Time, Chain: p.at.Chain, Tree: tree, Origin: w.cfg.Origin,
		Voters: fromConsensus(voting.Voters), Learners: fromConsensus(voting.Learners), Outgoing: fromConsensus(voting.Outgoing),
	}, secret, p.state, w.cfg.Store.Tables())
	if err != nil {
		return err
	}
	w.cfg.Log.Info("snapshot written", logevent.SnapshotWritten.Attr(), "seqno", info.Seqno, "bytes", info.Bytes, "took", w.cfg.Clock.Elapsed()-began)
	w.pending = append(w.pending, info)
	return nil
}

// compareAll compares what was written with what the ledger records. A leader commits the record of what is not there.
func (w *Writer) compareAll(ctx context.Context) error {
	var errs []error
	for _, i := range slices.Clone(w.pending) { // a failure of one does not delay the others
		errs = append(errs, w.compare(ctx, i))
	}
	for len(w.pending) > keepPending {
		w.drop(w.pending[0])
	}
	return errors.Join(errs...)
}

func (w *Writer) compare(ctx context.Context, i snapshot.Info) error {
	recorded, err := w.recorded(i)
	if err != nil {
		return err
	}
	if recorded.Index != 0 {
		return w.confirm(ctx, i, recorded)
	}
	newest, err := w.newest()
	if err != nil {
		return err
	}
	if newest != nil && newest.Index >= i.Index {
		w.drop(i)
		return nil
	}
	if !w.cfg.Leads() || i.Digest == (coco.Digest{}) {
		return nil
	}
	return w.record(ctx, i)
}

// recorded returns the ledger's record of a snapshot; the zero one while there is none.
func (w *Writer) recorded(i snapshot.Info) (table.SnapshotRecord, error) {
	s := w.cfg.Store.Snapshot()
	defer s.Release()
	all, err := table.Snapshots(s)
	if err != nil {
		return table.SnapshotRecord{}, err
	}
	for _, r := range all {
		if r.Index == i.Index && r.Seqno == i.Seqno {
			return r, nil
		}
	}
	return table.SnapshotRecord{}, nil
}

// record commits a snapshot's digest.
func (w *Writer) record(ctx context.Context, i snapshot.Info) error {
	h, err := snapshot.ReadHeader(w.cfg.Disk, w.path(i))
	if err != nil {
		w.drop(i)
		return err
	}
	_, err = w.cfg.Commit(ctx, func(tx *store.Tx) ([]byte, error) {
		tx.Claim(snapshot.Claims(h, i.Digest, i.Bytes))
		return nil, members.RecordSnapshot(tx, table.SnapshotRecord{Index: h.Index, View: h.View, Seqno: h.Seqno, Digest: i.Digest, Bytes: i.Bytes})
	})
	if errors.Is(err, coco.ErrInvalid) {
		return nil // it, or a later one, was recorded meanwhile, which shows with the commit
	}
	return err
}

// confirm gives a file its receipt, or throws it away.
func (w *Writer) confirm(ctx context.Context, i snapshot.Info, r table.SnapshotRecord) error {
	if i.Digest == (coco.Digest{}) { // of an earlier life
		_, digest, _, err := snapshot.Verify(w.cfg.Disk, w.path(i))
		if err != nil {
			w.cfg.Log.Error("a snapshot on this node's disk is damaged: removing it", logevent.SnapshotDamaged.Attr(), "index", i.Index, "error", err)
			w.drop(i)
			return nil
		}
		i.Digest, i.Bytes = digest, r.Bytes // the file may have more, of a receipt that a crash cut off
	}
	if i.Digest != r.Digest {
		w.differing.Add(1)
		w.cfg.Log.Error("this node's snapshot is not that of the network: removing it", logevent.SnapshotDamaged.Attr(), "index", i.Index, "digest", i.Digest.Short(), "expected", r.Digest.Short())
		w.drop(i)
		return nil
	}
	receipt, err := w.cfg.Receipt(ctx, r.Since)
	if err != nil {
		return err
	}
	err = snapshot.Confirm(w.cfg.Disk, w.cfg.Dir, i, receipt)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, coco.ErrCorrupt) {
		w.drop(i)
	}
	if err != nil {
		return err
	}
	w.forget(i)
	w.seqno.Store(r.Seqno)
	w.bytes.Store(r.Bytes)
	return w.prune()
}

// prune removes all but the newest snapshots that the ledger records. Others are of entries that a recovery left behind;
// they may have any index.
func (w *Writer) prune() error {
	if !w.cfg.Ready() {
		return nil // this node does not know yet what was recorded
	}
	all, err := snapshot.List(w.cfg.Disk, w.cfg.Dir)
	if err != nil {
		return err
	}
	s := w.cfg.Store.Snapshot()
	records, err := table.Snapshots(s)
	s.Release()
	if err != nil {
		return err
	}
	kept := 0
	for _, i := range slices.Backward(all) {
		recorded := slices.ContainsFunc(records, func(r table.SnapshotRecord) bool { return r.Index == i.Index && r.Seqno == i.Seqno })
		if i.Pending {
			continue
		}
		if recorded && kept < keepRecorded {
			kept++
			continue
		}
		if err := snapshot.Remove(w.cfg.Disk, w.cfg.Dir, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) drop(i snapshot.Info) {
	if err := snapshot.Remove(w.cfg.Disk, w.cfg.Dir, i); err != nil {
		w.cfg.Log.Warn("remove a snapshot", "index", i.Index, "error", err)
	}
	w.forget(i)
}

func (w *Writer) forget(i snapshot.Info) {
	w.pending = slices.DeleteFunc(w.pending, func(o snapshot.Info) bool { return o.Index == i.Index && o.Seqno == i.Seqno })
}

// fromConsensus converts members' names for a snapshot's header.
func fromConsensus(in []consensus.ID) (out []uint64) {
	for _, id := range in {
		out = append(out, uint64(id))
	}
	return out
}

// newest returns the newest snapshot that the ledger records, nil if there is none.
func (w *Writer) newest() (*table.SnapshotRecord, error) {
	s := w.cfg.Store.Snapshot()
	defer s.Release()
	rec, ok, err := table.NewestSnapshot(s)
	if err != nil || !ok {
		return nil, err
	}
	return &rec, nil
}
