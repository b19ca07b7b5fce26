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
	Limits  Limits
	// Trusted says that the network trusts this node. What another node seals is no part of the ledger.
	Trusted bool
}

// check refuses the calls of actors that the constitution does not list.
func (r *Rules) check(c coco.Caller) error {
	if _, ok := r.Actors[c.Actor]; ok || r.Actors == nil {
		return nil
	}
	return fmt.Errorf("%w: %s is no member or participant of this network any more", coco.ErrDenied, c.Name)
}

// readRules reads the rules again, after the network's own tables were written or rolled back. Calls that ledgers keep are
// sent back if an actor lost the right to transact.
func (x *executor) readRules() error {
	old := x.rules
	next, err := x.hooks.Rules(x.store.Begin(0, 0), old)
	if err != nil {
		return err
	}
	x.rules = next
	if next.Version == old.Version {
		return nil
	}
	lost := false
	for id := range old.Actors {
		if _, ok := next.Actors[id]; !ok {
			lost = true
		}
	}
	if !lost {
		return nil
	}
	x.ledgers.rollback(x.store.Newest())
	return nil
}
