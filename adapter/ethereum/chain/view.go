package chain

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/store"
)

// Block is a block without the bodies of its transactions. It is shared: it MUST NOT be modified.
type Block struct {
	Header *types.Header
	Hash   common.Hash
	Size   uint64        // of the block in RLP
	Txs    []common.Hash // in order
	View   uint64        // of the leader that executed it
	First  uint64        // seqno of the first transaction; the others follow
	Hidden *uint64       // how many transactions the block has beside Txs, for a reader who may know that

	// bare says that only Hash and what calls see of the header are known: the newest block of a node
	// that has begun with a snapshot, until there is another.
	bare bool
	// untold says that the state of an older ledger does not tell the terms of a bare block: calls on top of it read the block.
	untold bool
}

// Number returns the block's number.
func (b *Block) Number() uint64 { return b.Header.Number.Uint64() }

// blockOf decodes the row of a block.
func blockOf(r *rows.Block) (*Block, error) {
	h := new(types.Header)
	if err := rlp.DecodeBytes(r.Header, h); err != nil {
		return nil, fmt.Errorf("%w: header of block %v: %w", coco.ErrCorrupt, r.Hash, err)
	}
	txs := make([]common.Hash, len(r.Txs)/common.HashLength)
	for i := range txs {
		copy(txs[i][:], r.Txs[i*common.HashLength:])
	}
	return &Block{Header: h, Hash: r.Hash, Size: r.Size, Txs: txs, First: r.First, View: r.View}, nil
}

// Transaction is an included transaction with its receipt. The receipt's logs are left out: see EachLog.
type Transaction struct {
	Tx          *types.Transaction
	Hash        common.Hash
	From        common.Address
	BlockNumber uint64
	Index       uint64
	TxID        coco.TxID
	Receipt     *types.Receipt // with all derived fields, but without logs
	Logs        []byte         // as an RLP list, see EachLog
	FirstLog    uint64         // index of the first one in the block
	By          rows.By        // who may know it: sight.By
}

// View is one committed state of the chain, with all blocks up to it. It is safe for concurrent
// use until it is released. It belongs to one request: reading what has left memory takes time, and
// fails with coco.ErrPending, coco.ErrMissing or adapter.ErrPastLimit.
type View struct {
	ledger   *Ledger
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

// Latest returns the newest committed state. The view MUST be released.
func (l *Ledger) Latest() *View { return l.View(l.PastReader()) }

// PastReader returns the reader of one request, which reads the ledger for as long as a call may take.
func (l *Ledger) PastReader() *adapter.PastReader {
	return l.env.NewPastReader(l.Settings().RPC.CallTimeout())
}

// View is Latest for a request that has read the past already.
func (l *Ledger) View(past *adapter.PastReader) *View {
	// The snapshot may be newer than the head by a batch whose Committed has not come yet: the
	// head is read from the same state then.
	v := &View{ledger: l, snapshot: l.env.State.Snapshot(), head: l.head.Load(), past: past}
	at, ok, err := rows.ReadHead(v.snapshot)
	if err == nil && ok && (v.head == nil || at.Hash != v.head.Hash) {
		if b, err := l.newest(v.snapshot, &at); err == nil {
			v.head = b
		}
	}
	return v
}

// newest returns the block at the head of a state.
func (l *Ledger) newest(src rows.Source, at *rows.Head) (*Block, error) {
	value, ok := src.Get(rows.Blocks, rows.BlockKey(at.Number))
	if !ok {
		h, told, err := l.chain().bareHeader(src, at)
		return &Block{Header: h, Hash: at.Hash, bare: true, untold: !told}, err
	}
	row, err := rows.DecodeBlock(value)
	if err != nil {
		return nil, err
	}
	return blockOf(&row)
}

// At returns the state after a block, from the ledger if the store does not hold it. It fails with
// coco.ErrNotFound if there is no such block. The view MUST be released.
func (l *Ledger) At(ctx context.Context, number uint64) (*View, error) {
	return l.ViewAt(ctx, number, l.PastReader())
}

// ViewAt is At for a request that has read the past already.
func (l *Ledger) ViewAt(ctx context.Context, number uint64, past *adapter.PastReader) (*View, error) {
	v := l.View(past)
	if v.head != nil && v.head.Number() == number {
		return v, nil
	}
	b, err := v.Block(ctx, number)
	if err != nil {
		v.Release()
		return nil, err
	}
	if seqno, ok := l.feed.state(number); ok {
		if s, err := l.env.State.SnapshotAt(seqno); err == nil {
			v.Release()
			return &View{ledger: l, snapshot: s, head: b, past: past}, nil
		}
	}
	v.head, v.old = b, newOldState(b)
	return v, nil
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

// Number returns the head's number.
func (v *View) Number() uint64 {
	if v.head == nil {
		return 0
	}
	return v.head.Number()
}

// Block returns a block by its number, or coco.ErrNotFound.
func (v *View) Block(ctx context.Context, number uint64) (*Block, error) {
	return v.block(ctx, number, anywhere)
}

// block is Block for one that is written by a transaction up to the seqno by.
func (v *View) block(ctx context.Context, number, by uint64) (*Block, error) {
	if v.head != nil && v.head.Number() == number && !v.head.bare {
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
	by := uint64(anywhere)
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
	_, ok := v.snapshot.Get(rows.Blocks, rows.BlockKey(number))
	return ok
}

// blockRow reads the row of a block that is written by a transaction up to the seqno by.
func (v *View) blockRow(ctx context.Context, number, by uint64) (rows.Block, error) {
	if v.head == nil || number > v.head.Number() {
		return rows.Block{}, fmt.Errorf("%w: block %d", coco.ErrNotFound, number)
	}
	row, _, err := v.archived(ctx, rows.Blocks, rows.BlockKey(number), min(by, v.writtenBy(number)))
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
	key, written, err := v.archived(ctx, rows.BlockHashes, hash[:], anywhere)
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
	r, err := v.txRow(ctx, hash, anywhere)
	if err != nil {
		return nil, nil, err
	}
	b, err := v.Block(ctx, r.Block)
	if err != nil {
		return nil, nil, err
	}
	t, err := v.ledger.chain().expand(&r, hash, b)
	return t, b, err
}

// TransactionOf returns the i-th transaction of a block. A block's transactions are read one by one: together with
// their logs they may take much more memory than what is made of them.
func (v *View) TransactionOf(ctx context.Context, b *Block, i int) (*Transaction, error) {
	r, err := v.TxRowOf(ctx, b, i)
	if err != nil {
		return nil, err
	}
	return v.ledger.chain().expand(&r, b.Txs[i], b)
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

// expand decodes a transaction's row and derives what it does not say.
func (c *chain) expand(r *rows.Tx, hash common.Hash, b *Block) (*Transaction, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(r.Raw); err != nil {
		return nil, fmt.Errorf("%w: transaction %v: %w", coco.ErrCorrupt, hash, err)
	}
	t := &Transaction{
		Tx: tx, Hash: hash, From: r.Sender, BlockNumber: r.Block, Index: r.Index, TxID: r.TxID(),
		Logs: r.Logs, FirstLog: r.FirstLog, By: r.By,
	}
	bloom, err := t.bloom()
	if err != nil {
		return nil, fmt.Errorf("transaction %v: %w", hash, err)
	}
	rc := &types.Receipt{
		Type:              tx.Type(),
		Status:            r.Status,
		CumulativeGasUsed: r.Cumulative,
		Bloom:             bloom,
		TxHash:            hash,
		GasUsed:           r.GasUsed,
		BlockHash:         b.Hash,
		BlockNumber:       b.Header.Number,
		TransactionIndex:  uint(r.Index),
		EffectiveGasPrice: rows.EffectiveGasPrice(tx, b.Header.BaseFee),
	}
	if tx.To() == nil {
		rc.ContractAddress = crypto.CreateAddress(r.Sender, tx.Nonce())
	}
	if n := len(tx.BlobHashes()); n > 0 {
		rc.BlobGasUsed, rc.BlobGasPrice = uint64(n)*params.BlobTxBlobGasPerBlob, c.blobFeeOf(b.Header)
	}
	t.Receipt = rc
	return t, nil
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
