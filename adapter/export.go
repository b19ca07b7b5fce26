package adapter

import (
	"encoding/json"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// Exporter is an Adapter that says in its protocol's words what transactions wrote, for those who read a ledger without a node.
type Exporter interface {
	// Export begins an export. What it returns is given the writes of one transaction after the other, in their order and without gaps, and returns what they
	// complete: a block, once its last transaction is there. Its error is coco.ErrCorrupt.
	Export() func(writes []store.Write) ([]Exported, error)
}

// Exported is what transactions wrote, in an adapter's words.
type Exported struct {
	Kind  string          // such as "ethereum.block"
	Value json.RawMessage // an object
}

// Attributed is implemented by adapters whose ledger records which user of which organisation a transaction was sent by.
type Attributed interface {
	// By says it of the transaction with these claims and writes; user is "" if it records none, because an organisation sent it itself or because it is another ledger's.
	By(claims []byte, writes []store.Write) (actor coco.ActorID, user string)
}
