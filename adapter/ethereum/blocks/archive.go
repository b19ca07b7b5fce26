// Package blocks reads what an Ethereum chain has committed: blocks, transactions with their receipts, logs, and the state after any block.
//
// An Archive is a node's. It is told of each committed batch (Advance), and tells subscribers. It opens views: a View is
// one state with all blocks up to it. The newest states and blocks are in memory. Older ones a view reads from the
// ledger (past.go), for as long as its request may take, and logs by the index of the past or by the blooms of headers (logs.go).
// Nothing here executes: the rows are made by package chain, and their form is package rows'.
//
// Trust: enclave
package blocks

import (
	"context"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Facts is what views must know of the chain and is in no block. All functions may be called by any goroutine.
type Facts struct {
	// Bare is the header of the newest block as far as the state tells it: what calls on top of it see. It is not told if the terms are
	// those in force instead, which may be newer than the block.
	Bare        func(state rows.Source, at *rows.Head) (h *types.Header, told bool, err error)
	BlobFee     func(*types.Header) *big.Int // of a block; it MUST NOT be modified
	CallTimeout func() time.Duration         // for how long one request may read the past
	Development bool                         // blocks can be taken back, and states change between them: see package development
}

// Archive is all committed blocks and states of a chain, on one node. It is safe for concurrent use.
type Archive struct {
	env   *adapter.Env
	facts Facts
	head  atomic.Pointer[Block]
	feed  feed
}

// New returns the archive of a chain. It knows no head until the first Advance.
func New(env *adapter.Env, facts Facts) *Archive {
	a := &Archive{env: env, facts: facts}
	a.feed.init()
	return a
}

// Close ends all subscriptions.
func (a *Archive) Close() { a.feed.close() }

// Head is the newest committed block, or nil before genesis is committed.
func (a *Archive) Head() *Block { return a.head.Load() }

// Latest returns the newest committed state. The view MUST be released.
func (a *Archive) Latest() *View { return a.View(a.PastReader()) }

// PastReader returns the reader of one request, which reads the ledger for as long as a call may take.
func (a *Archive) PastReader() *adapter.PastReader {
	return a.env.NewPastReader(a.facts.CallTimeout())
}

// View is Latest for a request that has read the past already.
func (a *Archive) View(past *adapter.PastReader) *View {
	// The snapshot may be newer than the head by a batch whose Committed has not come yet: the
	// head is read from the same state then.
	v := &View{archive: a, snapshot: a.env.State.Snapshot(), head: a.head.Load(), past: past}
	at, ok, err := rows.ReadHead(v.snapshot)
	if err == nil && ok && (v.head == nil || at.Hash != v.head.Hash) {
		if b, err := a.newest(v.snapshot, &at); err == nil {
			v.head = b
		}
	}
	return v
}

// table is the table that holds the rows of an archive.
func (a *Archive) table(name string) string {
	if a.facts.Development {
		return rows.InDevelopment(name)
	}
	return name
}

// newest returns the block at the head of a state.
func (a *Archive) newest(src rows.Source, at *rows.Head) (*Block, error) {
	value, ok := src.Get(a.table(rows.Blocks), rows.BlockKey(at.Number))
	if !ok {
		h, told, err := a.facts.Bare(src, at)
		return &Block{Header: h, Hash: at.Hash, Bare: true, untold: !told}, err
	}
	row, err := rows.DecodeBlock(value)
	if err != nil {
		return nil, err
	}
	return blockOf(&row)
}

// At returns the state after a block, from the ledger if the store does not hold it. It fails with
// coco.ErrNotFound if there is no such block. The view MUST be released.
func (a *Archive) At(ctx context.Context, number uint64) (*View, error) {
	return a.ViewAt(ctx, number, a.PastReader())
}

// ViewAt is At for a request that has read the past already.
func (a *Archive) ViewAt(ctx context.Context, number uint64, past *adapter.PastReader) (*View, error) {
	v := a.View(past)
	if v.head != nil && v.head.Number() == number {
		return v, nil
	}
	b, err := v.Block(ctx, number)
	if err != nil {
		v.Release()
		return nil, err
	}
	if s, ok := a.StateAfter(number); ok {
		v.Release()
		return &View{archive: a, snapshot: s, head: b, past: past}, nil
	}
	old := newOldState(b)
	if a.facts.Development { // what has changed until the next block belongs to this one's state
		next, err := v.Block(ctx, number+1)
		if err != nil {
			v.Release()
			return nil, err
		}
		old.seqno = next.First - 1
	}
	v.head, v.old = b, old
	return v, nil
}
