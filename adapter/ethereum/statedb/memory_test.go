package statedb_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
)

// memory is the tables of a state, in memory.
type memory map[string]map[string][]byte

func (m memory) Get(table string, key []byte) ([]byte, bool) {
	v, ok := m[table][string(key)]
	return v, ok
}

func (m memory) Put(table string, key, value []byte) {
	if m[table] == nil {
		m[table] = map[string][]byte{}
	}
	m[table][string(key)] = bytes.Clone(value)
}

func (m memory) Delete(table string, key []byte) { delete(m[table], string(key)) }

func (m memory) Range(table string, from, to []byte, fn func(key, value []byte) bool) {
	var keys []string
	for key := range m[table] {
		if key >= string(from) && (to == nil || key < string(to)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !fn([]byte(key), m[table][key]) {
			return
		}
	}
}

// our is a state of ours in memory.
type our struct {
	rows memory
	db   *statedb.DB
}

// newOur returns a state with accounts.
func newOur(alloc types.GenesisAlloc) *our {
	o := &our{rows: memory{}}
	o.reopen()
	for addr, a := range alloc {
		o.db.CreateAccount(addr)
		o.db.AddBalance(addr, uint256.MustFromBig(a.Balance), 0)
		o.db.SetNonce(addr, a.Nonce, 0)
		o.db.SetCode(addr, a.Code, 0)
		for k, v := range a.Storage {
			o.db.SetState(addr, k, v)
		}
	}
	o.db.Finish(false)
	o.reopen()
	return o
}

// reopen forgets all but the rows, and the index of the block's next log.
func (o *our) reopen() {
	var next uint
	if o.db != nil {
		next = o.db.LogIndex
	}
	o.db = statedb.New(o.rows)
	o.db.Sink, o.db.LogIndex = o.rows, next
}

// root is the root of the rows, made from nothing else.
func (o *our) root(t testing.TB) common.Hash {
	root, err := stateroot.Recompute(o.rows, func() bool { return true })
	if err != nil || o.db.Corrupt != nil {
		t.Fatal(err, o.db.Corrupt)
	}
	return root
}

// outcome is what a message has come to.
type outcome struct {
	err    string // the message was refused
	failed string
	gas    uint64
	output []byte
	logs   []*types.Log
	steps  []string
	codes  int // steps, also those that are not kept
}

// same compares two outcomes, and says what differs first.
func (o *outcome) same(other *outcome) string {
	for i := range min(len(o.steps), len(other.steps)) {
		if o.steps[i] != other.steps[i] {
			return fmt.Sprintf("step %d:\nours: %s\ngo-ethereum's: %s", i, o.steps[i], other.steps[i])
		}
	}
	a, b := fmt.Sprintf("%d steps, refused %q, failed %q, gas %d, output %x", len(o.steps), o.err, o.failed, o.gas, o.output), fmt.Sprintf("%d steps, refused %q, failed %q, gas %d, output %x", len(other.steps), other.err, other.failed, other.gas, other.output)
	if a != b {
		return fmt.Sprintf("ours: %s\ngo-ethereum's: %s", a, b)
	}
	if a, b := printLogs(o.logs), printLogs(other.logs); a != b {
		return fmt.Sprintf("logs:\nours: %s\ngo-ethereum's: %s", a, b)
	}
	return ""
}

func printLogs(list []*types.Log) (out string) {
	for _, l := range list {
		out += fmt.Sprintf("%v %v %x %v %d %d\n", l.Address, l.Topics, l.Data, l.TxHash, l.TxIndex, l.Index)
	}
	return out
}

// apply executes a message on a state, and ends it with no effect if it is refused.
func apply(evm *vm.EVM, msg *core.Message, gas uint64) (out outcome) {
	snapshot := evm.StateDB.Snapshot()
	res, err := core.ApplyMessage(evm, msg, core.NewGasPool(gas))
	if err != nil {
		evm.StateDB.RevertToSnapshot(snapshot)
		out.err = err.Error()
		return out
	}
	out.gas, out.output = res.UsedGas, res.ReturnData
	if res.Err != nil {
		out.failed = res.Err.Error()
	}
	return out
}
