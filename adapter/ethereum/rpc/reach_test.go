package rpc

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// The ledger is looked through backwards from where it is asked, so what a row costs is how far from there it was
// written. That must not depend on how long ago it was.
func TestRowsOfLongAgoAreAskedForWhereTheyAre(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(emitter)
	const perBlock = 3
	for range 5 * rows.Milestones {
		var calls []*adapter.Call
		for i := range uint64(perBlock) {
			calls = append(calls, n.testChain.call(n.sign(0, n.nonce+i, &contract, 100_000, 0, []byte{byte(i)})))
		}
		n.nonce += perBlock
		included_(t, n.execute(calls...), perBlock)
	}
	n.forget()
	v := n.Latest()
	defer v.Release()
	const from, to = rows.Milestones + rows.Milestones/2, 3*rows.Milestones + 7
	first, err := v.Block(t.Context(), from)
	must(t, err)
	last, err := v.Block(t.Context(), to)
	must(t, err)
	distance := n.Head().First - last.First
	if distance < 2*rows.Milestones*perBlock || v.InMemory(to) {
		t.Fatalf("the blocks are only %d transactions ago", distance)
	}
	rangeOf := map[string]any{"fromBlock": hexutil.Uint64(from), "toBlock": hexutil.Uint64(to)}
	number := hexutil.Uint64(from)
	const one = rows.Milestones * perBlock // from a milestone to a block of it
	for _, test := range []struct {
		call string
		most uint64
	}{
		{call("eth_getBlockByNumber", number, true), one},
		{call("eth_getBlockReceipts", number), one},
		{call("eth_getTransactionByBlockNumberAndIndex", number, "0x2"), one},
		{call("eth_getBalance", n.address(0), number), one},
		{call("eth_getLogs", rangeOf), one},
		{call("eth_feeHistory", "0x40", hexutil.Uint64(to), []float64{50}), one},
		// The one row that a hash names may be anywhere, the others are not.
		{call("eth_getLogs", map[string]any{"blockHash": last.Hash}), distance + one + store.Retain},
		{call("eth_getBlockByHash", last.Hash, true), distance + store.Retain},
		{call("eth_getTransactionReceipt", last.Txs[1]), distance + one + store.Retain},
	} {
		n.past.walked = 0
		body := n.post(test.call).Body.Bytes()
		if bytes.Contains(body, []byte(`"error"`)) || bytes.Contains(body, []byte(`"result":null`)) {
			t.Fatalf("%s: %.300s", test.call, body)
		}
		if n.past.walked > test.most {
			t.Errorf("%s: the ledger was looked through for %d transactions, expected at most %d", test.call, n.past.walked, test.most)
		}
	}

	var logs []types.Log
	n.ask(&logs, "eth_getLogs", rangeOf)
	equal(t, "logs", len(logs), (to-from+1)*perBlock)
	for i, l := range logs {
		if want := uint64(from + i/perBlock); l.BlockNumber != want || l.Index != uint(i%perBlock) {
			t.Fatalf("log %d is number %d of block %d, expected %d of %d: they are in order", i, l.Index, l.BlockNumber, i%perBlock, want)
		}
	}
	equal(t, "first", logs[0].BlockHash, first.Hash)
	var history struct {
		OldestBlock  hexutil.Uint64
		GasUsedRatio []float64
		Reward       [][]json.RawMessage
		BaseFee      []json.RawMessage `json:"baseFeePerGas"`
	}
	n.ask(&history, "eth_feeHistory", "0x5", hexutil.Uint64(to), []float64{50})
	if history.OldestBlock != to-4 || len(history.GasUsedRatio) != 5 || len(history.Reward) != 5 || len(history.BaseFee) != 6 || history.GasUsedRatio[0] == 0 {
		t.Errorf("fee history %+v", history)
	}
}
