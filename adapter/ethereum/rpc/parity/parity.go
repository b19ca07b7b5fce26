// Package parity makes the traces vmTrace and stateDiff of the JSON-RPC namespace trace, in the form of OpenEthereum, which Erigon and
// Nethermind have, too: each step of an execution with what it has pushed, stored and written to memory, and what a
// transaction has changed of each account.
//
//	EVM ── hooks ──> Steps ──> vmTrace
//	statedb.DB ── Differences ──> Diff ──> stateDiff
//
// Trust: enclave
package parity

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/tracing"
)

// Join returns the hooks of a tracer that tell another one, too, of what Steps listens to.
func Join(h, more *tracing.Hooks) *tracing.Hooks {
	w := *h
	w.OnEnter = func(depth int, typ byte, from, to common.Address, input []byte, gas uint64, value *big.Int) {
		if h.OnEnter != nil {
			h.OnEnter(depth, typ, from, to, input, gas, value)
		}
		more.OnEnter(depth, typ, from, to, input, gas, value)
	}
	w.OnExit = func(depth int, output []byte, gasUsed uint64, err error, reverted bool) {
		if h.OnExit != nil {
			h.OnExit(depth, output, gasUsed, err, reverted)
		}
		more.OnExit(depth, output, gasUsed, err, reverted)
	}
	w.OnOpcode = func(pc uint64, op byte, gas, cost uint64, scope tracing.OpContext, data []byte, depth int, err error) {
		if h.OnOpcode != nil {
			h.OnOpcode(pc, op, gas, cost, scope, data, depth, err)
		}
		more.OnOpcode(pc, op, gas, cost, scope, data, depth, err)
	}
	w.OnFault = func(pc uint64, op byte, gas, cost uint64, scope tracing.OpContext, depth int, err error) {
		if h.OnFault != nil {
			h.OnFault(pc, op, gas, cost, scope, depth, err)
		}
		more.OnFault(pc, op, gas, cost, scope, depth, err)
	}
	return &w
}
