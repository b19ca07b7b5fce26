package states

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/tracers/logger"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/dryrun"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// accesses is the reply to eth_createAccessList.
type accesses struct {
	AccessList types.AccessList `json:"accessList"`
	Error      string           `json:"error,omitempty"`
	GasUsed    hexutil.Uint64   `json:"gasUsed"`
}

// CreateAccessList lists the accounts and slots that a message needs, beside its own and the precompiles (EIP-2930). It meets
// the next block unless a block is named, as an estimate does.
func (m *Methods) CreateAccessList(ctx context.Context, args callargs.Args, at *rpc.BlockNumberOrHash, state *callargs.StateOverride) (json.RawMessage, error) {
	v, err := m.s.ViewAt(ctx, at, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	var out *accesses
	err = m.s.Guarded(ctx, func(ctx context.Context) (err error) {
		out, err = m.accesses(ctx, v, &args, v.Prepare(state.Accounts()), isTag(at))
		return err
	})
	return m.s.Reply(ctx, out, err, "give the message less gas")
}

// isTag tells whether a block parameter is a word that means the newest block, or is missing.
func isTag(at *rpc.BlockNumberOrHash) bool {
	if at == nil {
		return true
	}
	n, ok := at.Number()
	return ok && n < 0 && n != rpc.EarliestBlockNumber
}

// accesses executes the message until the list that it is given is the one that it needs.
func (m *Methods) accesses(ctx context.Context, v *sight.View, args *callargs.Args, state chain.StateOverride, next bool) (*accesses, error) {
	l := m.s.Ledger
	header, err := v.HeaderFor(ctx, l, next)
	if err != nil {
		return nil, err
	}
	msg, err := args.Message(v, header.BaseFee, l.ChainID())
	if err != nil {
		return nil, err
	}
	var exclude map[common.Address]struct{}
	before := logger.NewAccessListTracer(msg.AccessList, nil)
	for first := true; ; first = false {
		run := dryrun.New(ctx, l, v)
		block := run.BlockContext(header)
		run.Unsigned(msg)
		chain.WaiveFees(&block, msg)
		if next {
			run.Begin(header)
		}
		rules := l.ChainConfig().Rules(block.BlockNumber, block.Random != nil, block.Time)
		run.Precompiles = vm.ActivePrecompiledContracts(rules)
		if err := run.DB.OverrideAll(state, run.Precompiles); err != nil {
			return nil, err
		}
		if first {
			if args.Nonce == nil {
				msg.Nonce = run.DB.GetNonce(msg.From)
			}
			exclude = excluded(msg, vm.ActivePrecompiles(rules), l.ChainID())
			before = logger.NewAccessListTracer(msg.AccessList, exclude)
		}
		msg.AccessList = before.AccessList()
		tracer := logger.NewAccessListTracer(msg.AccessList, exclude)
		evm, release := run.EVM(block, vm.Config{Tracer: tracer.Hooks(), NoBaseFee: true})
		result, err := core.ApplyMessage(evm, msg, nil)
		release()
		if failed := run.Err(); failed != nil {
			return nil, failed
		}
		if err != nil {
			return nil, fmt.Errorf("failed to apply transaction: %w", err)
		}
		if tracer.Equal(before) {
			out := &accesses{AccessList: msg.AccessList, GasUsed: hexutil.Uint64(result.UsedGas)}
			if result.Err != nil {
				out.Error = result.Err.Error()
			}
			return out, nil
		}
		before = tracer
	}
}

// excluded are the accounts that are warm without a list.
func excluded(msg *core.Message, precompiles []common.Address, chainID *big.Int) map[common.Address]struct{} {
	out := map[common.Address]struct{}{msg.From: {}}
	if msg.To != nil {
		out[*msg.To] = struct{}{}
	} else {
		out[crypto.CreateAddress(msg.From, msg.Nonce)] = struct{}{}
	}
	for _, addr := range precompiles {
		out[addr] = struct{}{}
	}
	for _, a := range msg.SetCodeAuthorizations {
		if !a.ChainID.IsZero() && a.ChainID.CmpBig(chainID) != 0 || a.Nonce+1 < a.Nonce {
			continue
		}
		if authority, err := a.Authority(); err == nil {
			out[authority] = struct{}{}
		}
	}
	return out
}
