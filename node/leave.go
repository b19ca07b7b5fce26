package node

import (
	"context"
	"time"

	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/retire"
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

// drainPatience is how long calls under way may take once no new ones come in.
const drainPatience = 3 * time.Second

// leave does steps 1 to 3: afterwards the node can end without an election.
func (n *node) leave(ctx context.Context) {
	n.progress.enter(leaving) // a node that is retired stays that
	n.log.Info("stopping")
	n.gateways.client.Leave()
	n.seat().HandOver(ctx)
	patience, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	if err := n.gateways.client.Shutdown(patience); err != nil {
		n.log.Warn("stopping before all requests were answered", "error", err)
	}
}

// seat is this node's place in consensus.
func (n *node) seat() retire.Seat {
	return retire.Seat{Log: n.log, Clock: n.cfg.Host.Clock, Self: consensus.IDOf(n.self.Identity.ID()), Replica: n.replica, Connected: n.links.peers.Connected}
}
