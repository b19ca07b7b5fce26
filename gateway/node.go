package gateway

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/cocoframework/coco"
)

// Node is what the gateway asks of the node behind it: one method for each fact that it serves
// under /node, and Identify. It has more than three because the facts are independent of one
// another and the routes map to them one to one.
//
// The methods are called concurrently, before the node has joined too: a fact that the node does
// not have yet is an error of kind coco.ErrBusy. Returned slices MUST NOT be changed afterwards.
type Node interface {
	// Identify maps a client's certificates (the leaf first, whose key the client has proven) to
	// its organisation, or fails with coco.ErrDenied. The gateway remembers the answer for the
	// connection's life; a node calls Gateway.Reidentify when it may have changed.
	Identify(chain []*x509.Certificate) (coco.Caller, error)
	// Status says what this node is doing.
	Status() Status
	// Health returns the conditions under which this node serves as it should. It MUST NOT wait.
	Health() []Check
	// Constitution returns the constitution in force as a TOML page, and its digest.
	Constitution() (page []byte, digest coco.Digest, err error)
	// Service returns the service certificate in PEM form.
	Service() ([]byte, error)
	// Evidence returns fresh evidence over attest.ReportData("coco client", node key, nonce).
	Evidence(ctx context.Context, nonce []byte) (Evidence, error)
	// Nodes returns the nodes of the network, retired ones too.
	Nodes() ([]NodeInfo, error)
	// TxStatus says what became of a transaction.
	TxStatus(id coco.TxID) (TxStatus, error)
	// Receipt returns the receipt of a committed transaction as JSON: coco.ErrNotFound if there
	// is none, coco.ErrBusy while it is not committed.
	Receipt(ctx context.Context, caller coco.Caller, id coco.TxID) ([]byte, error)
	// StateDigest returns a digest of the whole state as of a committed seqno, 0 for the last one:
	// equal on every node. coco.ErrNotFound if that state is not in memory.
	StateDigest(seqno uint64) (uint64, coco.Digest, error)
	// Snapshots returns the snapshots that the network recorded and still keeps, the oldest first.
	Snapshots() ([]SnapshotInfo, error)
	// RequestSnapshot asks the network, for a member, for a snapshot of the state at the seqno that it
	// returns, or at a later one. It returns once the request is committed; the snapshot follows.
	RequestSnapshot(ctx context.Context, caller coco.Caller) (seqno uint64, err error)
}

// Status is the answer of GET /node/status.
type Status struct {
	Network      string           `json:"network"`
	Insecure     bool             `json:"insecure"` // the TEE is simulated: nothing here is confidential
	Node         coco.NodeID      `json:"node"`
	Owner        string           `json:"owner"` // the member that runs this node
	Role         string           `json:"role"`  // "leader", "follower" or "joining"
	View         uint64           `json:"view"`
	Voter        bool             `json:"voter"`                   // its vote counts, and no change of voters is under way
	Leader       coco.NodeID      `json:"leader,omitzero"`         // absent while there is none
	Committed    coco.TxID        `json:"transaction_id,omitzero"` // the last one committed and applied here
	Known        uint64           `json:"known_seqno"`             // the highest seqno known to be committed anywhere
	Constitution coco.Digest      `json:"constitution,omitzero"`
	Measurement  coco.Measurement `json:"measurement"`
	Version      string           `json:"version"` // of the binary
	// Problem says in one sentence why the node cannot serve as it should; empty when healthy.
	Problem string `json:"problem,omitempty"`
	// Notice is shown wherever the status is: a simulated TEE, a pinned block context.
	Notice string `json:"notice,omitempty"`
	// Certificates are the node's, the service's, and the one of the constitution that ends first.
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Certificate says when one ends.
type Certificate struct {
	Of       string    `json:"of"`             // "node", "service", "member" or "participant"
	Name     string    `json:"name,omitempty"` // of the organisation
	NotAfter time.Time `json:"not_after"`
}

// Evidence is the answer of GET /node/evidence, to which the gateway adds the nonce.
type Evidence struct {
	Platform string `json:"platform"`
	Quote    []byte `json:"quote"` // in the platform's own format
	Key      []byte `json:"key"`   // the node's public key, PKIX DER
}

// NodeInfo is one node in the answer of GET /node/nodes.
type NodeInfo struct {
	Node          coco.NodeID      `json:"node"`
	Owner         coco.ActorID     `json:"owner"`
	OwnerName     string           `json:"owner_name"`
	Address       string           `json:"address"`        // for other nodes
	ClientAddress string           `json:"client_address"` // for clients
	Measurement   coco.Measurement `json:"measurement"`
	State         string           `json:"state"` // "trusted" or "retired"
	Since         uint64           `json:"since"` // the seqno that gave it this state
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
