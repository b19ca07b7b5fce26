package peer

import (
	"fmt"

	"github.com/cocoframework/coco"
)

// Standing is what a node may do in the network at this moment. Each frame is received by the standing that its sender has when it
// arrives, not when the connection was made.
type Standing int

// The standings of a node, each with the rights of those before it.
const (
	// Stranger is no node of the network, or none any more. It may ask to join.
	Stranger Standing = iota
	// Leaving is a node that the network trusts no more, and whose vote consensus needs until it does without it. It may vote,
	// reply to what it was asked before, and ask to retire.
	Leaving
	// Trusted is a node in the network's list.
	Trusted
)

// standingFor returns the least standing of a node that may send a message.
func standingFor(m Message) Standing {
	switch m := m.(type) {
	case Consensus, *Reply, *Beat, *Program:
		return Leaving
	case *Forward: // a node whose retirement is committed may not have heard of it, and asks again
		if rq, err := parseRequest(m); m.Ledger == requests && err == nil && rq.Kind == Retire {
			return Leaving
		}
	}
	return Trusted
}

// errRemoved refuses what a node forwards that the network trusts no more. Another node may take the same call.
func errRemoved(from coco.NodeID) error {
	return fmt.Errorf("%w: node %s is no node of this network any more: ask another one", coco.ErrBusy, from.Short())
}
