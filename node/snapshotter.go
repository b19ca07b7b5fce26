package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/store"
)

// Every node writes a snapshot at the same batches, because when one is due follows from the ledger alone. So the
// files are the same, to the byte, on all of them, and each node has one to begin with after a restart. The
// leader has its file's digest committed, with the digest as the claim of that transaction; a node whose own file
// has another digest throws it away and says so. The file then gets the transaction's receipt, which
// binds it to a signed Merkle root.
//
// A crash leaves a file without a receipt: whether it is to be trusted is asked of the ledger, as
// for any other.

// SnapshotDir is the folder of the snapshots on a node's disk.
const SnapshotDir = "snapshots"

func snapshotPath(i snapshot.Info) string { return SnapshotDir + "/" + i.Name() }

// keepPending is how many may wait for the ledger to record them.
const keepPending = 4

// keepSnapshots is how many a node keeps: the newest may turn out damaged.
const keepSnapshots = 2

// snapshotPoint is a state to be written.
type snapshotPoint struct {
	at    replica.Batch
	state *store.Snapshot // pinned; released by whoever has the point
}

// pace decides when a snapshot is due. It belongs to the executor.
type pace struct {
	pacer        *snapshot.Pacer
	constitution coco.Digest // whose policy the pacer follows
	bytes        uint64      // of the newest snapshot that the ledger records
	requested    bool        // by an operator, in the batch that is being committed
	points       chan snapshotPoint
	from         uint64 // the first seqno whose state is worth writing: before, this node replays what others have
}

func newPace(c *constitution.Constitution, from uint64) *pace {
	return &pace{pacer: snapshot.NewPacer(policyOf(c)), points: make(chan snapshotPoint, 1), from: from}
}

func policyOf(c *constitution.Constitution) snapshot.Policy {
	s := c.Snapshots
	return snapshot.Policy{Transactions: uint64(s.Transactions), Bytes: uint64(s.Bytes), Every: time.Duration(s.Seconds) * time.Second}
}

// newestSnapshot returns the newest snapshot that the ledger records, nil if there is none.
func (n *node) newestSnapshot() (*table.SnapshotRecord, error) {
	s := n.store.Snapshot()
	defer s.Release()
	rec, ok, err := table.NewestSnapshot(s)
	if err != nil || !ok {
		return nil, err
	}
	return &rec, nil
}

// governed reads what the network's own tables say about snapshots, after they changed. The policy is the one of that state: this
// node may know of a later constitution, from who admitted it, and all nodes must come to the same answer.
func (p *pace) governed(s store.Reader, first uint64) error {
	if digest, err := table.ConstitutionDigest(s); err != nil {
		return err
	} else if digest != p.constitution {
		c, err := table.LoadConstitution(s)
		if err != nil {
			return err
		}
		p.pacer.Follow(policyOf(c))
		p.constitution = digest
	}
	rec, ok, err := table.NewestSnapshot(s)
	if err != nil {
		return err
	}
	if ok {
		p.bytes = rec.Bytes
	}
	since, err := table.SnapshotRequest(s)
	p.requested = since >= first
	return err
}

// committed takes note of a batch and pins its state if a snapshot of it is due. While one is being written the next is
// left out.
func (p *pace) committed(at replica.Batch, s *store.Store) {
	due := p.pacer.Committed(at.Index, at.Seqno, at.Time, at.Size, p.bytes)
	if p.requested && !due {
		p.pacer.Reset(at.Seqno, at.Time)
		due = true
	}
	p.requested = false
	if !due || at.Seqno < p.from {
		return
	}
	point := snapshotPoint{at: at, state: s.Snapshot()}
	select {
	case p.points <- point:
	default:
		point.state.Release()
	}
}

// snapshotter is the goroutine that writes them.
type snapshotter struct {
	n       *node
	points  chan snapshotPoint
	pending []snapshot.Info // written, not recorded in the ledger as far as is known; oldest first
}

// evidenceEvery is how often a node looks whether the ledger records the snapshots that it wrote.
const evidenceEvery = time.Second

func (w *snapshotter) run(ctx context.Context) error {
	defer w.release()
	if err := w.leftovers(); err != nil {
		return err
	}
	tick := w.n.cfg.Host.Clock.NewTicker(evidenceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-w.points:
			if err := w.write(ctx, p); err != nil && ctx.Err() == nil {
				w.n.log.Error("no snapshot written: the next one is tried when it is due", "seqno", p.at.Seqno, "error", err)
			}
			p.state.Release()
		case <-tick.C():
		}
		if err := w.settle(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, coco.ErrNotCommitted) {
			w.n.log.Warn("snapshot not recorded yet", "error", err)
		}
	}
}

// release gives up what nobody will write.
func (w *snapshotter) release() {
	select {
	case p := <-w.points:
		p.state.Release()
	default:
	}
}

// leftovers finds what an earlier life of this node wrote.
func (w *snapshotter) leftovers() error {
	disk := w.n.cfg.Host.Disk
	if err := snapshot.Sweep(disk, SnapshotDir); err != nil {
		return err
	}
	all, err := snapshot.List(disk, SnapshotDir)
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

func (w *snapshotter) write(ctx context.Context, p snapshotPoint) error {
	n := w.n
	members, err := n.replica.MembersAt(ctx, p.at.Index)
	if err != nil {
		return err
	}
	secret, err := n.keys.Secret(p.at.Epoch)
	if err != nil {
		return err
	}
	tree, err := p.at.Tree.MarshalBinary()
	if err != nil {
		return err
	}
	began := n.cfg.Host.Clock.Elapsed()
	info, err := snapshot.Write(ctx, n.cfg.Host.Disk, SnapshotDir, snapshot.Header{
		Network: n.networkID(), Epoch: p.at.Epoch, Index: p.at.Index, View: p.at.View, First: p.at.First, Seqno: p.at.Seqno,
		Time: p.at.Time, Chain: p.at.Chain, Tree: tree, Origin: n.network.Origin,
		Voters: fromConsensus(members.Voters), Learners: fromConsensus(members.Learners), Outgoing: fromConsensus(members.Outgoing),
	}, secret, p.state, n.store.Tables())
	if err != nil {
		return err
	}
	n.log.Info("snapshot written", logevent.SnapshotWritten.Attr(), "seqno", info.Seqno, "bytes", info.Bytes, "took", n.cfg.Host.Clock.Elapsed()-began)
	w.pending = append(w.pending, info)
	return nil
}

// settle compares what was written with what the ledger records; a leader has it recorded.
func (w *snapshotter) settle(ctx context.Context) error {
	var errs []error
	for _, i := range slices.Clone(w.pending) { // one that does not get on holds up no other
		errs = append(errs, w.settleOne(ctx, i))
	}
	for len(w.pending) > keepPending {
		w.drop(w.pending[0])
	}
	return errors.Join(errs...)
}

func (w *snapshotter) settleOne(ctx context.Context, i snapshot.Info) error {
	recorded, err := w.recorded(i)
	if err != nil {
		return err
	}
	if recorded.Index != 0 {
		return w.confirm(ctx, i, recorded)
	}
	newest, err := w.n.newestSnapshot()
	if err != nil {
		return err
	}
	if newest != nil && newest.Index >= i.Index {
		w.drop(i)
		return nil
	}
	if !w.n.replica.Leads() || i.Digest == (coco.Digest{}) {
		return nil
	}
	return w.record(ctx, i)
}

// recorded returns the ledger's record of a snapshot; the zero one while there is none.
func (w *snapshotter) recorded(i snapshot.Info) (table.SnapshotRecord, error) {
	s := w.n.store.Snapshot()
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

// record has a snapshot's digest committed.
func (w *snapshotter) record(ctx context.Context, i snapshot.Info) error {
	h, err := snapshot.ReadHeader(w.n.cfg.Host.Disk, snapshotPath(i))
	if err != nil {
		w.drop(i)
		return err
	}
	_, err = w.n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		tx.Claim(snapshot.Claims(h, i.Digest, i.Bytes))
		return nil, members.RecordSnapshot(tx, table.SnapshotRecord{Index: h.Index, View: h.View, Seqno: h.Seqno, Digest: i.Digest, Bytes: i.Bytes})
	})
	if errors.Is(err, coco.ErrInvalid) {
		return nil // it, or a later one, was recorded meanwhile, which shows with the commit
	}
	return err
}

// confirm gives a file its receipt, or throws it away.
func (w *snapshotter) confirm(ctx context.Context, i snapshot.Info, r table.SnapshotRecord) error {
	n := w.n
	if i.Digest == (coco.Digest{}) { // of an earlier life: whoever loads it compares it
		_, digest, _, err := snapshot.Verify(n.cfg.Host.Disk, snapshotPath(i))
		if err != nil {
			n.log.Error("a snapshot on this node's disk is damaged: removing it", logevent.SnapshotDamaged.Attr(), "index", i.Index, "error", err)
			w.drop(i)
			return nil
		}
		i.Digest, i.Bytes = digest, r.Bytes // the file may have more, of a receipt that a crash cut off
	}
	if i.Digest != r.Digest {
		n.meter.differing.Add(1)
		n.log.Error("this node's snapshot is not that of the network: removing it", logevent.SnapshotDamaged.Attr(), "index", i.Index, "digest", i.Digest.Short(), "expected", r.Digest.Short())
		w.drop(i)
		return nil
	}
	b, err := n.history.Find(r.Since)
	if err != nil {
		return err
	}
	receipt, err := n.Receipt(ctx, coco.TxID{View: b.View, Seqno: r.Since})
	if err != nil {
		return err
	}
	err = snapshot.Confirm(n.cfg.Host.Disk, SnapshotDir, i, receipt)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, coco.ErrCorrupt) {
		w.drop(i)
	}
	if err != nil {
		return err
	}
	w.forget(i)
	n.meter.snapshotSeqno.Store(r.Seqno)
	n.meter.snapshotBytes.Store(r.Bytes)
	return w.prune()
}

// prune removes all but the newest snapshots that the ledger records. Others are of entries that a recovery left behind;
// they may have any index.
func (w *snapshotter) prune() error {
	if !w.n.ready.Load() {
		return nil // this node does not know yet what was recorded
	}
	all, err := snapshot.List(w.n.cfg.Host.Disk, SnapshotDir)
	if err != nil {
		return err
	}
	s := w.n.store.Snapshot()
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
		if recorded && kept < keepSnapshots {
			kept++
			continue
		}
		if err := snapshot.Remove(w.n.cfg.Host.Disk, SnapshotDir, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *snapshotter) drop(i snapshot.Info) {
	if err := snapshot.Remove(w.n.cfg.Host.Disk, SnapshotDir, i); err != nil {
		w.n.log.Warn("remove a snapshot", "index", i.Index, "error", err)
	}
	w.forget(i)
}

func (w *snapshotter) forget(i snapshot.Info) {
	w.pending = slices.DeleteFunc(w.pending, func(o snapshot.Info) bool { return o.Index == i.Index && o.Seqno == i.Seqno })
}

// fromConsensus converts members' names for a snapshot's header.
func fromConsensus(in []consensus.ID) (out []uint64) {
	for _, id := range in {
		out = append(out, uint64(id))
	}
	return out
}
