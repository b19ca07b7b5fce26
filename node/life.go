package node

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// folder is where a node's ledger is.
func (c *Config) folder() join.Folder {
	return join.Folder{Disk: c.Host.Disk, Dir: Dir, Extra: c.LedgerFolders}
}

// ownLedger is the ledger on this node's disk.
func (c *Config) ownLedger() join.OwnLedger {
	return join.OwnLedger{Folder: c.folder(), Named: c.service(), Joins: len(c.Join) > 0, Log: c.Log, Clock: c.Host.Clock}
}

// start is what a life finds out before there is a node.
type start struct {
	cfg     Config
	log     *slog.Logger
	self    *join.Attestor
	ledger  *join.OwnLedger
	local   catchup.Local // the ledger and the snapshots on this node's disk
	keys    *keys.Ring
	network join.Network // that the node becomes part of
	machine raft.Config
	basis   *catchup.Basis                     // the snapshot to begin with; nil: the ledger's first entry
	begin   func(context.Context, *node) error // once everything runs
	peers   *peer.Transport                    // that is not open yet
	resumed resumption
}

// prepare finds out about the network, in one of the three ways.
func prepare(ctx context.Context, cfg Config, self *join.Attestor, own *join.OwnLedger, local catchup.Local, peers *peer.Transport) (*start, error) {
	s := &start{cfg: cfg, log: local.Log, self: self, ledger: own, local: local, keys: keys.NewRing(), peers: peers}
	switch {
	case cfg.Genesis != nil:
		return s, s.found()
	case len(cfg.Join) > 0:
		return s, s.join(ctx)
	}
	return s, s.recover(ctx)
}

// join has the network admit the node, and fetches what the node begins with.
func (s *start) join(ctx context.Context) (err error) {
	a := s.cfg.past.admitted
	if a == nil {
		j := newJoiner(s.cfg, s.self, s.local)
		j.Held, j.Samples = s.ledger.Held, func() ([]peer.Sample, error) { return s.ledger.Samples(s.local) }
		if a, err = s.admitted(ctx, j); err != nil {
			return err
		}
		if a == nil {
			return s.resume()
		}
	}
	if err := s.cfg.vault().Wipe(); err != nil { // of the key that this one replaces
		return err
	}
	s.resumed = resumption{}
	if s.ledger.Damaged != nil {
		if err := s.ledger.Replace(a.Network.Service.Certificate()); err != nil {
			return err
		}
		s.local.Ledger = s.ledger.Files
	}
	s.network, s.cfg.past.known.service = a.Network, a.Network.Service.Certificate().Raw
	for epoch, secret := range a.Secrets {
		s.keys.Add(epoch, secret)
	}
	keys.Wipe(a.Secrets)
	if s.basis, err = a.Prepare(ctx, s.cfg.Host.Net, s.local, s.cfg.folder()); err != nil {
		return err
	}
	s.machine.Voters = []consensus.ID{consensus.IDOf(a.Network.Origin)}
	if s.basis != nil {
		s.beginAfter(s.basis)
	}
	s.machine.Last = s.local.Ledger.Last()
	s.begin = func(context.Context, *node) error { return nil }
	return nil
}

// ownClaims asks the platform what this program is, before it has a key: the evidence is bound to
// none, and this node alone reads it.
func ownClaims(ctx context.Context, cfg Config) (attest.Claims, error) {
	ev, err := attest.Quote(ctx, cfg.Host.Quoter, "coco self", nil, join.NewNonce())
	if err != nil {
		return attest.Claims{}, err
	}
	claims, err := cfg.Verifiers.Verify(ev, cfg.Host.Clock.Now())
	if err != nil {
		return attest.Claims{}, fmt.Errorf("this node's own evidence: %w", err)
	}
	return claims, nil
}

// found prepares a new network: service, first epoch, genesis transaction.
func (s *start) found() error {
	c, log := s.cfg.Genesis, s.local.Ledger
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
	if err := s.cfg.folder().Note(service.Certificate()); err != nil {
		return err
	}
	id := s.self.Identity.ID()
	s.machine.Voters = []consensus.ID{consensus.IDOf(id)}
	s.network = join.Network{Constitution: c, Service: service, Origin: id, Nodes: map[coco.NodeID]string{id: s.self.PeerAddress}, Seqno: 1}
	s.begin = func(ctx context.Context, n *node) error {
		return n.firstTransaction(ctx, func(tx *store.Tx, rec table.NodeRecord) error {
			serviceKey, err := service.MarshalKey()
			if err != nil {
				return err
			}
			secret, err := members.WriteGenesis(tx, c, rec, service.Certificate().Raw, serviceKey)
			if err != nil {
				return err
			}
			s.keys.Add(1, secret) // before the transaction's own batch is sealed
			s.keys.Use(1)
			for _, l := range n.state.ledgers {
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
func (n *node) firstTransaction(ctx context.Context, write func(*store.Tx, table.NodeRecord) error) error {
	rec, err := n.self.Record(ctx, n.network.Constitution, join.NewNonce())
	if err != nil {
		return err
	}
	if err := n.replica.Lead(ctx); err != nil {
		return err
	}
	done, err := n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		rec.Time = tx.Time()
		if rec.Certificate, err = join.Endorse(n.current(), rec, rec.Time, n.cfg.Host.Clock.Now()); err != nil {
			return nil, err
		}
		return rec.Certificate, write(tx, rec)
	})
	if err != nil {
		return err
	}
	return n.self.Identity.SetCertificate(done.Reply)
}
