// Package debug is the JSON-RPC namespace debug: blocks, receipts and transactions in their consensus encoding, and traces
// of what a transaction or a call does step by step.
//
// A trace executes again, on the state before the block, what precedes the transaction in its block, and then the
// transaction under a tracer of go-ethereum. A trace takes the time and the place of a call, and its memory is counted while it
// grows (meter.go). Tracers that clients write in JavaScript are not executed.
//
// Trust: enclave
package debug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/eth/tracers"
	"github.com/ethereum/go-ethereum/eth/tracers/logger"
	_ "github.com/ethereum/go-ethereum/eth/tracers/native" // lists the tracers
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/dryrun"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// offered are the tracers that clients can name; without a name they get the struct logger.
var offered = []string{"4byteTracer", "callTracer", "flatCallTracer", "noopTracer", "prestateTracer"}

// Methods is the namespace.
type Methods struct{ s *group.Server }

// New returns the methods.
func New(s *group.Server) *Methods { return &Methods{s} }

// instead is what to ask for if a trace is too large.
const instead = `trace single transactions, with "disableStack" and "disableStorage", or with the tracer "callTracer"`

var (
	errGenesis = errors.New("genesis is not traceable")
	errNoTx    = errors.New("transaction not found")
)

// txTrace is what a trace of a block has of a transaction.
type txTrace struct {
	TxHash common.Hash     `json:"txHash"`
	Result json.RawMessage `json:"result"`
}

// TraceTransaction traces a transaction of a block.
func (m *Methods) TraceTransaction(ctx context.Context, hash common.Hash, config *tracers.TraceConfig) (json.RawMessage, error) {
	v, err := m.s.View(ctx, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(hidden(err))
	}
	defer v.Release()
	t, b, err := v.TransactionInBlock(ctx, hash)
	if err != nil {
		return nil, m.s.Fail(hidden(err))
	}
	var result json.RawMessage
	err = m.guarded(ctx, config, func(s *session) error {
		return s.block(v, b, func(i int, t *blocks.Transaction) (err error) {
			result, err = s.transaction(b, t)
			return err
		}, int(t.Index), int(t.Index))
	})
	return m.s.Reply(ctx, result, err, instead)
}

// hidden answers for a transaction that the caller may not know of as for one that is not there.
func hidden(err error) error {
	if errors.Is(err, coco.ErrNotFound) {
		return errNoTx
	}
	return err
}

// TraceBlockByNumber traces the transactions of a block.
func (m *Methods) TraceBlockByNumber(ctx context.Context, n rpc.BlockNumber, config *tracers.TraceConfig) (json.RawMessage, error) {
	return m.traceBlock(ctx, rpc.BlockNumberOrHashWithNumber(n), config)
}

// TraceBlockByHash traces the transactions of a block.
func (m *Methods) TraceBlockByHash(ctx context.Context, hash common.Hash, config *tracers.TraceConfig) (json.RawMessage, error) {
	return m.traceBlock(ctx, rpc.BlockNumberOrHashWithHash(hash, false), config)
}

func (m *Methods) traceBlock(ctx context.Context, at rpc.BlockNumberOrHash, config *tracers.TraceConfig) (json.RawMessage, error) {
	v, b, err := m.block(ctx, group.AnyState, at)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	results := make([]txTrace, 0, len(b.Txs))
	err = m.guarded(ctx, config, func(s *session) error {
		return s.block(v, b, func(i int, t *blocks.Transaction) error {
			result, err := s.transaction(b, t)
			results = append(results, txTrace{t.Hash, result})
			return err
		}, 0, len(b.Txs)-1)
	})
	return m.s.Reply(ctx, results, err, instead)
}

// block returns a block that must be there, and the newest state, which MUST be released, to callers who see all.
func (m *Methods) block(ctx context.Context, read adapter.Read, at rpc.BlockNumberOrHash) (*sight.View, *blocks.Block, error) {
	v, err := m.s.View(ctx, read)
	if err != nil {
		return nil, nil, err
	}
	if err := v.Whole(); err != nil {
		v.Release()
		return nil, nil, err
	}
	b, err := group.BlockAt(ctx, v, at)
	if err != nil {
		v.Release()
		if errors.Is(err, coco.ErrNotFound) {
			err = fmt.Errorf("block %s not found", at.String())
		}
		return nil, nil, err
	}
	return v, b, nil
}

// CallConfig is the third parameter of debug_traceCall.
type CallConfig struct {
	tracers.TraceConfig
	StateOverrides *callargs.StateOverride
	BlockOverrides *callargs.BlockOverride
	TxIndex        *hexutil.Uint
}

// TraceCall traces a message on the state after a block, or after one of its transactions.
func (m *Methods) TraceCall(ctx context.Context, args callargs.Args, at *rpc.BlockNumberOrHash, config *CallConfig) (json.RawMessage, error) {
	if config == nil {
		config = new(CallConfig)
	}
	o, err := callargs.Options(config.StateOverrides, config.BlockOverrides)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	v, err := m.s.ViewAt(ctx, at, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	var result json.RawMessage
	err = m.guarded(ctx, &config.TraceConfig, func(s *session) (err error) {
		result, err = s.call(v, &args, o, config.TxIndex)
		return err
	})
	return m.s.Reply(ctx, result, err, instead)
}

// guarded runs what traces.
func (m *Methods) guarded(ctx context.Context, config *tracers.TraceConfig, fn func(*session) error) error {
	if config == nil {
		config = new(tracers.TraceConfig)
	}
	if name := config.Tracer; name != nil && !slices.Contains(offered, *name) {
		return group.Errorf(group.CodeServer, "tracer %.40q is not offered, expected one of %s, or none: tracers in JavaScript are not executed", *name, strings.Join(offered, ", "))
	}
	if config.Timeout != nil { // the bound of a call holds: that of the client can only be in vain
		if _, err := time.ParseDuration(*config.Timeout); err != nil {
			return err
		}
	}
	return m.s.Guarded(ctx, func(ctx context.Context) error {
		s := &session{m: m, ctx: ctx, config: config, meter: meter{memory: m.s.Memory(ctx, instead)}}
		defer s.meter.memory.Release()
		return fn(s)
	})
}

// session is one request that traces.
type session struct {
	m      *Methods
	ctx    context.Context
	config *tracers.TraceConfig
	meter  meter
	run    *dryrun.Run
	parts  *parts // nil unless a replay has them
}

// block executes the transactions of a block, which a view has, up to the last, and lets fn execute those from first on.
func (s *session) block(v *sight.View, b *blocks.Block, fn func(i int, t *blocks.Transaction) error, first, last int) error {
	if err := v.Whole(); err != nil {
		return err
	}
	if b.Number() == 0 {
		return errGenesis
	}
	before := rpc.BlockNumberOrHashWithNumber(rpc.BlockNumber(b.Number() - 1))
	state, err := s.m.s.ViewAt(s.ctx, &before, group.AnyState)
	if err != nil {
		return err
	}
	defer state.Release()
	s.run = dryrun.New(s.ctx, s.m.s.Ledger, state)
	s.run.Begin(b.Header)
	for i := 0; i <= last; i++ {
		t, err := v.TransactionOf(s.ctx, b, i)
		if err != nil {
			return err
		}
		if i < first {
			err = s.run.Apply(b, t)
		} else {
			err = fn(i, t)
		}
		if err != nil {
			return err
		}
	}
	return s.run.Err()
}

// transaction traces a transaction on the state that precedes it.
func (s *session) transaction(b *blocks.Block, t *blocks.Transaction) (json.RawMessage, error) {
	msg, err := s.run.Message(b.Header, t.Tx)
	if err != nil {
		return nil, err
	}
	return s.trace(s.run.BlockContext(b.Header), t.Tx, msg, &tracers.Context{
		BlockHash: b.Hash, BlockNumber: b.Header.Number, TxIndex: int(t.Index), TxHash: t.Hash,
	})
}

// call traces a message.
func (s *session) call(v *sight.View, args *callargs.Args, o *chain.CallOptions, index *hexutil.Uint) (result json.RawMessage, err error) {
	l := s.m.s.Ledger
	header, err := v.HeaderFor(s.ctx, l, false)
	if err != nil {
		return nil, err
	}
	if index == nil {
		s.run = dryrun.New(s.ctx, l, v)
		return s.message(v, header, args, o)
	}
	b, err := v.Block(s.ctx, v.Number())
	if err != nil {
		return nil, err
	}
	if int(*index) >= len(b.Txs) {
		return nil, fmt.Errorf("transaction index %d out of range for block %#x", *index, b.Hash)
	}
	err = s.block(v, b, func(_ int, t *blocks.Transaction) error {
		if err := s.run.Apply(b, t); err != nil {
			return err
		}
		result, err = s.message(v, header, args, o)
		return err
	}, int(*index), int(*index))
	return result, err
}

// message traces a message in a block with a header, on the state that the run has come to.
func (s *session) message(v *sight.View, header *types.Header, args *callargs.Args, o *chain.CallOptions) (json.RawMessage, error) {
	l := s.m.s.Ledger
	block := s.run.BlockContext(header)
	if o.Block != nil {
		o.Block.Apply(&block)
	}
	msg, err := args.Message(v, block.BaseFee, l.ChainID())
	if err != nil {
		return nil, err
	}
	s.run.Unsigned(msg)
	chain.WaiveFees(&block, msg)
	if len(o.State) > 0 {
		rules := l.ChainConfig().Rules(block.BlockNumber, block.Random != nil, block.Time)
		s.run.Precompiles = vm.ActivePrecompiledContracts(rules)
		if err := s.run.DB.OverrideAll(v.Prepare(o.State), s.run.Precompiles); err != nil {
			return nil, err
		}
	}
	return s.trace(block, args.Transaction(msg, block.BaseFee, l.ChainID()), msg, new(tracers.Context))
}

// trace executes a message under the tracer that the client has chosen.
func (s *session) trace(block vm.BlockContext, tx *types.Transaction, msg *core.Message, at *tracers.Context) (json.RawMessage, error) {
	tracer, err := s.tracer(at)
	if err != nil {
		return nil, err
	}
	s.meter.begin(s.run.DB, s.config)
	hooks := s.parts.watch(s.meter.watch(tracer.Hooks), s.meter.take)
	evm, release := s.run.EVM(block, vm.Config{Tracer: hooks, NoBaseFee: true})
	defer release()
	s.meter.stop = func(err error) {
		tracer.Stop(err)
		evm.Cancel()
	}
	s.run.DB.SetTxContext(at.TxHash, at.TxIndex, 0)
	if hooks.OnTxStart != nil {
		hooks.OnTxStart(evm.GetVMContext(), tx, msg.From)
	}
	result, err := core.ApplyMessage(evm, msg, core.NewGasPool(msg.GasLimit))
	if failed := errors.Join(s.meter.memory.Err(), s.run.Err()); failed != nil {
		return nil, failed
	}
	var receipt *types.Receipt
	if err == nil {
		s.parts.executed(s, evm, result)
		logs := s.run.Finish(evm)
		receipt = &types.Receipt{Type: tx.Type(), Status: types.ReceiptStatusSuccessful, TxHash: at.TxHash, GasUsed: result.UsedGas, CumulativeGasUsed: result.UsedGas, Logs: logs}
		if result.Failed() {
			receipt.Status = types.ReceiptStatusFailed
		}
	}
	if hooks.OnTxEnd != nil {
		hooks.OnTxEnd(receipt, err)
	}
	if err != nil {
		return nil, fmt.Errorf("tracing failed: %w", err)
	}
	if err := s.meter.memory.Err(); err != nil {
		return nil, err
	}
	return tracer.GetResult()
}

func (s *session) tracer(at *tracers.Context) (*tracers.Tracer, error) {
	if s.config.Tracer != nil {
		return tracers.DefaultDirectory.New(*s.config.Tracer, at, s.config.TracerConfig, s.m.s.Ledger.ChainConfig())
	}
	l := logger.NewStructLogger(s.config.Config)
	return &tracers.Tracer{Hooks: l.Hooks(), GetResult: l.GetResult, Stop: l.Stop}, nil
}
