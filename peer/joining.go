package peer

import (
	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
)

// The messages of a node that joins and its sponsor, in this order: hello, welcome, request, answer.
// They are frames without a kind (see WriteMessage); package join says what is behind them. What
// governance has recorded, or will, travels as it encodes it.

// JoinHello is the joiner's first message.
type JoinHello struct {
	Version uint64 `cbor:"1,keyasint"`
}

// JoinWelcome proves the sponsor's code and says what it follows.
type JoinWelcome struct {
	Evidence     attest.Evidence `cbor:"1,keyasint"`
	Constitution []byte          `cbor:"2,keyasint"` // TOML
}

// JoinRequest asks for admission.
type JoinRequest struct {
	Record  canon.Raw `cbor:"1,keyasint"` // a node's
	Samples []Sample  `cbor:"2,keyasint"` // of the joiner's ledger, the newest first
}

// Sample names one entry of a joiner's ledger by its contents. A batch names everything before
// itself, so a sponsor that has the same one has the same ledger up to it.
type Sample struct {
	_      struct{} `cbor:",toarray"`
	Index  uint64
	Digest coco.Digest // SHA-256 of the entry's data
}

// JoinAnswer is a grant, or a refusal.
type JoinAnswer struct {
	Grant   *Grant `cbor:"1,keyasint,omitempty"`
	Kind    uint8  `cbor:"2,keyasint,omitempty"` // of the refusal
	Reason  string `cbor:"3,keyasint,omitempty"`
	Address string `cbor:"4,keyasint,omitempty"` // of the node to ask instead
	Rule    string `cbor:"5,keyasint,omitempty"` // of the constitution, by which the node is refused
}

// Grant is all that a trusted node knows. It exists only inside TLS between two enclaves.
type Grant struct {
	Certificate []byte                 `cbor:"1,keyasint"` // the joiner's, DER
	Service     []byte                 `cbor:"2,keyasint"` // the service's certificate, DER
	ServiceKey  keys.SecretBytes       `cbor:"3,keyasint"`
	Secrets     map[uint64]keys.Secret `cbor:"4,keyasint"`           // of the epochs
	Origin      coco.NodeID            `cbor:"5,keyasint"`           // the node that started the network
	Nodes       map[coco.NodeID]string `cbor:"6,keyasint"`           // trusted, with addresses
	Seqno       uint64                 `cbor:"7,keyasint"`           // of the admission
	Shared      uint64                 `cbor:"8,keyasint"`           // index up to which the joiner's ledger is the network's
	Snapshots   []canon.Raw            `cbor:"9,keyasint,omitempty"` // those that the ledger records, the newest first
	Sponsor     coco.NodeID            `cbor:"10,keyasint"`          // the node that grants this
}
