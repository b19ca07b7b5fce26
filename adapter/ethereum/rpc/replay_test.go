package rpc

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter"
)

// vmTrace is the steps of an execution, as trace_replayTransaction shows them.
type vmTrace struct {
	Code hexutil.Bytes
	Ops  []struct {
		Cost, PC uint64
		Op       string
		Ex       *struct {
			Used  uint64
			Push  []*hexutil.Big
			Store *struct{ Key, Val *hexutil.Big }
			Mem   *struct {
				Data hexutil.Bytes
				Off  uint64
			}
		}
		Sub *vmTrace
	}
}

// replayOf is what a transaction has come to.
type replayOf struct {
	Output    hexutil.Bytes
	StateDiff map[common.Address]struct {
		Balance, Nonce, Code json.RawMessage
		Storage              map[common.Hash]map[string]json.RawMessage
	}
	Trace   []flatCall
	VMTrace *vmTrace
}

// flatStep is a step in the order of execution.
type flatStep struct {
	pc   uint64
	op   string
	left uint64 // gas behind it; of calls, before their end
	ok   bool
	top  string // what it pushed last
	kept string // slot and value that it stored
}

func (v *vmTrace) flat(out []flatStep) []flatStep {
	for _, o := range v.Ops {
		s := flatStep{pc: o.PC, op: o.Op, ok: o.Ex != nil}
		if o.Ex != nil {
			s.left = o.Ex.Used
			if n := len(o.Ex.Push); n > 0 {
				s.top = o.Ex.Push[n-1].String()
			}
			if o.Ex.Store != nil {
				s.kept = o.Ex.Store.Key.String() + "=" + o.Ex.Store.Val.String()
			}
		}
		out = append(out, s)
		if o.Sub != nil {
			out = o.Sub.flat(out)
		}
	}
	return out
}

// Replays of the blocks of the execution-apis' chain have the steps that go-ethereum's struct logger finds, and the changes that its prestateTracer finds, on a state
// of its own.
func TestReplaysAreWhatGoEthereumExecutes(t *testing.T) {
	n, bc := importedNode(t, conformance(t))
	config, steps, changed := bc.Config(), 0, 0
	for number := uint64(1); number <= bc.CurrentBlock().Number.Uint64(); number++ {
		b := bc.GetBlockByNumber(number)
		if config.OsakaTime == nil || b.Time() < *config.OsakaTime {
			continue
		}
		var found []replayOf
		n.ask(&found, "trace_replayBlockTransactions", hexutil.Uint64(number), everyKind)
		logged := gethTrace(t, bc, b, "", "")
		diffs := gethTrace(t, bc, b, "prestateTracer", `{"diffMode":true}`)
		equal(t, "transactions", len(found), len(logged))
		for i, r := range found {
			at := fmt.Sprintf("block %d, transaction %d", number, i)
			steps += sameSteps(t, at, r.VMTrace, logged[i])
			changed += sameChanges(t, at, &r, diffs[i])
			var one replayOf
			n.ask(&one, "trace_replayTransaction", b.Transactions()[i].Hash(), everyKind)
			equal(t, at+" alone", fmt.Sprint(one.VMTrace.flat(nil)), fmt.Sprint(r.VMTrace.flat(nil)))
		}
	}
	if steps < 1000 || changed < 50 {
		t.Fatalf("only %d steps and %d accounts are compared", steps, changed)
	}
}

func sameSteps(t *testing.T, at string, found *vmTrace, logged json.RawMessage) int {
	var want struct {
		StructLogs []struct {
			PC, Gas, GasCost uint64
			Op               string
			Depth            int
			Error            string
			Stack            []string
		}
	}
	must(t, json.Unmarshal(logged, &want))
	got := found.flat(nil)
	if len(got) != len(want.StructLogs) {
		t.Fatalf("%s: %d steps, expected %d", at, len(got), len(want.StructLogs))
	}
	for i, w := range want.StructLogs {
		g := got[i]
		if g.pc != w.PC || g.op != w.Op {
			t.Fatalf("%s: step %d is %s at %d, expected %s at %d", at, i, g.op, g.pc, w.Op, w.PC)
		}
		if w.Error != "" && g.ok {
			t.Errorf("%s: step %d, %s, has failed by %s, and has an effect", at, i, w.Op, w.Error)
		}
		if !g.ok {
			continue
		}
		// The next step of the same execution finds what this one has left.
		for j := i + 1; j < len(want.StructLogs) && want.StructLogs[j].Depth >= w.Depth; j++ {
			next := want.StructLogs[j]
			if next.Depth > w.Depth {
				continue
			}
			if g.left != next.Gas {
				t.Errorf("%s: step %d, %s, leaves %d gas, expected %d", at, i, w.Op, g.left, next.Gas)
			}
			if g.top != "" && g.top != next.Stack[len(next.Stack)-1] {
				t.Errorf("%s: step %d, %s, pushes %s, expected %s", at, i, w.Op, g.top, next.Stack[len(next.Stack)-1])
			}
			break
		}
		if w.Op == "SSTORE" {
			equal(t, at+" stores", g.kept, w.Stack[len(w.Stack)-1]+"="+w.Stack[len(w.Stack)-2])
		}
	}
	return len(got)
}

// gethDiff is what the prestateTracer of go-ethereum shows of an account.
type gethDiff struct {
	Balance *hexutil.Big
	Nonce   uint64
	Code    hexutil.Bytes
	Storage map[common.Hash]common.Hash
}

func sameChanges(t *testing.T, at string, found *replayOf, want json.RawMessage) int {
	var diff struct{ Pre, Post map[common.Address]gethDiff }
	must(t, json.Unmarshal(want, &diff))
	for addr, post := range diff.Post {
		d, ok := found.StateDiff[addr]
		if !ok {
			t.Errorf("%s: %s has changed, and is not listed", at, addr)
			continue
		}
		pre, was := diff.Pre[addr]
		created := !was
		if post.Balance != nil {
			from := new(hexutil.Big)
			if pre.Balance != nil {
				from = pre.Balance
			}
			shows(t, at+": balance of "+addr.Hex(), d.Balance, created, from, post.Balance)
		}
		if len(post.Code) > 0 {
			shows(t, at+": code of "+addr.Hex(), d.Code, created, pre.Code, post.Code)
		}
		slots := map[common.Hash]bool{}
		for _, m := range []map[common.Hash]common.Hash{pre.Storage, post.Storage} {
			for slot := range m {
				slots[slot] = true
			}
		}
		equal(t, at+": slots of "+addr.Hex(), len(d.Storage), len(slots))
		for slot := range slots {
			if value, ok := d.Storage[slot]; !ok {
				t.Errorf("%s: slot %s of %s is not listed", at, slot, addr)
			} else if !created {
				text, err := json.Marshal(value)
				must(t, err)
				shows(t, at+": slot", text, false, pre.Storage[slot], post.Storage[slot])
			}
		}
	}
	for addr := range found.StateDiff {
		_, was := diff.Pre[addr]
		if _, is := diff.Post[addr]; !was && !is {
			t.Errorf("%s: %s is listed, and has not changed", at, addr)
		}
	}
	return len(found.StateDiff)
}

// shows compares a member of a stateDiff.
func shows(t *testing.T, what string, found json.RawMessage, created bool, from, to any) {
	t.Helper()
	want := any(map[string]any{"*": map[string]any{"from": from, "to": to}})
	if created {
		want = map[string]any{"+": to}
	}
	text, err := json.Marshal(want)
	must(t, err)
	if string(found) != string(text) {
		t.Errorf("%s: %s, expected %s", what, found, text)
	}
}

// A replay shows what has come to be and what is gone, and messages that follow each other meet what those before them have left.
func TestReplaysShowWhatComesAndGoes(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(keeper)
	one, two := common.Hash{31: 1}, common.Hash{31: 2}
	txs := []*types.Transaction{
		n.sign(1, 0, &contract, 100_000, 0, one[:]), n.sign(2, 0, &contract, 100_000, 0, two[:]),
		n.sign(1, 1, &common.Address{0xee}, 21_000, 7, nil),
		n.sign(1, 2, nil, 100_000, 9, []byte{0x33, 0xff}), // a contract that ends while it is made, for its maker
	}
	var calls []*adapter.Call
	for _, tx := range txs {
		calls = append(calls, n.testChain.call(tx))
	}
	included_(t, n.execute(calls...), len(txs))
	var all []replayOf
	n.ask(&all, "trace_replayBlockTransactions", "latest", everyKind)
	equal(t, "slot", string(all[1].StateDiff[contract].Storage[common.Hash{}]["*"]), fmt.Sprintf(`{"from":"%s","to":"%s"}`, one, two))
	equal(t, "balance of a contract", string(all[1].StateDiff[contract].Balance), `"="`)
	equal(t, "nonce of the sender", string(all[1].StateDiff[n.address(2)].Nonce), `{"*":{"from":"0x0","to":"0x1"}}`)
	equal(t, "a new account", string(all[2].StateDiff[common.Address{0xee}].Balance), `{"+":"0x7"}`)
	equal(t, "its code", string(all[2].StateDiff[common.Address{0xee}].Code), `{"+":"0x"}`)
	equal(t, "accounts that a contract leaves that has ended", len(all[3].StateDiff), 1)
	equal(t, "its code", all[3].VMTrace.Code.String(), "0x33ff")
	equal(t, "its last step", all[3].VMTrace.Ops[1].Op, "SELFDESTRUCT")

	// Each message meets what the one before has stored: code that returns slot 0 is what the third one deploys.
	message := func(input hexutil.Bytes) map[string]any { return map[string]any{"to": contract, "input": input} }
	var many []replayOf
	three, four := common.Hash{31: 3}, common.Hash{31: 4}
	n.ask(&many, "trace_callMany", []any{
		[]any{message(three[:]), []string{"stateDiff"}}, []any{message(four[:]), []string{"stateDiff", "vmTrace"}}, []any{message(four[:]), []string{"trace"}},
	}, "latest")
	equal(t, "replays", len(many), 3)
	equal(t, "the second", string(many[1].StateDiff[contract].Storage[common.Hash{}]["*"]), fmt.Sprintf(`{"from":"%s","to":"%s"}`, three, four))
	equal(t, "parts of the first", many[0].VMTrace == nil && len(many[0].Trace) == 0, true)
	equal(t, "parts of the third", many[2].VMTrace == nil && many[2].StateDiff == nil && len(many[2].Trace) == 1, true)
	var last *big.Int
	for _, o := range many[1].VMTrace.Ops {
		if o.Op == "SSTORE" {
			last = o.Ex.Store.Val.ToInt()
		}
	}
	equal(t, "what it stores", last.Int64(), 4)
	var slot common.Hash
	n.ask(&slot, "eth_getStorageAt", contract, "0x0", "latest")
	equal(t, "slot of the chain", slot, two)

	// What a contract of the block has made is known to what follows: an account that is gone is one that was.
	suicide := n.deploy(creation("33ff"))
	var gone replayOf
	n.ask(&gone, "trace_call", map[string]any{"to": suicide, "from": n.address(0)}, everyKind, "latest")
	equal(t, "steps", len(gone.VMTrace.Ops), 2)
	equal(t, "calls", len(gone.Trace), 2)
}

func TestReplaysAreBounded(t *testing.T) {
	n := newTestNode(t, map[string]any{"reply_bytes": 100_000, "call_timeout_ms": 200})
	endless := n.deploy(spinner)
	caller := n.deploy(creation("5b" + "610fff60006000600060006030" + "5af1" + "50" + "600056"))
	writer := n.deploy(creation("5b" + "5a5a55" + "61c3505a11" + "600057" + "00")) // stores at another slot in each turn, while there is gas
	for _, c := range []struct {
		method string
		params []any
		says   string
	}{
		{"trace_call", []any{map[string]any{"to": endless}, []string{"vmTrace"}, "latest"}, "response too large: more than 100000 bytes"},
		{"trace_call", []any{map[string]any{"to": caller, "gas": "0xffffff"}, []string{"vmTrace"}, "latest"}, "response too large: more than 100000 bytes"},
		{"trace_call", []any{map[string]any{"to": endless}, []string{"stateDiff"}, "latest"}, "execution aborted (timeout = 200ms)"},
		{"trace_call", []any{map[string]any{"to": endless, "data": "0x" + strings.Repeat("00", 60_000)}, []string{"trace"}, "latest"}, "response too large"},
		{"trace_callMany", []any{many(2000, []any{map[string]any{"to": common.Address{1}}, []string{}}), "latest"}, "response too large"},
		{"trace_callMany", []any{many(50, []any{map[string]any{"to": endless}, []string{"stateDiff"}}), "latest"}, "execution aborted (timeout = 200ms)"},
	} {
		r := n.call(c.method, c.params...)
		if r.Error == nil || !strings.Contains(r.Error.Message, c.says) {
			t.Errorf("%s: %+v %.100s, expected %s", c.method, r.Error, r.Result, c.says)
		}
	}
	// 16 million gas store 700 slots, which are more than the reply may have.
	r := n.call("trace_call", map[string]any{"to": writer, "gas": "0xf42400"}, []string{"stateDiff"}, "latest")
	if r.Error == nil || !strings.Contains(r.Error.Message, "response too large") {
		t.Errorf("a large stateDiff: %+v %.100s", r.Error, r.Result)
	}
}

func many(n int, v any) (list []any) {
	for range n {
		list = append(list, v)
	}
	return list
}
