// Package callargs is what the parameters of eth_call and its kin mean: a transaction object that need not be
// complete, and overrides of the state and of the block. The checks, and their texts, are go-ethereum's.
//
// Trust: enclave
package callargs

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
)

// Args is the transaction object of eth_call and eth_estimateGas.
type Args struct {
	From                 *common.Address `json:"from"`
	To                   *common.Address `json:"to"`
	Gas                  *hexutil.Uint64 `json:"gas"`
	GasPrice             *hexutil.Big    `json:"gasPrice"`
	MaxFeePerGas         *hexutil.Big    `json:"maxFeePerGas"`
	MaxPriorityFeePerGas *hexutil.Big    `json:"maxPriorityFeePerGas"`
	Value                *hexutil.Big    `json:"value"`
	Nonce                *hexutil.Uint64 `json:"nonce"`

	// Input is the newer name of Data, and wins.
	Data  *hexutil.Bytes `json:"data"`
	Input *hexutil.Bytes `json:"input"`

	AccessList        *types.AccessList            `json:"accessList"`
	ChainID           *hexutil.Big                 `json:"chainId"`
	BlobFeeCap        *hexutil.Big                 `json:"maxFeePerBlobGas"`
	BlobHashes        []common.Hash                `json:"blobVersionedHashes"`
	AuthorizationList []types.SetCodeAuthorization `json:"authorizationList"`
}

// Senders says from which address a message is that names one, or none.
type Senders interface {
	From(given *common.Address) (common.Address, error)
}

// Message checks the arguments as go-ethereum does and makes a message of them. A gas limit of
// zero means as much as is allowed.
//
// Whose message it is says senders: see sight.View.From.
func (a *Args) Message(senders Senders, baseFee, chainID *big.Int) (*core.Message, error) {
	dynamic := a.MaxFeePerGas != nil || a.MaxPriorityFeePerGas != nil
	switch {
	case a.BlobFeeCap != nil && len(a.BlobHashes) == 0:
		return nil, errors.New("maxFeePerBlobGas specified without blobVersionedHashes")
	case a.GasPrice != nil && dynamic:
		return nil, errors.New("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
	case a.To == nil && a.BlobHashes != nil:
		return nil, core.ErrBlobTxCreate
	case a.To == nil && a.AuthorizationList != nil:
		return nil, core.ErrSetCodeTxCreate
	case a.ChainID != nil && a.ChainID.ToInt().Cmp(chainID) != 0:
		return nil, fmt.Errorf("chainId does not match node's (have=%v, want=%v)", a.ChainID.ToInt(), chainID)
	case baseFee == nil && dynamic:
		return nil, errors.New("maxFeePerGas and maxPriorityFeePerGas are not valid before London is active")
	}
	msg := &core.Message{
		To:                    a.To,
		Value:                 word(a.Value),
		GasPrice:              word(a.GasPrice),
		Data:                  a.data(),
		BlobHashes:            a.BlobHashes,
		SetCodeAuthorizations: a.AuthorizationList,
	}
	var err error
	if msg.From, err = senders.From(a.From); err != nil {
		return nil, err
	}
	if a.Gas != nil {
		msg.GasLimit = uint64(*a.Gas)
	}
	if a.Nonce != nil {
		msg.Nonce = uint64(*a.Nonce)
	}
	if a.AccessList != nil {
		msg.AccessList = *a.AccessList
	}
	if a.BlobFeeCap != nil || a.BlobHashes != nil {
		msg.BlobGasFeeCap = word(a.BlobFeeCap)
	}
	msg.GasFeeCap, msg.GasTipCap = msg.GasPrice, msg.GasPrice
	if a.GasPrice == nil && dynamic {
		msg.GasFeeCap, msg.GasTipCap = word(a.MaxFeePerGas), word(a.MaxPriorityFeePerGas)
		msg.GasPrice = new(uint256.Int).Add(msg.GasTipCap, uint256.MustFromBig(baseFee))
		if msg.GasPrice.Cmp(msg.GasFeeCap) > 0 {
			msg.GasPrice = msg.GasFeeCap
		}
	}
	return msg, nil
}

// Transaction is what a message of the arguments would be sent as, without a signature: one with dynamic fees unless they
// say otherwise.
func (a *Args) Transaction(msg *core.Message, baseFee, chainID *big.Int) *types.Transaction {
	id, list := uint256.MustFromBig(chainID), msg.AccessList
	if list == nil {
		list = types.AccessList{}
	}
	switch {
	case a.AccessList != nil && a.GasPrice != nil:
		return types.NewTx(&types.AccessListTx{
			ChainID: chainID, Nonce: msg.Nonce, GasPrice: msg.GasPrice.ToBig(), Gas: msg.GasLimit, To: msg.To, Value: msg.Value.ToBig(), Data: msg.Data, AccessList: list,
		})
	case a.GasPrice != nil || baseFee == nil:
		return types.NewTx(&types.LegacyTx{
			Nonce: msg.Nonce, GasPrice: msg.GasPrice.ToBig(), Gas: msg.GasLimit, To: msg.To, Value: msg.Value.ToBig(), Data: msg.Data,
		})
	case a.AuthorizationList != nil:
		return types.NewTx(&types.SetCodeTx{
			ChainID: id, Nonce: msg.Nonce, GasTipCap: msg.GasTipCap, GasFeeCap: msg.GasFeeCap, Gas: msg.GasLimit, To: *msg.To, Value: msg.Value, Data: msg.Data, AccessList: list,
			AuthList: a.AuthorizationList,
		})
	case a.BlobHashes != nil:
		return types.NewTx(&types.BlobTx{
			ChainID: id, Nonce: msg.Nonce, GasTipCap: msg.GasTipCap, GasFeeCap: msg.GasFeeCap, Gas: msg.GasLimit, To: *msg.To, Value: msg.Value, Data: msg.Data, AccessList: list,
			BlobFeeCap: msg.BlobGasFeeCap, BlobHashes: a.BlobHashes,
		})
	}
	return types.NewTx(&types.DynamicFeeTx{
		ChainID: chainID, Nonce: msg.Nonce, GasTipCap: msg.GasTipCap.ToBig(), GasFeeCap: msg.GasFeeCap.ToBig(), Gas: msg.GasLimit, To: msg.To, Value: msg.Value.ToBig(), Data: msg.Data,
		AccessList: list,
	})
}

func (a *Args) data() []byte {
	if a.Input != nil {
		return *a.Input
	}
	if a.Data != nil {
		return *a.Data
	}
	return nil
}

// word converts an amount; hexutil has refused those of more than 256 bits already.
func word(n *hexutil.Big) *uint256.Int {
	if n == nil {
		return new(uint256.Int)
	}
	w, _ := uint256.FromBig(n.ToInt())
	return w
}

// StateOverride is the third parameter of eth_call.
type StateOverride map[common.Address]struct {
	Nonce            *hexutil.Uint64             `json:"nonce"`
	Code             *hexutil.Bytes              `json:"code"`
	Balance          *hexutil.Big                `json:"balance"`
	State            map[common.Hash]common.Hash `json:"state"`
	StateDiff        map[common.Hash]common.Hash `json:"stateDiff"`
	MovePrecompileTo *common.Address             `json:"movePrecompileToAddress"`
}

// Accounts translates the overrides; nil if there are none.
func (o *StateOverride) Accounts() chain.StateOverride {
	if o == nil || len(*o) == 0 {
		return nil
	}
	out := make(chain.StateOverride, len(*o))
	for addr, a := range *o {
		account := statedb.Override{State: a.State, StateDiff: a.StateDiff, MovePrecompileTo: a.MovePrecompileTo}
		if a.Nonce != nil {
			account.Nonce = (*uint64)(a.Nonce)
		}
		if a.Code != nil {
			account.Code = (*[]byte)(a.Code)
		}
		if a.Balance != nil {
			account.Balance = word(a.Balance)
		}
		out[addr] = account
	}
	return out
}

// BlockOverride is the fourth parameter of eth_call.
type BlockOverride struct {
	Number        *hexutil.Big
	Difficulty    *hexutil.Big
	Time          *hexutil.Uint64
	GasLimit      *hexutil.Uint64
	FeeRecipient  *common.Address
	PrevRandao    *common.Hash
	BaseFeePerGas *hexutil.Big
	BlobBaseFee   *hexutil.Big
	BeaconRoot    *common.Hash
	Withdrawals   *types.Withdrawals
}

// Options translates the overrides.
func Options(state *StateOverride, block *BlockOverride) (*chain.CallOptions, error) {
	o := &chain.CallOptions{State: state.Accounts()}
	for addr, a := range o.State {
		if a.State != nil && a.StateDiff != nil {
			return nil, fmt.Errorf("account %s has both 'state' and 'stateDiff'", addr.Hex())
		}
	}
	if block != nil {
		if block.BeaconRoot != nil {
			return nil, errors.New(`block override "beaconRoot" is not supported for this RPC method`)
		}
		if block.Withdrawals != nil {
			return nil, errors.New(`block override "withdrawals" is not supported for this RPC method`)
		}
		o.Block = &chain.BlockOverrides{
			Number: block.Number.ToInt(), Difficulty: block.Difficulty.ToInt(),
			BaseFee: block.BaseFeePerGas.ToInt(), BlobBaseFee: block.BlobBaseFee.ToInt(),
			Time: (*uint64)(block.Time), GasLimit: (*uint64)(block.GasLimit),
			Coinbase: block.FeeRecipient, PrevRandao: block.PrevRandao,
		}
	}
	return o, nil
}
