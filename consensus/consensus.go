// Package consensus holds the nouns between a node and its consensus: entries, peers and what a
// step of the protocol asks the node to do. consensus/raft is the implementation.
//
// Contents of entries are opaque bytes here. Entries are numbered by index from 1; a view is the
// term of the leader that appended them.
//
// Trust: enclave
package consensus

import (
	"encoding/binary"

	"github.com/cocoframework/coco"
)

// ID is a node's name inside consensus: the first eight bytes of its NodeID. Zero means no node.
type ID uint64

// IDOf returns a node's consensus name.
func IDOf(n coco.NodeID) ID { return ID(binary.BigEndian.Uint64(n[:])) }

// Kind says what an entry is.
type Kind uint8

// The kinds of entries. The numbers are those of the ledger's frames.
const (
	Batch   Kind = 1 // a sealed batch of transactions
	View    Kind = 2 // empty: the first entry of a leader, or a change of members that was not made
	Members Kind = 3 // a change of the members
)

// Entry is one slot of the log.
type Entry struct {
	View  uint64
	Index uint64
	Kind  Kind
	Data  []byte // MUST NOT be modified
}

// Message is one message to a peer, encoded.
type Message struct {
	To   ID
	Data []byte
}

// Role is what a node does in its view.
type Role uint8

// The roles.
const (
	Follower Role = iota
	Candidate
	Leader
)

// String names the role.
func (r Role) String() string { return [...]string{"follower", "candidate", "leader"}[r] }

// State is what a node believes about the network.
type State struct {
	View   uint64
	Leader ID // zero if unknown
	Role   Role
}

// Membership is the members of consensus.
type Membership struct {
	Voters   []ID
	Learners []ID
	Outgoing []ID // voters of the old configuration while a joint change is under way
}

// Progress is how far a peer has come, as its leader knows.
type Progress struct {
	ID     ID
	Match  uint64 // last index known to be in the peer's log
	Active bool   // heard of lately
	Voter  bool
}
