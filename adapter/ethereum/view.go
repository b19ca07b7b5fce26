package ethereum

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
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

	// bare says that only Hash and what calls see of the header are known: the newest block of a node
	// that has begun with a snapshot, until there is another.
	bare bool
}

// Number returns the block's number.
func (b *Block) Number() uint64 { return b.Header.Number.Uint64() }

// Transaction is an included transaction with its receipt.
type Transaction struct {
	Tx          *types.Transaction
	Hash        common.Hash
	From        common.Address
	BlockNumber uint64
	Index       uint64
	TxID        coco.TxID
	Receipt     *types.Receipt // with all derived fields
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
}

// Latest returns the newest committed state. The view MUST be released.
func (l *Ledger) Latest() *View { return l.latest(l.pastReader()) }

// pastReader returns the reader of one request.
func (l *Ledger) pastReader() *adapter.PastReader { return l.env.NewPastReader(l.pastTime) }

func (l *Ledger) latest(past *adapter.PastReader) *View {
	// The snapshot may be newer than the head by a batch whose Committed has not come yet: the
	// head is read from the same state then.
	v := &View{ledger: l, snapshot: l.env.State.Snapshot(), head: l.head.Load(), past: past}
	at, ok, err := readHead(v.snapshot)
	if err == nil && ok && (v.head == nil || at.hash != v.head.Hash) {
		if b, err := l.newest(v.snapshot, &at); err == nil {
			v.head = b
		}
	}
	return v
}

// newest returns the block at the head of a state.
func (l *Ledger) newest(src source, at *head) (*Block, error) {
	value, ok := src.Get(tableBlocks, blockKey(at.number))
	if !ok {
		return &Block{Header: l.chain.bareHeader(src, at), Hash: at.hash, bare: true}, nil
	}
	row, err := decodeBlockRow(value)
	if err != nil {
		return nil, err
	}
	return row.block()
}

// At returns the state after a block, from the ledger if the store does not hold it. It fails with
// coco.ErrNotFound if there is no such block. The view MUST be released.
func (l *Ledger) At(ctx context.Context, number uint64) (*View, error) {
	return l.at(ctx, number, l.pastReader())
}

func (l *Ledger) at(ctx context.Context, number uint64, past *adapter.PastReader) (*View, error) {
	v := l.latest(past)
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
	return row.block()
}

// backwards calls fn for the blocks from..to, the newest first: each of them tells where in the ledger the
// one before it ends.
func (v *View) backwards(ctx context.Context, from, to uint64, fn func(number uint64, row *blockRow) error) error {
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
		by = row.first - 1
	}
}

// inMemory tells whether a block, and so every later one, can be read without the ledger.
func (v *View) inMemory(number uint64) bool {
	_, ok := v.snapshot.Get(tableBlocks, blockKey(number))
	return ok
}

// blockRow reads the row of a block that is written by a transaction up to the seqno by.
func (v *View) blockRow(ctx context.Context, number, by uint64) (blockRow, error) {
	if v.head == nil || number > v.head.Number() {
		return blockRow{}, fmt.Errorf("%w: block %d", coco.ErrNotFound, number)
	}
	row, _, err := v.archived(ctx, tableBlocks, blockKey(number), min(by, v.writtenBy(number)))
	if err != nil {
		return blockRow{}, lost(err, "block %d", number)
	}
	return decodeBlockRow(row)
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
	key, written, err := v.archived(ctx, tableBlockHashes, hash[:], anywhere)
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
	t, _, err := v.transaction(ctx, hash)
	return t, err
}

// transaction also returns the transaction's block.
func (v *View) transaction(ctx context.Context, hash common.Hash) (*Transaction, *Block, error) {
	r, err := v.txRow(ctx, hash, anywhere)
	if err != nil {
		return nil, nil, err
	}
	b, err := v.Block(ctx, r.block)
	if err != nil {
		return nil, nil, err
	}
	t, err := v.ledger.chain.expand(&r, hash, b)
	return t, b, err
}

// transactionOf returns the i-th transaction of a block.
func (v *View) transactionOf(ctx context.Context, b *Block, i int) (*Transaction, error) {
	r, err := v.txRowOf(ctx, b, i)
	if err != nil {
		return nil, err
	}
	return v.ledger.chain.expand(&r, b.Txs[i], b)
}

// Transactions returns those of a block, in order.
func (v *View) Transactions(ctx context.Context, b *Block) ([]*Transaction, error) {
	out := make([]*Transaction, len(b.Txs))
	for i := range b.Txs {
		var err error
		if out[i], err = v.transactionOf(ctx, b, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// txRowOf reads the row of the i-th transaction of a block, whose seqno is known.
func (v *View) txRowOf(ctx context.Context, b *Block, i int) (txRow, error) {
	r, err := v.txRow(ctx, b.Txs[i], b.First+uint64(i))
	if err != nil {
		return txRow{}, lost(err, "transaction %v of block %d", b.Txs[i], b.Number())
	}
	return r, nil
}

// txRow reads the row of a transaction, which has a seqno up to by.
func (v *View) txRow(ctx context.Context, hash common.Hash, by uint64) (txRow, error) {
	row, _, err := v.archived(ctx, tableTxs, hash[:], by)
	if errors.Is(err, coco.ErrNotFound) {
		return txRow{}, fmt.Errorf("%w: transaction %v", coco.ErrNotFound, hash)
	}
	if err != nil {
		return txRow{}, err
	}
	return decodeTxRow(row)
}

// expand decodes a transaction's row and derives what it does not say.
func (c *chain) expand(r *txRow, hash common.Hash, b *Block) (*Transaction, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(r.raw); err != nil {
		return nil, fmt.Errorf("%w: transaction %v: %w", coco.ErrCorrupt, hash, err)
	}
	logs, err := expandLogs(r, hash, b)
	if err != nil {
		return nil, err
	}
	t := &Transaction{Tx: tx, Hash: hash, From: r.sender, BlockNumber: r.block, Index: r.index, TxID: r.txID()}
	rc := &types.Receipt{
		Type:              tx.Type(),
		Status:            r.status,
		CumulativeGasUsed: r.cumulative,
		Logs:              logs,
		TxHash:            hash,
		GasUsed:           r.gasUsed,
		BlockHash:         b.Hash,
		BlockNumber:       b.Header.Number,
		TransactionIndex:  uint(r.index),
		EffectiveGasPrice: tx.GasPrice(),
	}
	if tx.To() == nil {
		rc.ContractAddress = crypto.CreateAddress(r.sender, tx.Nonce())
	}
	if c.baseFee != nil {
		rc.EffectiveGasPrice = new(big.Int).Add(tx.GasTipCap(), c.baseFee)
		if tx.GasFeeCapIntCmp(rc.EffectiveGasPrice) < 0 {
			rc.EffectiveGasPrice = tx.GasFeeCap()
		}
	}
	if n := len(tx.BlobHashes()); n > 0 {
		rc.BlobGasUsed, rc.BlobGasPrice = uint64(n)*params.BlobTxBlobGasPerBlob, c.blobFee
	}
	rc.Bloom = types.CreateBloom(rc)
	t.Receipt = rc
	return t, nil
}

// expandLogs decodes the logs of a transaction's row, which is that of a hash within a block.
func expandLogs(r *txRow, hash common.Hash, b *Block) ([]*types.Log, error) {
	logs := []*types.Log{}
	if err := rlp.DecodeBytes(r.logs, &logs); err != nil {
		return nil, fmt.Errorf("%w: logs of transaction %v: %w", coco.ErrCorrupt, hash, err)
	}
	for i, l := range logs {
		l.BlockNumber, l.BlockHash, l.BlockTimestamp = r.block, b.Hash, b.Header.Time
		l.TxHash, l.TxIndex, l.Index = hash, uint(r.index), uint(r.firstLog)+uint(i)
	}
	return logs, nil
}

// account reads an account.
func (v *View) account(ctx context.Context, addr common.Address) (record, error) {
	src := viewState{ctx: ctx, view: v}
	row, ok := src.Get(tableAccounts, addr[:])
	if !ok {
		return noAccount, src.err
	}
	return decodeRecord(row)
}

// Balance returns an account's balance, which MUST NOT be modified.
func (v *View) Balance(ctx context.Context, addr common.Address) (*uint256.Int, error) {
	r, err := v.account(ctx, addr)
	return r.balance, err
}

// Nonce returns an account's nonce.
func (v *View) Nonce(ctx context.Context, addr common.Address) (uint64, error) {
	r, err := v.account(ctx, addr)
	return r.nonce, err
}

// Code returns an account's code, which MUST NOT be modified.
func (v *View) Code(ctx context.Context, addr common.Address) ([]byte, error) {
	r, err := v.account(ctx, addr)
	if err != nil || r.codeHash == types.EmptyCodeHash {
		return nil, err
	}
	code, ok := v.snapshot.Get(tableCode, r.codeHash[:])
	if !ok {
		return nil, errCorruptCode(r.codeHash)
	}
	return code, nil
}

// Storage returns the value of a slot.
func (v *View) Storage(ctx context.Context, addr common.Address, slot common.Hash) (common.Hash, error) {
	r, err := v.account(ctx, addr)
	if err != nil || !r.stored {
		return common.Hash{}, err
	}
	src := viewState{ctx: ctx, view: v}
	row, ok := src.Get(tableStorage, appendStorageKey(nil, &addr, &slot, r.gen))
	if !ok {
		return common.Hash{}, src.err
	}
	return decodeWord(row)
}
