package resident

import (
	"context"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// Keeper is how a ledger has payloads of rows on the nodes of their audience alone. The rows are in tables of store.Table.Resident, as Row.
type Keeper struct {
	// Here reports whether this node's organisation is in an audience. A node outside it MUST NOT be given a payload, nor read one of a request.
	Here func(store.Audience) bool
	// Nodes returns the addresses for clients of the trusted nodes of an audience.
	Nodes func(store.Audience) []string
	// Keep has a payload on the disks of nodes of enough of its audience, and returns its commitment and these nodes. The error is coco.ErrBusy, or
	// coco.ErrInvalid; then no node keeps it.
	Keep func(context.Context, *Payload) (coco.Digest, []coco.NodeID, error)
	// Drop says of a payload that Keep has kept that certainly no transaction will name it.
	Drop func(store.Audience, coco.Digest)
	// Holders returns the organisations that trusted nodes belong to, and whether they are enough for a payload that these nodes have, the first of which
	// has asked the others. The leader MUST refuse a call without enough.
	Holders func(store.Audience, []coco.NodeID) (Set, bool)
	// Get returns the payload of a row. The error is coco.ErrPending while it is fetched or its epoch opened, coco.ErrMissing if no node that can
	// be reached has it.
	Get func(context.Context, Ref) (Payload, error)
}

// Resider is implemented by ledgers whose rows may reside with their parties. Reside is called once, before the ledger executes or serves anything.
type Resider interface {
	Reside(*Keeper)
}
