package development

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/development"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/debug"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/adapter/ethereum/wellknown"
)

// Accounts is the methods of the namespace eth for the accounts of the node: those whose keys everybody knows, and those that are impersonated.
type Accounts struct{ s server }

func newAccounts(s server) *Accounts { return &Accounts{s} }

// unlocked are the accounts for which the node signs.
var unlocked = sync.OnceValues(func() ([]wellknown.Account, error) { return wellknown.Accounts(wellknown.Count) })

// Accounts lists the accounts for which the node signs.
func (m *Accounts) Accounts() ([]common.Address, error) {
	list, err := unlocked()
	out := make([]common.Address, len(list))
	for i, a := range list {
		out[i] = a.Address
	}
	return out, m.s.Fail(err)
}

func (m *Accounts) account(addr common.Address) (*wellknown.Account, error) {
	list, err := unlocked()
	if err != nil {
		return nil, m.s.Fail(err)
	}
	if i := slices.IndexFunc(list, func(a wellknown.Account) bool { return a.Address == addr }); i >= 0 {
		return &list[i], nil
	}
	return nil, invalid("unknown account %v", addr)
}

// Sign signs a message as wallets do (EIP-191).
func (m *Accounts) Sign(addr common.Address, data hexutil.Bytes) (hexutil.Bytes, error) {
	return m.sign(addr, accounts.TextHash(data))
}

func (m *Accounts) sign(addr common.Address, hash []byte) (hexutil.Bytes, error) {
	a, err := m.account(addr)
	if err != nil {
		return nil, err
	}
	sig, err := crypto.Sign(hash, a.Key)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	sig[crypto.RecoveryIDOffset] += 27
	return sig, nil
}

// SignTypedData_v4 signs typed data (EIP-712), which is an object, or its text.
func (m *Accounts) SignTypedData_v4(addr common.Address, data json.RawMessage) (hexutil.Bytes, error) {
	var text string
	if json.Unmarshal(data, &text) == nil {
		data = []byte(text)
	}
	var typed apitypes.TypedData
	if err := json.Unmarshal(data, &typed); err != nil {
		return nil, invalid("typed data: %v", err)
	}
	hash, _, err := apitypes.TypedDataAndHash(typed)
	if err != nil {
		return nil, invalid("typed data: %v", err)
	}
	return m.sign(addr, hash)
}

// SignTypedData is SignTypedData_v4.
func (m *Accounts) SignTypedData(addr common.Address, data json.RawMessage) (hexutil.Bytes, error) {
	return m.SignTypedData_v4(addr, data)
}

// signed is the result of eth_signTransaction.
type signed struct {
	Raw hexutil.Bytes      `json:"raw"`
	Tx  *types.Transaction `json:"tx"`
}

// SignTransaction signs a transaction, and sends nothing.
func (m *Accounts) SignTransaction(ctx context.Context, args callargs.Args) (*signed, error) {
	tx, err := m.complete(ctx, &args)
	if err != nil {
		return nil, err
	}
	raw, err := tx.MarshalBinary()
	return &signed{raw, tx}, m.s.Fail(err)
}

// SendTransaction sends a transaction of an account of the node, or of one that is impersonated. Unless it waits for a block, a transaction that fails is
// answered by its error, as Hardhat does; it is in a block all the same.
func (m *Accounts) SendTransaction(ctx context.Context, args callargs.Args) (common.Hash, error) {
	tx, err := m.complete(ctx, &args)
	if err != nil {
		return common.Hash{}, err
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return common.Hash{}, m.s.Fail(err)
	}
	res := m.s.Send(ctx, raw)
	if res.Err != nil {
		return common.Hash{}, m.s.Fail(res.Err)
	}
	return res.Hash, m.failed(ctx, res.Hash)
}

// complete completes and signs a transaction.
func (m *Accounts) complete(ctx context.Context, args *callargs.Args) (*types.Transaction, error) {
	if args.From == nil {
		return nil, invalid("from: missing")
	}
	mode, err := m.s.mode()
	if err != nil {
		return nil, err
	}
	from := *args.From
	account, unknown := m.account(from)
	if unknown != nil && !mode.Impersonates(from) {
		return nil, unknown
	}
	v, err := m.s.View(ctx, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	if args.Nonce == nil {
		nonce, err := v.PendingNonce(ctx, m.s.Ledger, from)
		if err != nil {
			return nil, m.s.Fail(err)
		}
		args.Nonce = (*hexutil.Uint64)(&nonce)
	}
	m.price(args)
	if args.Gas == nil {
		gas := m.s.Ledger.Settings().GasLimit
		if mode.GasLimit > 0 {
			gas = mode.GasLimit
		}
		if c := m.s.Ledger.ChainConfig(); c.OsakaTime != nil {
			gas = min(gas, params.MaxTxGas)
		}
		args.Gas = (*hexutil.Uint64)(&gas)
	}
	base, id := m.s.Ledger.BaseFee(), m.s.Ledger.ChainID()
	msg, err := args.Message(sender(from), base, id)
	if err != nil {
		return nil, invalid("%v", err)
	}
	tx := args.Transaction(msg, base, id)
	if unknown == nil {
		tx, err = types.SignTx(tx, m.s.Ledger.Signer(), account.Key)
	} else {
		tx, err = development.Unsigned(tx, from, m.s.Ledger.Signer())
	}
	return tx, m.s.Fail(err)
}

// sender is whose a message is.
type sender common.Address

// From implements callargs.Senders.
func (s sender) From(*common.Address) (common.Address, error) { return common.Address(s), nil }

// price fills in what a transaction offers: what is asked for.
func (m *Accounts) price(args *callargs.Args) {
	tip := (*hexutil.Big)(m.s.Ledger.Tip())
	switch base := m.s.Ledger.BaseFee(); {
	case args.GasPrice != nil:
	case base == nil:
		args.GasPrice = tip
	default:
		if args.MaxPriorityFeePerGas == nil {
			args.MaxPriorityFeePerGas = tip
			if args.MaxFeePerGas != nil && args.MaxFeePerGas.ToInt().Cmp(tip.ToInt()) < 0 {
				args.MaxPriorityFeePerGas = args.MaxFeePerGas
			}
		}
		if args.MaxFeePerGas == nil {
			most := new(big.Int).Lsh(base, 1)
			args.MaxFeePerGas = (*hexutil.Big)(most.Add(most, args.MaxPriorityFeePerGas.ToInt()))
		}
	}
}

// failed is the error of a transaction that has failed, and nil for any other.
func (m *Accounts) failed(ctx context.Context, hash common.Hash) error {
	v, err := m.s.View(ctx, group.AnyState)
	if err != nil {
		return m.s.Fail(err)
	}
	defer v.Release()
	t, b, err := v.TransactionInBlock(ctx, hash)
	if errors.Is(err, coco.ErrNotFound) {
		return nil // it waits for a block
	}
	if err != nil || t.Receipt.Status == types.ReceiptStatusSuccessful {
		return m.s.Fail(err)
	}
	frames, err := debug.Calls(ctx, m.s.Server, v, b, int(t.Index), int(t.Index))
	switch {
	case err != nil:
		return m.s.Fail(err)
	case frames[0].Error == vm.ErrExecutionReverted.Error():
		return group.Reverted(frames[0].Output)
	}
	return group.Errorf(group.CodeServer, "%s", frames[0].Error)
}

// GetTransactionByHash is an included transaction, or one that waits for a block.
func (m *Accounts) GetTransactionByHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	v, err := m.s.View(ctx, adapter.Read{Subject: adapter.State, Table: rows.Txs, Key: hash[:]})
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	return m.transaction(ctx, v, hash)
}

func (m *Accounts) transaction(ctx context.Context, v *sight.View, hash common.Hash) (json.RawMessage, error) {
	const instead = "ask for a vote to raise the limit"
	out := m.s.Buffer(ctx)
	t, b, err := v.TransactionInBlock(ctx, hash)
	if err == nil {
		return m.s.Result(ctx, out, encode.WriteTransaction(out, t, b), instead)
	}
	w, ok := m.s.Ledger.Sending().Get(hash)
	switch {
	case !errors.Is(err, coco.ErrNotFound):
		return nil, m.s.Fail(err)
	case !ok:
		return json.RawMessage("null"), nil
	}
	return m.s.Result(ctx, out, encode.WritePending(out, w.Signed, w.From), instead)
}

// Personal is the namespace personal.
type Personal struct{ accounts *Accounts }

// Sign signs a message as wallets do (EIP-191).
func (m *Personal) Sign(data hexutil.Bytes, addr common.Address, _ *string) (hexutil.Bytes, error) {
	return m.accounts.Sign(addr, data)
}
