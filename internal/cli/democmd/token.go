package democmd

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

const tokenSymbol = "DEMO"

// token is an ERC-20 token whose holders are the members, each with one of the sandbox's accounts
// and its own node.
type token struct {
	names   []string
	clients []*client.Client
	keys    []*ecdsa.PrivateKey
	holders []common.Address
	signer  types.Signer
	address common.Address
	last    common.Hash // of the last transaction
}

func newToken(info localnet.Info, names []string, clients []*client.Client) (*token, error) {
	t := &token{names: names, clients: clients, signer: types.LatestSignerForChainID(new(big.Int).SetUint64(info.ChainID))}
	if len(info.Accounts) < len(clients) {
		return nil, fmt.Errorf("%w: %d accounts for %d members", coco.ErrCorrupt, len(info.Accounts), len(clients))
	}
	for _, acc := range info.Accounts[:len(clients)] {
		key, err := ethcrypto.HexToECDSA(strings.TrimPrefix(acc.Key, "0x"))
		if err != nil {
			return nil, fmt.Errorf("%w: key of account %s in sandbox.json", coco.ErrCorrupt, acc.Address)
		}
		t.keys = append(t.keys, key)
		t.holders = append(t.holders, ethcrypto.PubkeyToAddress(key.PublicKey))
	}
	return t, nil
}

// send signs a transaction of a holder and sends it through a node. The answer means that it is
// committed.
func (t *token) send(ctx context.Context, node, from int, to *common.Address, gas uint64, data []byte) (coco.TxID, error) {
	c := t.clients[node]
	var nonce hexutil.Uint64
	if _, err := c.RPC(ctx, &nonce, "eth_getTransactionCount", t.holders[from], "pending"); err != nil {
		return coco.TxID{}, err
	}
	tx, err := types.SignNewTx(t.keys[from], t.signer, &types.DynamicFeeTx{
		ChainID: t.signer.ChainID(), Nonce: uint64(nonce), To: to, Gas: gas, Data: data,
		GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Value: new(big.Int),
	})
	if err != nil {
		return coco.TxID{}, err
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return coco.TxID{}, err
	}
	id, err := c.RPC(ctx, nil, "eth_sendRawTransaction", hexutil.Bytes(raw))
	if err != nil {
		return coco.TxID{}, err
	}
	if id == (coco.TxID{}) {
		return id, fmt.Errorf("%w: %s took the transaction without naming its id in the header %s", coco.ErrVerify, t.names[node], wire.HeaderTxID)
	}
	t.last = tx.Hash()
	r, err := t.receipt(ctx, node)
	if err != nil {
		return id, err
	}
	if r.Status != 1 {
		return id, fmt.Errorf("transaction %s (%s) reverted", id, tx.Hash())
	}
	if to == nil && r.ContractAddress != nil {
		t.address = *r.ContractAddress
	}
	return id, nil
}

// ethReceipt is what is needed of eth_getTransactionReceipt.
type ethReceipt struct {
	Status          hexutil.Uint64  `json:"status"`
	ContractAddress *common.Address `json:"contractAddress"` // of a deployment only
}

// catchUp bounds how long a node may lag behind a commit.
const catchUp = 5 * time.Second

// receipt waits until a node has applied the last transaction.
func (t *token) receipt(ctx context.Context, node int) (*ethReceipt, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, catchUp, fmt.Errorf("%w: %s does not catch up with %s", coco.ErrNotCommitted, t.names[node], t.last))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var r *ethReceipt
		if _, err := t.clients[node].RPC(ctx, &r, "eth_getTransactionReceipt", t.last); err != nil || r != nil {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

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

// revertReason adds what the contract said.
func revertReason(err error) error {
	var rpc *client.RPCError
	if !errors.As(err, &rpc) || len(rpc.Data) < 2 {
		return err
	}
	var data hexutil.Bytes
	if data.UnmarshalJSON(rpc.Data) != nil {
		return err
	}
	return fmt.Errorf("%w: %s", err, contracts.RevertReason(data))
}
