package parity

import (
	"errors"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/holiman/uint256"
)

// Code is what one execution of code has done: vmTrace.
type Code struct {
	Code hexutil.Bytes `json:"code"`
	Ops  []*Op         `json:"ops"`
}

// Op is a step of an execution.
type Op struct {
	Cost uint64 `json:"cost"` // gas, with that of the execution which the step begins
	Ex   *Done  `json:"ex"`   // null if the step failed
	PC   uint64 `json:"pc"`
	Sub  *Code  `json:"sub"` // the execution that the step has begun
	Name string `json:"op"`
}

// Done is what a step has done.
type Done struct {
	Mem   *Memory        `json:"mem"` // null if it has written none
	Push  []*hexutil.Big `json:"push"`
	Store *Stored        `json:"store"` // null if it has stored nothing
	Used  uint64         `json:"used"`  // gas that is left behind it
}

// Memory is a part of the memory that a step has written.
type Memory struct {
	Data hexutil.Bytes `json:"data"`
	Off  uint64        `json:"off"`
}

// Stored is a slot that a step has written.
type Stored struct {
	Key *hexutil.Big `json:"key"`
	Val *hexutil.Big `json:"val"`
}

// What is kept of a step, in bytes of JSON, beside what has a size of its own.
const (
	opBytes   = 200
	wordBytes = 80
	codeBytes = 200
)

// Steps makes a vmTrace of an execution. Its hooks are for one transaction.
type Steps struct {
	take  func(int) bool
	root  *Code
	stack []*running
}

// running is an execution that has not ended; trace is nil for what executes no code.
type running struct {
	trace *Code
	// last is the step whose end is not known yet, and what it is going to leave.
	last     *Op
	pushes   int
	off, len uint64 // of the memory that it writes
	calls    bool
}

// NewSteps returns a tracer that asks take for memory, in bytes, before it keeps something, and keeps nothing that it does not get.
func NewSteps(take func(int) bool) *Steps { return &Steps{take: take} }

// Result is the trace; nil if nothing was executed.
func (s *Steps) Result() *Code { return s.root }

// Hooks are what the machine tells the tracer.
func (s *Steps) Hooks() *tracing.Hooks {
	return &tracing.Hooks{OnEnter: s.enter, OnExit: s.exit, OnOpcode: s.step, OnFault: s.fault}
}

func (s *Steps) top() *running {
	if len(s.stack) == 0 {
		return nil
	}
	return s.stack[len(s.stack)-1]
}

func (s *Steps) enter(_ int, typ byte, _, _ common.Address, input []byte, gas uint64, _ *big.Int) {
	r, above := new(running), s.top()
	s.stack = append(s.stack, r)
	if vm.OpCode(typ) == vm.SELFDESTRUCT || above != nil && above.trace == nil || !s.take(codeBytes) {
		return
	}
	r.trace = &Code{Code: hexutil.Bytes{}, Ops: []*Op{}}
	created := vm.OpCode(typ) == vm.CREATE || vm.OpCode(typ) == vm.CREATE2
	if created && s.take(2*len(input)) {
		r.trace.Code = common.CopyBytes(input)
	}
	switch {
	case above == nil:
		s.root = r.trace
	case above.last != nil:
		above.last.Sub = r.trace
		if created { // the cost of a call has the gas of what it calls, that of a creation has not
			above.last.Cost += gas
		}
	}
}

func (s *Steps) exit(_ int, _ []byte, _ uint64, err error, _ bool) {
	r := s.top()
	if r == nil {
		return
	}
	s.stack = s.stack[:len(s.stack)-1]
	if r.last != nil && err != nil && !errors.Is(err, vm.ErrExecutionReverted) {
		r.last.Ex = nil
	}
}

func (s *Steps) fault(_ uint64, _ byte, _, _ uint64, _ tracing.OpContext, _ int, _ error) {
	if r := s.top(); r != nil && r.last != nil {
		r.last.Ex = nil
	}
}

func (s *Steps) step(pc uint64, op byte, gas, cost uint64, scope tracing.OpContext, _ []byte, _ int, err error) {
	r := s.top()
	if r == nil || r.trace == nil {
		return
	}
	s.finish(r, gas, scope)
	r.last = nil
	if len(r.trace.Ops) == 0 && len(r.trace.Code) == 0 {
		if code := scope.ContractCode(); s.take(2 * len(code)) {
			r.trace.Code = common.CopyBytes(code)
		}
	}
	if !s.take(opBytes) {
		return
	}
	code, stack := vm.OpCode(op), scope.StackData()
	r.last = &Op{Cost: cost, PC: pc, Name: code.String()}
	r.trace.Ops = append(r.trace.Ops, r.last)
	if err != nil || cost > gas {
		return
	}
	r.last.Ex = &Done{Push: []*hexutil.Big{}, Used: gas - cost}
	r.pushes, r.calls = pushed(code), calls(code)
	r.off, r.len = written(code, stack)
	if code == vm.SSTORE && len(stack) >= 2 && s.take(2*wordBytes) {
		r.last.Ex.Store = &Stored{quantity(&stack[len(stack)-1]), quantity(&stack[len(stack)-2])}
	}
}

// finish adds to the last step what the next one finds.
func (s *Steps) finish(r *running, gas uint64, scope tracing.OpContext) {
	if r.last == nil || r.last.Ex == nil {
		return
	}
	ex := r.last.Ex
	if r.calls {
		ex.Used = gas // with what the execution has given back
	}
	stack := scope.StackData()
	if n := min(r.pushes, len(stack)); n > 0 && s.take(n*wordBytes) {
		for i := len(stack) - n; i < len(stack); i++ {
			ex.Push = append(ex.Push, quantity(&stack[i]))
		}
	}
	memory := scope.MemoryData()
	if end := r.off + r.len; r.len > 0 && end >= r.off && end <= uint64(len(memory)) && s.take(2*int(r.len)) {
		ex.Mem = &Memory{common.CopyBytes(memory[r.off:end]), r.off}
	}
}

func quantity(v *uint256.Int) *hexutil.Big { return (*hexutil.Big)(v.ToBig()) }

func calls(op vm.OpCode) bool {
	switch op {
	case vm.CALL, vm.CALLCODE, vm.DELEGATECALL, vm.STATICCALL, vm.CREATE, vm.CREATE2:
		return true
	}
	return false
}

// pushed is how many words of the stack a step shows. Those of DUPn and SWAPn are all that they move (OpenEthereum).
func pushed(op vm.OpCode) int {
	switch {
	case op >= vm.DUP1 && op <= vm.DUP16:
		return int(op-vm.DUP1) + 2
	case op >= vm.SWAP1 && op <= vm.SWAP16:
		return int(op-vm.SWAP1) + 2
	case op >= vm.LOG0 && op <= vm.LOG4:
		return 0
	}
	switch op {
	case vm.STOP, vm.POP, vm.MSTORE, vm.MSTORE8, vm.SSTORE, vm.TSTORE, vm.JUMP, vm.JUMPI, vm.JUMPDEST, vm.RETURN, vm.REVERT, vm.INVALID, vm.SELFDESTRUCT,
		vm.CALLDATACOPY, vm.CODECOPY, vm.EXTCODECOPY, vm.RETURNDATACOPY, vm.MCOPY:
		return 0
	}
	return 1
}

// written is the part of the memory that a step shows; length 0 if none, or if no memory can be so long.
func written(op vm.OpCode, stack []uint256.Int) (off, length uint64) {
	at := func(off, length int) (uint64, uint64) {
		if len(stack) <= max(off, length) {
			return 0, 0
		}
		o, l := &stack[len(stack)-1-off], &stack[len(stack)-1-length]
		if !o.IsUint64() || !l.IsUint64() {
			return 0, 0
		}
		return o.Uint64(), l.Uint64()
	}
	switch op {
	case vm.MSTORE, vm.MLOAD:
		off, _ := at(0, 0)
		return off, 32
	case vm.MSTORE8:
		off, _ := at(0, 0)
		return off, 1
	case vm.CALLDATACOPY, vm.CODECOPY, vm.RETURNDATACOPY, vm.MCOPY:
		return at(0, 2)
	case vm.EXTCODECOPY:
		return at(1, 3)
	case vm.CALL, vm.CALLCODE:
		return at(5, 6)
	case vm.DELEGATECALL, vm.STATICCALL:
		return at(4, 5)
	}
	return 0, 0
}
