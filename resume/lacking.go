package resume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/basis"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
)

// Where nodes keep the secrets of old epochs no longer, a node begins with a snapshot of an epoch that it holds. One that has lost its own fetches a snapshot that its ledger records from another
// node that waits, before it says that it waits itself: a generation that begins has no time for a large file.

// fetchRounds is how often a node asks all others for a snapshot while so many wait as are needed, until it goes on without: another one may hold the secrets that this one lacks.
const fetchRounds = 5

// fetchEvery is how often a node asks for a snapshot.
const fetchEvery = time.Second

// fetching is how far a process is that lacks a snapshot. It belongs to Wait.
type fetching struct {
	rounds int           // in which so many nodes as are needed had none
	at     time.Duration // of the last one, by Clock.Elapsed
	said   bool          // that it gets none
}

// first returns the epoch whose secret the node needs to begin: that of its snapshot, and without one that of the ledger's first batch.
func (l *Ledger) first() uint64 {
	if l.Basis == nil {
		return 1
	}
	return l.Basis.Header.Epoch
}

// lacks reports whether secrets do not open what the ledger begins with.
func (l *Ledger) lacks(secrets map[uint64]keys.Secret) bool {
	_, ok := secrets[l.first()]
	return !ok
}

// newest is the seqno of the newest recorded snapshot that the node does not have; 0 if there is none.
func (l *Ledger) newest() uint64 {
	if len(l.Recorded) == 0 {
		return 0
	}
	return l.Recorded[0].Seqno
}

// recordOf is a record as package catchup has it.
func recordOf(r table.SnapshotRecord) catchup.Record {
	return catchup.Record{Index: r.Index, View: r.View, Seqno: r.Seqno, Digest: r.Digest, Bytes: r.Bytes}
}

// fetch gets a recorded snapshot of an epoch that the node holds, from the nodes given or from its own disk, and has the ledger begin with it.
func (n *Node) fetch(ctx context.Context, nodes map[coco.NodeID]string) error {
	network, err := table.NetworkID(n.ledger.Service)
	if err != nil {
		return err
	}
	local := n.local
	local.Fetcher = &peer.Fetcher{
		Clock: local.Clock, Dialer: peer.Dialer{Net: n.Process.cfg.Net, Identity: n.Attestor.Identity, Verify: n.Process.Verify},
		Nodes: func() map[coco.NodeID]string { return nodes }, Leader: func() coco.NodeID { return coco.NodeID{} },
	}
	why := fmt.Errorf("%w: this node's ledger records no snapshot", coco.ErrNotFound)
	for _, rec := range n.ledger.Recorded {
		b, err := local.Obtain(ctx, network, recordOf(rec))
		if err == nil {
			if _, holds := n.state.Secrets[b.Header.Epoch]; holds {
				n.ledger.Basis = &basis.Snapshot{Record: rec, Header: b.Header, Tree: b.Tree, Path: b.Path}
				return nil
			}
			err = fmt.Errorf("%w: this node does not hold the secret of its epoch, %d", coco.ErrNotFound, b.Header.Epoch)
		}
		why = errors.Join(why, fmt.Errorf("the snapshot of seqno %d: %w", rec.Seqno, err))
	}
	return why
}

// Awaiting is what the node answers others with while it waits.
func (n *Node) Awaiting() peer.Awaiting {
	return peer.Awaiting{
		Identity: n.Attestor.Identity, Verify: n.Process.Verify, Answer: n.Process.Answer,
		Fetches: peer.NewFetchServer(n.local.Clock, func(rq peer.FetchRequest) (peer.FetchAnswer, peer.Pieces, error) {
			if rq.What != peer.FetchSnapshot {
				return peer.FetchAnswer{}, peer.Pieces{}, fmt.Errorf("%w: a node that waits gives its snapshots alone", coco.ErrNotFound)
			}
			return n.local.Answer(0, rq)
		}),
		Fetching: func(id coco.NodeID) bool { _, trusted := n.ledger.Nodes[id]; return trusted },
	}
}

// unopened says what is missing for a node that cannot begin.
func (n *Node) unopened() error {
	what := "the network has written none"
	if records := n.ledger.Recorded; len(records) > 0 {
		newest := records[0]
		what = fmt.Sprintf("the newest that this node's ledger records is that of seqno %d, the file %s with digest %s", newest.Seqno, n.local.File(recordOf(newest)), newest.Digest)
	}
	return fmt.Errorf("%w: the secret of epoch %d has expired, no node that goes on keeps it, and this node gets no snapshot of a later epoch from any of them: %s. "+
		"Put that file back on one of the nodes and start them again, or recover the network with its members' keys (coco recovery start)", coco.ErrMissing, n.ledger.first(), what)
}

// lacks reports whether the process lacks a snapshot to begin with, and so does not wait yet.
func (p *Process) lacks() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lacking
}

// fetch gets what the process lacks from the nodes that it has met, before it says that it waits. Needed says that so many have answered as go on together.
func (p *Process) fetch(ctx context.Context, all []met) {
	if !p.lacks() || len(all) < 2 || led(all) {
		return // a network that lives admits this node
	}
	f, now := &p.fetching, p.cfg.Clock.Elapsed()
	if f.at != 0 && now-f.at < fetchEvery {
		return
	}
	f.at = now
	nodes := map[coco.NodeID]string{}
	for _, m := range all[1:] {
		nodes[m.member.Node] = m.address
	}
	err := p.cfg.Fetch(ctx, nodes)
	if len(all) >= Needed(len(p.cfg.Ledger.Nodes), p.cfg.Ledger.All) {
		f.rounds++
	}
	if err != nil && f.rounds < fetchRounds {
		if !f.said {
			f.said = true
			p.cfg.Log.Warn("this node has no snapshot that it could begin with, and gets none from the nodes that wait yet", logevent.SnapshotMissing.Attr(), "seqno", p.cfg.Ledger.newest(), "error", err)
		}
		return
	}
	p.mu.Lock()
	p.lacking = false
	p.mu.Unlock()
}
