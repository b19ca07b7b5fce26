package node

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/resume"
)

// Resuming goes on with the other nodes of a network after all of them have stopped, under the key that this node had; package resume has the
// protocol. Who is trusted, and who votes, stays. Only the first transaction is special: it announces a new epoch.

// resumption is what a life has resumed with, and what it keeps to resume.
type resumption struct {
	node   *resume.Node    // nil if the life has not resumed
	begun  *peer.ResumeAsk // nil if the life has not resumed
	keeper *resume.Keeper
	shown  *x509.Certificate // that this process began with
}

// vault is where this node keeps what it needs to resume.
func (c *Config) vault() resume.Vault { return resume.Vault{Disk: c.Host.Disk, Device: c.Host.Sealer} }

// view is the least view that this life acts in; 0 if it has not resumed.
func (r *resumption) view() uint64 {
	if r.begun == nil {
		return 0
	}
	return r.begun.View
}

// keepResumed gives the node what keeps its state, and what it has resumed with.
func (n *node) keepResumed(s *start) {
	n.resumed.keeper = resume.NewKeeper(s.cfg.vault(), s.log)
	if g := s.resumed.begun; g != nil {
		n.resumed.keeper.Resumed(s.resumed.node.State(g))
		n.ceremonies.Restore(s.resumed.node.State(g).Seats)
		for _, o := range g.Offers {
			n.epochs.Machine.Offer(rotation.Secret(o))
		}
	}
}

// admitted has the network admit this node. If the node has kept what it needs to resume, it looks for the others of the network that have as well, and
// returns nil once it has begun to go on with them. Where its ledger is long, it asks the network first.
func (s *start) admitted(ctx context.Context, j *join.Joiner) (a *join.Admission, err error) {
	r := &s.resumed
	if err = s.ledger.Damaged; err == nil {
		if a, err = s.asked(ctx, j); a != nil || err != nil {
			return a, err
		}
		r.node, err = resume.Machine{
			Log: s.log, Host: s.cfg.Host, Verifiers: s.cfg.Verifiers, Vault: s.cfg.vault(), Files: s.ledger.Files, Dir: Dir, Extra: s.cfg.LedgerFolders, Snapshots: SnapshotDir,
			Service: s.cfg.service(), Attestor: s.self, Waits: s.cfg.Waits,
		}.Open(ctx)
	}
	if err != nil && s.expected(ctx) {
		s.log.Warn("this node cannot go on by itself with the others of its network: it has to be admitted", logevent.ResumeRefused.Attr(), "error", err)
		if s.cfg.NotKept != nil {
			s.cfg.NotKept(err)
		}
	}
	if r.node == nil {
		return j.Join(ctx)
	}
	j.AskToo(r.node.Others()) // a node that recovered its network may know no others yet by its settings
	s.peers.Await(r.node.Awaiting())
	r.begun, err = r.node.Process.Wait(ctx, func(ctx context.Context) (_ bool, err error) {
		a, err = askOnce(ctx, j)
		return a != nil, err
	})
	return a, err
}

// From how many bytes of ledger on a node asks whether the network lives before it audits the ledger, and for how long: an audit of less takes no longer than asking.
const (
	longLedger  = 16 << 20
	askPatience = 5 * time.Second
)

// asked has the network admit a node that has kept what it needs to resume, before it audits a long ledger for that; nil if no network answers. It promises nothing meanwhile.
func (s *start) asked(ctx context.Context, j *join.Joiner) (*join.Admission, error) {
	if s.ledger.Files.Bytes() < longLedger || !s.cfg.vault().Holds() {
		return nil, nil
	}
	ctx, end := context.WithTimeout(ctx, askPatience)
	defer end()
	return askOnce(ctx, j)
}

// askOnce has the network admit a node that could resume, while ctx lasts. The error is that members have recovered the network: then the node must not go on with others.
func askOnce(ctx context.Context, j *join.Joiner) (*join.Admission, error) {
	asks := *j
	asks.Ends = true
	a, err := asks.Join(ctx)
	if recovered, ok := errors.AsType[*join.RecoveredError](err); ok {
		recovered.Gone = true
		return nil, recovered
	}
	return a, nil
}

// expected reports whether an operator must hear why this node does not resume. Where its ledger is damaged, it must only if the node has kept a state.
func (s *start) expected(ctx context.Context) bool {
	kept := func() bool { state, _ := s.cfg.vault().Load(ctx); return state != nil }
	return s.ledger.Damaged == nil || kept()
}

// resume prepares a life that goes on with others.
func (s *start) resume() (err error) {
	r := &s.resumed
	s.self, s.log = r.node.Attestor, s.cfg.Log.With("id", r.node.Attestor.Identity.ID().Short())
	r.shown = s.self.Identity.Certificate().Leaf
	if s.network, s.machine, err = r.node.Begin(r.begun, s.keys); err != nil {
		return err
	}
	s.beginAt(r.node.Basis())
	s.begin = func(context.Context, *node) error { return nil }
	return s.ledger.Files.SetChunkBytes(s.network.Constitution.Ledger.ChunkBytes)
}

// resumption answers other nodes that resume.
func (n *node) resumption() peer.Resumption {
	running := resume.Running{Led: func() bool { return n.leader() != coco.NodeID{} }, Asked: func() { n.watch.asked.Store(true) }}
	if n.resumed.begun == nil {
		return resume.Ordinary(running, n.self.Evidence)
	}
	n.resumed.node.Process.Run(running)
	return n.resumed.node.Process.Answer
}

// foreign reports whether the far end of a connection is another process of a node that goes on with this one, or of one that might have, and does not.
func (n *node) foreign(p channel.PeerCert) bool {
	if n.resumed.begun == nil || p.EndorsedBy(n.certificates.OfService(), n.cfg.Host.Clock.Now()) != nil {
		return false
	}
	return resume.Foreign(n.resumed.begun, p, n.resumed.shown, n.state.store.Snapshot)
}

// reopen has this node, whenever it leads, commit the transaction that opens the network again.
func (n *node) reopen(ctx context.Context) error {
	if n.epochs.Reopen(ctx, n.network.Seqno, n.resumed.begun.Floor.Index, consensus.IDOf(n.network.Origin)) {
		return nil
	}
	return n.leftBehind("the nodes that went on together have no leader")
}

// inForce returns the version of the constitution in force, and its canonical form; zero before the tables have one.
func (n *node) inForce() (uint64, []byte) {
	s := n.state.store.Snapshot()
	defer s.Release()
	rec, err := table.Version(s, table.LastVersion(s))
	if err != nil {
		return 0, nil
	}
	return rec.Version, rec.Core
}

// keep keeps what this node needs to resume, until it ends.
func (n *node) keep(ctx context.Context) error {
	return n.resumed.keeper.Run(ctx, resume.Keeping{
		Clock: n.cfg.Host.Clock, Identity: n.self.Identity, Origin: n.network.Origin, Network: n.networkID(), Ring: n.state.keys, Service: n.certificates.Service,
		Seats: n.ceremonies.Kept, Changed: n.decided.changed, Decided: n.inForce, Allowed: func() bool { return n.decided.constitution.Load().Recovery.Unattended == constitution.Yes }, Left: func() bool { return n.progress.stage() == retired },
	})
}
