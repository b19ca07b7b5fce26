package node

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/replica"
)

// A node leaves in this order, so that no caller, its own or another node's, has to wait for an
// election:
//
//  1. It says that it is stopping, and closes each connection of a client with its next answer; it
//     serves on.
//  2. If it leads, it hands leadership to the voter that has come farthest.
//  3. It accepts no new calls, finishes those under way, and closes WebSockets.
//  4. It ends.
//
// A crash in between is the crash of any node.

const (
	// handOverPatience is how long a leader that leaves waits until another one leads. A transfer
	// that did not succeed within an election timeout is tried again with the next candidate.
	handOverPatience = 3 * time.Second
	// drainPatience is how long calls under way may take once no new ones come in.
	drainPatience = 3 * time.Second
)

// leave does steps 1 to 3: afterwards the node can end without an election.
func (n *node) leave(ctx context.Context) {
	n.progress.enter(leaving) // a node that is retired stays that
	n.log.Info("stopping")
	n.gateways.client.Leave()
	n.handover().run(ctx)
	patience, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	if err := n.gateways.client.Shutdown(patience); err != nil {
		n.log.Warn("stopping before all requests were answered", "error", err)
	}
}

// handover moves leadership to another node.
type handover struct {
	log       *slog.Logger
	clock     host.Clock
	replica   *replica.Replica
	connected func(consensus.ID) bool
}

func (n *node) handover() handover {
	return handover{log: n.log, clock: n.cfg.Host.Clock, replica: n.replica, connected: n.links.peers.Connected}
}

// run sees to it that this node does not lead, and reports whether another one does. It gives up
// at once if there is no other voter.
func (h handover) run(ctx context.Context) bool {
	leads := func() bool { return h.replica.Leads() }
	if !leads() {
		return h.replica.State().Leader != 0
	}
	h.replica.SetLeaving(true)
	late := h.clock.After(handOverPatience)
	for {
		changed := h.replica.Changed()
		s := h.replica.State()
		if s.Role != consensus.Leader && s.Leader != 0 {
			h.log.Info("handed over leadership", "view", s.View)
			return true
		}
		if leads() && !h.othersReached() {
			h.replica.SetLeaving(false) // what is under way may still be committed, if this node votes alone
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-late:
			h.log.Warn("no other node took over leadership", "after", handOverPatience)
			h.replica.SetLeaving(false)
			return false
		case <-changed:
		case <-h.clock.After(replica.Tick):
		}
	}
}

// othersReached reports whether another voter is connected.
func (h handover) othersReached() bool {
	return slices.ContainsFunc(h.replica.Members().Voters, h.connected)
}
