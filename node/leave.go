package node

import (
	"context"
	"slices"
	"time"

	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/replica"
)

// A node leaves in this order, so that no caller, its own or another node's, has to wait for an
// election:
//
//  1. It says that it is stopping, and closes each connection of a client with its next answer; it
//     serves on.
//  2. If it leads, it hands leadership to the voter that has come farthest.
//  3. It takes no new calls, finishes those under way, and closes WebSockets.
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
	n.gateway.Leave()
	n.makeRoom(ctx)
	patience, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	if err := n.gateway.Shutdown(patience); err != nil {
		n.log.Warn("stopping before all requests were answered", "error", err)
	}
}

// makeRoom sees to it that this node does not lead, and reports whether another one does. It gives up
// at once if there is no other voter.
func (n *node) makeRoom(ctx context.Context) bool {
	leads := func() bool { return n.replica.Leads() }
	if !leads() {
		return n.replica.State().Leader != 0
	}
	n.replica.SetLeaving(true)
	late := n.cfg.Host.Clock.After(handOverPatience)
	for {
		changed := n.replica.Changed()
		s := n.replica.State()
		if s.Role != consensus.Leader && s.Leader != 0 {
			n.log.Info("handed over leadership", "view", s.View)
			return true
		}
		if leads() && !n.othersReached() {
			n.replica.SetLeaving(false) // what is under way may still be committed, if this node votes alone
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-late:
			n.log.Warn("no other node took over leadership", "after", handOverPatience)
			n.replica.SetLeaving(false)
			return false
		case <-changed:
		case <-n.cfg.Host.Clock.After(replica.Tick):
		}
	}
}

// othersReached reports whether another voter is connected.
func (n *node) othersReached() bool {
	return slices.ContainsFunc(n.replica.Members().Voters, n.peers.Connected)
}
