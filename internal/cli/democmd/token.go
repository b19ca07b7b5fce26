package democmd

import (
	"context"
	"math/big"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/contracts"
)

const tokenSymbol = "DEMO"

// token is an ERC-20 token whose holders are the members, each with one of the sandbox's accounts and its own node.
type token struct{ *wallets }

func (t *token) deploy(ctx context.Context, node int) (coco.TxID, error) {
	return t.send(ctx, node, 0, nil, 3_000_000, contracts.DeployToken("Demonstration", tokenSymbol, new(big.Int)))
}

func (t *token) mint(ctx context.Context, node, to int, amount int64) (coco.TxID, error) {
	return t.send(ctx, node, 0, &t.address, 200_000, contracts.Mint(t.holders[to], big.NewInt(amount)))
}

func (t *token) transfer(ctx context.Context, node, from, to int, amount int64) (coco.TxID, error) {
	return t.send(ctx, node, from, &t.address, 200_000, contracts.Transfer(t.holders[to], big.NewInt(amount)))
}

// balances reads what every holder has, as one node sees it once it has applied the last
// transaction.
func (t *token) balances(ctx context.Context, node int) ([]*big.Int, error) {
	if _, err := t.receipt(ctx, node); err != nil {
		return nil, err
	}
	var out []*big.Int
	for _, h := range t.holders {
		var ret hexutil.Bytes
		call := map[string]any{"to": t.address, "data": hexutil.Bytes(contracts.BalanceOf(h))}
		if _, err := t.clients[node].RPC(ctx, &ret, "eth_call", call, "latest"); err != nil {
			return nil, revertReason(err)
		}
		v, err := contracts.Uint(ret)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
