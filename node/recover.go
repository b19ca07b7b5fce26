package node

import (
	"context"
	"encoding/binary"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/basis"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/reopen"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
)

// Recovery goes on from one node's ledger when no enclave is left that holds the network's keys.
// The ledger is audited without any key, and where it ends is shown to the members. They release
// their shares for that end alone (package keys/recovery), which open its epochs, and the node replays
// it and leads alone. Its first transaction retires every other node and starts a new epoch: under
// the old ones nothing is ever sealed again, so a ledger that was continued elsewhere cannot meet
// the same nonce. The other nodes then join.
//
// It begins at a view that is higher by a random number: should the network have gone on elsewhere
// after this ledger's end, no transaction id means two things.
//
// A crash before that transaction leaves the ledger as it was, with empty entries of new views.

// recover prepares a recovery.
func (s *start) recover(ctx context.Context) error {
	log := s.local.Ledger
	locked := reopen.Ledger{
		Log: s.log, Clock: s.cfg.Host.Clock, Disk: s.cfg.Host.Disk, Dir: Dir, Extra: s.cfg.LedgerFolders, Snapshots: SnapshotDir, Entries: log, Keys: s.keys, How: s.cfg.Recover,
		Audit: audit.Config{Service: s.cfg.Service, Constitution: s.cfg.Approve, Verifiers: s.cfg.Verifiers},
	}
	open, err := locked.Open(ctx)
	if err != nil {
		return err
	}
	if err := log.SetChunkBytes(open.Constitution.Ledger.ChunkBytes); err != nil {
		return err
	}
	if err := s.cfg.vault().Wipe(); err != nil { // of a key that the recovery retires
		return err
	}
	self := s.self.Identity.ID()
	s.network = join.Network{
		Constitution: open.Constitution, Service: open.Service, Origin: open.Origin,
		Nodes: map[coco.NodeID]string{self: s.self.PeerAddress}, Seqno: open.Last.Seqno + 1,
	}
	last := log.Last()
	view, _ := log.ViewOf(last)
	s.machine.Voters = []consensus.ID{consensus.IDOf(self)}
	s.machine.Members.Voters = []consensus.ID{consensus.IDOf(open.Origin)}
	s.beginAt(open.Basis)
	s.machine.Last, s.machine.Commit, s.machine.Fixed = last, last, last
	s.machine.View = view + 1 + uint64(binary.BigEndian.Uint16(join.NewNonce()))
	s.begin = func(ctx context.Context, n *node) error { return n.leadAlone(ctx, last, open) }
	return nil
}

// time returns the time that the members say in a recovery, in milliseconds since 1970; 0 if there is none.
func (s *start) time() uint64 {
	if s.cfg.Recover == nil || s.cfg.Recover.Time == nil {
		return 0
	}
	return uint64(max(0, s.cfg.Recover.Time().UnixMilli()))
}

// leadAlone leads, as the only voter, once the ledger is replayed.
func (n *node) leadAlone(ctx context.Context, last uint64, open *reopen.Opened) error {
	told := basis.Told(n.log, n.cfg.Host.Clock, "replaying the ledger")
	for at := n.replica.Applied(); at < last; at = n.replica.Applied() {
		if told(int64(at), int64(last)); n.cfg.Recover.Replayed != nil {
			n.cfg.Recover.Replayed(int64(at), int64(last))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.cfg.Host.Clock.After(replica.Tick):
		}
	}
	n.replica.Restart(consensus.IDOf(n.network.Origin))
	return n.firstTransaction(ctx, func(tx *store.Tx, rec table.NodeRecord) error {
		claims, err := n.cfg.Verifiers.Verify(rec.Evidence, n.cfg.Host.Clock.Now())
		if err != nil {
			return err
		}
		if open.Recovered != nil {
			if err := members.WriteRecovery(tx, rec.ID, *open.Recovered); err != nil {
				return err
			}
		}
		if err := members.RecoverNode(tx, rec, claims); err != nil {
			return err
		}
		return announceAlone(tx, n.state.keys)
	})
}

// announceAlone announces an epoch, and begins it: the transaction's own batch is sealed in it.
func announceAlone(tx *store.Tx, ring *keys.Ring) error {
	if table.LastCommittee(tx) > 0 {
		secret, epoch, err := ceremony.Announce(tx)
		if err != nil {
			return err
		}
		ring.Add(epoch.Epoch, secret)
		ring.Use(epoch.Epoch)
		return nil
	}
	c, err := table.LoadCore(tx)
	if err != nil {
		return err
	}
	secret, epoch, err := keys.NewEpoch(table.LastEpoch(tx)+1, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return err
	}
	if err := epoch.SealPrevious(secret, ring.Recent()); err != nil {
		return err
	}
	ring.Add(epoch.Epoch, secret)
	ring.Use(epoch.Epoch)
	return members.WriteEpoch(tx, epoch)
}

// closed reports whether members have yet to open the network that they recovered.
func (n *node) closed() bool {
	s := n.state.store.Snapshot()
	defer s.Release()
	closed, err := table.Closed(s)
	if err != nil {
		n.log.Error("the record of the recovery does not decode", "error", err)
	}
	return closed || err != nil
}

// awaitOpen waits until members have opened the network. It reports false when ctx ends.
func (n *node) awaitOpen(ctx context.Context) bool {
	for {
		changed := n.decided.changed.Wait() // before looking
		if !n.closed() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}
