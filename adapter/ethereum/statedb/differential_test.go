package statedb_test

import (
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	gethstate "github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/parity"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// choices are drawn from the bytes of a fuzz test. When they are used up, every further one is 0.
type choices struct{ rest []byte }

func (c *choices) byte() byte {
	if len(c.rest) == 0 {
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *choices) below(n int) int { return int(c.byte()) % n }
func (c *choices) one(of int) bool { return c.below(of) == of-1 }
func (c *choices) bytes(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = c.byte()
	}
	return out
}

const (
	accounts    = 3 // with keys
	theContract = 5 // accounts with code
	maxMessages = 24
	maxTrace    = 1 << 20 // bytes that a vmTrace may take: from there on it keeps nothing
	maxSteps    = 4000    // of a message that are compared one by one; those behind them by their number
)

// world is a chain's rules, its first accounts, and the addresses that code names.
type world struct {
	*choices
	config *params.ChainConfig
	rules  params.Rules
	block  vm.BlockContext
	keys   []*ecdsa.PrivateKey
	addrs  []common.Address
	seen   counts
}

// counts say what the messages of a run have come to, so that a test can see that there was something to compare.
type counts struct{ messages, steps, made, ended, reverted, failed, refused, logs, delegated, precompiles, transient int }

func (c *counts) add(o counts) {
	for to, from := range map[*int]int{
		&c.messages: o.messages, &c.steps: o.steps, &c.made: o.made, &c.ended: o.ended, &c.reverted: o.reverted, &c.failed: o.failed, &c.refused: o.refused,
		&c.logs: o.logs, &c.delegated: o.delegated, &c.precompiles: o.precompiles, &c.transient: o.transient,
	} {
		*to += from
	}
}

func newWorld(data []byte) (*world, types.GenesisAlloc) {
	w := &world{choices: &choices{data}}
	back := w.below(len(settings.Forks) + 6)
	if back >= len(settings.Forks) {
		back %= 3 // the newest ones more often
	}
	fork := settings.Forks[len(settings.Forks)-1-back]
	s := settings.Settings{ChainID: 4242, Fork: fork.Name}
	w.config = s.ChainConfig()
	merged := w.config.TerminalTotalDifficulty != nil
	w.rules = w.config.Rules(big.NewInt(7), merged, 1000)
	w.block = vm.BlockContext{
		CanTransfer: core.CanTransfer, Transfer: core.Transfer, BlockNumber: big.NewInt(7), Time: 1000, GasLimit: 10_000_000, Difficulty: new(big.Int),
		GetHash: func(n uint64) common.Hash { return common.BigToHash(new(big.Int).SetUint64(n + 1)) },
	}
	if merged {
		w.block.Random = &common.Hash{1, 2, 3}
	} else {
		w.block.Difficulty = big.NewInt(9)
	}
	if w.rules.IsLondon {
		w.block.BaseFee = big.NewInt(int64(w.below(3)))
	}
	if w.rules.IsCancun {
		w.block.BlobBaseFee = big.NewInt(1)
	}
	alloc := types.GenesisAlloc{}
	for i := range accounts {
		key, err := crypto.ToECDSA(crypto.Keccak256([]byte{byte(i)}))
		if err != nil {
			panic(err)
		}
		w.keys = append(w.keys, key)
		w.addrs = append(w.addrs, crypto.PubkeyToAddress(key.PublicKey))
		alloc[w.addrs[i]] = types.Account{Balance: big.NewInt(1_000_000_000)}
	}
	for i := range theContract {
		w.addrs = append(w.addrs, common.Address{0xc0, 19: byte(i)})
	}
	w.addrs = append(w.addrs, common.Address{0xee}, crypto.CreateAddress(w.addrs[0], 0), crypto.CreateAddress(w.addrs[accounts], 1)) // nobody yet
	for i := range theContract {
		a := types.Account{Balance: big.NewInt(int64(w.below(50))), Code: w.code(10), Storage: map[common.Hash]common.Hash{}, Nonce: 1}
		if w.one(4) {
			a.Nonce = 0
		}
		for k := range w.below(3) {
			a.Storage[common.Hash{31: byte(k)}] = common.Hash{31: byte(1 + w.below(2))}
		}
		alloc[w.addrs[accounts+i]] = a
	}
	for i := range theContract {
		w.addrs = append(w.addrs, w.phoenix(i))
	}
	if w.one(2) { // empty accounts, as there were before EIP-158
		alloc[common.Address{0xdd}], alloc[common.Address{19: 3}] = types.Account{Balance: new(big.Int)}, types.Account{Balance: new(big.Int)}
		w.addrs = append(w.addrs, common.Address{0xdd}, common.Address{19: 3})
	}
	if w.one(2) {
		w.block.Coinbase = w.addrs[w.below(len(w.addrs))]
	}
	return w, alloc
}

// code is a program of some parts. Most do what programs do, so that execution goes on.
func (w *world) code(most int) []byte {
	var p program
	for range 1 + w.below(most) {
		w.part(&p)
	}
	return p.code
}

type program struct{ code []byte }

func (p *program) op(ops ...vm.OpCode) {
	for _, op := range ops {
		p.code = append(p.code, byte(op))
	}
}

// push pushes bytes, at most 32.
func (p *program) push(b ...byte) {
	p.code = append(append(p.code, byte(vm.PUSH1)+byte(len(b)-1)), b...)
}

func (p *program) address(a common.Address) { p.push(a[:]...) }

// some is any address that matters, or a precompile.
func (w *world) some() common.Address {
	if w.one(5) {
		return common.Address{19: byte(1 + w.below(20))}
	}
	return w.addrs[w.below(len(w.addrs))]
}

// part adds a part of a program.
func (w *world) part(p *program) {
	small := func() { p.push(byte(w.below(4))) }
	kind := w.below(26)
	switch { // what ends a program, or does not exist yet, is rarer
	case kind == 13 && !w.rules.IsCancun, kind == 19 && !w.one(4):
		kind = 10
	case (kind == 8 || kind == 9 || kind == 18 || kind == 22 || kind == 23) && !w.one(3):
		kind = 3
	case kind == 20 && w.rules.IsConstantinople && w.one(2):
		kind = 25
	case kind == 24 && !w.rules.IsConstantinople:
		kind = 7
	}
	switch kind {
	case 0, 1: // stores
		small()
		small()
		p.op(vm.SSTORE)
	case 2: // adds to what is stored
		slot := byte(w.below(4))
		p.push(slot)
		p.op(vm.SLOAD)
		small()
		p.op(vm.ADD)
		p.push(slot)
		p.op(vm.SSTORE)
	case 3, 4, 5, 6: // a call
		w.call(p)
	case 7: // a contract by code that is in memory
		w.create(p)
	case 8:
		p.address(w.some())
		p.op(vm.SELFDESTRUCT)
	case 9:
		if w.one(3) { // a touch of the precompile that outlives the revert (EIP-161 on the mainnet)
			for range 5 {
				p.push(0)
			}
			p.push(3)
			p.op(vm.GAS, vm.CALL)
		}
		small()
		small()
		p.op(vm.REVERT)
	case 10:
		for range 1 + w.below(4) {
			small()
		}
		p.push(byte(w.below(64)))
		small()
		p.op(vm.LOG0 + vm.OpCode(w.below(5)))
	case 11: // what is known of an account
		p.address(w.some())
		p.op([]vm.OpCode{vm.BALANCE, vm.EXTCODESIZE, vm.EXTCODEHASH}[w.below(3)])
		p.push(byte(w.below(64)))
		p.op(vm.MSTORE)
	case 12:
		p.push(byte(w.below(40)))
		small()
		small()
		p.address(w.some())
		p.op(vm.EXTCODECOPY)
	case 13: // transient storage: what was there is kept, and something is left
		slot := byte(w.below(2))
		p.push(slot)
		p.op(vm.TLOAD)
		small()
		p.op(vm.SSTORE)
		small()
		p.push(slot)
		p.op(vm.TSTORE)
	case 25: // calls it some times, the last time with ether or without
		of := w.phoenix(w.below(theContract))
		for n := w.below(3); n >= 0; n-- {
			for range 4 {
				p.push(0)
			}
			value := byte(0)
			if n == 0 {
				value = byte(w.below(2))
			}
			p.push(value)
			p.address(of)
			p.op(vm.GAS, vm.CALL)
		}
	case 24: // a contract that comes again at its address
		p.push(append(phoenix, make([]byte, 32-len(phoenix))...)...)
		p.push(0)
		p.op(vm.MSTORE)
		p.push(0)
		p.push(byte(len(phoenix)))
		p.push(0)
		p.push(0)
		p.op(vm.CREATE2)
		for range 5 {
			p.push(0)
		}
		p.op(vm.DUP1+5, vm.GAS, vm.CALL)
	case 14:
		small()
		small()
		small()
		p.op([]vm.OpCode{vm.RETURNDATACOPY, vm.CALLDATACOPY, vm.CODECOPY, vm.MCOPY}[w.below(4)])
	case 15: // what is known of the message and the block, and stored
		p.op([]vm.OpCode{
			vm.ADDRESS, vm.ORIGIN, vm.CALLER, vm.CALLVALUE, vm.CALLDATASIZE, vm.GASPRICE, vm.RETURNDATASIZE, vm.COINBASE, vm.TIMESTAMP, vm.NUMBER,
			vm.PREVRANDAO, vm.GASLIMIT, vm.CHAINID, vm.SELFBALANCE, vm.BASEFEE, vm.BLOBBASEFEE, vm.GAS, vm.MSIZE,
		}[w.below(18)])
		small()
		p.op(vm.SSTORE)
	case 16:
		small()
		p.op([]vm.OpCode{vm.BLOCKHASH, vm.BLOBHASH, vm.CALLDATALOAD}[w.below(3)])
		small()
		p.op(vm.MSTORE)
	case 17: // words in memory, for precompiles and creations
		p.push(w.bytes(1 + w.below(32))...)
		p.push(byte(32 * w.below(4)))
		p.op(vm.MSTORE)
	case 18:
		p.push(byte(w.below(64)))
		p.push(0)
		p.op(vm.RETURN)
	case 19: // over and over, while there is gas
		start := len(p.code)
		p.op(vm.JUMPDEST)
		if w.one(2) {
			p.op(vm.GAS, vm.GAS, vm.SSTORE)
		}
		p.push(0xc0, 0)
		p.op(vm.GAS, vm.GT)
		p.push(byte(start>>8), byte(start))
		p.op(vm.JUMPI)
	case 20: // arithmetic on what there is
		small()
		p.push(w.bytes(1 + w.below(32))...)
		p.op([]vm.OpCode{vm.ADD, vm.MUL, vm.SUB, vm.DIV, vm.SDIV, vm.MOD, vm.SMOD, vm.EXP, vm.SIGNEXTEND, vm.LT, vm.GT, vm.SLT, vm.SGT, vm.EQ, vm.BYTE, vm.SHL, vm.SHR, vm.SAR, vm.KECCAK256}[w.below(19)])
	case 21:
		for range 5 {
			small()
		}
		p.op(vm.DUP1+vm.OpCode(w.below(4)), vm.SWAP1+vm.OpCode(w.below(4)))
	case 22: // anything
		p.code = append(p.code, w.bytes(1+w.below(6))...)
	case 23:
		p.op(vm.STOP)
	}
}

// phoenix is the address of the contract that one of the first contracts makes, again and again.
func (w *world) phoenix(of int) common.Address {
	return crypto.CreateAddress2(w.addrs[accounts+of], common.Hash{}, crypto.Keccak256(phoenix))
}

// phoenix deploys code that counts in slot 0 when it is called, and in a slot for each call, and that ends when it is called with ether.
var phoenix = append(append([]byte{byte(vm.PUSH20)}, common.FromHex("34601157600054600101806000558055005b33ff")...), byte(vm.PUSH1), 0, byte(vm.MSTORE), byte(vm.PUSH1), 20, byte(vm.PUSH1), 12, byte(vm.RETURN))

func (w *world) call(p *program) {
	op := []vm.OpCode{vm.CALL, vm.CALL, vm.CALLCODE, vm.DELEGATECALL, vm.STATICCALL}[w.below(5)]
	p.push(byte(w.below(64)))
	p.push(byte(w.below(32)))
	p.push(byte(w.below(128)))
	p.push(byte(w.below(32)))
	if op == vm.CALL || op == vm.CALLCODE {
		p.push(byte(w.below(2)))
	}
	p.address(w.some())
	if w.one(3) {
		p.push(byte(w.below(200)), w.byte())
	} else {
		p.op(vm.GAS)
	}
	p.op(op)
	if w.one(2) {
		p.push(byte(w.below(4)))
		p.op(vm.SSTORE) // whether it succeeded
	}
}

// create writes code into memory that deploys some more code, or does something else, and creates a contract with it.
func (w *world) create(p *program) {
	init := w.bytes(w.below(6))
	switch w.below(4) {
	case 0: // code that its beneficiary takes
		init = append([]byte{byte(vm.CALLER)}, byte(vm.SELFDESTRUCT))
	case 1, 2: // deploys a short program
		var q program
		w.part(&q)
		if len(q.code) > 16 {
			q.code = q.code[:16]
		}
		q.code = append(q.code, make([]byte, 16-len(q.code))...)
		init = append([]byte{byte(vm.PUSH16)}, q.code...)
		init = append(init, byte(vm.PUSH1), 0, byte(vm.MSTORE), byte(vm.PUSH1), 16, byte(vm.PUSH1), 16, byte(vm.RETURN))
	}
	if len(init) > 32 {
		init = init[:32]
	}
	if len(init) == 0 {
		init = []byte{0}
	}
	p.push(append(init, make([]byte, 32-len(init))...)...)
	p.push(0)
	p.op(vm.MSTORE)
	two := w.one(2)
	if two {
		p.push(byte(w.below(2)))
	}
	p.push(32)
	p.push(0)
	p.push(byte(w.below(4) / 3))
	if two {
		p.op(vm.CREATE2)
	} else {
		p.op(vm.CREATE)
	}
	switch w.below(3) {
	case 0: // calls what was made
		for range 4 {
			p.push(0)
		}
		p.op(vm.DUP1, vm.DUP1+5, vm.GAS, vm.CALL)
	case 1:
		p.push(byte(w.below(4)))
		p.op(vm.SSTORE)
	}
}

// message is a random message, and what precedes it if so.
func (w *world) message(nonces func(common.Address) uint64) *core.Message {
	from := w.addrs[w.below(accounts)]
	msg := &core.Message{
		From: from, Nonce: nonces(from), Value: uint256.NewInt(uint64(w.below(4))), GasLimit: 60_000 + 1500*uint64(w.byte()),
		GasPrice: uint256.NewInt(3), GasFeeCap: uint256.NewInt(3), GasTipCap: uint256.NewInt(1), Data: w.bytes(w.below(40)),
	}
	if w.one(16) {
		msg.GasLimit = 21_000 + uint64(w.byte())
	}
	if w.one(16) {
		msg.Nonce++ // refused
	}
	if w.one(5) {
		msg.Data = w.code(20)
		if w.one(2) {
			msg.Data = append([]byte{byte(vm.PUSH1), 40, byte(vm.PUSH1), 12, byte(vm.PUSH1), 0, byte(vm.CODECOPY), byte(vm.PUSH1), 40, byte(vm.PUSH1), 0, byte(vm.RETURN)}, msg.Data...)
		}
	} else {
		to := w.addrs[accounts+w.below(theContract)]
		if w.one(4) {
			to = w.some()
		}
		msg.To = &to
	}
	if w.rules.IsBerlin && w.one(3) {
		for range w.below(3) {
			entry := types.AccessTuple{Address: w.some()}
			for range w.below(3) {
				entry.StorageKeys = append(entry.StorageKeys, common.Hash{31: byte(w.below(4))})
			}
			msg.AccessList = append(msg.AccessList, entry)
		}
	}
	if w.rules.IsPrague && msg.To != nil && w.one(3) {
		for range 1 + w.below(2) {
			i := w.below(accounts)
			auth := types.SetCodeAuthorization{Address: w.some(), Nonce: nonces(w.addrs[i])}
			if i == 0 && w.one(4) {
				auth.Address = common.Address{} // ends a delegation
			}
			if w.addrs[i] == from {
				auth.Nonce++
			}
			if w.one(4) {
				auth.ChainID = *uint256.NewInt(uint64(4242 + w.below(2)))
			}
			if w.one(6) {
				auth.Nonce++ // does not count
			}
			signed, err := types.SignSetCode(w.keys[i], auth)
			if err != nil {
				panic(err)
			}
			msg.SetCodeAuthorizations = append(msg.SetCodeAuthorizations, signed)
		}
	}
	return msg
}

// watch writes down what a machine does, each step with all that it sees.
func (w *world) watch(out *outcome, count bool) *tracing.Hooks {
	note := func(format string, args ...any) {
		if len(out.steps) < maxSteps {
			out.steps = append(out.steps, fmt.Sprintf(format, args...))
		}
	}
	return &tracing.Hooks{
		OnEnter: func(depth int, typ byte, from, to common.Address, input []byte, gas uint64, value *big.Int) {
			note("enter %d %v %v %v %x %d %v", depth, vm.OpCode(typ), from, to, input, gas, value)
			if !count {
				return
			}
			switch op := vm.OpCode(typ); {
			case op == vm.CREATE || op == vm.CREATE2:
				w.seen.made++
			case op == vm.SELFDESTRUCT:
				w.seen.ended++
			case strings.HasPrefix(to.Hex(), "0x00000000000000000000000000000000000000"):
				w.seen.precompiles++
			}
		},
		OnExit: func(depth int, output []byte, gas uint64, err error, reverted bool) {
			note("exit %d %x %d %v %v", depth, output, gas, err, reverted)
		},
		OnFault: func(pc uint64, op byte, gas, cost uint64, _ tracing.OpContext, depth int, err error) {
			note("fault %d %v %d %d %d %v", pc, vm.OpCode(op), gas, cost, depth, err)
		},
		OnOpcode: func(pc uint64, op byte, gas, cost uint64, scope tracing.OpContext, data []byte, depth int, err error) {
			out.codes++
			if count {
				w.seen.steps++
				if vm.OpCode(op) == vm.TSTORE && err == nil {
					w.seen.transient++
				}
			}
			if len(out.steps) < maxSteps {
				note("%d %v %d %d %d %x %x %v %x", pc, vm.OpCode(op), gas, cost, depth, scope.StackData(), crypto.Keccak256(scope.MemoryData()), err, crypto.Keccak256(data))
			}
		},
	}
}

// differ executes random messages on our state and on go-ethereum's, from the same accounts on, and fails at the first difference: of a step, an
// outcome, a log, or the root of the state, which ours has after each message and go-ethereum's after each block.
func differ(t testing.TB, data []byte) counts {
	w, alloc := newWorld(data)
	ours := newOur(alloc)
	database := gethstate.NewDatabaseForTesting()
	geth, err := gethstate.New(types.EmptyRootHash, database)
	if err != nil {
		t.Fatal(err)
	}
	for addr, a := range alloc {
		geth.CreateAccount(addr)
		geth.AddBalance(addr, uint256.MustFromBig(a.Balance), 0)
		geth.SetNonce(addr, a.Nonce, 0)
		geth.SetCode(addr, a.Code, 0)
		for k, v := range a.Storage {
			geth.SetState(addr, k, v)
		}
	}
	commit := func(rules params.Rules, when string) {
		root, err := geth.Commit(rules, 7)
		if err != nil {
			t.Fatal(err)
		}
		if found := ours.root(t); found != root {
			t.Fatalf("%s, by the rules of %s: our state root is %v, go-ethereum's %v", when, w.fork(), found, root)
		}
		if geth, err = gethstate.New(root, database); err != nil {
			t.Fatal(err)
		}
		ours.db.LogIndex = 0
	}
	commit(params.Rules{}, "at the beginning")
	for i := 0; i < maxMessages && len(w.rest) > 0; i++ {
		msg := w.message(geth.GetNonce)
		hash := common.Hash{1, 31: byte(i)}
		ours.db.SetTxContext(hash, i, 0)
		geth.SetTxContext(hash, i, 0)
		var a, b outcome
		run := func(db vm.StateDB, out *outcome, count bool) {
			var o outcome
			hooks, left := w.watch(&o, count), maxTrace
			steps := parity.NewSteps(func(n int) bool { left -= n; return left >= 0 })
			if count {
				hooks = parity.Join(hooks, steps.Hooks())
			}
			done := apply(vm.NewEVM(w.block, db, w.config, vm.Config{Tracer: hooks}), msg, w.block.GasLimit)
			done.steps, done.codes = o.steps, o.codes
			if ops := operations(steps.Result()); count && left >= 0 && ops != o.codes {
				t.Fatalf("message %d, by the rules of %s: a vmTrace of %d steps, expected %d", i, w.fork(), ops, o.codes)
			}
			*out = done
		}
		run(ours.db, &a, true)
		run(geth, &b, false)
		a.logs, b.logs = ours.db.TakeLogs(), geth.GetLogs(hash, 0, common.Hash{}, 0)
		when := fmt.Sprintf("message %d, by the rules of %s", i, w.fork())
		if fault := a.same(&b); fault != "" {
			t.Fatalf("%s: %s", when, fault)
		}
		differences := ours.db.Differences(w.rules.IsEIP158)
		ours.db.Finish(w.rules.IsEIP158)
		geth.Finalise(w.rules)
		for j := range differences {
			d := &differences[j]
			if d.After.Exists != geth.Exist(d.Addr) || d.After.Nonce != geth.GetNonce(d.Addr) || !d.After.Balance.Eq(geth.GetBalance(d.Addr)) || string(d.After.Code) != string(geth.GetCode(d.Addr)) {
				t.Fatalf("%s: %v is %+v, and go-ethereum has another account", when, d.Addr, d.After)
			}
		}
		w.count(&a, msg)
		if w.one(3) { // a block ends
			commit(w.rules, when)
		}
		if w.one(4) {
			ours.reopen()
		}
	}
	commit(w.rules, "at the end")
	return w.seen
}

// operations counts the steps of a vmTrace.
func operations(c *parity.Code) (n int) {
	if c == nil {
		return 0
	}
	for _, op := range c.Ops {
		n += 1 + operations(op.Sub)
	}
	return n
}

func (w *world) fork() string {
	for i := len(settings.Forks) - 1; i >= 0; i-- {
		s := settings.Settings{ChainID: 4242, Fork: settings.Forks[i].Name}
		if c := s.ChainConfig(); c.Rules(big.NewInt(7), c.TerminalTotalDifficulty != nil, 1000) == w.rules {
			return settings.Forks[i].Name
		}
	}
	return "?"
}

func (w *world) count(o *outcome, msg *core.Message) {
	w.seen.messages++
	w.seen.logs += len(o.logs)
	w.seen.delegated += len(msg.SetCodeAuthorizations)
	switch {
	case o.err != "":
		w.seen.refused++
	case o.failed == vm.ErrExecutionReverted.Error():
		w.seen.reverted++
	case o.failed != "":
		w.seen.failed++
	}
}

// FuzzTransactions executes random messages on our state and on go-ethereum's: fuzzed programs, creations, ends of contracts, precompiles, reverts, access lists and
// delegations, by the rules of every fork.
func FuzzTransactions(f *testing.F) {
	for i := range uint64(3) {
		f.Add(random(i, 2000))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<13 {
			return
		}
		differ(t, data)
	})
}

func random(seed uint64, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	out := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(out)
	return out
}

func TestRandomTransactionsAreExecutedAsByGoEthereum(t *testing.T) {
	var seen counts
	n := uint64(160)
	if testing.Short() {
		n = 60
	}
	for i := range n {
		data := random(1000+i, 3000)
		data[0] = byte(i) // the rules in turn
		seen.add(differ(t, data))
	}
	t.Logf("%+v", seen)
	for what, found := range map[string]int{
		"contracts that were made": seen.made, "contracts that have ended": seen.ended, "reverts": seen.reverted, "failures": seen.failed, "refusals": seen.refused, "logs": seen.logs,
		"delegations": seen.delegated, "calls of precompiles": seen.precompiles, "transient stores": seen.transient, "steps": seen.steps / 200,
	} {
		if found < int(n)/10 {
			t.Errorf("only %d %s", found, what)
		}
	}
}
