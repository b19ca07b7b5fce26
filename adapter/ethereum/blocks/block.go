package blocks

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/calls"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
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

	// Bare says that only Hash and what calls see of the header are known: the newest block of a node
	// that has begun with a snapshot, until there is another.
	Bare bool
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

// expand decodes a transaction's row and derives what it does not say.
func (a *Archive) expand(r *rows.Tx, hash common.Hash, b *Block) (*Transaction, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(r.Raw); err != nil {
		return nil, fmt.Errorf("%w: transaction %v: %w", coco.ErrCorrupt, hash, err)
	}
	calls.Own(tx)
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
		rc.BlobGasUsed, rc.BlobGasPrice = uint64(n)*params.BlobTxBlobGasPerBlob, a.facts.BlobFee(b.Header)
	}
	t.Receipt = rc
	return t, nil
}
