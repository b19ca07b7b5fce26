package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/store"
)

// What members decide takes effect with the commit of the deciding vote, and not a transaction earlier or later:
//
//   - The vote is alone in its batch. What the leader executes after it is judged by the constitution that
//     it leaves: a caller who is removed by it is refused from then on. If the vote is not
//     committed, the refusals, which wait for its commit, are withdrawn with it.
//   - With the commit every node takes the new constitution from the tables: connections are identified again,
//     and members of consensus follow the list of nodes.

// standing is who may transact, as of the newest state, committed or not. It belongs to the executor.
type standing struct {
	digest   coco.Digest
	actors   map[coco.ActorID]struct{}
	replaced bool // this node is not trusted any more: what it sealed would be no part of the ledger
}

// check refuses the calls of actors that the constitution does not list any more.
func (s *standing) check(c coco.Caller) error {
	if _, ok := s.actors[c.Actor]; ok || s.actors == nil {
		return nil
	}
	return fmt.Errorf("%w: %s is no member or participant of this network any more", coco.ErrDenied, c.Name)
}

// restand takes who may transact from the newest state, after something of the network's own was written there, or rolled
// back. Calls that ledgers keep are sent back if somebody lost the right.
func (x *executor) restand() error {
	newest := x.store.Begin(0, 0)
	rec, err := gov.Node(newest, x.self)
	if err != nil && !errors.Is(err, coco.ErrNotFound) {
		return err
	}
	x.standing.replaced = err == nil && rec.State != gov.Trusted
	digest, err := gov.ConstitutionDigest(newest)
	if err != nil || digest == x.standing.digest {
		return nil // before genesis, or nothing has changed
	}
	c, err := gov.LoadConstitution(newest)
	if err != nil {
		return err
	}
	actors := map[coco.ActorID]struct{}{}
	for _, id := range c.Actors() {
		actors[id] = struct{}{}
	}
	lost := false
	for id := range x.standing.actors {
		if _, ok := actors[id]; !ok {
			lost = true
		}
	}
	x.standing.digest, x.standing.actors = digest, actors
	if !lost {
		return nil
	}
	for _, l := range x.ledgers {
		x.settle(l.ledger.Rollback(x.store.Newest()), nil)
	}
	return nil
}

// admitted sorts out the calls of an item that may be executed.
func (x *executor) admitted(it *item, batch *sealed) []*adapter.Call {
	calls := it.calls[:0:len(it.calls)]
	for i, c := range it.calls {
		p := &pending{item: it, at: i}
		if err := x.standing.check(c.Caller); err != nil {
			p.result.Err = err
			batch.waiting = append(batch.waiting, p)
			continue
		}
		x.kept[c] = p
		calls = append(calls, c)
	}
	return calls
}

// governed takes the list of nodes from the committed tables. The executor calls it. Until this
// node's own admission is applied, the tables tell of a past in which other nodes were trusted.
func (n *node) governed() {
	if n.exec.applied.seqno < n.charter.seqno {
		return
	}
	s := n.store.Snapshot()
	defer s.Release()
	records, err := gov.Nodes(s)
	if err != nil {
		n.log.Error("the list of nodes does not decode", "error", err)
		return
	}
	if err := n.announced(s); err != nil {
		n.log.Error("the list of epochs does not decode", "error", err)
		return
	}
	if err := n.followConstitution(s); err != nil {
		n.log.Error("the constitution does not decode", "error", err)
		return
	}
	if err := n.followCertificates(s); err != nil {
		n.log.Error("a certificate does not decode", "error", err)
		return
	}
	addresses, leaving := map[coco.NodeID]string{}, map[coco.NodeID]string{}
	m := n.loop.members.Load()
	for _, r := range records {
		if r.State == gov.Trusted {
			addresses[r.ID] = r.Address
		} else if id := consensus.IDOf(r.ID); slices.Contains(m.Voters, id) || slices.Contains(m.Outgoing, id) {
			leaving[r.ID] = r.Address
		}
	}
	n.setNodes(addresses, leaving)
	n.leaveIfRemoved(records)
	n.governedAt.Store(n.exec.applied.seqno)
	n.governedSignal.fire()
	n.gateway.Reidentify()
	if n.admin != nil {
		n.admin.Reidentify()
	}
}

// leaveIfRemoved ends this node, once consensus does without it, if it is not trusted any more and no other node has
// its place: members have removed it, or its owner.
func (n *node) leaveIfRemoved(records []gov.NodeRecord) {
	id := n.id.ID()
	at := slices.IndexFunc(records, func(r gov.NodeRecord) bool { return r.ID == id })
	if at < 0 || records[at].State != gov.Retired {
		return
	}
	me := records[at]
	for _, r := range records {
		if r.State == gov.Trusted && r.Owner == me.Owner && r.Address == me.Address {
			return // replaced
		}
	}
	if n.retireAsked.CompareAndSwap(false, true) {
		n.log.Warn("members have removed this node, or its owner, from the network")
		n.retire()
	}
}

// retire begins to end this node; see awaitRemoval.
func (n *node) retire() { n.retireOnce.Do(func() { close(n.retiring) }) }

// followConstitution takes over a constitution that was committed.
func (n *node) followConstitution(s store.Reader) error {
	digest, err := gov.ConstitutionDigest(s)
	if err != nil || digest == n.constitution.Load().Digest() {
		return err
	}
	c, err := gov.LoadConstitution(s)
	if err != nil {
		return err
	}
	n.constitution.Store(c)
	n.exec.limits = limits{count: c.Limits.BatchCount, bytes: c.Limits.BatchBytes}
	n.log.Info("the constitution has changed", "digest", digest.Short())
	return nil
}
