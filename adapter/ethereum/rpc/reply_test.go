package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/budget"
)

// loggingBlock commits one block of transactions that log so many bytes each, and returns the contract and the hashes.
func (n *testNode) loggingBlock(txs, size int) (contract common.Address, hashes []common.Hash) {
	n.t.Helper()
	contract = n.deploy(emitter)
	data := make([]byte, size)
	var calls []string
	for range txs {
		calls = append(calls, call("eth_sendRawTransaction", n.raw(&contract, 3_000_000, data)))
	}
	var replies []reply
	must(n.t, json.Unmarshal(n.post("["+strings.Join(calls, ",")+"]").Body.Bytes(), &replies))
	for _, r := range replies {
		var hash common.Hash
		if r.Error != nil {
			n.t.Fatalf("%+v", r.Error)
		}
		must(n.t, json.Unmarshal(r.Result, &hash))
		hashes = append(hashes, hash)
	}
	if got := len(n.Head().Txs); got != txs {
		n.t.Fatalf("%d transactions in the block, expected %d", got, txs)
	}
	return contract, hashes
}

// Each method whose reply grows with what is in the ledger.
func TestRepliesStayWithinTheirLimitWhileTheyAreBuilt(t *testing.T) {
	const limit = 256 << 10
	n := newTestNode(t, map[string]any{"reply_bytes": limit})
	contract, hashes := n.loggingBlock(8, 100_000)
	full := n.Head().Hash
	talker := n.deploy(creation("620300006000f3")) // returns 192 KiB
	n.send(n.raw(&contract, 3_000_000, make([]byte, 60_000)))
	// All that a reply takes is within its limit and the log that is beyond it. One caller has half of the budget.
	n.budget = budget.New(2 * (limit + 256<<10))
	head := n.Head().Number()
	number := hexutil.EncodeUint64(head - 2)
	var filter string
	n.ask(&filter, "eth_newFilter", map[string]any{"fromBlock": "0x0", "address": contract})
	for name, ask := range map[string]struct {
		body string
		code int
		says string
	}{
		"receipts of a block":        {call("eth_getBlockReceipts", number), codeReplyTooLarge, "eth_getTransactionReceipt"},
		"a block":                    {call("eth_getBlockByNumber", number, true), codeReplyTooLarge, "without its transactions"},
		"a block by hash":            {call("eth_getBlockByHash", full, true), codeReplyTooLarge, "without its transactions"},
		"logs":                       {call("eth_getLogs", map[string]any{"fromBlock": "0x0"}), codeLimit, fmt.Sprintf("Try with this block range [0x0, %#x]", head-3)},
		"logs of one block":          {call("eth_getLogs", map[string]any{"blockHash": full}), codeLimit, fmt.Sprintf("in block %#x alone", head-2)},
		"logs of a filter":           {call("eth_getFilterLogs", filter), codeLimit, "Try with this block range"},
		"what a contract has to say": {call("eth_call", map[string]any{"to": talker}, "latest"), codeReplyTooLarge, "less at a time"},
	} {
		w := n.post(ask.body)
		var r reply
		must(t, json.Unmarshal(w.Body.Bytes(), &r))
		if r.Error == nil || r.Error.Code != ask.code || !strings.Contains(r.Error.Message, ask.says) {
			t.Errorf("%s: %d bytes are answered with %+v, expected code %d and %q", name, w.Body.Len(), r.Error, ask.code, ask.says)
		}
	}
	// What fits is answered, by every way.
	for _, ask := range []string{
		call("eth_getTransactionReceipt", hashes[0]),
		`{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":["` + hashes[0].Hex() + `",null]}`,
		call("eth_getTransactionByHash", hashes[0]),
		call("eth_getLogs", map[string]any{"fromBlock": hexutil.EncodeUint64(head)}),
	} {
		var r struct{ Result json.RawMessage }
		must(t, json.Unmarshal(n.post(ask).Body.Bytes(), &r))
		if len(r.Result) < 100_000 && !strings.Contains(ask, "null") {
			t.Errorf("%.90s: %.200s", ask, r.Result)
		}
	}
	// A batch has one limit for all its replies.
	w := n.post("[" + strings.Repeat(call("eth_getTransactionReceipt", hashes[1])+",", 9) + call("eth_getTransactionReceipt", hashes[1]) + "]")
	var replies []reply
	must(t, json.Unmarshal(w.Body.Bytes(), &replies))
	refused := 0
	for _, r := range replies {
		if r.Error != nil && r.Error.Code == codeReplyTooLarge {
			refused++
		}
	}
	if len(replies) != 10 || refused != 9 || w.Body.Len() > limit+4096 {
		t.Errorf("%d of %d replies of a batch are refused, and %d bytes sent", refused, len(replies), w.Body.Len())
	}
	equal(t, "bytes that are held after all replies", n.budget.Used(), 0)
}

func TestLargeRepliesAreWhole(t *testing.T) {
	n := newTestNode(t, nil)
	contract, hashes := n.loggingBlock(4, 100_000)
	number := hexutil.EncodeUint64(n.Head().Number())
	asks := []string{
		call("eth_chainId"), call("eth_getBlockReceipts", number), call("eth_blockNumber"),
		call("eth_getLogs", map[string]any{"fromBlock": "0x0", "address": contract}), call("eth_getTransactionReceipt", hashes[2]),
		call("eth_getBlockByNumber", number, true), call("net_version"),
	}
	var want []json.RawMessage
	for _, ask := range asks {
		var r map[string]json.RawMessage
		must(t, json.Unmarshal(n.post(ask).Body.Bytes(), &r))
		want = append(want, r["result"])
	}
	var receipts []*types.Receipt
	must(t, json.Unmarshal(want[1], &receipts))
	for i, r := range receipts {
		if len(r.Logs) != 1 || len(r.Logs[0].Data) != 100_000 || r.TxHash != hashes[i] || r.Bloom != types.CreateBloom(r) {
			t.Fatalf("receipt %d: %d logs", i, len(r.Logs))
		}
	}
	check := func(how string, body []byte) {
		t.Helper()
		var got []struct{ Result json.RawMessage }
		must(t, json.Unmarshal(body, &got))
		for i := range want {
			if !bytes.Equal(got[i].Result, want[i]) {
				t.Errorf("%s: call %d: %d bytes %.80s, expected %d bytes %.80s", how, i, len(got[i].Result), got[i].Result, len(want[i]), want[i])
			}
		}
	}
	batch := "[" + strings.Join(asks, ",") + "]"
	check("a batch", n.post(batch).Body.Bytes())
	check("an unusual batch", n.post(strings.ReplaceAll(batch, `"method":`, `"meth\u006fd":`)).Body.Bytes())
	s := n.dial()
	s.write(batch)
	check("a batch over WebSocket", []byte(s.read()))
	s.write(asks[1])
	want = want[1:2]
	check("over WebSocket", []byte("["+s.read()+"]"))
}

func TestARefusedClaimIsBusy(t *testing.T) {
	n := newTestNode(t, nil)
	_, hashes := n.loggingBlock(4, 100_000)
	n.budget = budget.New(1 << 20)
	n.budget.Claim(coco.ActorID{9}).Must(1 << 20)
	w := n.post(call("eth_getBlockReceipts", "latest"))
	var r reply
	must(t, json.Unmarshal(w.Body.Bytes(), &r))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || r.Error == nil || r.Error.Code != codeLimit || !strings.Contains(r.Error.Message, "1048576") {
		t.Errorf("status %d: %+v", w.Code, r.Error)
	}
	w = n.post(call("eth_blockNumber"))
	if w.Code != http.StatusOK {
		t.Errorf("a small reply is answered by %d %s", w.Code, w.Body)
	}
	w = n.post("[" + call("eth_getTransactionReceipt", hashes[0]) + "," + call("eth_blockNumber") + "]")
	var replies []reply
	must(t, json.Unmarshal(w.Body.Bytes(), &replies))
	if len(replies) != 2 || replies[0].Error == nil || replies[1].Error != nil {
		t.Errorf("a batch: %s", w.Body)
	}
}

// What waits for a subscriber of logs that does not read is the heads of blocks, not their logs.
func TestASubscriberThatIsBehindKeepsNoLogsInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("makes gigabytes of logs")
	}
	n := newTestNode(t, nil)
	n.budget = budget.New(512 << 20)
	n.loggingBlock(8, 100_000)
	s := n.dial()
	var id string
	s.call(&id, "eth_subscribe", "logs", map[string]any{})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, last := heap(), n.store.Committed()
	first := last - 8 // of the block before
	for i := range uint64(2 * subscriptionBuffer) {
		at := last
		if i%2 == 1 {
			at = first
		}
		n.Committed(adapter.Commit{Last: at})
		if i%512 == 511 {
			// 64 MiB may wait to be written, as messages.
			if after := heap(); after > before+150<<20 {
				t.Fatalf("%d MiB are in memory for a subscriber that does not read, after %d blocks of 0.8 MB of logs", (after-before)>>20, i/2)
			}
		}
	}
	if used := n.budget.Used(); used > wsQueueBytes+1<<20 {
		t.Errorf("%d bytes wait for one connection", used)
	}
	for {
		if _, _, err := s.ws.Read(context.Background()); err != nil {
			break
		}
	}
}
