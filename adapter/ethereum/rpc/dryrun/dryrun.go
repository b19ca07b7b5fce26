// Package dryrun executes on the state of a view without effect: messages, and the transactions of a block again. It does
// what the chain does with a call, step by step, for methods that watch the execution or go on from it.
//
//	sight.View ──> Run ── EVM ──> core.ApplyMessage ── Finish ──> the state that the next message meets
//
// Trust: enclave
package dryrun

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
)

// Run is a state that messages are executed on, one after the other. It belongs to one goroutine, and to a context that ends it.
type Run struct {
	Ledger *chain.Ledger
	DB     *statedb.DB
	// Precompiles are not those of the rules, unless nil.
	Precompiles vm.PrecompiledContracts

	ctx context.Context // of the one request
	src *blocks.State
}

// New returns the state of a view, which MUST NOT be released before the run has ended.
func New(ctx context.Context, l *chain.Ledger, v *sight.View) *Run {
	src := v.State(ctx)
	return &Run{Ledger: l, DB: statedb.New(src), ctx: ctx, src: src}
}

// BlockContext is what the EVM sees of a block with a header.
func (r *Run) BlockContext(h *types.Header) vm.BlockContext { return r.Ledger.BlockContext(h, r.src) }

// EVM returns an EVM on the state, which tells the hooks of its tracer about logs, too. It MUST be released by the function.
func (r *Run) EVM(block vm.BlockContext, c vm.Config) (*vm.EVM, func()) {
	var db vm.StateDB = r.DB
	if c.Tracer != nil && c.Tracer.OnLog != nil {
		db = &logged{r.DB, c.Tracer.OnLog}
	}
	evm := vm.NewEVM(block, db, r.Ledger.ChainConfig(), c)
	if r.Precompiles != nil {
		evm.SetPrecompiles(r.Precompiles)
	}
	r.src.Stop = evm.Cancel
	stop := context.AfterFunc(r.ctx, evm.Cancel)
	return evm, func() {
		stop()
		r.src.Stop = nil
		evm.Release()
	}
}

// logged is the state as an EVM with a tracer has it.
type logged struct {
	*statedb.DB
	onLog func(*types.Log)
}

// AddLog implements vm.StateDB.
func (s *logged) AddLog(log *types.Log) {
	s.DB.AddLog(log)
	s.onLog(log)
}

// Err says why what was executed so far is worth nothing: the context has ended, or the state cannot be read.
func (r *Run) Err() error {
	switch {
	case r.ctx.Err() != nil:
		return fmt.Errorf("%w: execution aborted: %w", coco.ErrBusy, context.Cause(r.ctx))
	case r.src.Err != nil:
		return r.src.Err
	}
	return r.DB.Corrupt
}

// Finish ends a message, and the logs that it has left.
func (r *Run) Finish(evm *vm.EVM) []*types.Log {
	logs := r.DB.TakeLogs()
	r.DB.Finish(evm.GetRules().IsEIP158)
	return logs
}

// Begin makes the system calls that precede a block's transactions. The state must be that of its parent.
func (r *Run) Begin(h *types.Header) {
	if r.Ledger.Settings().Pin != nil {
		return // they were made before the first block
	}
	evm, release := r.EVM(r.BlockContext(h), vm.Config{})
	defer release()
	chain.SystemCalls(evm, h)
}

// Unsigned makes a message one that nobody has signed, with the gas of a call at most.
func (r *Run) Unsigned(msg *core.Message) {
	if limit := r.Ledger.Settings().CallGasLimit; msg.GasLimit == 0 || msg.GasLimit > limit {
		msg.GasLimit = limit
	}
	msg.SkipNonceCheck().SkipEOACheck().SkipGasLimitCapCheck()
}

// Apply executes a transaction of a block again.
func (r *Run) Apply(b *blocks.Block, t *blocks.Transaction) error {
	evm, release := r.EVM(r.BlockContext(b.Header), vm.Config{})
	defer release()
	msg, err := r.Message(b.Header, t.Tx)
	if err != nil {
		return err
	}
	r.DB.SetTxContext(t.Hash, int(t.Index), 0)
	_, err = core.ApplyMessage(evm, msg, nil)
	if failed := r.Err(); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("transaction %v: %w", t.Hash, err)
	}
	r.Finish(evm)
	return nil
}

// Message is what a transaction of a block is executed as.
func (r *Run) Message(h *types.Header, tx *types.Transaction) (*core.Message, error) {
	msg, err := core.TransactionToMessage(tx, r.Ledger.Signer(), h.BaseFee)
	if err == nil && r.Ledger.Settings().Development {
		msg.SkipEOACheck() // contracts are impersonated
	}
	return msg, err
}
