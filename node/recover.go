package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/locks"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/ledger"
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
	auditor := audit.New(audit.Config{Service: s.cfg.Service, Constitution: s.cfg.Approve, Verifiers: s.cfg.Verifiers})
	seen := &witness{Auditor: auditor, of: s.cfg.Recover.AtLeast.Seqno}
	report, err := ledger.Audit(ctx, s.cfg.Host.Disk, Dir, seen, s.cfg.Recover.Progress, s.cfg.LedgerFolders...)
	if err != nil {
		return fmt.Errorf("audit before recovery: %w", err)
	}
	receiver, err := s.agree(seen, report)
	if err != nil {
		return err
	}
	epochs := auditor.Epochs()
	opening, err := locks.Opening(auditor.Tables(), auditor.Used)
	if err != nil {
		return err
	}
	if err := s.openLocks(ctx, receiver, opening); err != nil {
		return err
	}
	c := auditor.Constitution()
	if err := log.SetChunkBytes(c.Ledger.ChunkBytes); err != nil {
		return err
	}
	origin, service, err := s.readGenesis(auditor.ServiceCertificate())
	if err != nil {
		return fmt.Errorf("read the genesis: %w", err)
	}
	secret, epoch, err := keys.NewEpoch(epochs[len(epochs)-1].Epoch+1, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return err
	}
	if err := epoch.SealPrevious(secret, s.keys.Recent()); err != nil {
		return err
	}
	s.keys.Add(epoch.Epoch, secret)
	s.keys.Use(epoch.Epoch)
	self := s.self.Identity.ID()
	s.network = join.Network{
		Constitution: c, Service: service, Origin: origin,
		Nodes: map[coco.NodeID]string{self: s.self.PeerAddress}, Seqno: report.Last.Seqno + 1,
	}
	s.log.Info("recovering", "transactions", report.Transactions, "last", report.Last.String(), "epochs", len(epochs))
	last := log.Last()
	view, _ := log.ViewOf(last)
	s.machine.Voters = []consensus.ID{consensus.IDOf(self)}
	s.machine.Members.Voters = []consensus.ID{consensus.IDOf(origin)}
	s.machine.Last, s.machine.Commit, s.machine.Fixed = last, last, last
	s.machine.View = view + 1 + uint64(binary.BigEndian.Uint16(join.NewNonce()))
	s.begin = func(ctx context.Context, n *node) error { return n.leadAlone(ctx, last, epoch) }
	return nil
}

// time returns the time that the members say in a recovery, in milliseconds since 1970; 0 if there is none.
func (s *start) time() uint64 {
	if s.cfg.Recover == nil || s.cfg.Recover.Time == nil {
		return 0
	}
	return uint64(max(0, s.cfg.Recover.Time().UnixMilli()))
}

// witness notes, beside an audit, where the ledger ends and in which view one transaction is in it.
type witness struct {
	*audit.Auditor
	last batch.Header
	of   uint64 // seqno of the transaction
	view uint64 // zero if it is not in the ledger
}

// Apply implements ledger.Checker.
func (w *witness) Apply(b *batch.Batch, public [][]byte) error {
	w.last = b.Header
	if w.of >= b.Header.First && w.of <= b.Header.Last() {
		w.view = b.Header.View
	}
	return w.Auditor.Apply(b, public)
}

// agree shows where the ledger ends, unless it lacks what is known to be committed, and returns what opens the shares that members
// release for that end.
func (s *start) agree(seen *witness, report ledger.Report) (*recovery.Receiver, error) {
	network, err := table.NetworkID(seen.ServiceCertificate())
	if err != nil {
		return nil, err
	}
	point := recovery.Point{
		Network: network, View: report.Last.View, Seqno: report.Last.Seqno, Index: seen.last.Index, Time: seen.last.Time, Root: report.Root,
	}
	if want := s.cfg.Recover.AtLeast; want.Seqno > 0 && seen.view != want.View {
		return nil, &LossError{Point: point, Lacks: want}
	}
	s.log.Warn("recovering: members release their shares for this end of the ledger", logevent.RecoveryBegins.Attr(),
		"last", point.Last().String(), "time", point.Time, "root", point.Root.String(), "point", point.Digest().String())
	if s.cfg.Recover.Show != nil {
		if err := s.cfg.Recover.Show(Ending{point, seen.Constitution(), seen.ServiceCertificate(), len(seen.Epochs())}); err != nil {
			return nil, err
		}
	}
	return recovery.NewReceiver(point, true)
}

// openLocks has members open every epoch that batches are sealed in. Members whose releases are missing or wrong are named, whether or not there are
// enough others.
func (s *start) openLocks(ctx context.Context, receiver *recovery.Receiver, opening *recovery.Opening) error {
	warn := func(faults []error, lock *recovery.Lock) {
		for _, fault := range faults {
			s.log.Warn("a member's part is missing or wrong", logevent.ShareUnusable.Attr(), "lock", lock.String(), "error", fault)
		}
	}
	for lock := opening.Next(); lock != nil; lock = opening.Next() {
		round := receiver.Round(lock)
		missing, err := s.cfg.Recover.Release(ctx, round)
		if err != nil {
			return err
		}
		secret, wrong, err := round.Secret()
		warn(append(missing, wrong...), lock)
		if err == nil {
			for _, fault := range opening.Open(lock, secret) {
				s.log.Warn("an epoch does not open those before it", "lock", lock.String(), "error", fault)
			}
		} else if !opening.GiveUp(lock) {
			return errors.Join(fmt.Errorf("open %s with what members released: %w", lock, err), errors.Join(append(missing, wrong...)...))
		}
	}
	for epoch, secret := range opening.Secrets() {
		s.keys.Add(epoch, secret)
	}
	return nil
}

// leadAlone leads, as the only voter, once the ledger is replayed.
func (n *node) leadAlone(ctx context.Context, last uint64, epoch *keys.SealedEpoch) error {
	for n.replica.Applied() < last {
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
		if err := members.RecoverNode(tx, rec, claims); err != nil {
			return err
		}
		return members.WriteEpoch(tx, epoch)
	})
}

// readGenesis reads from the first batch which node started the network, and the service's key.
func (s *start) readGenesis(certificate []byte) (coco.NodeID, *channel.Service, error) {
	none, log := coco.NodeID{}, s.local.Ledger
	for index := uint64(1); index <= log.Last(); index++ {
		entries, err := log.Read(index, index+1, 0)
		if err != nil {
			return none, nil, err
		}
		if entries[0].Kind != batch.KindBatch {
			continue
		}
		b, err := batch.Decode(entries[0].Data)
		if err != nil {
			return none, nil, err
		}
		key, err := s.serviceKey(b)
		if err != nil {
			return none, nil, err
		}
		service, err := channel.ParseService(certificate, key)
		return b.Header.Node, service, err
	}
	return none, nil, fmt.Errorf("%w: the ledger holds no transaction", coco.ErrNotFound)
}

func (s *start) serviceKey(genesis *batch.Batch) (keys.SecretBytes, error) {
	k, err := s.keys.Of(genesis.Header.Epoch)
	if err != nil {
		return nil, err
	}
	records, err := genesis.Open(k)
	if err != nil {
		return nil, err
	}
	writes, err := store.DecodeWrites(records[0].Private)
	if err != nil {
		return nil, err
	}
	tables := store.New()
	if err := tables.Create(table.All()...); err != nil {
		return nil, err
	}
	tx := tables.Begin(0, 0).Begin()
	for _, w := range writes {
		if w.Table == table.SecretsTable {
			tx.Put(w.Table, w.Key, w.Value)
		}
	}
	return table.ServiceKey(tx)
}
