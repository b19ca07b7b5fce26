package node

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/growth"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/internal/signal"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
)

// What members decide takes effect with the commit of the deciding vote; see replica.Rules for what the leader executes
// after it. With the commit every node reads the new constitution from the tables: connections are identified again,
// and members of consensus follow the list of nodes.

// decided is what members have decided, as far as this node has applied it.
type decided struct {
	constitution atomic.Pointer[constitution.Constitution] // in force
	directory    atomic.Pointer[directory]
	at           atomic.Uint64  // the last seqno that changed the network's own tables
	changed      *signal.Signal // when at does
	pages        constitution.Pages
	growth       growth.Watch
	departed     query.Departed // the certificates that it has removed
}

// directory is the list of trusted nodes. It is immutable.
type directory struct {
	addresses   map[coco.NodeID]string
	leaving     map[coco.NodeID]string // retired, and in consensus still: it needs their votes until they are out, and they its answers
	byConsensus map[consensus.ID]coco.NodeID
	voters      []balance.Seat // the trusted nodes with their owners, once the tables have told
}

func newDirectory(addresses, leaving map[coco.NodeID]string) *directory {
	d := &directory{addresses: addresses, leaving: leaving, byConsensus: map[consensus.ID]coco.NodeID{}}
	for _, all := range []map[coco.NodeID]string{addresses, leaving} {
		for id := range all {
			d.byConsensus[consensus.IDOf(id)] = id
		}
	}
	return d
}

// standing returns what a node may send to this one.
func (d *directory) standing(id coco.NodeID) peer.Standing {
	if _, trusted := d.addresses[id]; trusted {
		return peer.Trusted
	}
	if _, leaving := d.leaving[id]; leaving {
		return peer.Leaving
	}
	return peer.Stranger
}

// owner returns the organisation that runs a trusted node. Before the tables have told, a node stands for itself.
func (d *directory) owner(id coco.NodeID) coco.ActorID {
	for _, s := range d.voters {
		if s.Node == id {
			return s.Owner
		}
	}
	return coco.ActorID(id)
}

// leader returns the trusted node that has a name in consensus; zero for none.
func (d *directory) leader(id consensus.ID) coco.NodeID {
	if n := d.byConsensus[id]; d.standing(n) == peer.Trusted {
		return n
	}
	return coco.NodeID{}
}

// rules reads what the executor judges by.
func (n *node) rules(newest store.Reader, last replica.Rules) (replica.Rules, error) {
	next := last
	rec, err := table.Node(newest, n.self.Identity.ID())
	if err != nil && !errors.Is(err, coco.ErrNotFound) {
		return last, err
	}
	next.Unlisted = err != nil
	next.Trusted = next.Unlisted || rec.State == table.Trusted
	trusted, err := table.TrustedNodes(newest)
	if err != nil {
		return last, err
	}
	next.Nodes = make(map[coco.NodeID]struct{}, len(trusted))
	for _, r := range trusted {
		next.Nodes[r.ID] = struct{}{}
	}
	if next.Alone, err = n.alone(newest, last); err != nil {
		return last, err
	}
	digest, err := table.ConstitutionDigest(newest)
	if err != nil || digest == last.Version {
		return next, nil // before genesis, or nothing has changed
	}
	c, err := table.LoadConstitution(newest)
	if err != nil {
		return last, err
	}
	next.Version, next.Limits, next.Actors = digest, limitsOf(c), map[coco.ActorID]struct{}{}
	next.InForce = func() error { return n.state.configure(c) }
	for _, id := range c.Actors() {
		next.Actors[id] = struct{}{}
	}
	return next, nil
}

// alone reports whether no other organisation has had a node of this network. Once one has, that stays.
func (n *node) alone(newest store.Reader, last replica.Rules) (bool, error) {
	if last.Version != (coco.Digest{}) && !last.Alone {
		return false, nil
	}
	others, err := table.OtherOwners(newest, n.self.ActorIn(n.network.Constitution))
	return !others, err
}

func limitsOf(c *constitution.Constitution) replica.Limits {
	return replica.Limits{Count: c.Limits.BatchCount, Bytes: c.Limits.BatchBytes, QueueCalls: c.Limits.Queue, QueueBytes: queueBytes(c.Limits)}
}

// committed follows a batch that was committed. The executor calls it.
func (n *node) committed(b replica.Batch) error {
	if b.Network {
		n.followDecisions(b.Seqno)
		n.ceremonies.Committed()
		n.grants.Committed()
		s := n.state.store.Snapshot()
		defer s.Release()
		if err := n.snapshots.pace.ReadTables(s, b.First); err != nil {
			return err
		}
	}
	n.snapshots.pace.Committed(b, n.state.store)
	n.epochs.Committed(b)
	return nil
}

// followDecisions has this node follow what the committed tables say that members have decided. The executor calls it.
// Until this node's own admission is applied, the tables tell of a past in which other nodes were trusted.
func (n *node) followDecisions(applied uint64) {
	if applied < n.network.Seqno {
		return
	}
	s := n.state.store.Snapshot()
	defer s.Release()
	records, leaving, err := n.listed(s)
	if err != nil {
		n.log.Error("the list of nodes does not decode", "error", err)
		return
	}
	if _, err := n.epochs.Step(rotation.Committed{}); err != nil {
		n.log.Error("the epochs", "error", err)
		return
	}
	if err := n.followConstitution(s); err != nil {
		n.log.Error("the constitution does not decode", "error", err)
		return
	}
	if err := n.certificates.Follow(s); err != nil {
		n.log.Error("a certificate does not decode", "error", err)
		return
	}
	addresses := map[coco.NodeID]string{}
	for _, r := range records {
		addresses[r.ID] = r.Address
	}
	voters, err := decide.Voters(s, n.decided.constitution.Load(), records)
	if err != nil {
		n.log.Error("the list of places does not decode", "error", err)
		return
	}
	n.setNodes(addresses, leaving, voters)
	n.leaveIfRemoved(s, records)
	n.decided.at.Store(applied)
	n.decided.changed.Fire()
	n.gateways.reidentify()
}

// listed returns the trusted nodes, and the addresses of those that are trusted no more and take part in consensus still.
func (n *node) listed(s store.Reader) (trusted []table.NodeRecord, _ map[coco.NodeID]string, err error) {
	if trusted, err = table.TrustedNodes(s); err != nil {
		return nil, nil, err
	}
	m, leaving := n.replica.Members(), map[coco.NodeID]string{}
	for _, id := range slices.Concat(m.Voters, m.Outgoing, m.Learners) {
		named, err := table.NodesNamed(s, binary.BigEndian.AppendUint64(nil, uint64(id)))
		if err != nil {
			return nil, nil, err
		}
		for _, r := range named {
			if r.State != table.Trusted {
				leaving[r.ID] = r.Address
			}
		}
	}
	return trusted, leaving, nil
}

// leaveIfRemoved ends this node, once consensus does without it, if it is not trusted any more and no other node has
// its place: members have removed it, or its owner.
func (n *node) leaveIfRemoved(s store.Reader, trusted []table.NodeRecord) {
	me, err := table.Node(s, n.self.Identity.ID())
	if err != nil || me.State != table.Retired {
		return
	}
	for _, r := range trusted {
		if r.Owner == me.Owner && r.Address == me.Address {
			return // replaced
		}
	}
	if n.retirement.Removed() {
		n.log.Warn("members have removed this node, or its owner, from the network")
	}
}

// followConstitution puts a committed constitution in force on this node.
func (n *node) followConstitution(s store.Reader) error {
	digest, err := table.ConstitutionDigest(s)
	if err != nil || digest == n.decided.constitution.Load().Digest() {
		return err
	}
	c, err := table.LoadConstitution(s)
	if err != nil {
		return err
	}
	n.decided.constitution.Store(c)
	n.gateways.client.SetMaxBody(int64(c.Limits.BodyBytes)) // the replica reads its limits from the tables: see rules
	n.log.Info("the constitution has changed", "digest", digest.Short())
	return nil
}
