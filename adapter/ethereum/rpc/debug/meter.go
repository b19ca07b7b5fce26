package debug

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/eth/tracers"
	"github.com/ethereum/go-ethereum/eth/tracers/logger"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
)

// meter counts what the traces of a request are going to take in memory, before a tracer keeps it, and ends the trace
// that exceeds what a reply may take. The gas of a transaction does not bound it: a step costs as little as one gas, and what the
// tracers keep of it may be the whole stack and memory.
type meter struct {
	memory *group.Memory
	stop   func(error)

	state   *statedb.DB
	steps   bool          // the tracer keeps each step, as config says
	config  logger.Config // of the struct logger
	seen    map[common.Address]bool
	storage map[common.Address]map[common.Hash]struct{}
}

// What tracers keep, in bytes of JSON, beside what has a size of its own.
const (
	stepBytes    = 160
	wordBytes    = 72
	frameBytes   = 512
	accountBytes = 256
	createdBytes = 2 * 24 << 10 // the code of a new contract
)

// begin prepares for the trace of a transaction.
func (m *meter) begin(state *statedb.DB, config *tracers.TraceConfig) {
	m.state, m.steps, m.config = state, config.Tracer == nil, logger.Config{}
	if config.Config != nil {
		m.config = *config.Config
	}
	m.seen, m.storage = map[common.Address]bool{}, map[common.Address]map[common.Hash]struct{}{}
}

// take counts n bytes, and reports whether there is room for them.
func (m *meter) take(n int) bool {
	err := m.memory.Take(n)
	if err != nil {
		m.stop(err)
	}
	return err == nil
}

// account counts an account with its code once.
func (m *meter) account(addr common.Address) bool {
	if m.seen[addr] {
		return true
	}
	m.seen[addr] = true
	return m.take(accountBytes + 4*m.state.GetCodeSize(addr)) // once before and once after the transaction
}

// watch returns hooks that count before those of a tracer keep something.
func (m *meter) watch(h *tracing.Hooks) *tracing.Hooks {
	w := *h
	if h.OnEnter != nil {
		w.OnEnter = func(depth int, typ byte, from, to common.Address, input []byte, gas uint64, value *big.Int) {
			if m.take(frameBytes + 2*len(input)) {
				h.OnEnter(depth, typ, from, to, input, gas, value)
			}
		}
	}
	if h.OnExit != nil {
		w.OnExit = func(depth int, output []byte, gasUsed uint64, err error, reverted bool) {
			m.take(2 * len(output)) // an entered frame is left, too
			h.OnExit(depth, output, gasUsed, err, reverted)
		}
	}
	if h.OnLog != nil {
		w.OnLog = func(l *types.Log) {
			if m.take(frameBytes + 2*len(l.Data)) {
				h.OnLog(l)
			}
		}
	}
	if h.OnOpcode != nil {
		w.OnOpcode = func(pc uint64, op byte, gas, cost uint64, scope tracing.OpContext, data []byte, depth int, err error) {
			if m.steps && m.step(vm.OpCode(op), scope, data) || !m.steps && m.access(vm.OpCode(op), scope) {
				h.OnOpcode(pc, op, gas, cost, scope, data, depth, err)
			}
		}
	}
	return &w
}

// step counts a step of the struct logger.
func (m *meter) step(op vm.OpCode, scope tracing.OpContext, data []byte) bool {
	n, stack := stepBytes, scope.StackData()
	if !m.config.DisableStack {
		for i := range stack {
			n += 2*stack[i].ByteLen() + 6
		}
	}
	if m.config.EnableMemory {
		n += len(scope.MemoryData()) / 32 * wordBytes
	}
	if m.config.EnableReturnData {
		n += 2 * len(data)
	}
	if !m.config.DisableStorage && (op == vm.SLOAD || op == vm.SSTORE) && len(stack) > 0 {
		slots := m.storage[scope.Address()]
		if slots == nil {
			slots = map[common.Hash]struct{}{}
			m.storage[scope.Address()] = slots
		}
		slots[stack[len(stack)-1].Bytes32()] = struct{}{}
		n += 2 * wordBytes * len(slots) // the step shows all that were seen
	}
	return m.take(n)
}

// access counts what a tracer of accounts keeps.
func (m *meter) access(op vm.OpCode, scope tracing.OpContext) bool {
	stack, at := scope.StackData(), 0
	switch op {
	case vm.SLOAD, vm.SSTORE:
		return m.take(4 * wordBytes)
	case vm.CREATE, vm.CREATE2:
		return m.take(accountBytes + createdBytes)
	case vm.CALL, vm.CALLCODE, vm.DELEGATECALL, vm.STATICCALL:
		at = 2
	case vm.BALANCE, vm.EXTCODECOPY, vm.EXTCODEHASH, vm.EXTCODESIZE, vm.SELFDESTRUCT:
		at = 1
	}
	return at == 0 || len(stack) < at || m.account(stack[len(stack)-at].Bytes20())
}
