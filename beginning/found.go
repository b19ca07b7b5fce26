package beginning

import (
	"context"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/store"
)

// found prepares a new network: service, first epoch, genesis transaction.
func (s *Start) found() error {
	c, log := s.cfg.Genesis, s.Local.Ledger
	begun, err := log.Begun()
	if err != nil {
		return fmt.Errorf("read the ledger that is there: %w", err)
	}
	if begun {
		return fmt.Errorf("%w: the ledger folder holds %d entries of a network already: join it or recover it, or use an empty folder", coco.ErrInvalid, log.Last())
	}
	// Entries without a transaction are what a start leaves that was interrupted before the network's first one. There is
	// nothing to join or to recover.
	if err := log.TruncateAfter(0); err != nil {
		return err
	}
	if err := log.SetChunkBytes(c.Ledger.ChunkBytes); err != nil {
		return err
	}
	service, err := channel.NewService(c.Network.Name, c.Network.Insecure, s.cfg.Host.Clock.Now())
	if err != nil {
		return err
	}
	if err := s.ledger.Folder.Note(service.Certificate()); err != nil {
		return err
	}
	id := s.Self.Identity.ID()
	s.Machine.Voters = []consensus.ID{consensus.IDOf(id)}
	s.Network = join.Network{Constitution: c, Service: service, Origin: id, Nodes: map[coco.NodeID]string{id: s.Self.PeerAddress}, Seqno: 1}
	s.first = func(ctx context.Context, n Running) error {
		return s.firstTransaction(ctx, n, func(tx *store.Tx, rec table.NodeRecord) error {
			serviceKey, err := service.MarshalKey()
			if err != nil {
				return err
			}
			secret, err := members.WriteGenesis(tx, c, rec, service.Certificate().Raw, serviceKey)
			if err != nil {
				return err
			}
			s.Keys.Add(1, secret) // before the transaction's own batch is sealed
			s.Keys.Use(1)
			for _, l := range n.Ledgers {
				if err := tx.In(l.Scope, l.Ledger.Genesis); err != nil {
					return fmt.Errorf("genesis of ledger %q: %w", l.Name, err)
				}
			}
			return nil
		})
	}
	return nil
}

// firstTransaction stands for election, alone, and commits a transaction that makes this node trusted.
func (s *Start) firstTransaction(ctx context.Context, n Running, write func(*store.Tx, table.NodeRecord) error) error {
	rec, err := s.Self.Record(ctx, s.Network.Constitution, join.NewNonce())
	if err != nil {
		return err
	}
	if err := n.Replica.Lead(ctx); err != nil {
		return err
	}
	done, err := n.Replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		rec.Time = tx.Time()
		if rec.Certificate, err = join.Endorse(n.Network(), rec, rec.Time, s.cfg.Host.Clock.Now()); err != nil {
			return nil, err
		}
		return rec.Certificate, write(tx, rec)
	})
	if err != nil {
		return err
	}
	return s.Self.Identity.SetCertificate(done.Reply)
}
