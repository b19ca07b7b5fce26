package blocks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/store"
)

// View is one committed state of the chain, with all blocks up to it. It is safe for concurrent
// use until it is released. It belongs to one request: reading what has left memory takes time, and
// fails with coco.ErrPending, coco.ErrMissing or adapter.ErrPastLimit.
type View struct {
	archive  *Archive
	snapshot *store.Snapshot
	head     *Block
	past     *adapter.PastReader
	old      *oldState // instead of the snapshot's state, unless nil
	see      func(common.Address) bool
}

// Through returns the view with a state in which the accounts that see refuses do not exist. It is released with v.
func (v *View) Through(see func(common.Address) bool) *View {
	w := *v
	w.see = see
	return &w
}

// Release lets the state be pruned. It MUST be called once.
func (v *View) Release() { v.snapshot.Release() }

// Head returns the block whose resulting state this is, or nil before genesis.
func (v *View) Head() *Block { return v.head }

// Rows returns all rows of the view's state; nil if they are not in memory.
func (v *View) Rows() store.Reader {
	if v.old != nil || v.see != nil {
		return nil
	}
	return v.snapshot
}

// Header returns the head's header as far as calls on top of it see it. It is read from the ledger if the state does not tell it.
// It MUST NOT be modified. There MUST be a head.
func (v *View) Header(ctx context.Context) (*types.Header, error) {
	if !v.head.untold {
		return v.head.Header, nil
	}
	b, err := v.Block(ctx, v.Number())
	if err != nil {
		return nil, err
	}
	v.archive.head.CompareAndSwap(v.head, b) // later calls need not read it
	return b.Header, nil
}

// Number returns the head's number.
func (v *View) Number() uint64 {
	if v.head == nil {
		return 0
	}
	return v.head.Number()
}

// Block returns a block by its number, or coco.ErrNotFound.
func (v *View) Block(ctx context.Context, number uint64) (*Block, error) {
	return v.block(ctx, number, rows.Anywhere)
}

// block is Block for one that is written by a transaction up to the seqno by.
func (v *View) block(ctx context.Context, number, by uint64) (*Block, error) {
	if v.head != nil && v.head.Number() == number && !v.head.Bare {
		return v.head, nil
	}
	row, err := v.blockRow(ctx, number, by)
	if err != nil {
		return nil, err
	}
	return blockOf(&row)
}

// Backwards calls fn for the blocks from..to, the newest first.
func (v *View) Backwards(ctx context.Context, from, to uint64, fn func(*Block) error) error {
	return v.backwards(ctx, from, to, func(_ uint64, row *rows.Block) error {
		b, err := blockOf(row)
		if err != nil {
			return err
		}
		return fn(b)
	})
}

// backwards is Backwards for the rows of the blocks: each of them tells where in the ledger the
// one before it ends.
func (v *View) backwards(ctx context.Context, from, to uint64, fn func(number uint64, row *rows.Block) error) error {
	by := uint64(rows.Anywhere)
	for n := to; ; n-- {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		row, err := v.blockRow(ctx, n, by)
		if err != nil {
			return err
		}
		if err := fn(n, &row); err != nil || n <= from {
			return err
		}
		by = row.First - 1
	}
}

// InMemory tells whether a block, and so every later one, can be read without the ledger.
func (v *View) InMemory(number uint64) bool {
	_, ok := v.snapshot.Get(v.archive.table(rows.Blocks), rows.BlockKey(number))
	return ok
}

// blockRow reads the row of a block that is written by a transaction up to the seqno by.
func (v *View) blockRow(ctx context.Context, number, by uint64) (rows.Block, error) {
	if v.head == nil || number > v.head.Number() {
		return rows.Block{}, fmt.Errorf("%w: block %d", coco.ErrNotFound, number)
	}
	row, _, err := v.archived(ctx, rows.Blocks, rows.BlockKey(number), min(by, rows.WrittenBy(v.snapshot, number)))
	if err != nil {
		return rows.Block{}, lost(err, "block %d", number)
	}
	return rows.DecodeBlock(row)
}

// lost is the error for a row that is not there but must be, and any other error as it is.
func lost(err error, what string, args ...any) error {
	if errors.Is(err, coco.ErrNotFound) {
		return fmt.Errorf("%w: %s is not in the ledger", coco.ErrCorrupt, fmt.Sprintf(what, args...))
	}
	return err
}

// BlockByHash returns a block by its hash, or coco.ErrNotFound.
func (v *View) BlockByHash(ctx context.Context, hash common.Hash) (*Block, error) {
	if v.head != nil && v.head.Hash == hash {
		return v.Block(ctx, v.head.Number())
	}
	key, written, err := v.archived(ctx, rows.BlockHashes, hash[:], rows.Anywhere)
	if errors.Is(err, coco.ErrNotFound) {
		return nil, fmt.Errorf("%w: block %v", coco.ErrNotFound, hash)
	}
	if err != nil {
		return nil, err
	}
	if len(key) != 8 {
		return nil, fmt.Errorf("%w: the number of block %v has %d bytes, expected 8", coco.ErrCorrupt, hash, len(key))
	}
	return v.block(ctx, binary.BigEndian.Uint64(key), written)
}

// Transaction returns an included transaction by its hash, or coco.ErrNotFound.
func (v *View) Transaction(ctx context.Context, hash common.Hash) (*Transaction, error) {
	t, _, err := v.TransactionInBlock(ctx, hash)
	return t, err
}

// TransactionInBlock also returns the transaction's block.
func (v *View) TransactionInBlock(ctx context.Context, hash common.Hash) (*Transaction, *Block, error) {
	r, err := v.txRow(ctx, hash, rows.Anywhere)
	if err != nil {
		return nil, nil, err
	}
	b, err := v.Block(ctx, r.Block)
	if err != nil {
		return nil, nil, err
	}
	t, err := v.archive.expand(&r, hash, b)
	return t, b, err
}

// TransactionOf returns the i-th transaction of a block. A block's transactions are read one by one: together with
// their logs they may take much more memory than what is made of them.
func (v *View) TransactionOf(ctx context.Context, b *Block, i int) (*Transaction, error) {
	r, err := v.TxRowOf(ctx, b, i)
	if err != nil {
		return nil, err
	}
	return v.archive.expand(&r, b.Txs[i], b)
}

// TxRowOf reads the row of the i-th transaction of a block, whose seqno is known.
func (v *View) TxRowOf(ctx context.Context, b *Block, i int) (rows.Tx, error) {
	r, err := v.txRow(ctx, b.Txs[i], b.First+uint64(i))
	if err != nil {
		return rows.Tx{}, lost(err, "transaction %v of block %d", b.Txs[i], b.Number())
	}
	return r, nil
}

// txRow reads the row of a transaction, which has a seqno up to by.
func (v *View) txRow(ctx context.Context, hash common.Hash, by uint64) (rows.Tx, error) {
	row, _, err := v.archived(ctx, rows.Txs, hash[:], by)
	if errors.Is(err, coco.ErrNotFound) {
		return rows.Tx{}, fmt.Errorf("%w: transaction %v", coco.ErrNotFound, hash)
	}
	if err != nil {
		return rows.Tx{}, err
	}
	return rows.DecodeTx(row)
}

// account reads an account.
func (v *View) account(ctx context.Context, addr common.Address) (rows.Account, error) {
	src := v.State(ctx)
	row, ok := src.Get(rows.Accounts, addr[:])
	if !ok {
		return rows.NoAccount, src.Err
	}
	return rows.DecodeAccount(row)
}

// Balance returns an account's balance, which MUST NOT be modified.
func (v *View) Balance(ctx context.Context, addr common.Address) (*uint256.Int, error) {
	r, err := v.account(ctx, addr)
	return r.Balance, err
}

// Nonce returns an account's nonce.
func (v *View) Nonce(ctx context.Context, addr common.Address) (uint64, error) {
	r, err := v.account(ctx, addr)
	return r.Nonce, err
}

// Code returns an account's code, which MUST NOT be modified.
func (v *View) Code(ctx context.Context, addr common.Address) ([]byte, error) {
	r, err := v.account(ctx, addr)
	if err != nil || r.CodeHash == types.EmptyCodeHash {
		return nil, err
	}
	code, ok := v.snapshot.Get(rows.Code, r.CodeHash[:])
	if !ok {
		return nil, statedb.ErrCorruptCode(r.CodeHash)
	}
	return code, nil
}

// Storage returns the value of a slot.
func (v *View) Storage(ctx context.Context, addr common.Address, slot common.Hash) (common.Hash, error) {
	r, err := v.account(ctx, addr)
	if err != nil || !r.Stored {
		return common.Hash{}, err
	}
	src := v.State(ctx)
	row, ok := src.Get(rows.Storage, rows.AppendStorageKey(nil, &addr, &slot, r.Gen))
	if !ok {
		return common.Hash{}, src.Err
	}
	return rows.DecodeWord(row)
}
