package rpc

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco/adapter"
)

// frame is a call of the tracer callTracer.
type frame struct {
	Type, Error, RevertReason string
	From, To                  common.Address
	Gas, GasUsed              hexutil.Uint64
	Input, Output             hexutil.Bytes
	Logs                      []struct{ Address common.Address }
}

type structTrace struct {
	Gas        uint64
	Failed     bool
	StructLogs []struct {
		Op      string
		Stack   []string
		Storage map[common.Hash]common.Hash
	}
}

// A trace shows the execution that is in the ledger: its gas is the receipt's, and it meets what the transactions before it in
// its block have done.
func TestATraceShowsWhatWasExecuted(t *testing.T) {
	n := newTestNode(t, nil)
	contract, logging, refuser := n.deploy(keeper), n.deploy(emitter), n.deploy(reverter)
	one, two := common.Hash{31: 1}, common.Hash{31: 2}
	// Three transactions in one block.
	txs := []*types.Transaction{
		n.sign(1, 0, &contract, 100_000, 0, one[:]), n.sign(2, 0, &contract, 100_000, 0, two[:]), n.sign(1, 1, &logging, 100_000, 0, []byte("log")),
	}
	var calls []*adapter.Call
	for _, tx := range txs {
		calls = append(calls, n.testChain.call(tx))
	}
	included_(t, n.execute(calls...), 3)
	failed := n.send(n.raw(&refuser, 100_000, nil))

	check := func(when string) {
		t.Helper()
		for i, tx := range txs {
			var f frame
			n.ask(&f, "debug_traceTransaction", tx.Hash(), map[string]any{"tracer": "callTracer", "tracerConfig": map[string]any{"withLog": true}})
			var receipt struct {
				GasUsed hexutil.Uint64
				Logs    []struct{ Address common.Address }
			}
			n.ask(&receipt, "eth_getTransactionReceipt", tx.Hash())
			equal(t, when+": gas", f.GasUsed, receipt.GasUsed)
			equal(t, when+": logs", len(f.Logs), len(receipt.Logs))
			equal(t, when+": input", string(f.Input), string(tx.Data()))
			equal(t, when+": from", f.From, n.address([]int{1, 2, 1}[i]))
		}
		var f frame
		n.ask(&f, "debug_traceTransaction", failed, map[string]any{"tracer": "callTracer"})
		equal(t, "error", f.Error, "execution reverted")
		equal(t, "reason", f.RevertReason, "no")

		var s structTrace
		n.ask(&s, "debug_traceTransaction", txs[1].Hash())
		last := s.StructLogs[len(s.StructLogs)-2]
		equal(t, "last step", last.Op, "SSTORE")
		equal(t, "slot", last.Storage[common.Hash{}], two)

		var diff struct {
			Pre, Post map[common.Address]struct {
				Storage map[common.Hash]common.Hash
			}
		}
		n.ask(&diff, "debug_traceTransaction", txs[1].Hash(), map[string]any{"tracer": "prestateTracer", "tracerConfig": map[string]any{"diffMode": true}})
		equal(t, when+": slot before", diff.Pre[contract].Storage[common.Hash{}], one)
		equal(t, when+": slot after", diff.Post[contract].Storage[common.Hash{}], two)

		for _, at := range [][]any{{"debug_traceBlockByNumber", "0x4"}, {"debug_traceBlockByHash", n.blockHash(4)}} {
			var block []struct {
				TxHash common.Hash
				Result frame
			}
			n.ask(&block, at[0].(string), at[1], map[string]any{"tracer": "callTracer"})
			equal(t, "transactions", len(block), 3)
			for i := range block {
				equal(t, "hash", block[i].TxHash, txs[i].Hash())
			}
		}

		// Calls: after a block, after a transaction of it, and with overrides.
		read := map[string]any{"to": contract}
		code := map[string]any{"code": "0x60005460005260206000f3"} // returns slot 0
		config := func(more map[string]any) map[string]any {
			c := map[string]any{"tracer": "callTracer", "stateOverrides": map[string]any{contract.Hex(): code}}
			for k, v := range more {
				c[k] = v
			}
			return c
		}
		n.ask(&f, "debug_traceCall", read, "0x4", config(nil))
		equal(t, "after the block", common.Hash(f.Output), two)
		n.ask(&f, "debug_traceCall", read, "0x3", config(nil))
		equal(t, "before the block", common.Hash(f.Output), common.Hash{})
		n.ask(&f, "debug_traceCall", read, "0x4", config(map[string]any{"txIndex": "0x0"}))
		equal(t, "after the first transaction", common.Hash(f.Output), one)
		code["code"] = "0x4360005260206000f3" // NUMBER
		n.ask(&f, "debug_traceCall", read, "latest", config(map[string]any{"blockOverrides": map[string]any{"number": "0x99"}}))
		equal(t, "overridden number", common.Hash(f.Output), common.Hash{31: 0x99})
	}
	check("in memory")
	n.forget()
	check("from the ledger")
}

func (n *testNode) blockHash(number uint64) common.Hash {
	var b struct{ Hash common.Hash }
	n.ask(&b, "eth_getBlockByNumber", hexutil.Uint64(number), false)
	return b.Hash
}

func TestTracesAreBounded(t *testing.T) {
	n := newTestNode(t, map[string]any{"reply_bytes": 100_000, "call_timeout_ms": 200})
	endless, contract := n.deploy(spinner), n.deploy(keeper)
	caller := n.deploy(creation("5b" + "610fff60006000600060006030" + "5af1" + "50" + "600056")) // calls the address 0x30 with 4 KiB until its gas ends
	ok := n.send(n.raw(&contract, 100_000, make([]byte, 32)))
	for _, c := range []struct {
		method string
		params []any
		code   int
		says   string
	}{
		{"debug_traceCall", []any{map[string]any{"to": endless}, "latest"}, codeReplyTooLarge, "response too large: more than 100000 bytes"},
		{"debug_traceCall", []any{map[string]any{"to": caller, "gas": "0xffffff"}, "latest", map[string]any{"tracer": "callTracer"}}, codeReplyTooLarge, "response too large: more than 100000 bytes"},
		{"debug_traceCall", []any{map[string]any{"to": endless}, "latest", map[string]any{"tracer": "callTracer"}}, codeServer, "execution aborted (timeout = 200ms)"},
		{"debug_traceCall", []any{map[string]any{"to": endless}, "latest", map[string]any{"tracer": "{}"}}, codeServer, "is not offered"},
		{"debug_traceCall", []any{map[string]any{"to": endless}, "latest", map[string]any{"timeout": "soon"}}, codeServer, "invalid duration"},
		{"debug_traceCall", []any{map[string]any{"to": endless}, "latest", map[string]any{"txIndex": "0x5"}}, codeServer, "out of range"},
		{"debug_traceTransaction", []any{common.Hash{9}}, codeServer, "transaction not found"},
		{"debug_traceBlockByNumber", []any{"0x99"}, codeServer, "not found"},
		{"debug_traceBlockByHash", []any{common.Hash{9}}, codeServer, "not found"},
		{"debug_traceChain", []any{"0x0", "0x1"}, codeNoMethod, ""},
		{"debug_traceBlockFromFile", []any{"/etc/passwd"}, codeNoMethod, ""},
	} {
		r := n.call(c.method, c.params...)
		if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.says) {
			t.Errorf("%s %v: %+v %.100s, expected %d %s", c.method, c.params, r.Error, r.Result, c.code, c.says)
		}
	}
	var s structTrace
	n.ask(&s, "debug_traceTransaction", ok)
	equal(t, "failed", s.Failed, false)
}

func TestRawEncodingsAreThoseOfTheHashes(t *testing.T) {
	n, hashes, _ := richNode(t)
	for number := range n.Head().Number() + 1 {
		at := hexutil.Uint64(number)
		var header, block hexutil.Bytes
		var receipts []hexutil.Bytes
		n.ask(&header, "debug_getRawHeader", at)
		n.ask(&block, "debug_getRawBlock", at)
		n.ask(&receipts, "debug_getRawReceipts", n.blockHash(number))
		var h types.Header
		must(t, rlp.DecodeBytes(header, &h))
		equal(t, "hash of the header", h.Hash(), n.blockHash(number))
		var b types.Block
		must(t, rlp.DecodeBytes(block, &b))
		equal(t, "hash of the block", b.Hash(), n.blockHash(number))
		equal(t, "transactions", types.DeriveSha(b.Transactions(), newHasher()), h.TxHash)
		list := make(types.Receipts, len(receipts))
		for i := range receipts {
			list[i] = new(types.Receipt)
			must(t, list[i].UnmarshalBinary(receipts[i]))
		}
		equal(t, "receipts", types.DeriveSha(list, newHasher()), h.ReceiptHash)
	}
	for _, hash := range hashes {
		var raw, also hexutil.Bytes
		n.ask(&raw, "debug_getRawTransaction", hash)
		n.ask(&also, "eth_getRawTransactionByHash", hash)
		equal(t, "raw transaction", raw.String(), also.String())
	}
	var none json.RawMessage
	n.ask(&none, "debug_getRawTransaction", common.Hash{1})
	equal(t, "no transaction", string(none), `"0x"`)
}

func newHasher() types.ListHasher { return trie.NewStackTrie(nil) }

// What a contract stores is listed by the hashes of its slots, before each transaction of a block.
func TestTheStorageOfAContractIsListed(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(keeper)
	one, two := common.Hash{31: 1}, common.Hash{31: 2}
	txs := []*types.Transaction{n.sign(1, 0, &contract, 100_000, 0, one[:]), n.sign(2, 0, &contract, 100_000, 0, two[:])}
	included_(t, n.execute(n.testChain.call(txs[0]), n.testChain.call(txs[1])), 2)
	type listed struct {
		Storage map[common.Hash]struct{ Key, Value common.Hash }
		NextKey *common.Hash
	}
	at, hash := hexutil.Uint64(n.Head().Number()), crypto.Keccak256Hash(make([]byte, 32))
	for index, want := range []int{0, 1} {
		var l listed
		n.ask(&l, "debug_storageRangeAt", at, index, contract, "0x", 10)
		equal(t, "slots", len(l.Storage), want)
		if want > 0 {
			equal(t, "value", l.Storage[hash].Value, one)
		}
	}
	n.send(n.raw(nil, 100_000, nil))
	var l listed
	n.ask(&l, "debug_storageRangeAt", "latest", 0, contract, "0x", 10)
	equal(t, "value after the block", l.Storage[hash].Value, two)
	l = listed{}
	n.ask(&l, "debug_storageRangeAt", "latest", 0, common.Address{1}, "0x", 10)
	equal(t, "slots of no account", len(l.Storage), 0)
	// The history contract of EIP-2935 has a slot for each block.
	history := common.HexToAddress("0x0000F90827F1C53a10cb7A02335B175320002935")
	all := map[common.Hash]bool{}
	from := (common.Hash{})
	for pages := 0; ; pages++ {
		var l listed
		n.ask(&l, "debug_storageRangeAt", "latest", 0, history, from, 2)
		for h := range l.Storage {
			all[h] = true
		}
		if l.NextKey == nil {
			break
		}
		from = *l.NextKey
		if pages > 10 {
			t.Fatal("pages without end")
		}
	}
	equal(t, "slots of the history", uint64(len(all)), n.Head().Number()) // with that of the block itself
	for _, c := range [][]any{{"latest", 1, contract, "0x", 10}, {"latest", 0, contract, "0x", 5000}, {"0x0", 0, contract, "0x", 1}, {"0xffffff", 0, contract, "0x", 1}} {
		if r := n.call("debug_storageRangeAt", c...); r.Error == nil {
			t.Errorf("%v: %s", c, r.Result)
		}
	}
	n.forget()
	if r := n.call("debug_storageRangeAt", at, 0, contract, "0x", 10); r.Error == nil || !strings.HasPrefix(r.Error.Message, "missing trie node") {
		t.Errorf("a state that has left memory: %+v", r.Error)
	}
}

// On a pinned network every block is executed as if it were the pinned one, and so are traces.
func TestTracesOfAPinnedNetworkMeetThePinnedBlock(t *testing.T) {
	n := &testNode{testChain: newTestChain(t, 3, map[string]any{"pin": map[string]any{
		"number": 18_000_000, "timestamp": 1_693_000_000, "difficulty": "0", "gas_limit": 30_000_000, "base_fee": "0x0", "parent_hash": common.Hash{7},
	}})}
	contract := n.deploy(creation("435f5500")) // keeps the block's number
	hash := n.send(n.raw(&contract, 100_000, nil))
	var s structTrace
	n.ask(&s, "debug_traceTransaction", hash)
	equal(t, "failed", s.Failed, false)
	equal(t, "number", s.StructLogs[1].Stack[0], hexutil.EncodeUint64(18_000_000))
	var list struct{ AccessList types.AccessList }
	n.ask(&list, "eth_createAccessList", map[string]any{"to": contract})
	equal(t, "slots", len(list.AccessList[0].StorageKeys), 1)
	if r := n.call("eth_simulateV1", map[string]any{"blockStateCalls": []any{map[string]any{}}}); r.Error == nil || !strings.Contains(r.Error.Message, "pinned") {
		t.Errorf("simulated: %+v %s", r.Error, r.Result)
	}
}
