package archiving

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
)

// Node asks a node by JSON-RPC.
type Node func(ctx context.Context, result any, method string, params ...any) error

// Newest is the number of the newest block of the node.
func (ask Node) Newest(ctx context.Context) (uint64, error) {
	var n hexutil.Uint64
	err := ask(ctx, &n, "eth_blockNumber")
	return uint64(n), err
}

// Header is the header of a block.
func (ask Node) Header(ctx context.Context, number uint64) (*types.Header, error) {
	b, err := ask.Block(ctx, number)
	if err != nil {
		return nil, err
	}
	return b.Block.Header(), nil
}

// Block is a block with its receipts. What a node says is checked against the block's header, and the header by whoever executes it. The error is coco.ErrVerify if they do
// not fit.
func (ask Node) Block(ctx context.Context, number uint64) (*archive.Item, error) {
	at := hexutil.Uint64(number)
	var enc hexutil.Bytes
	if err := ask(ctx, &enc, "debug_getRawBlock", at); err != nil {
		return nil, fmt.Errorf("block %d: %w (in a closed network auditors have it, whom the setting `auditors` names)", number, err)
	}
	it := &archive.Item{Block: new(types.Block), Receipts: types.Receipts{}}
	if err := rlp.DecodeBytes(enc, it.Block); err != nil {
		return nil, fmt.Errorf("%w: the node's block %d: %w", coco.ErrVerify, number, err)
	}
	var encs []hexutil.Bytes
	if err := ask(ctx, &encs, "debug_getRawReceipts", at); err != nil {
		return nil, fmt.Errorf("receipts of block %d: %w", number, err)
	}
	for i, e := range encs {
		r := new(types.Receipt)
		if err := r.UnmarshalBinary(e); err != nil {
			return nil, fmt.Errorf("%w: the node's receipt %d of block %d: %w", coco.ErrVerify, i, number, err)
		}
		it.Receipts = append(it.Receipts, r)
	}
	if found := it.Block.NumberU64(); found != number {
		return nil, fmt.Errorf("%w: the node was asked for block %d and answers with block %d", coco.ErrVerify, number, found)
	}
	if root := types.DeriveSha(it.Receipts, trie.NewStackTrie(nil)); root != it.Block.ReceiptHash() {
		return nil, fmt.Errorf("%w: the node's receipts of block %d have the root %v, and its header says %v", coco.ErrVerify, number, root, it.Block.ReceiptHash())
	}
	return it, nil
}
