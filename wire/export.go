package wire

import (
	"encoding/json"

	"github.com/cocoframework/coco"
)

// Exported is a line of `coco ledger export`: a transaction of an epoch that may be read.
type Exported struct {
	TransactionID coco.TxID       `json:"transaction_id"`
	Epoch         uint64          `json:"epoch"`
	Time          uint64          `json:"time"`                // of its batch, in milliseconds since 1970
	Node          coco.NodeID     `json:"node"`                // that sealed it
	Claims        []byte          `json:"claims,omitempty"`    // what its receipt proves beside the writes
	Writes        []ExportedWrite `json:"writes"`              // to tables, in their order
	By            *ExportedBy     `json:"by,omitempty"`        // the user who sent it; absent for an organisation itself
	Completes     []ExportedThing `json:"completes,omitempty"` // the same in the words of the ledgers' protocols
}

// ExportedWrite is a row that a transaction wrote.
type ExportedWrite struct {
	Table   string `json:"table"`
	Private bool   `json:"private,omitempty"` // it was sealed
	Key     []byte `json:"key"`
	Value   []byte `json:"value,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
}

// ExportedBy is a user of an organisation.
type ExportedBy struct {
	Organisation coco.ActorID `json:"organisation"`
	User         string       `json:"user"`
}

// ExportedThing is what transactions wrote, as an adapter says it: adapter.Exported.
type ExportedThing struct {
	Kind  string          `json:"kind"`
	Value json.RawMessage `json:"value"`
}

// EpochGrants is the file of `coco ledger grant`: what an auditor reads the batches of some epochs with, encrypted to its key.
type EpochGrants struct {
	Network coco.Digest  `json:"network"` // SHA-256 of the first service's public key
	Name    string       `json:"name"`    // of the network, for people
	To      []byte       `json:"to"`      // the auditor's public encryption key
	Epochs  []EpochGrant `json:"epochs"`
}

// EpochGrant is what reads one epoch; see keys.GrantEpoch.
type EpochGrant struct {
	Epoch uint64 `json:"epoch"`
	Box   []byte `json:"box"`
}
