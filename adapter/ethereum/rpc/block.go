package rpc

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// absent turns "not found" into null, which is how the specification says it.
func absent(err error) (json.RawMessage, error) {
	if errors.Is(err, coco.ErrNotFound) {
		return encode.Null, nil
	}
	return nil, rpcErrorOf(err)
}

// withBlock calls fn with a block of the past; null if there is none.
func (m *ethMethods) withBlock(ctx context.Context, at rpc.BlockNumberOrHash, fn func(*sight.View, *blocks.Block) (json.RawMessage, error)) (json.RawMessage, error) {
	v, err := m.s.view(exchangeOf(ctx), readBlocks)
	if err != nil {
		return absent(err)
	}
	defer v.Release()
	b, err := group.BlockAt(ctx, v, at)
	if err != nil {
		return absent(err)
	}
	return rpcResult(fn(v, b))
}

func byNumber(n rpc.BlockNumber) rpc.BlockNumberOrHash { return rpc.BlockNumberOrHashWithNumber(n) }

func byHash(hash common.Hash) rpc.BlockNumberOrHash {
	return rpc.BlockNumberOrHashWithHash(hash, false)
}

// GetBlockByNumber is a block, with whole transactions if full.
func (m *ethMethods) GetBlockByNumber(ctx context.Context, n rpc.BlockNumber, full bool) (json.RawMessage, error) {
	return m.block(ctx, byNumber(n), full)
}

// GetBlockByHash is a block, with whole transactions if full.
func (m *ethMethods) GetBlockByHash(ctx context.Context, hash common.Hash, full bool) (json.RawMessage, error) {
	return m.block(ctx, byHash(hash), full)
}

func (m *ethMethods) block(ctx context.Context, at rpc.BlockNumberOrHash, full bool) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(v *sight.View, b *blocks.Block) (json.RawMessage, error) {
		x := exchangeOf(ctx)
		out := m.s.buffer(x)
		if !full {
			return m.s.result(x, out, encode.WriteBlock(out, b, nil), "ask for single transactions by eth_getTransactionByBlockNumberAndIndex")
		}
		err := encode.WriteBlock(out, b, func(i int) (*blocks.Transaction, error) { return v.TransactionOf(ctx, b, i) })
		return m.s.result(x, out, err, "ask for the block without its transactions, and for these by eth_getTransactionByBlockNumberAndIndex")
	})
}

// GetHeaderByNumber is a block without its transactions.
func (m *ethMethods) GetHeaderByNumber(ctx context.Context, n rpc.BlockNumber) (json.RawMessage, error) {
	return m.header(ctx, byNumber(n))
}

// GetHeaderByHash is a block without its transactions.
func (m *ethMethods) GetHeaderByHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	return m.header(ctx, byHash(hash))
}

func (m *ethMethods) header(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(_ *sight.View, b *blocks.Block) (json.RawMessage, error) {
		return encode.AppendHead(nil, b), nil
	})
}

// GetBlockReceipts is the receipts of a block's transactions.
func (m *ethMethods) GetBlockReceipts(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(v *sight.View, b *blocks.Block) (json.RawMessage, error) {
		x := exchangeOf(ctx)
		out := m.s.buffer(x)
		_, err := out.WriteString("[")
		for i := 0; i < len(b.Txs) && err == nil; i++ {
			if i > 0 {
				_, err = out.WriteString(",")
			}
			var t *blocks.Transaction
			if err == nil {
				t, err = v.TransactionOf(ctx, b, i)
			}
			if err == nil {
				err = encode.WriteReceipt(out, t, b)
			}
		}
		if err == nil {
			_, err = out.WriteString("]")
		}
		return m.s.result(x, out, err, "ask for single receipts by eth_getTransactionReceipt, or for logs by eth_getLogs")
	})
}

// GetBlockTransactionCountByNumber is the number of a block's transactions.
func (m *ethMethods) GetBlockTransactionCountByNumber(ctx context.Context, n rpc.BlockNumber) (json.RawMessage, error) {
	return m.transactionCount(ctx, byNumber(n))
}

// GetBlockTransactionCountByHash is the number of a block's transactions.
func (m *ethMethods) GetBlockTransactionCountByHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	return m.transactionCount(ctx, byHash(hash))
}

func (m *ethMethods) transactionCount(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(_ *sight.View, b *blocks.Block) (json.RawMessage, error) {
		return encode.AppendQuantity(nil, uint64(len(b.Txs))), nil
	})
}

// GetUncleCountByBlockNumber is 0: there is no mining.
func (m *ethMethods) GetUncleCountByBlockNumber(ctx context.Context, n rpc.BlockNumber) (json.RawMessage, error) {
	return m.uncleCount(ctx, byNumber(n))
}

// GetUncleCountByBlockHash is 0: there is no mining.
func (m *ethMethods) GetUncleCountByBlockHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	return m.uncleCount(ctx, byHash(hash))
}

func (m *ethMethods) uncleCount(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(*sight.View, *blocks.Block) (json.RawMessage, error) {
		return encode.AppendQuantity(nil, 0), nil
	})
}

// GetUncleByBlockNumberAndIndex is null: there is no mining.
func (m *ethMethods) GetUncleByBlockNumberAndIndex(rpc.BlockNumber, hexutil.Uint) json.RawMessage {
	return encode.Null
}

// GetUncleByBlockHashAndIndex is null: there is no mining.
func (m *ethMethods) GetUncleByBlockHashAndIndex(common.Hash, hexutil.Uint) json.RawMessage {
	return encode.Null
}

// GetTransactionByHash is an included transaction; there are no others.
func (m *ethMethods) GetTransactionByHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	v, err := m.s.view(exchangeOf(ctx), readTx(hash))
	if err != nil {
		return absent(err)
	}
	defer v.Release()
	t, b, err := v.TransactionInBlock(ctx, hash)
	if err != nil {
		return absent(err)
	}
	return m.transaction(ctx, t, b)
}

// transaction is an included transaction.
func (m *ethMethods) transaction(ctx context.Context, t *blocks.Transaction, b *blocks.Block) (json.RawMessage, error) {
	out := m.s.buffer(exchangeOf(ctx))
	return m.s.result(exchangeOf(ctx), out, encode.WriteTransaction(out, t, b), "ask for a vote to raise the limit")
}

// GetTransactionByBlockNumberAndIndex is one of a block's transactions.
func (m *ethMethods) GetTransactionByBlockNumberAndIndex(ctx context.Context, n rpc.BlockNumber, i hexutil.Uint) (json.RawMessage, error) {
	return m.transactionAt(ctx, byNumber(n), i)
}

// GetTransactionByBlockHashAndIndex is one of a block's transactions.
func (m *ethMethods) GetTransactionByBlockHashAndIndex(ctx context.Context, hash common.Hash, i hexutil.Uint) (json.RawMessage, error) {
	return m.transactionAt(ctx, byHash(hash), i)
}

func (m *ethMethods) transactionAt(ctx context.Context, at rpc.BlockNumberOrHash, i hexutil.Uint) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(v *sight.View, b *blocks.Block) (json.RawMessage, error) {
		if uint64(i) >= uint64(len(b.Txs)) {
			return encode.Null, nil
		}
		t, err := v.TransactionOf(ctx, b, int(i))
		if err != nil {
			return nil, err
		}
		return m.transaction(ctx, t, b)
	})
}

// GetRawTransactionByHash is the encoding that was signed.
func (m *ethMethods) GetRawTransactionByHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	v, err := m.s.view(exchangeOf(ctx), readTx(hash))
	var t *blocks.Transaction
	if err == nil {
		defer v.Release()
		t, err = v.Transaction(ctx, hash)
	}
	if errors.Is(err, coco.ErrNotFound) {
		return json.RawMessage(`"0x"`), nil
	}
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	raw, err := t.Tx.MarshalBinary()
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	return m.s.data(exchangeOf(ctx), raw)
}

// GetTransactionReceipt is null until the transaction is committed.
func (m *ethMethods) GetTransactionReceipt(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	return m.s.receiptOf(ctx, exchangeOf(ctx), hash)
}

// receiptOf is a transaction's receipt, or null.
func (s *Server) receiptOf(ctx context.Context, x *exchange, hash common.Hash) (json.RawMessage, error) {
	v, err := s.view(x, readTx(hash))
	if err != nil {
		return absent(err)
	}
	defer v.Release()
	t, b, err := v.TransactionInBlock(ctx, hash)
	if err != nil {
		return absent(err)
	}
	if t.TxID.Seqno > x.committed.Seqno {
		x.committed = t.TxID
	}
	out := s.buffer(x)
	return s.result(x, out, encode.WriteReceipt(out, t, b), "ask for its logs by eth_getLogs, with addresses and topics, or for a vote to raise the limit")
}
