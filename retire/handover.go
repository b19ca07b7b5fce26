// Package retire takes a node out of consensus: it hands over leadership, and retires the node for good.
//
// A node retires in four steps: it hands over leadership; the leader commits its retirement, if the network can spare
// it; consensus removes it in one joint change, for which it goes on voting; it ends. A crash before the second step
// changes nothing. A crash after it leaves a voter that does not answer, which consensus removes all the same.
//
// Trust: enclave
package retire

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/replica"
)

// HandOverPatience is how long a leader that leaves waits until another one leads. A transfer that did not succeed
// within an election timeout is tried again with the next candidate.
const HandOverPatience = 3 * time.Second

// Seat is a node's place in consensus.
type Seat struct {
	Log       *slog.Logger
	Clock     host.Clock
	Self      consensus.ID
	Replica   *replica.Replica
	Connected func(consensus.ID) bool
}

// HandOver sees to it that this node does not lead, and reports whether another one does. It gives up at once if there
// is no other voter.
func (s Seat) HandOver(ctx context.Context) bool {
	leads := func() bool { return s.Replica.Leads() }
	if !leads() {
		return s.Replica.State().Leader != 0
	}
	s.Replica.SetLeaving(true)
	late := s.Clock.After(HandOverPatience)
	for {
		changed := s.Replica.Changed()
		now := s.Replica.State()
		if now.Role != consensus.Leader && now.Leader != 0 {
			s.Log.Info("handed over leadership", "view", now.View)
			return true
		}
		if leads() && !s.othersReached() {
			s.Replica.SetLeaving(false) // what is under way may still be committed, if this node votes alone
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-late:
			s.Log.Warn("no other node took over leadership", "after", HandOverPatience)
			s.Replica.SetLeaving(false)
			return false
		case <-changed:
		case <-s.Clock.After(replica.Tick):
		}
	}
}

// othersReached reports whether another voter is connected.
func (s Seat) othersReached() bool {
	return slices.ContainsFunc(s.Replica.Members().Voters, s.Connected)
}

// AwaitRemoval waits until consensus does without this node. The others send nothing any more to a node that they have
// removed, so it may not hear of its removal: it waits no longer once it has known no leader for silence. It reports which of
// the two came first. The error is ctx's.
func (s Seat) AwaitRemoval(ctx context.Context, silence time.Duration) (heard bool, err error) {
	tick := s.Clock.NewTicker(replica.Tick)
	defer tick.Stop()
	for alone := 0; ; {
		if alone++; s.Replica.State().Leader != 0 {
			alone = 0
		}
		m := s.Replica.Members()
		if !slices.Contains(slices.Concat(m.Voters, m.Learners, m.Outgoing), s.Self) {
			return true, nil
		}
		if alone > int(silence/replica.Tick) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C():
		}
	}
}
