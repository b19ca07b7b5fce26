package node

import (
	"fmt"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// Calls that a node makes for itself, and that the leader carries out.
const (
	// ownLedger is the ledger of forwarded calls that are for the node itself. No adapter has this name:
	// tables of this prefix are the network's own.
	ownLedger   = "coco"
	askRetire   = "retire"   // take me out of the network
	askSnapshot = "snapshot" // have a snapshot written
	askRenew    = "renew"    // renew my certificate
	askGovern   = "govern:"  // take in the statement that follows
)

// takeOwn serves a call that another node makes for itself.
func (n *node) takeOwn(from coco.NodeID, msg *forwarded) {
	answer := func(r []adapter.Result) { n.reply(from, msg.ID, r) }
	var payload string
	if len(msg.Calls) == 1 {
		payload = string(msg.Calls[0].Payload)
	}
	if raw, ok := strings.CutPrefix(payload, askGovern); ok {
		if err := n.enqueue(&item{run: n.submission([]byte(raw)), done: answer}); err != nil {
			answer([]adapter.Result{{Err: err}})
		}
		return
	}
	switch payload {
	case askRetire:
		n.takeRetire(from, answer)
	case askSnapshot:
		if err := n.enqueue(&item{run: requestSnapshot, done: answer}); err != nil {
			answer([]adapter.Result{{Err: err}})
		}
	case askRenew:
		if err := n.enqueue(&item{run: n.renewNode(from), done: answer}); err != nil {
			answer([]adapter.Result{{Err: err}})
		}
	default:
		answer(fail(make([]*adapter.Call, len(msg.Calls)), fmt.Errorf("%w: node %s does not know this request", coco.ErrInvalid, n.id.ID().Short())))
	}
}
