package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
)

// flatCall is a call of the namespace trace.
type flatCall struct {
	Action struct {
		From, To common.Address
		CallType string
		Input    hexutil.Bytes
	}
	Result *struct {
		GasUsed hexutil.Uint64
		Output  hexutil.Bytes
	}
	Error               string
	Subtraces           int
	TraceAddress        []int
	TransactionHash     *common.Hash
	TransactionPosition *int
	BlockNumber         *uint64
	Type                string
}

func TestFlatTracesAreTheCallsOfTransactions(t *testing.T) {
	n := newTestNode(t, nil)
	contract, refuser := n.deploy(keeper), n.deploy(reverter)
	// Calls keeper with its input, then reverter.
	forwarder := n.deploy(creation("60003560005260006000602060006000" + "73" + contract.Hex()[2:] + "5af150" +
		"60006000600060006000" + "73" + refuser.Hex()[2:] + "5af1" + "00"))
	word := common.Hash{31: 5}
	hash := n.send(n.raw(&forwarder, 200_000, word[:]))
	at := hexutil.Uint64(n.Head().Number())
	plain := n.send(n.raw(&contract, 100_000, word[:]))
	last := hexutil.Uint64(n.Head().Number())

	check := func(when string, list []flatCall, placed bool) {
		t.Helper()
		if len(list) != 3 {
			t.Fatalf("%s: %d calls, expected 3: %+v", when, len(list), list)
		}
		for i, want := range []struct {
			to    common.Address
			path  string
			error string
		}{{forwarder, "[]", ""}, {contract, "[0]", ""}, {refuser, "[1]", "Reverted"}} {
			c := list[i]
			equal(t, when+": callee", c.Action.To, want.to)
			equal(t, when+": place", fmt.Sprint(c.TraceAddress), want.path)
			equal(t, when+": error", c.Error, want.error)
			equal(t, when+": type", c.Type, "call")
			equal(t, when+": placed", c.TransactionHash != nil && c.BlockNumber != nil && c.TransactionPosition != nil, placed)
		}
		equal(t, when+": calls below", list[0].Subtraces, 2)
	}
	for range 2 {
		var list []flatCall
		n.ask(&list, "trace_transaction", hash)
		check("transaction", list, true)
		list = nil
		n.ask(&list, "trace_block", at)
		check("block", list, true)
		var replayed struct {
			Output hexutil.Bytes
			Trace  []flatCall
		}
		n.ask(&replayed, "trace_replayTransaction", hash, []string{"trace"})
		check("replay", replayed.Trace, false)
		var all []struct {
			TransactionHash common.Hash
			Trace           []flatCall
		}
		n.ask(&all, "trace_replayBlockTransactions", at, []string{"trace"})
		equal(t, "transactions", len(all), 1)
		equal(t, "hash", all[0].TransactionHash, hash)
		check("replay of the block", all[0].Trace, false)
		replayed.Trace = nil
		n.ask(&replayed, "trace_call", map[string]any{"to": forwarder, "input": word}, []string{"trace"}, "latest")
		check("call", replayed.Trace, false)
		var one flatCall
		n.ask(&one, "trace_get", hash, []string{"0x1"})
		equal(t, "one call", one.Action.To, refuser)

		for what, c := range map[string]struct {
			query map[string]any
			want  int
		}{
			"all":       {map[string]any{"fromBlock": at, "toBlock": last}, 4},
			"to":        {map[string]any{"fromBlock": "0x0", "toBlock": last, "toAddress": []any{refuser}}, 2}, // and its creation
			"from":      {map[string]any{"fromBlock": last, "toBlock": last, "fromAddress": []any{forwarder}}, 0},
			"from of":   {map[string]any{"fromBlock": at, "toBlock": at, "fromAddress": []any{forwarder}}, 2},
			"count":     {map[string]any{"fromBlock": at, "toBlock": last, "count": 2}, 2},
			"after":     {map[string]any{"fromBlock": at, "toBlock": last, "after": 3}, 1},
			"one block": {map[string]any{"fromBlock": at, "toBlock": at}, 3},
		} {
			var found []flatCall
			n.ask(&found, "trace_filter", c.query)
			equal(t, "filter "+what, len(found), c.want)
		}
		n.forget() // and once more from the ledger
	}
	var none json.RawMessage
	for _, c := range [][]any{{"trace_transaction", common.Hash{1}}, {"trace_block", "0xffffff"}, {"trace_get", hash, []string{"0x7"}}} {
		n.ask(&none, c[0].(string), c[1:]...)
		equal(t, fmt.Sprint(c[0]), string(none), "null")
	}
	for _, c := range []struct {
		method string
		params []any
		says   string
	}{
		{"trace_replayTransaction", []any{plain, []string{"vmtrace"}}, `the trace type "vmtrace" does not exist`},
		{"trace_callMany", []any{[]any{[]any{map[string]any{}}}}, "expected a transaction object and a list of trace types"},
		{"trace_filter", []any{map[string]any{"fromBlock": "0x5", "toBlock": "0x1"}}, "invalid block range"},
	} {
		if r := n.call(c.method, c.params...); r.Error == nil || !strings.Contains(r.Error.Message, c.says) {
			t.Errorf("%s: %+v %s", c.method, r.Error, r.Result)
		}
	}
}

func TestATransactionIsFilledAndSentWithItsReceipt(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(keeper)
	word := common.Hash{31: 5}
	var filled struct {
		Raw hexutil.Bytes
		Tx  types.Transaction
	}
	r := n.call("eth_fillTransaction", map[string]any{"from": n.address(0), "to": contract, "input": word})
	if r.Error != nil {
		t.Fatal(r.Error)
	}
	var parts struct {
		Raw hexutil.Bytes
		Tx  struct{ Nonce, Gas, Type, ChainID hexutil.Uint64 }
	}
	must(t, json.Unmarshal(r.Result, &parts))
	equal(t, "nonce", uint64(parts.Tx.Nonce), n.nonce)
	equal(t, "chain", parts.Tx.ChainID, testChainID)
	equal(t, "type", parts.Tx.Type, types.DynamicFeeTxType)
	must(t, filled.Tx.UnmarshalBinary(parts.Raw))
	signed, err := types.SignTx(&filled.Tx, n.Signer(), n.keys[0])
	must(t, err)
	raw, err := signed.MarshalBinary()
	must(t, err)
	var receipt types.Receipt
	n.ask(&receipt, "eth_sendRawTransactionSync", hexutil.Encode(raw))
	equal(t, "hash", receipt.TxHash, signed.Hash())
	equal(t, "status", receipt.Status, 1)
	if again := n.call("eth_sendRawTransactionSync", hexutil.Encode(raw)); again.Error == nil || !strings.Contains(again.Error.Message, "nonce too low") {
		t.Errorf("a second time: %+v", again.Error)
	}
	var also hexutil.Bytes
	n.ask(&also, "eth_getRawTransactionByBlockNumberAndIndex", "latest", "0x0")
	equal(t, "raw", also.String(), hexutil.Encode(raw))
	n.ask(&also, "eth_getRawTransactionByBlockHashAndIndex", n.Head().Hash, "0x1")
	equal(t, "raw of none", also.String(), "0x")
}
