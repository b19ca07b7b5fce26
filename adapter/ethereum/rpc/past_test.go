package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// forget executes blocks until all that there is now has left memory, and so has every state.
func (n *testNode) forget() {
	n.t.Helper()
	for range store.Retain + 1 {
		n.send(n.raw(&common.Address{0xee}, 21000, nil))
	}
}

// blockProbe is code that returns BLOCKHASH of the block before, of 256 blocks before and of 300 before, the slot 0
// and PREVRANDAO.
func blockProbe() []byte {
	return common.FromHex("6001430340600052" + "610100430340602052" + "61012c430340604052" + "600054606052" + "44608052" + "60a06000f3")
}

// oldCalls asks for everything that can be said of some blocks and the states after them.
func oldCalls(n *testNode, from, to uint64, contract common.Address) []string {
	v := n.Latest()
	defer v.Release()
	probe := hexutil.Bytes(blockProbe())
	var out []string
	for i := from; i <= to; i++ {
		b, err := v.Block(n.t.Context(), i)
		must(n.t, err)
		at := hexutil.Uint64(i)
		message := map[string]any{"to": contract, "from": n.address(1)}
		out = append(out,
			call("eth_getBlockByNumber", at, true), call("eth_getBlockByHash", b.Hash, false), call("eth_getHeaderByNumber", at),
			call("eth_getBlockReceipts", at), call("eth_getBlockReceipts", b.Hash), call("eth_getBlockTransactionCountByHash", b.Hash),
			call("eth_getTransactionByBlockNumberAndIndex", at, "0x0"), call("eth_getUncleCountByBlockNumber", at),
			call("eth_getLogs", map[string]any{"blockHash": b.Hash}),
			call("eth_getBalance", n.address(0), at), call("eth_getTransactionCount", n.address(0), at), call("eth_getCode", contract, at),
			call("eth_getStorageAt", contract, "0x0", map[string]any{"blockHash": b.Hash}),
			call("eth_call", message, at, map[string]any{contract.Hex(): map[string]any{"code": probe}}),
			call("eth_call", message, at, map[string]any{contract.Hex(): map[string]any{"code": probe}}, map[string]any{"number": "0x5"}),
			call("eth_estimateGas", map[string]any{"to": contract, "data": "0x" + strings.Repeat("00", 31) + "07", "from": n.address(1)}, at),
		)
		for _, hash := range b.Txs {
			out = append(out, call("eth_getTransactionReceipt", hash), call("eth_getTransactionByHash", hash), call("eth_getRawTransactionByHash", hash))
		}
	}
	return append(out,
		call("eth_getLogs", map[string]any{"fromBlock": hexutil.Uint64(from), "toBlock": hexutil.Uint64(to)}),
		call("eth_feeHistory", "0x5", hexutil.Uint64(to), []float64{10, 90}),
	)
}

func TestWhatHasLeftMemoryIsReadFromTheLedger(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(emitter)
	state := n.deploy(keeper)
	n.forget() // so that there are hashes to ask for
	first := n.Head().Number() + 1
	for i := range 3 {
		n.send(n.raw(&contract, 100_000, []byte{byte(i)}))
		n.send(n.raw(&state, 100_000, common.BigToHash(big.NewInt(int64(i+1))).Bytes()))
	}
	last := n.Head().Number()
	calls := oldCalls(n, first, last, state)
	var want [][]byte
	reads := n.past.count(func() {
		for _, c := range calls {
			want = append(want, n.post(c).Body.Bytes())
		}
	})
	for i, w := range want {
		if bytes.Contains(w, []byte(`"error"`)) {
			t.Fatalf("%s\n%s", calls[i], w)
		}
	}
	if reads > 10 { // BLOCKHASH in a pretended block
		t.Errorf("%d reads of the ledger for what is in memory", reads)
	}
	n.forget()
	if v := n.Latest(); v.InMemory(last) {
		t.Fatal("the block is in memory still")
	}
	for i, c := range calls {
		if got := n.post(c).Body.Bytes(); !bytes.Equal(got, want[i]) {
			t.Errorf("%s\nfrom the ledger %s\nfrom memory     %s", c, got, want[i])
		}
	}
	if n.past.newest > n.store.Oldest() {
		t.Errorf("the ledger was asked for seqno %d, of which memory holds what is after %d", n.past.newest, n.store.Oldest())
	}
}

func TestMemoryHoldsRecentBlocksOnly(t *testing.T) {
	n := newTestNode(t, nil)
	for range 3 * store.Retain {
		n.send(n.raw(&common.Address{0xee}, 21000, nil))
	}
	s := n.store.Snapshot()
	defer s.Release()
	for _, table := range []string{rows.Blocks, rows.BlockHashes, rows.Txs, rows.Recent, rows.Meta} {
		count := 0
		must(t, s.Each(table, func(string, []byte) error { count++; return nil }))
		if count == 0 || count > 512 || table != rows.Recent && count > store.Retain+1 {
			t.Errorf("%s has %d rows after %d blocks", table, count, n.Head().Number())
		}
	}
}

// Wallets ask for the receipt of a transaction again and again.
func TestAnUnknownHashCostsOneLookupAtMost(t *testing.T) {
	n := newTestNode(t, nil)
	unknown := []string{
		call("eth_getTransactionReceipt", common.Hash{1}), call("eth_getTransactionByHash", common.Hash{1}),
		call("eth_getBlockByHash", common.Hash{1}, false), call("eth_getBlockByNumber", "0xffff", false),
	}
	ask := func() int {
		return n.past.count(func() {
			for _, c := range unknown {
				if got := n.post(c).Body.String(); !strings.Contains(got, `"result":null`) {
					t.Fatalf("%s: %s", c, got)
				}
			}
		})
	}
	n.send(n.raw(&common.Address{0xee}, 21000, nil))
	equal(t, "lookups on a young network", ask(), 0)
	n.forget()
	equal(t, "lookups on an old network", ask(), 3)
}

// errorOf returns the error of a reply.
func errorOf(t testing.TB, body []byte) (code int, message, data string) {
	t.Helper()
	var r struct {
		Error *struct {
			Code    int
			Message string
			Data    json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &r); err != nil || r.Error == nil {
		t.Fatalf("no error (%v): %s", err, body)
	}
	return r.Error.Code, r.Error.Message, string(r.Error.Data)
}

func TestWhatCannotBeReadNowSaysSo(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(emitter)
	first := n.Head()
	n.forget()
	at := hexutil.Uint64(first.Number())
	calls := []string{
		call("eth_getTransactionReceipt", first.Txs[0]), call("eth_getTransactionByHash", first.Txs[0]), call("eth_getRawTransactionByHash", first.Txs[0]),
		call("eth_getBlockByHash", first.Hash, false), call("eth_getBlockByNumber", at, true), call("eth_getBlockReceipts", at),
		call("eth_getLogs", map[string]any{"fromBlock": at, "toBlock": at}), call("eth_getLogs", map[string]any{"blockHash": first.Hash}),
		call("eth_feeHistory", "0x1", at, []float64{50}), call("eth_getBalance", n.address(0), at), call("eth_getTransactionCount", n.address(0), at),
		call("eth_getCode", contract, at), call("eth_getStorageAt", contract, "0x0", at), call("eth_call", map[string]any{"to": contract}, at),
		call("eth_estimateGas", map[string]any{"to": contract}, at),
	}
	for _, c := range calls {
		// The first read succeeds where there are several: whichever fails, no half of an answer is given.
		for _, from := range []int{1, 2} {
			start := n.past.reads
			n.past.fail = func(read int) error {
				if read < start+from {
					return nil
				}
				return fmt.Errorf("%w: chunk 7", coco.ErrMissing)
			}
			body := n.post(c).Body.Bytes()
			if n.past.reads < start+from {
				continue // one read is all it takes
			}
			if code, message, data := errorOf(t, body); code != codeUnavailable || !strings.Contains(message, "chunk 7") || data != "" {
				t.Errorf("%s without the ledger: %s", c, body)
			}
		}
		n.past.fail = func(int) error { return &closedError{} }
		if code, message, data := errorOf(t, n.post(c).Body.Bytes()); code != codeUnavailable || message != "epoch 3 is closed" || data != "" {
			t.Errorf("%s in an epoch that no node opens: %d %q %s", c, code, message, data)
		}
		start := n.past.reads
		n.past.fail = func(int) error { return fmt.Errorf("%w: at seqno 3", coco.ErrPending) }
		if code, message, data := errorOf(t, n.post(c).Body.Bytes()); code != codeUnavailable || !strings.Contains(message, "ask again") || data != `{"retryAfter":1}` {
			t.Errorf("%s while it is indexed: %d %q %s", c, code, message, data)
		}
		if n.past.reads-start > 41 {
			t.Errorf("%s: %d tries", c, n.past.reads-start)
		}
		// It is indexed while the request waits.
		start = n.past.reads
		n.past.fail = func(read int) error {
			if read < start+10 {
				return coco.ErrPending
			}
			return nil
		}
		if body := n.post(c).Body.String(); !strings.Contains(body, `"result":`) || strings.Contains(body, `"result":null`) {
			t.Errorf("%s once it is indexed: %s", c, body)
		}
	}
	// A batch waits once for all of its calls.
	start := n.past.reads
	n.past.fail = func(int) error { return coco.ErrPending }
	n.post("[" + strings.Join(calls, ",") + "]")
	if reads := n.past.reads - start; reads > 41+len(calls) {
		t.Errorf("a batch of %d calls: %d tries", len(calls), reads)
	}
}

// creepingClock is later by a second whenever it is looked at.
type creepingClock struct {
	hurriedClock
	now time.Duration
}

func (c *creepingClock) Elapsed() time.Duration {
	c.now += time.Second
	return c.now
}

func TestOneRequestReadsOnlySoMuchOfTheLedger(t *testing.T) {
	n := newTestNode(t, map[string]any{"archive_blocks": 20})
	contract := n.deploy(emitter)
	for i := range 30 {
		n.send(n.raw(&contract, 100_000, []byte{byte(i)}))
	}
	n.forget()
	logs := func(from, to int) []byte {
		return n.post(call("eth_getLogs", map[string]any{"fromBlock": hexutil.Uint64(from), "toBlock": hexutil.Uint64(to)})).Body.Bytes()
	}
	if code, message, _ := errorOf(t, logs(1, 21)); code != codeLimit || !strings.Contains(message, "Try with this block range [0x1, 0x14]") {
		t.Errorf("21 blocks that have left memory: %d %s", code, message)
	}
	for _, r := range [][2]int{{1, 20}, {20, 31 + store.Retain}} {
		if got := logs(r[0], r[1]); !bytes.Contains(got, []byte(`"result":[{`)) {
			t.Errorf("%v: %s", r, got)
		}
	}
	n.env.Clock = &creepingClock{}
	if code, message, _ := errorOf(t, logs(1, 20)); code != codeLimit || !strings.Contains(message, "rpc.call_timeout_ms") {
		t.Errorf("slow reads: %d %s", code, message)
	}
}

func TestAPolledFilterCatchesUpFromTheLedger(t *testing.T) {
	n := newTestNode(t, map[string]any{"archive_blocks": 100})
	contract := n.deploy(emitter)
	var logs, blocks string
	n.ask(&logs, "eth_newFilter", map[string]any{"address": contract})
	n.ask(&blocks, "eth_newBlockFilter")
	for i := range 25 {
		n.send(n.raw(&contract, 100_000, []byte{byte(i)}))
	}
	n.forget()
	found, hashes, polls := 0, 0, 0
	for {
		var l []types.Log
		var h []common.Hash
		n.ask(&l, "eth_getFilterChanges", logs)
		n.ask(&h, "eth_getFilterChanges", blocks)
		if polls++; len(l) > 10 || polls == 1 && len(h) != 10 {
			t.Fatalf("poll %d: %d logs, %d blocks", polls, len(l), len(h))
		}
		found, hashes = found+len(l), hashes+len(h)
		if len(h) == 0 {
			break
		}
	}
	equal(t, "logs", found, 25)
	equal(t, "blocks", hashes, 25+store.Retain+1)
}

// Until the next block the newest one is known in part only.
func TestTheNewestBlockOfASnapshotIsReadFromTheLedger(t *testing.T) {
	c := newTestChain(t, 1, nil)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	n := &testNode{testChain: c.restored(settingsOf(t, 1))}
	whole := &testNode{testChain: c}
	head := c.Head()
	for _, call := range []string{
		call("eth_blockNumber"), call("eth_getBlockByNumber", "latest", true), call("eth_getBlockByHash", head.Hash, false),
		call("eth_getBlockReceipts", "latest"), call("eth_feeHistory", "0x1", "latest", []float64{50}), call("eth_getLogs", map[string]any{}),
		call("eth_getTransactionReceipt", head.Txs[0]), call("eth_blobBaseFee"), call("eth_getBalance", c.address(0), "latest"),
		call("eth_getBalance", c.address(0), map[string]any{"blockHash": head.Hash}), call("eth_getBalance", c.address(0), "0x0"),
	} {
		if got, want := n.post(call).Body.String(), whole.post(call).Body.String(); got != want || strings.Contains(got, `"error"`) {
			t.Errorf("%s\nfound    %s\nexpected %s", call, got, want)
		}
	}
}

// A query from block 0, as ethers' queryFilter makes it, costs what it finds, however long the chain is.
func TestLogsOfTheWholeChainComeFromTheIndex(t *testing.T) {
	n := newTestNode(t, map[string]any{"archive_blocks": 12, "log_blocks": 40, "log_results": 100})
	rare, common := n.deploy(emitter), n.deploy(emitter)
	for i := range 60 {
		contract := &common
		if i%15 == 7 {
			contract = &rare
		}
		n.send(n.raw(contract, 100_000, []byte{byte(i)}))
		n.send(n.raw(nil, 100_000, nil)) // a block without logs
	}
	n.forget()
	n.send(n.raw(&rare, 100_000, []byte{99}))
	ask := func(filter map[string]any) ([]byte, int, string) {
		body := n.post(call("eth_getLogs", filter)).Body.Bytes()
		var r struct {
			Result json.RawMessage
			Error  struct {
				Code    int
				Message string
			}
		}
		must(t, json.Unmarshal(body, &r))
		return r.Result, r.Error.Code, r.Error.Message
	}
	query := map[string]any{"fromBlock": "0x0", "toBlock": "latest", "address": rare}
	if _, code, message := ask(query); code != codeLimit || !strings.Contains(message, "exceed maximum block range") {
		t.Fatalf("without an index: %d %s", code, message)
	}
	n.env.Search = n.past.search
	before := n.past.reads
	got, code, message := ask(query)
	var found []*types.Log
	must(t, json.Unmarshal(got, &found))
	if code != 0 || len(found) != 5 {
		t.Fatalf("%d logs: %d %s", len(found), code, message)
	}
	for i, l := range found {
		if l.Address != rare || i > 0 && l.BlockNumber <= found[i-1].BlockNumber {
			t.Errorf("log %d: of %v in block %d", i, l.Address, l.BlockNumber)
		}
	}
	if reads := n.past.reads - before; reads > 40 {
		t.Errorf("%d reads of the past for 4 blocks", reads)
	}
	// Nothing matches: nothing is read but the range's ends.
	before = n.past.reads
	if got, _, _ := ask(map[string]any{"fromBlock": "0x0", "topics": []any{nil, nil, rareTopic}}); string(got) != "[]" || n.past.reads-before > 4 {
		t.Errorf("%s after %d reads", got, n.past.reads-before)
	}
	// Who asks for too much is told what fits, and comes to the end by it.
	all, next, asks := []*types.Log{}, uint64(0), 0
	for ; ; asks++ {
		got, code, message := ask(map[string]any{"fromBlock": hexutil.Uint64(next), "toBlock": "latest"})
		if code == codeLimit {
			var from, to, then uint64
			if _, err := fmt.Sscanf(message[strings.Index(message, "["):], "[%v, %v], and then go on from block %v.", &from, &to, &then); err != nil || from != next || then != to+1 {
				t.Fatalf("%q: %v", message, err)
			}
			if got, code, message = ask(map[string]any{"fromBlock": hexutil.Uint64(from), "toBlock": hexutil.Uint64(to)}); code != 0 {
				t.Fatalf("the range that fits does not: %d %s", code, message)
			}
			next = then
		} else {
			next = 0
		}
		var part []*types.Log
		must(t, json.Unmarshal(got, &part))
		if all = append(all, part...); next == 0 {
			break
		}
	}
	if len(all) != 61 || asks < 4 {
		t.Errorf("%d logs after %d refusals, expected 61", len(all), asks)
	}
	// An index that is being made is waited for a little, and then said.
	n.past.pending = 2
	if got, code, message = ask(query); code != 0 || len(got) < 100 {
		t.Errorf("after a moment: %d %s", code, message)
	}
	n.past.pending = 1_000_000
	if _, code, _ = ask(query); code != codeUnavailable {
		t.Errorf("not for a long time: code %d", code)
	}
	n.past.pending = 0
	// A poll that was away for long gets everything from the index.
	var id string
	n.ask(&id, "eth_newFilter", map[string]any{"fromBlock": "0x0", "address": rare})
	n.ask(&found, "eth_getFilterLogs", id)
	equal(t, "logs of a filter", len(found), 5)
}

// rareTopic is one that no log has.
const rareTopic = "0x00000000000000000000000000000000000000000000000000000000000000ff"

// closedError is what a node says of an epoch that no node opens.
type closedError struct{}

func (*closedError) Error() string    { return "epoch 3 is closed" }
func (*closedError) Unwrap() error    { return coco.ErrMissing }
func (*closedError) WireCode() string { return wire.CodeEpochClosed }
