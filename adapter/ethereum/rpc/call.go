package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
)

// callArgs is the transaction object of eth_call and eth_estimateGas.
type callArgs struct {
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

// message checks the arguments as go-ethereum does and makes a message of them. A gas limit of
// zero means as much as is allowed.
func (a *callArgs) message(baseFee, chainID *big.Int) (*core.Message, error) {
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
	if a.From != nil {
		msg.From = *a.From
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

func (a *callArgs) data() []byte {
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

// stateOverride is the third parameter of eth_call.
type stateOverride map[common.Address]struct {
	Nonce            *hexutil.Uint64             `json:"nonce"`
	Code             *hexutil.Bytes              `json:"code"`
	Balance          *hexutil.Big                `json:"balance"`
	State            map[common.Hash]common.Hash `json:"state"`
	StateDiff        map[common.Hash]common.Hash `json:"stateDiff"`
	MovePrecompileTo *common.Address             `json:"movePrecompileToAddress"`
}

// blockOverride is the fourth parameter of eth_call.
type blockOverride struct {
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

// callOptions translates the overrides.
func callOptions(state *stateOverride, block *blockOverride) (*chain.CallOptions, error) {
	o := &chain.CallOptions{}
	if state != nil && len(*state) > 0 {
		o.State = make(chain.StateOverride, len(*state))
		for addr, a := range *state {
			if a.State != nil && a.StateDiff != nil {
				return nil, fmt.Errorf("account %s has both 'state' and 'stateDiff'", addr.Hex())
			}
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
			o.State[addr] = account
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

// isTag tells whether a block parameter is one of the words that mean the newest block here, or is missing.
func isTag(at *rpc.BlockNumberOrHash) bool {
	if at == nil {
		return true
	}
	n, ok := at.Number()
	return ok && n < 0 && n != rpc.EarliestBlockNumber
}

// isPending tells whether a block parameter is the word for the next block.
func isPending(at *rpc.BlockNumberOrHash) bool {
	n := rpc.LatestBlockNumber
	if at != nil {
		n, _ = at.Number()
	}
	return n == rpc.PendingBlockNumber
}

var pending = byNumber(rpc.PendingBlockNumber)

// callMessage runs eth_call and returns what the contract returned.
func (s *Server) callMessage(ctx context.Context, x *exchange, at *rpc.BlockNumberOrHash, args *callArgs, o *chain.CallOptions) ([]byte, error) {
	v, err := s.viewAt(ctx, x, at, readAccount(args.To))
	if err != nil {
		return nil, err
	}
	defer v.Release()
	o.Next = isPending(at)
	msg, err := args.message(s.baseFee(o), s.ledger.ChainID())
	if err != nil {
		return nil, err
	}
	var res *chain.CallResult
	err = s.calls.do(ctx, func(ctx context.Context) (err error) {
		res, err = s.ledger.Call(ctx, v, msg, o)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(res.Err, vm.ErrExecutionReverted):
		return nil, revertError(res.Return)
	case res.Err != nil:
		return nil, res.Err
	}
	return res.Return, nil
}

// estimate runs eth_estimateGas. What is estimated is about to be sent, so it meets the next block, unless a
// block is asked for by its number or hash.
func (s *Server) estimate(ctx context.Context, x *exchange, at *rpc.BlockNumberOrHash, args *callArgs, o *chain.CallOptions) (uint64, error) {
	v, err := s.viewAt(ctx, x, at, readAccount(args.To))
	if err != nil {
		return 0, err
	}
	defer v.Release()
	o.Next = isTag(at)
	msg, err := args.message(s.baseFee(o), s.ledger.ChainID())
	if err != nil {
		return 0, err
	}
	var gas uint64
	var res *chain.CallResult
	err = s.calls.do(ctx, func(ctx context.Context) (err error) {
		gas, res, err = s.ledger.EstimateGas(ctx, v, msg, o)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case gas == 0 && res != nil && errors.Is(res.Err, vm.ErrExecutionReverted):
		return 0, revertError(res.Return)
	case gas == 0 && res != nil && res.Err != nil:
		return 0, res.Err
	}
	return gas, nil
}

// baseFee is the base fee that a call meets.
func (s *Server) baseFee(o *chain.CallOptions) *big.Int {
	if o.Block != nil && o.Block.BaseFee != nil {
		return o.Block.BaseFee
	}
	return s.ledger.BaseFee()
}

// viewAt returns the state that a block parameter means. Blocks are final at once, so latest,
// safe, finalized and pending mean the same state, and so does no parameter; what is executed at pending
// meets another block (see chain.CallOptions).
func (s *Server) viewAt(ctx context.Context, x *exchange, at *rpc.BlockNumberOrHash, read adapter.Read) (*chain.View, error) {
	v, err := s.view(x, read)
	if err != nil || at == nil {
		return v, err
	}
	var number uint64
	if hash, ok := at.Hash(); ok {
		b, err := v.BlockByHash(ctx, hash)
		if err != nil {
			v.Release()
			if errors.Is(err, coco.ErrNotFound) {
				err = errors.New("header for hash not found")
			}
			return nil, err
		}
		number = b.Header.Number.Uint64()
	} else {
		n, _ := at.Number()
		number = resolveNumber(n, v.Number())
	}
	if number == v.Number() {
		return v, nil
	}
	head := v.Number()
	v.Release()
	if number > head {
		return nil, errors.New("header not found")
	}
	return s.ledger.ViewAt(ctx, number, s.pastReader(x))
}

// resolveNumber replaces a tag by the number of the block that it names.
func resolveNumber(n rpc.BlockNumber, head uint64) uint64 {
	switch {
	case n >= 0:
		return uint64(n)
	case n == rpc.EarliestBlockNumber:
		return 0
	}
	return head
}
