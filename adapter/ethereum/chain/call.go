package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
)

// CallOptions change what Call and EstimateGas see. Nil means nothing.
type CallOptions struct {
	State  StateOverride
	Block  *BlockOverrides
	GasCap uint64 // 0: Settings.CallGasLimit
	// Next executes in the block that a transaction sent now would be in, the one after the view's, instead of the
	// view's own.
	Next   bool
	Tracer *tracing.Hooks // nil: none
}

// StateOverride replaces parts of accounts for one call.
type StateOverride = map[common.Address]statedb.Override

// BlockOverrides replaces parts of the block's context for one call.
type BlockOverrides struct {
	Number, Difficulty, BaseFee, BlobBaseFee *big.Int
	Time, GasLimit                           *uint64
	Coinbase                                 *common.Address
	PrevRandao                               *common.Hash
}

// Apply replaces what the overrides say.
func (o *BlockOverrides) Apply(c *vm.BlockContext) {
	set := func(to **big.Int, v *big.Int) {
		if v != nil {
			*to = v
		}
	}
	set(&c.BlockNumber, o.Number)
	set(&c.Difficulty, o.Difficulty)
	set(&c.BaseFee, o.BaseFee)
	set(&c.BlobBaseFee, o.BlobBaseFee)
	if o.Time != nil {
		c.Time = *o.Time
	}
	if o.GasLimit != nil {
		c.GasLimit = *o.GasLimit
	}
	if o.Coinbase != nil {
		c.Coinbase = *o.Coinbase
	}
	if o.PrevRandao != nil {
		c.Random = o.PrevRandao
	}
}

// CallResult is what executing a message gave. Err is the EVM's, such as vm.ErrExecutionReverted;
// Return is what was returned, or the data of the revert.
type CallResult struct {
	Return  []byte
	GasUsed uint64
	Err     error
	Logs    []*types.Log

	peakGas uint64 // before refunds
}

// Call executes a message on top of a view, without effect: eth_call. The sender's nonce and code
// are not checked. Missing fees and values mean 0, and gas limit 0 the cap. The error is for
// messages that cannot be executed at all, and for a context that ends.
func (l *Ledger) Call(ctx context.Context, v *blocks.View, msg *core.Message, o *CallOptions) (*CallResult, error) {
	m := fillMessage(msg)
	if limit := l.gasCap(o); m.GasLimit == 0 || m.GasLimit > limit {
		m.GasLimit = limit
	}
	return l.run(ctx, v, m, o, "err: %[1]w (supplied gas %[2]d)")
}

func (l *Ledger) gasCap(o *CallOptions) uint64 {
	if o != nil && o.GasCap > 0 {
		return o.GasCap
	}
	return l.chain().settings.CallGasLimit
}

// fillMessage returns a copy without nil numbers, and without the checks of a transaction.
func fillMessage(msg *core.Message) *core.Message {
	m := *msg
	for _, p := range []**uint256.Int{&m.Value, &m.GasPrice, &m.GasFeeCap, &m.GasTipCap} {
		if *p == nil {
			*p = new(uint256.Int)
		}
	}
	return m.SkipNonceCheck().SkipEOACheck().SkipGasLimitCapCheck()
}

// run executes a complete message. refusal is the text for a message that cannot be executed at
// all, about its cause and gas limit: go-ethereum's, which differs between its methods.
func (l *Ledger) run(ctx context.Context, v *blocks.View, m *core.Message, o *CallOptions, refusal string) (*CallResult, error) {
	o = cmp.Or(o, new(CallOptions))
	src, next := v.State(ctx), o.Next
	header, err := l.HeaderFor(ctx, v, next)
	if err != nil {
		return nil, err
	}
	block := l.BlockContext(header, src)
	s := statedb.New(src)
	if o.Block != nil {
		o.Block.Apply(&block)
	}
	WaiveFees(&block, m)
	evm := vm.NewEVM(block, s, l.chain().config, vm.Config{NoBaseFee: true, Tracer: o.Tracer})
	defer evm.Release()
	src.Stop = evm.Cancel
	evm.SetJumpDestCache(l.chain().jumps)
	if next && l.chain().settings.Pin == nil {
		SystemCalls(evm, header)
	}
	if len(o.State) > 0 {
		precompiles := vm.ActivePrecompiledContracts(evm.GetRules())
		if err := s.OverrideAll(o.State, precompiles); err != nil {
			return nil, refuse(err)
		}
		evm.SetPrecompiles(precompiles)
	}
	stop := context.AfterFunc(ctx, evm.Cancel)
	defer stop()
	result, err := core.ApplyMessage(evm, m, core.NewGasPool(m.GasLimit))
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: execution aborted: %w", coco.ErrBusy, context.Cause(ctx))
	case src.Err != nil:
		return nil, src.Err
	case s.Corrupt != nil:
		return nil, s.Corrupt
	case err != nil:
		return nil, refusef(refusal, err, m.GasLimit)
	}
	return &CallResult{Return: result.ReturnData, GasUsed: result.UsedGas, Err: result.Err, Logs: s.TakeLogs(), peakGas: result.MaxUsedGas}, nil
}

// WaiveFees makes the fees of a block those that a message pays which offers nothing: the EVM wants them paid.
func WaiveFees(block *vm.BlockContext, m *core.Message) {
	if m.GasPrice.IsZero() && block.BaseFee != nil {
		block.BaseFee = new(big.Int)
	}
	if m.BlobGasFeeCap != nil && m.BlobGasFeeCap.IsZero() {
		block.BlobBaseFee = new(big.Int)
	}
}

// HeaderFor returns the header of the block that a call on a view's state sees: the view's own or, if next, that of the
// block that a transaction sent now would be in. It MUST NOT be modified.
func (l *Ledger) HeaderFor(ctx context.Context, v *blocks.View, next bool) (*types.Header, error) {
	switch {
	case v.Head() == nil:
		return nil, fmt.Errorf("%w: the chain has no block yet", coco.ErrNotFound)
	case next:
		return l.chain().nextHeader(v.State(ctx), v.Head(), uint64(l.env.Clock.Now().UnixMilli()))
	}
	return v.Header(ctx)
}

// BlockContext is what the EVM sees of a block with a header, executed on a view's state.
func (l *Ledger) BlockContext(h *types.Header, s *blocks.State) vm.BlockContext {
	return l.chain().blockContext(h, s, s.Hash)
}

// EstimateGas finds the smallest gas limit with which a message succeeds: eth_estimateGas, by the
// steps of go-ethereum's. If the message fails for another reason than gas, the result with its
// error is returned beside gas 0.
func (l *Ledger) EstimateGas(ctx context.Context, v *blocks.View, msg *core.Message, o *CallOptions) (uint64, *CallResult, error) {
	m := fillMessage(msg)
	if v.Head() == nil {
		return 0, nil, fmt.Errorf("%w: the chain has no block yet", coco.ErrNotFound)
	}
	hi := l.chain().settings.GasLimit
	if m.GasLimit >= params.TxGas {
		hi = m.GasLimit
	}
	if l.chain().rules.IsOsaka {
		hi = min(hi, params.MaxTxGas)
	}
	balance, err := v.Balance(ctx, m.From)
	if err != nil {
		return 0, nil, err
	}
	if o != nil && o.State[m.From].Balance != nil {
		balance = o.State[m.From].Balance
	}
	if !m.GasFeeCap.IsZero() {
		if !m.Value.Lt(balance) {
			return 0, nil, refuse(core.ErrInsufficientFundsForTransfer)
		}
		available := new(uint256.Int).Sub(balance, m.Value)
		if allowance := available.Div(available, m.GasFeeCap); allowance.IsUint64() {
			hi = min(hi, allowance.Uint64())
		}
	}
	hi = min(hi, l.gasCap(o))
	e := &estimate{l, ctx, v, m, o}
	if plain, err := isTransfer(ctx, v, m); err != nil {
		return 0, nil, err
	} else if plain {
		if r, err := e.with(params.TxGas); err == nil && r != nil && r.Err == nil {
			return r.GasUsed, nil, nil
		}
	}
	r, err := e.with(hi)
	switch {
	case err != nil:
		return 0, nil, err
	case r == nil || errors.Is(r.Err, vm.ErrOutOfGas):
		return 0, nil, refusef("gas required exceeds allowance (%d)", hi)
	case r.Err != nil:
		return 0, r, nil
	}
	gas, err := e.search(r, hi)
	return gas, nil, err
}

// isTransfer tells whether a message executes no code, overrides aside.
func isTransfer(ctx context.Context, v *blocks.View, m *core.Message) (bool, error) {
	if m.To == nil || len(m.Data) > 0 {
		return false, nil
	}
	code, err := v.Code(ctx, *m.To)
	return len(code) == 0, err
}

type estimate struct {
	ledger  *Ledger
	ctx     context.Context // of the one request that the estimate is
	view    *blocks.View
	msg     *core.Message
	options *CallOptions
}

// with executes the message with a gas limit. The result is nil if the limit does not even cover
// what precedes execution.
func (e *estimate) with(gas uint64) (*CallResult, error) {
	m := *e.msg
	m.GasLimit = gas
	r, err := e.ledger.run(e.ctx, e.view, &m, e.options, "failed with %[2]d gas: %[1]w")
	if errors.Is(err, core.ErrIntrinsicGas) || errors.Is(err, core.ErrFloorDataGas) || errors.Is(err, core.ErrGasLimitTooHigh) {
		return nil, nil
	}
	return r, err
}

// search narrows down from an execution that succeeded with gas limit hi.
func (e *estimate) search(r *CallResult, hi uint64) (uint64, error) {
	const tolerance = 0.015 // as go-ethereum's: a wallet adds more than that
	lo := r.GasUsed - 1
	next := (r.peakGas + params.CallStipend) * 64 / 63
	for first := true; lo+1 < hi; first = false {
		if !first || next >= hi {
			if float64(hi-lo)/float64(hi) < tolerance {
				break
			}
			next = min(lo+(hi-lo)/2, lo*2)
		}
		r, err := e.with(next)
		if err != nil {
			return 0, err
		}
		if r == nil || r.Err != nil {
			lo = next
		} else {
			hi = next
		}
	}
	return hi, nil
}
