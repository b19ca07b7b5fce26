package node

import (
	"context"
	"crypto/x509"
	"errors"
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
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// folder is where a node's ledger is.
func (c *Config) folder() join.Folder {
	return join.Folder{Disk: c.Host.Disk, Dir: Dir, Extra: c.LedgerFolders}
}

// ownLedger is the ledger on a node's disk, in one life.
type ownLedger struct {
	cfg     Config
	log     *ledger.Log       // nil if it does not open
	damaged error             // why it does not
	held    *x509.Certificate // the service whose ledger it is; nil if nothing says it
}

// openLedger opens the ledger on this node's disk, unless it is another network's than the one that the operator named. A node that
// joins can do without: a ledger that does not open, as a loss of power may leave it, is set aside once the
// network has said which one it is, and the network's is fetched.
func openLedger(cfg Config) (*ownLedger, error) {
	own := &ownLedger{cfg: cfg}
	var err error
	if own.held, err = cfg.folder().Service(); err != nil {
		return nil, err
	}
	if named := cfg.service(); len(named) > 0 {
		service, err := x509.ParseCertificate(named)
		if err != nil {
			return nil, fmt.Errorf("%w: the service certificate given: %w", coco.ErrInvalid, err)
		}
		if err := cfg.folder().Admits(service); err != nil {
			return nil, err
		}
	}
	own.log, err = ledger.Open(cfg.Host.Disk, Dir, cfg.ledgerOptions())
	if errors.Is(err, coco.ErrCorrupt) && len(cfg.Join) > 0 {
		own.damaged, err = err, nil
	}
	return own, err
}

// samples describes what of it can be read to the network.
func (l *ownLedger) samples(local catchup.Local) ([]peer.Sample, error) {
	if l.log == nil {
		return nil, nil
	}
	return local.Samples()
}

// replace sets the ledger aside that does not open, if it is known to be of a service, and opens an empty one.
func (l *ownLedger) replace(service *x509.Certificate) (err error) {
	if err := setAside(l.cfg, service, l.damaged); err != nil {
		return err
	}
	l.log, err = ledger.Open(l.cfg.Host.Disk, Dir, l.cfg.ledgerOptions())
	return err
}

func (l *ownLedger) close() {
	if l.log != nil {
		l.log.Close()
	}
}

// setAside moves the ledger's files to another folder, so that an operator can find out what happened to them. It touches none
// unless the ledger is known to be that of the service that the node takes part in.
func setAside(cfg Config, service *x509.Certificate, why error) error {
	if err := cfg.folder().Belongs(service); err != nil {
		return fmt.Errorf("this node's ledger is of no use (%w): %w", why, err)
	}
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

// start is what a life finds out before there is a node.
type start struct {
	cfg     Config
	log     *slog.Logger
	self    *join.Attestor
	ledger  *ownLedger
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
func prepare(ctx context.Context, cfg Config, self *join.Attestor, own *ownLedger, local catchup.Local, peers *peer.Transport) (*start, error) {
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
		j.Held, j.Samples = s.ledger.held, func() ([]peer.Sample, error) { return s.ledger.samples(s.local) }
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
	if s.ledger.damaged != nil {
		if err := s.ledger.replace(a.Network.Service.Certificate()); err != nil {
			return err
		}
		s.local.Ledger = s.ledger.log
	}
	s.network, s.cfg.past.known.service = a.Network, a.Network.Service.Certificate().Raw
	for epoch, secret := range a.Secrets {
		s.keys.Add(epoch, secret)
	}
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
	secret, epoch, err := keys.NewEpoch(1, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return err
	}
	id := s.self.Identity.ID()
	s.machine.Voters = []consensus.ID{consensus.IDOf(id)}
	s.keys.Add(1, secret)
	s.keys.Use(1)
	s.network = join.Network{Constitution: c, Service: service, Origin: id, Nodes: map[coco.NodeID]string{id: s.self.PeerAddress}, Seqno: 1}
	s.begin = func(ctx context.Context, n *node) error {
		return n.firstTransaction(ctx, func(tx *store.Tx, rec table.NodeRecord) error {
			serviceKey, err := service.MarshalKey()
			if err != nil {
				return err
			}
			if err := members.WriteGenesis(tx, c, rec, service.Certificate().Raw, epoch, serviceKey); err != nil {
				return err
			}
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
