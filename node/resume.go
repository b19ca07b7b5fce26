package node

import (
	"context"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/resume"
)

// vault is where this node keeps what it needs to resume.
func (c *Config) vault() resume.Vault { return resume.Vault{Disk: c.Host.Disk, Device: c.Host.Sealer} }

// keepResumed gives the node what keeps its state, and what it has resumed with.
func (n *node) keepResumed() {
	n.keeper = resume.NewKeeper(n.cfg.vault(), n.log)
	if g := n.resumed.Begun; g != nil {
		n.keeper.Resumed(n.resumed.Node.State(g))
		n.ceremonies.Restore(n.resumed.Node.State(g).Seats)
		for _, o := range g.Offers {
			n.epochs.Machine.Offer(rotation.Secret(o))
		}
	}
}

// resumption answers other nodes that resume.
func (n *node) resumption() peer.Resumption {
	running := resume.Running{Led: func() bool { return n.leader() != coco.NodeID{} }, Asked: func() { n.watch.Asked() }}
	if n.resumed.Begun == nil {
		return resume.Ordinary(running, n.self.Evidence)
	}
	n.resumed.Node.Process.Run(running)
	return n.resumed.Node.Process.Answer
}

// foreign reports whether the far end of a connection is another process of a node that goes on with this one, or of one that might have, and does not.
func (n *node) foreign(p channel.PeerCert) bool {
	if n.resumed.Begun == nil || p.EndorsedBy(n.certificates.OfService(), n.cfg.Host.Clock.Now()) != nil {
		return false
	}
	return resume.Foreign(n.resumed.Begun, p, n.resumed.Shown, n.state.store.Snapshot)
}

// reopen has this node, whenever it leads, commit the transaction that opens the network again.
func (n *node) reopen(ctx context.Context) error {
	if n.epochs.Reopen(ctx, n.network.Seqno, n.resumed.Begun.Floor.Index, consensus.IDOf(n.network.Origin)) {
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
	return n.keeper.Run(ctx, resume.Keeping{
		Clock: n.cfg.Host.Clock, Identity: n.self.Identity, Origin: n.network.Origin, Network: n.networkID(), Ring: n.state.keys, Service: n.certificates.Service,
		Seats: n.ceremonies.Kept, Changed: n.decided.changed, Decided: n.inForce, Allowed: func() bool { return n.decided.constitution.Load().Recovery.Unattended == constitution.Yes }, Left: func() bool { return n.progress.stage() == retired },
	})
}
