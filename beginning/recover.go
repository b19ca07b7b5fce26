package beginning

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
func (s *Start) recover(ctx context.Context) error {
	log := s.Local.Ledger
	locked := reopen.Ledger{
		Log: s.Log, Clock: s.cfg.Host.Clock, Disk: s.cfg.Host.Disk, Dir: s.ledger.Folder.Dir, Extra: s.ledger.Folder.Extra, Snapshots: s.Local.Snapshots, Entries: log, Keys: s.Keys, How: s.cfg.Recover,
		Audit: audit.Config{Service: s.cfg.Service, Constitution: s.cfg.Approve, Verifiers: s.cfg.Verifiers},
	}
	open, err := locked.Open(ctx)
	if err != nil {
		return err
	}
	if err := log.SetChunkBytes(open.Constitution.Ledger.ChunkBytes); err != nil {
		return err
	}
	if err := s.cfg.Vault.Wipe(); err != nil { // of a key that the recovery retires
		return err
	}
	self := s.Self.Identity.ID()
	s.Network = join.Network{
		Constitution: open.Constitution, Service: open.Service, Origin: open.Origin,
		Nodes: map[coco.NodeID]string{self: s.Self.PeerAddress}, Seqno: open.Last.Seqno + 1,
	}
	last := log.Last()
	view, _ := log.ViewOf(last)
	s.Machine.Voters = []consensus.ID{consensus.IDOf(self)}
	s.Machine.Members.Voters = []consensus.ID{consensus.IDOf(open.Origin)}
	s.beginAt(open.Basis)
	s.Machine.Last, s.Machine.Commit, s.Machine.Fixed = last, last, last
	s.Machine.View = view + 1 + uint64(binary.BigEndian.Uint16(join.NewNonce()))
	s.first = func(ctx context.Context, n Running) error { return s.leadAlone(ctx, n, last, open) }
	return nil
}

// leadAlone leads, as the only voter, once the ledger is replayed.
func (s *Start) leadAlone(ctx context.Context, n Running, last uint64, open *reopen.Opened) error {
	told := basis.Told(s.Log, s.cfg.Host.Clock, "replaying the ledger")
	for at := n.Replica.Applied(); at < last; at = n.Replica.Applied() {
		if told(int64(at), int64(last)); s.cfg.Recover.Replayed != nil {
			s.cfg.Recover.Replayed(int64(at), int64(last))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.cfg.Host.Clock.After(replica.Tick):
		}
	}
	n.Replica.Restart(consensus.IDOf(s.Network.Origin))
	return s.firstTransaction(ctx, n, func(tx *store.Tx, rec table.NodeRecord) error {
		claims, err := s.cfg.Verifiers.Verify(rec.Evidence, s.cfg.Host.Clock.Now())
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
		return announceAlone(tx, s.Keys)
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
