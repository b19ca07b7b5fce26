package replica

import (
	"fmt"

	"github.com/cocoframework/coco"
)

// Rules are what the network's own tables say about execution.
//
// What members decide takes effect with the deciding vote, and not a transaction earlier or later. The vote is alone in its
// batch. What the leader executes after it is judged by the rules that the vote leaves: a caller who is
// removed by it is refused from then on. If the vote is not committed, the refusals, which wait for its commit, are
// withdrawn with it. So the executor reads the rules from the newest state, committed or not.
type Rules struct {
	Version coco.Digest               // of the constitution that Actors and Limits are from
	Actors  map[coco.ActorID]struct{} // those that may transact; nil for all. It is immutable.
	// Nodes are those that the network trusts; nil for all. It is immutable.
	Nodes  map[coco.NodeID]struct{}
	Limits Limits
	// Trusted says that the network trusts this node. What another node seals is no part of the ledger.
	Trusted bool
	// Unlisted says that the network's tables do not have this node so far. What it seals first is own work, which begins the network, or its recovery, with
	// this node: no ledger executes before, not even what it commits without calls.
	Unlisted bool
	// InForce puts in force what else a new Version says of the ledgers' execution; nil for nothing. It is called by the executor, between batches.
	InForce func() error
	// Alone says that no other organisation has ever had a node of this network: the clock of a single voter is believed.
	Alone bool
}

// checkNode refuses the work of a node that the network trusts no more: whom a call is from is that node's word.
func (r *Rules) checkNode(node coco.NodeID) error {
	if _, ok := r.Nodes[node]; ok || r.Nodes == nil || node == (coco.NodeID{}) {
		return nil
	}
	return fmt.Errorf("%w: node %s is no node of this network any more: ask another one", coco.ErrBusy, node.Short())
}

// check refuses the calls of actors that the constitution does not list, and all calls of a node that the network does not trust.
func (r *Rules) check(node coco.NodeID, c coco.Caller) error {
	if err := r.checkNode(node); err != nil {
		return err
	}
	if _, ok := r.Actors[c.Actor]; ok || r.Actors == nil {
		return nil
	}
	return fmt.Errorf("%w: %s is no member or participant of this network any more", coco.ErrDenied, c.Name)
}

// readRules reads the rules again, after the network's own tables were written or rolled back. Calls that ledgers keep are
// sent back if an actor lost the right to transact, or a node that brought one its place in the network.
func (x *executor) readRules() error {
	old := x.rules
	next, err := x.hooks.Rules(x.store.Begin(0, 0), old)
	if err != nil {
		return err
	}
	x.rules = next
	x.queue.resize(next.Limits.QueueCalls, next.Limits.QueueBytes)
	if next.Version != old.Version && next.InForce != nil {
		if err := next.InForce(); err != nil {
			return err
		}
	}
	actors := next.Version != old.Version && len(without(old.Actors, next.Actors)) > 0
	if actors || x.ledgers.keepsOf(without(old.Nodes, next.Nodes)) {
		x.ledgers.rollback(x.store.Newest())
	}
	return nil
}

// without returns what is in a set and not in a later one.
func without[K comparable](old, next map[K]struct{}) map[K]struct{} {
	lost := map[K]struct{}{}
	for k := range old {
		if _, ok := next[k]; !ok {
			lost[k] = struct{}{}
		}
	}
	return lost
}
