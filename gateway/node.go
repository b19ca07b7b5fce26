package gateway

import (
	"context"
	"crypto/x509"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/wire"
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
	Status() wire.Status
	// Health returns the conditions under which this node serves as it should. It MUST NOT wait.
	Health() []Check
	// Constitution returns the constitution in force as a TOML page, and its digest.
	Constitution() (page []byte, digest coco.Digest, err error)
	// Service returns the service certificate in PEM form.
	Service() ([]byte, error)
	// Evidence returns fresh evidence over attest.ReportData("coco client", node key, nonce).
	Evidence(ctx context.Context, nonce []byte) (wire.Evidence, error)
	// Nodes returns the nodes of the network, retired ones too.
	Nodes() ([]wire.Node, error)
	// Authorize reports whether a caller may see what a read asks for: nil, or an error of kind
	// coco.ErrDenied or coco.ErrNotFound, which is the answer. It is asked before anything is looked up.
	Authorize(caller coco.Caller, read adapter.Read) error
	// TxStatus says what became of a transaction.
	TxStatus(id coco.TxID) (wire.TxStatus, error)
	// AwaitCommit waits a little until a transaction's seqno is committed and applied on this node: a client may have heard
	// of it from a node that is ahead. Its errors are those of Receipt.
	AwaitCommit(ctx context.Context, id coco.TxID) error
	// Receipt returns the receipt of a committed transaction as JSON, and what the transaction claims: coco.ErrNotFound if there
	// is none, coco.ErrBusy while it is not committed.
	Receipt(ctx context.Context, id coco.TxID) (receipt, claims []byte, err error)
	// StateDigest returns a digest of the whole state as of a committed seqno, 0 for the last one:
	// equal on every node. coco.ErrNotFound if that state is not in memory.
	StateDigest(seqno uint64) (uint64, coco.Digest, error)
	// Snapshots returns the snapshots that the network recorded and still keeps, the oldest first.
	Snapshots() ([]wire.Snapshot, error)
	// RequestSnapshot asks the network, for a member, for a snapshot of the state at the seqno that it
	// returns, or at a later one. It returns once the request is committed; the snapshot follows.
	RequestSnapshot(ctx context.Context, caller coco.Caller) (seqno uint64, err error)
}
