// Package fill is the methods that complete a transaction by what this node knows: eth_fillTransaction leaves it to be signed, and
// coco_sendCall sends it for a caller whose credential stands for a signature (package calls).
//
// Trust: enclave
package fill

import (
	"context"
	"encoding/json"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// Methods is eth_fillTransaction, of the namespace eth.
type Methods struct{ s *group.Server }

// New returns the method.
func New(s *group.Server) *Methods { return &Methods{s} }

// filled is a transaction that lacks a signature only.
type filled struct {
	Raw hexutil.Bytes   `json:"raw"`
	Tx  json.RawMessage `json:"tx"`
}

// account is the read of an account; nil means any.
func account(addr *common.Address) adapter.Read {
	r := adapter.Read{Subject: adapter.State, Table: rows.Accounts}
	if addr != nil {
		r.Key = addr[:]
	}
	return r
}

// FillTransaction completes a transaction by what this node knows: the sender's next nonce, the fees, and an estimate of the gas.
func (m *Methods) FillTransaction(ctx context.Context, args callargs.Args) (*filled, error) {
	v, err := m.s.View(ctx, account(args.From))
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	if from, err := v.From(args.From); err != nil {
		return nil, m.s.Fail(err)
	} else if args.From != nil || !v.All() {
		args.From = &from
	}
	if args.Nonce == nil && args.From != nil {
		nonce, err := v.PendingNonce(ctx, m.s.Ledger, *args.From)
		if err != nil {
			return nil, m.s.Fail(err)
		}
		args.Nonce = (*hexutil.Uint64)(&nonce)
	}
	tx, msg, err := complete(ctx, m.s, v, &args)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	raw, err := tx.MarshalBinary()
	return &filled{raw, encode.AppendPending(nil, tx, msg.From)}, err
}

// complete fills in the fees and the gas.
func complete(ctx context.Context, s *group.Server, v callargs.Senders, args *callargs.Args) (*types.Transaction, *core.Message, error) {
	base, id := s.Ledger.BaseFee(), s.Ledger.ChainID()
	if tip := (*hexutil.Big)(s.Ledger.Tip()); args.GasPrice == nil && base == nil {
		args.GasPrice = tip
	} else if args.GasPrice == nil {
		if args.MaxPriorityFeePerGas == nil {
			args.MaxPriorityFeePerGas = tip
		}
		if args.MaxFeePerGas == nil {
			most := new(big.Int).Lsh(base, 1)
			args.MaxFeePerGas = (*hexutil.Big)(most.Add(most, args.MaxPriorityFeePerGas.ToInt()))
		}
	}
	if args.Gas == nil {
		gas, err := s.Estimate(ctx, args)
		if err != nil {
			return nil, nil, err
		}
		args.Gas = (*hexutil.Uint64)(&gas)
	}
	msg, err := args.Message(v, base, id)
	if err != nil {
		return nil, nil, err
	}
	return args.Transaction(msg, base, id), msg, nil
}
