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
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

// wallets are one account of the network for each organisation, and the clients of their nodes.
type wallets struct {
	names   []string
	clients []*client.Client
	keys    []*ecdsa.PrivateKey
	holders []common.Address
	signer  types.Signer
	address common.Address // of the contract that was created last
	last    common.Hash    // of the last transaction
	raw     []byte         // the same, as it was signed
	block   uint64         // its block
}

func newWallets(info localnet.Info, names []string, clients []*client.Client) (*wallets, error) {
	w := &wallets{names: names, clients: clients, signer: types.LatestSignerForChainID(new(big.Int).SetUint64(info.ChainID))}
	if len(info.Accounts) < len(clients) {
		return nil, fmt.Errorf("%w: %d accounts for %d members", coco.ErrCorrupt, len(info.Accounts), len(clients))
	}
	for _, acc := range info.Accounts[:len(clients)] {
		key, err := ethcrypto.HexToECDSA(strings.TrimPrefix(acc.Key, "0x"))
		if err != nil {
			return nil, fmt.Errorf("%w: key of account %s in sandbox.json", coco.ErrCorrupt, acc.Address)
		}
		w.keys = append(w.keys, key)
		w.holders = append(w.holders, ethcrypto.PubkeyToAddress(key.PublicKey))
	}
	return w, nil
}

// send signs a transaction of a holder and sends it through a node. The answer means that it is
// committed.
func (w *wallets) send(ctx context.Context, node, from int, to *common.Address, gas uint64, data []byte) (coco.TxID, error) {
	c := w.clients[node]
	var nonce hexutil.Uint64
	if _, err := c.RPC(ctx, &nonce, "eth_getTransactionCount", w.holders[from], "pending"); err != nil {
		return coco.TxID{}, err
	}
	tx, err := types.SignNewTx(w.keys[from], w.signer, &types.DynamicFeeTx{
		ChainID: w.signer.ChainID(), Nonce: uint64(nonce), To: to, Gas: gas, Data: data,
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
		return id, fmt.Errorf("%w: %s took the transaction without naming its id in the header %s", coco.ErrVerify, w.names[node], wire.HeaderTxID)
	}
	w.last, w.raw = tx.Hash(), raw
	r, err := w.receipt(ctx, node)
	if err != nil {
		return id, err
	}
	if r.Status != 1 {
		return id, fmt.Errorf("transaction %s (%s) reverted", id, tx.Hash())
	}
	w.block = uint64(r.BlockNumber)
	if to == nil && r.ContractAddress != nil {
		w.address = *r.ContractAddress
	}
	return id, nil
}

// ethReceipt is what is needed of eth_getTransactionReceipt.
type ethReceipt struct {
	Status          hexutil.Uint64  `json:"status"`
	BlockNumber     hexutil.Uint64  `json:"blockNumber"`
	ContractAddress *common.Address `json:"contractAddress"` // of a deployment only
}

// catchUp bounds how long a node may lag behind a commit.
const catchUp = 5 * time.Second

// receipt waits until a node has applied the last transaction.
func (w *wallets) receipt(ctx context.Context, node int) (r *ethReceipt, err error) {
	late := fmt.Errorf("%w: %s does not catch up with %s", coco.ErrNotCommitted, w.names[node], w.last)
	err = until(ctx, late, func(ctx context.Context) (bool, error) {
		_, err := w.clients[node].RPC(ctx, &r, "eth_getTransactionReceipt", w.last)
		return r != nil, err
	})
	return r, err
}

// reached waits until a node has applied the block of the last transaction.
func (w *wallets) reached(ctx context.Context, node int) error {
	late := fmt.Errorf("%w: %s does not catch up with block %d", coco.ErrNotCommitted, w.names[node], w.block)
	return until(ctx, late, func(ctx context.Context) (bool, error) {
		var number hexutil.Uint64
		_, err := w.clients[node].RPC(ctx, &number, "eth_blockNumber")
		return uint64(number) >= w.block, err
	})
}

// until asks again and again whether something holds. It returns late if it does not within catchUp.
func until(ctx context.Context, late error, holds func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, catchUp, late)
	defer cancel()
	for {
		if ok, err := holds(ctx); ok || err != nil {
			return err
		}
		if !ctxtime.Sleep(ctx, 20*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
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
