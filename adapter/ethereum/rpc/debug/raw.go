package debug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// smaller is what to ask for if the bytes of a block are too many.
const smaller = "ask for single transactions by debug_getRawTransaction"

// withBlock makes a reply of a block.
func (m *Methods) withBlock(ctx context.Context, at rpc.BlockNumberOrHash, fn func(*sight.View, *blocks.Block) (any, error)) (json.RawMessage, error) {
	v, b, err := m.block(ctx, group.Blocks, at)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	value, err := fn(v, b)
	return m.s.Reply(ctx, value, err, smaller)
}

// GetRawHeader is a block's header in RLP.
func (m *Methods) GetRawHeader(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(_ *sight.View, b *blocks.Block) (any, error) {
		enc, err := rlp.EncodeToBytes(b.Header)
		return hexutil.Bytes(enc), err
	})
}

// GetRawBlock is a block in RLP.
func (m *Methods) GetRawBlock(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(v *sight.View, b *blocks.Block) (any, error) {
		body := types.Body{Transactions: make(types.Transactions, len(b.Txs))}
		for i := range b.Txs {
			t, err := v.TransactionOf(ctx, b, i)
			if err != nil {
				return nil, err
			}
			body.Transactions[i] = t.Tx
		}
		if hash := b.Header.WithdrawalsHash; hash != nil {
			if *hash != types.EmptyWithdrawalsHash {
				return nil, fmt.Errorf("%w: block %d has withdrawals, which this ledger does not hold", coco.ErrMissing, b.Number())
			}
			body.Withdrawals = types.Withdrawals{}
		}
		enc, err := rlp.EncodeToBytes(types.NewBlockWithHeader(b.Header).WithBody(body))
		return hexutil.Bytes(enc), err
	})
}

// GetRawReceipts is the receipts of a block in their consensus encoding.
func (m *Methods) GetRawReceipts(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(v *sight.View, b *blocks.Block) (any, error) {
		out := make([]hexutil.Bytes, len(b.Txs))
		for i := range b.Txs {
			t, err := v.TransactionOf(ctx, b, i)
			if err != nil {
				return nil, err
			}
			r := *t.Receipt
			err = t.EachLog(b, func(l *types.Log) error {
				r.Logs = append(r.Logs, l)
				return nil
			})
			if err != nil {
				return nil, err
			}
			if out[i], err = r.MarshalBinary(); err != nil {
				return nil, err
			}
		}
		return out, nil
	})
}

// GetRawTransaction is a transaction as it was signed; 0x if there is none.
func (m *Methods) GetRawTransaction(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	var enc hexutil.Bytes
	v, err := m.s.View(ctx, adapter.Read{Subject: adapter.State, Table: rows.Txs, Key: hash[:]})
	if err == nil {
		defer v.Release()
		var t *blocks.Transaction
		if t, err = v.Transaction(ctx, hash); err == nil {
			enc, err = t.Tx.MarshalBinary()
		}
	}
	if errors.Is(err, coco.ErrNotFound) {
		err = nil
	}
	return m.s.Reply(ctx, enc, err, smaller)
}

// GetBadBlocks is empty: no block that was executed is refused later.
func (m *Methods) GetBadBlocks() []struct{} { return []struct{}{} }

// codeNotFound is what the execution-apis specify for a part of a block that is not there.
const codeNotFound = -32001

var errNoAccessList = group.Errorf(codeNotFound, "the block has no access list: no rules of this network make one (EIP-7928)")

// GetRawBlockAccessList is refused for every block: none has an access list (EIP-7928).
func (m *Methods) GetRawBlockAccessList(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(*sight.View, *blocks.Block) (any, error) { return nil, errNoAccessList })
}

// GetBlockAccessList is null: no block has an access list (EIP-7928).
func (e *Encodings) GetBlockAccessList(ctx context.Context, _ rpc.BlockNumberOrHash) (json.RawMessage, error) {
	v, err := e.m.s.View(ctx, group.Blocks)
	if err != nil {
		return nil, e.m.s.Fail(err)
	}
	v.Release()
	return json.RawMessage("null"), nil
}

// Encodings is the methods of the namespace eth that return transactions as they were signed.
type Encodings struct{ m *Methods }

// NewEncodings returns the methods.
func NewEncodings(s *group.Server) *Encodings { return &Encodings{New(s)} }

// GetRawTransactionByBlockNumberAndIndex is a transaction of a block; 0x if there is none.
func (e *Encodings) GetRawTransactionByBlockNumberAndIndex(ctx context.Context, n rpc.BlockNumber, index hexutil.Uint) (json.RawMessage, error) {
	return e.ofBlock(ctx, rpc.BlockNumberOrHashWithNumber(n), index)
}

// GetRawTransactionByBlockHashAndIndex is a transaction of a block; 0x if there is none.
func (e *Encodings) GetRawTransactionByBlockHashAndIndex(ctx context.Context, hash common.Hash, index hexutil.Uint) (json.RawMessage, error) {
	return e.ofBlock(ctx, rpc.BlockNumberOrHashWithHash(hash, false), index)
}

func (e *Encodings) ofBlock(ctx context.Context, at rpc.BlockNumberOrHash, index hexutil.Uint) (json.RawMessage, error) {
	v, err := e.m.s.View(ctx, group.Blocks)
	if err != nil {
		return nil, e.m.s.Fail(err)
	}
	defer v.Release()
	var enc hexutil.Bytes
	b, err := group.BlockAt(ctx, v, at)
	if err == nil && uint64(index) < uint64(len(b.Txs)) {
		var t *blocks.Transaction
		if t, err = v.TransactionOf(ctx, b, int(index)); err == nil {
			enc, err = t.Tx.MarshalBinary()
		}
	}
	if errors.Is(err, coco.ErrNotFound) {
		err = nil
	}
	return e.m.s.Reply(ctx, enc, err, smaller)
}
