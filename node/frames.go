package node

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/consensus"
)

func (n *node) peerBroken(id coco.NodeID) {
	n.loop.inbox.put(event{unreachable: consensus.IDOf(id)})
	n.forwards.fail(id, fmt.Errorf("%w: the connection to the leader ended", coco.ErrUnknown))
}

func (n *node) frameUnsent(to coco.NodeID, f []byte) {
	var msg forwarded
	if f[0] != frameForward || frameDecoding.Unmarshal(f[1:], &msg) != nil {
		return
	}
	if fw := n.forwards.take(msg.ID, to); fw != nil {
		fw.done <- []adapter.Result{{Err: fmt.Errorf("%w: no connection to the leader", coco.ErrNotCommitted)}}
	}
}

func (n *node) takeFrame(from coco.NodeID, f []byte) {
	switch f[0] {
	case frameConsensus:
		select {
		case n.loop.recv <- received{consensus.IDOf(from), f[1:]}:
		case <-n.ctx.Done():
		}
	case frameForward:
		n.takeForwarded(from, f[1:])
	case frameBehind:
		if from == n.leader() {
			n.behind.Store(true)
		}
	case frameSecret:
		n.takeSecret(from, f[1:])
	case frameSecretWanted:
		n.takeSecretWanted(from, f[1:])
	case frameSecretHeld:
		n.takeSecretHeld(from, f[1:])
	case frameReply:
		n.takeReply(from, f[1:])
	default:
		n.log.Warn("frame of unknown kind", "node", from.Short(), "kind", f[0])
	}
}
