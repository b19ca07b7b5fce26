package wire

import (
	"time"

	"github.com/cocoframework/coco"
)

// Status is the answer of GET /node/status.
type Status struct {
	Network      string           `json:"network"`
	Insecure     bool             `json:"insecure"` // the TEE is simulated: nothing here is confidential
	Node         coco.NodeID      `json:"node"`
	Owner        string           `json:"owner"` // the organisation that runs this node
	Role         string           `json:"role"`  // "leader", "follower" or "joining"
	View         uint64           `json:"view"`
	Voter        bool             `json:"voter"`                   // its vote counts, and no change of voters is under way
	Learns       bool             `json:"learns,omitempty"`        // it does not vote because its organisation would have too many votes
	Leader       coco.NodeID      `json:"leader,omitzero"`         // absent while there is none
	Committed    coco.TxID        `json:"transaction_id,omitzero"` // the last one committed and applied here
	Known        uint64           `json:"known_seqno"`             // the highest seqno known to be committed anywhere
	Constitution coco.Digest      `json:"constitution,omitzero"`
	Measurement  coco.Measurement `json:"measurement"`
	Version      string           `json:"version"` // of the binary
	// Problem says in one sentence why the node cannot serve as it should; empty when healthy.
	Problem string `json:"problem,omitempty"`
	// Closed: members have recovered the network, and it serves no client until they have opened it. It commits their votes.
	Closed bool `json:"closed,omitempty"`
	// Warning says in one sentence what must be looked after, though the node serves; empty if nothing.
	Warning string `json:"warning,omitempty"`
	// LedgerTime is the time that a transaction would get that was committed now, ClockLag by how many seconds it is behind the clock of the
	// node's host; negative if it is ahead. A node that has not heard of a quorum yet says 0.
	LedgerTime time.Time `json:"ledger_time"`
	ClockLag   float64   `json:"clock_lag_seconds"`
	// Age is how many seconds old the node's state may be: since a majority of the nodes confirmed that it held all that was committed.
	Age float64 `json:"age_seconds"`
	// Notice is shown wherever the status is: a simulated TEE, a pinned block context.
	Notice string `json:"notice,omitempty"`
	// Certificates are the node's, the service's, and the one of the constitution that ends first.
	Certificates []Certificate `json:"certificates,omitempty"`
	// NearLimits is what the network has grown half way to the limit of.
	NearLimits []Limit `json:"near_limits,omitempty"`
	// Keys says who can open together what the ledger keeps; absent while the network has no committee.
	Keys *Keys `json:"keys,omitempty"`
	// Resident is about rows whose contents only the nodes of the node's organisation and of others have; absent if the node lacks none of them.
	Resident *Resident `json:"resident,omitempty"`
}

// Resident says of how many rows a node lacks the contents, which it fetches from the other nodes of their audience. How many rows there are it does not say: that is the audience's matter.
type Resident struct {
	Lacking int `json:"lacking"`
	Unheld  int `json:"unheld"` // of these, those that no node has that could be asked
}

// Keys is the committee in force, a threshold of whose seats opens the ledger's past together, and the ceremony that makes the next one.
type Keys struct {
	Committee uint64    `json:"committee"` // its number
	Key       uint64    `json:"key"`       // the version of its key
	Threshold int       `json:"threshold"`
	Since     uint64    `json:"since"` // the seqno of the transaction that put it in force
	Time      time.Time `json:"time"`  // of that
	// Dealt: one enclave has made the key and forgotten it, as that of a network's first node does. No node has a package.
	Dealt    bool         `json:"dealt,omitempty"`
	Seats    []KeySeat    `json:"seats"`
	Ceremony *KeyCeremony `json:"ceremony,omitempty"` // that runs
	// Whole: no ceremony runs, and none is needed.
	Whole bool `json:"whole"`
}

// KeySeat is a member's seat in a committee.
type KeySeat struct {
	Member coco.ActorID `json:"member"`
	Name   string       `json:"name"`
	Node   coco.NodeID  `json:"node"` // that acted for it
	// Live: a node that the network trusts has the seat's package. Other packages are in the ledger alone, sealed to their members.
	Live bool `json:"live"`
}

// KeyCeremony is how a committee comes to be.
type KeyCeremony struct {
	Number  uint64   `json:"number"` // 1 for the network's first, and so on
	Key     uint64   `json:"key"`    // the version of its key
	Cause   string   `json:"cause"`
	Phase   string   `json:"phase"`
	Waiting []string `json:"waiting,omitempty"` // the members whose statements the phase waits for
	Since   uint64   `json:"since"`             // the seqno of the transaction that began it
}

// Limit says how far something has grown that stays for ever.
type Limit struct {
	Of   string `json:"of"` // see NearLimit in docs/operations.md
	Now  uint64 `json:"now"`
	Most uint64 `json:"limit"`
}

// Certificate says when one ends.
type Certificate struct {
	Of       string    `json:"of"`             // "node", "service", "member" or "participant"
	Name     string    `json:"name,omitempty"` // of the organisation
	NotAfter time.Time `json:"not_after"`
}

// Version is the answer of GET /version. Only evidence proves any of it.
type Version struct {
	Version     string           `json:"version"` // of the binary
	Go          string           `json:"go"`
	Measurement coco.Measurement `json:"measurement"`
	Insecure    bool             `json:"insecure"` // the TEE is simulated: nothing here is confidential
}

// Evidence is the answer of GET /node/evidence.
type Evidence struct {
	Platform string `json:"platform"`
	Quote    []byte `json:"quote"` // in the platform's own format
	Key      []byte `json:"key"`   // the node's public key, PKIX DER
	Nonce    string `json:"nonce"` // the client's, in hexadecimal
}

// Node is a node in the answers of GET /node/nodes and GET /gov/nodes.
type Node struct {
	Node          coco.NodeID      `json:"node"`
	Owner         coco.ActorID     `json:"owner"`
	OwnerName     string           `json:"owner_name"`
	Address       string           `json:"address"`        // for other nodes
	ClientAddress string           `json:"client_address"` // for clients
	Measurement   coco.Measurement `json:"measurement"`
	State         string           `json:"state"`            // "trusted" or "retired"; "pending" in the answer of GET /gov/nodes only
	Since         uint64           `json:"since"`            // the seqno that gave it this state
	Reason        string           `json:"reason,omitempty"` // why it is pending, for people
	// Voter: it votes in consensus now, as far as the node that answers knows. Absent from the answer of GET /gov/nodes.
	Voter bool `json:"voter,omitempty"`
}

// TxStatus is what became of a transaction.
type TxStatus string

// The states of a transaction. Committed and invalid are final.
const (
	TxCommitted TxStatus = "committed" // in the ledger for ever
	TxPending   TxStatus = "pending"   // executed, not committed yet
	TxInvalid   TxStatus = "invalid"   // certainly not in the ledger, and never will be
	TxUnknown   TxStatus = "unknown"   // this node does not know, or not yet
)

// Tx is the answer of GET /node/tx/{txid}.
type Tx struct {
	ID     coco.TxID `json:"transaction_id"`
	Status TxStatus  `json:"status"`
}

// Retired is the answer of POST /node/retire.
type Retired struct {
	ID coco.TxID `json:"transaction_id"` // of the transaction that says so
}

// StateDigest is the answer of GET /node/digest.
type StateDigest struct {
	Seqno  uint64      `json:"seqno"`
	Digest coco.Digest `json:"digest"` // of the whole state as of that commit
}

// Snapshot is a snapshot in the answer of GET /node/snapshots.
type Snapshot struct {
	ID     coco.TxID   `json:"transaction_id"` // the last transaction in it
	Index  uint64      `json:"index"`          // of its batch, in the ledger
	Digest coco.Digest `json:"digest"`
	Bytes  uint64      `json:"bytes"` // without the receipt at its end
	Since  uint64      `json:"since"` // seqno of the transaction that recorded it
	Held   bool        `json:"held"`  // this node has the file, whole and with its receipt
}

// SnapshotAsked is the answer of POST /node/snapshots.
type SnapshotAsked struct {
	Seqno uint64 `json:"seqno"` // the snapshot will be of the state at this seqno, or at a later one
}
