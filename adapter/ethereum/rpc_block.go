package ethereum

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
)

// absent turns "not found" into null, which is how the specification says it.
func absent(err error) (json.RawMessage, error) {
	if errors.Is(err, coco.ErrNotFound) {
		return null, nil
	}
	return nil, rpcErrorOf(err)
}

// blockAt returns the block that a parameter means.
func blockAt(ctx context.Context, v *View, at rpc.BlockNumberOrHash) (*Block, error) {
	if hash, ok := at.Hash(); ok {
		return v.BlockByHash(ctx, hash)
	}
	n, _ := at.Number()
	return v.Block(ctx, resolveNumber(n, v.Number()))
}

// withBlock calls fn with a block of the past; null if there is none.
func (m *ethMethods) withBlock(ctx context.Context, at rpc.BlockNumberOrHash, fn func(*View, *Block) (json.RawMessage, error)) (json.RawMessage, error) {
	v := m.s.view(exchangeOf(ctx))
	defer v.Release()
	b, err := blockAt(ctx, v, at)
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
	return m.withBlock(ctx, at, func(v *View, b *Block) (json.RawMessage, error) {
		if !full {
			return appendBlock(nil, b, nil), nil
		}
		txs, err := v.Transactions(ctx, b)
		if err != nil {
			return nil, err
		}
		return appendBlock(nil, b, txs), nil
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
	return m.withBlock(ctx, at, func(_ *View, b *Block) (json.RawMessage, error) {
		return appendHead(nil, b), nil
	})
}

// GetBlockReceipts is the receipts of a block's transactions.
func (m *ethMethods) GetBlockReceipts(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(v *View, b *Block) (json.RawMessage, error) {
		txs, err := v.Transactions(ctx, b)
		if err != nil {
			return nil, err
		}
		out := []byte{'['}
		for i, t := range txs {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendReceipt(out, t)
		}
		return append(out, ']'), nil
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
	return m.withBlock(ctx, at, func(_ *View, b *Block) (json.RawMessage, error) {
		return appendQuantity(nil, uint64(len(b.Txs))), nil
	})
}

// GetUncleCountByBlockNumber is 0: nobody mines.
func (m *ethMethods) GetUncleCountByBlockNumber(ctx context.Context, n rpc.BlockNumber) (json.RawMessage, error) {
	return m.uncleCount(ctx, byNumber(n))
}

// GetUncleCountByBlockHash is 0: nobody mines.
func (m *ethMethods) GetUncleCountByBlockHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	return m.uncleCount(ctx, byHash(hash))
}

func (m *ethMethods) uncleCount(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	return m.withBlock(ctx, at, func(*View, *Block) (json.RawMessage, error) {
		return appendQuantity(nil, 0), nil
	})
}

// GetUncleByBlockNumberAndIndex is null: nobody mines.
func (m *ethMethods) GetUncleByBlockNumberAndIndex(rpc.BlockNumber, hexutil.Uint) json.RawMessage {
	return null
}

// GetUncleByBlockHashAndIndex is null: nobody mines.
func (m *ethMethods) GetUncleByBlockHashAndIndex(common.Hash, hexutil.Uint) json.RawMessage {
	return null
}

// GetTransactionByHash is an included transaction; there are no others.
func (m *ethMethods) GetTransactionByHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	v := m.s.view(exchangeOf(ctx))
	defer v.Release()
	t, b, err := v.transaction(ctx, hash)
	if err != nil {
		return absent(err)
	}
	return appendTransaction(nil, t, b), nil
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
	return m.withBlock(ctx, at, func(v *View, b *Block) (json.RawMessage, error) {
		if uint64(i) >= uint64(len(b.Txs)) {
			return null, nil
		}
		t, err := v.transactionOf(ctx, b, int(i))
		if err != nil {
			return nil, err
		}
		return appendTransaction(nil, t, b), nil
	})
}

// GetRawTransactionByHash is the encoding that was signed.
func (m *ethMethods) GetRawTransactionByHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	v := m.s.view(exchangeOf(ctx))
	defer v.Release()
	t, err := v.Transaction(ctx, hash)
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
	return appendData(nil, raw), nil
}

// GetTransactionReceipt is null until the transaction is committed.
func (m *ethMethods) GetTransactionReceipt(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	return rpcResult(m.s.appendReceiptOf(ctx, exchangeOf(ctx), nil, hash))
}

// appendReceiptOf writes a transaction's receipt, or null.
func (s *rpcServer) appendReceiptOf(ctx context.Context, x *exchange, b []byte, hash common.Hash) ([]byte, error) {
	v := s.view(x)
	defer v.Release()
	t, err := v.Transaction(ctx, hash)
	if errors.Is(err, coco.ErrNotFound) {
		return append(b, null...), nil
	}
	if err != nil {
		return b, err
	}
	return appendReceipt(b, t), nil
}
