package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/store"
)

// openLedger opens the ledger on this node's disk. A node that joins can do without it: one that
// does not open, as a loss of power may leave it, is set aside, and the network's is fetched.
func openLedger(cfg Config) (*ledger.Log, error) {
	log, err := ledger.Open(cfg.Host.Disk, Dir, cfg.ledgerOptions())
	if !errors.Is(err, coco.ErrCorrupt) || len(cfg.Join) == 0 {
		return log, err
	}
	if err := setAside(cfg, err); err != nil {
		return nil, err
	}
	return ledger.Open(cfg.Host.Disk, Dir, cfg.ledgerOptions())
}

// setAside moves the ledger's files to another folder, so that an operator can find out what happened to them.
func setAside(cfg Config, why error) error {
	aside := Dir + "-damaged-" + cfg.Host.Clock.Now().UTC().Format("20060102T150405.000")
	cfg.Log.Error("this node's ledger does not open: setting it aside and fetching the network's", logevent.LedgerSetAside.Attr(), "entry", ledger.DamagedEntry(why), "aside", aside, "error", why)
	names, err := cfg.Host.Disk.List(Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := cfg.Host.Disk.Rename(Dir+"/"+name, aside+"/"+name); err != nil {
			return fmt.Errorf("set the damaged ledger aside: %w", err)
		}
	}
	return nil
}

func cutLedger(cfg Config, last uint64) error {
	log, err := ledger.Open(cfg.Host.Disk, Dir, cfg.ledgerOptions())
	if err != nil {
		return err
	}
	defer log.Close()
	if err := log.TruncateAfter(last); err != nil {
		return fmt.Errorf("cut the ledger after entry %d: %w", last, err)
	}
	return log.Sync()
}

// start is the way in which a node begins.
type start struct {
	machine raft.Config
	basis   *catchup.Basis                     // the snapshot to begin with; nil: the ledger's first entry
	begin   func(context.Context, *node) error // once everything runs
}

// prepare finds out about the network, in one of the three ways.
func (n *node) prepare(ctx context.Context, log *ledger.Log) (start, error) {
	self := consensus.IDOf(n.id.ID())
	machine := raft.Config{}
	switch {
	case n.cfg.Genesis != nil:
		if log.Last() > 0 {
			return start{}, fmt.Errorf("%w: the ledger folder holds %d entries of a network already: join it or recover it, or use an empty folder", coco.ErrInvalid, log.Last())
		}
		if err := log.SetChunkBytes(n.cfg.Genesis.Ledger.ChunkBytes); err != nil {
			return start{}, err
		}
		begin, err := n.found()
		machine.Voters = []consensus.ID{self}
		return start{machine: machine, begin: begin}, err
	case len(n.cfg.Join) > 0:
		return n.prepareJoin(ctx, machine)
	}
	begin, err := n.recover(ctx, log)
	machine.Voters = []consensus.ID{self}
	machine.Members.Voters = []consensus.ID{consensus.IDOf(n.network.Origin)}
	machine.Last, machine.Commit, machine.Fixed = log.Last(), log.Last(), log.Last()
	view, _ := log.ViewOf(log.Last())
	machine.View = view + 1 + uint64(binary.BigEndian.Uint16(join.NewNonce()))
	return start{machine: machine, begin: begin}, err
}

// prepareJoin is prepare for a node that joins.
func (n *node) prepareJoin(ctx context.Context, machine raft.Config) (start, error) {
	s := start{begin: func(context.Context, *node) error { return nil }}
	a := n.cfg.past.admitted
	if a == nil {
		var err error
		if a, err = newJoiner(n.cfg, n.attestor, n.local).Join(ctx); err != nil {
			return s, err
		}
	}
	n.network, n.cfg.past.known.service = a.Network, a.Network.Service.Certificate().Raw
	for epoch, secret := range a.Secrets {
		n.keys.Add(epoch, secret)
	}
	var err error
	if s.basis, err = a.Prepare(ctx, n.cfg.Host.Net, n.local); err != nil {
		return s, err
	}
	machine.Voters = []consensus.ID{consensus.IDOf(a.Network.Origin)}
	if s.basis != nil {
		n.beginAfter(s.basis, &machine)
	}
	machine.Last = n.ledgerLog.Last()
	s.machine = machine
	return s, nil
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
func (n *node) found() (func(context.Context, *node) error, error) {
	c := n.cfg.Genesis
	service, err := channel.NewService(c.Network.Name, c.Network.Insecure, n.cfg.Host.Clock.Now())
	if err != nil {
		return nil, err
	}
	secret, epoch, err := keys.NewEpoch(1, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return nil, err
	}
	n.keys.Add(1, secret)
	n.keys.Use(1)
	n.network = join.Network{Constitution: c, Service: service, Origin: n.id.ID(), Nodes: map[coco.NodeID]string{n.id.ID(): n.attestor.PeerAddress}, Seqno: 1}
	return func(ctx context.Context, n *node) error {
		return n.firstTransaction(ctx, func(tx *store.Tx, rec table.NodeRecord) error {
			serviceKey, err := service.MarshalKey()
			if err != nil {
				return err
			}
			if err := members.WriteGenesis(tx, c, rec, service.Certificate().Raw, epoch, serviceKey); err != nil {
				return err
			}
			for _, l := range n.ledgers {
				if err := tx.In(l.Scope, l.Ledger.Genesis); err != nil {
					return fmt.Errorf("genesis of ledger %q: %w", l.Name, err)
				}
			}
			return nil
		})
	}, nil
}

// firstTransaction stands for election, alone, and commits a transaction that makes this node trusted.
func (n *node) firstTransaction(ctx context.Context, write func(*store.Tx, table.NodeRecord) error) error {
	rec, err := n.attestor.Record(ctx, join.NewNonce())
	if err != nil {
		return err
	}
	if err := n.replica.Lead(ctx); err != nil {
		return err
	}
	done, err := n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		rec.Time = tx.Time()
		if rec.Certificate, err = join.Endorse(n.current(), rec, rec.Time); err != nil {
			return nil, err
		}
		return rec.Certificate, write(tx, rec)
	})
	if err != nil {
		return err
	}
	return n.id.SetCertificate(done.Reply)
}
