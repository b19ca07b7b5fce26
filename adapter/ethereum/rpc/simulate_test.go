package rpc

import (
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// simulated is a block of eth_simulateV1.
type simulated struct {
	Number, BaseFeePerGas, GasUsed hexutil.Uint64
	Hash, ParentHash, StateRoot    common.Hash
	Calls                          []struct {
		ReturnData hexutil.Bytes
		Logs       []struct{ Address common.Address }
		GasUsed    hexutil.Uint64
		Status     hexutil.Uint64
		Error      *struct {
			Message string
			Code    int
		}
	}
}

// returner returns slot 0, keeper's.
const returner = "0x60005460005260206000f3"

func TestSimulatedBlocksBuildOnEachOther(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(keeper)
	word := common.Hash{31: 7}
	object := func(from int, input any) map[string]any {
		return map[string]any{"from": n.address(from), "to": contract, "input": input}
	}
	read := map[string]any{"stateOverrides": map[string]any{contract.Hex(): map[string]any{"code": returner}}, "calls": []any{object(2, "0x")}}
	ask := func(at any) (blocks []simulated) {
		t.Helper()
		n.ask(&blocks, "eth_simulateV1", map[string]any{
			"validation": true, "traceTransfers": true,
			"blockStateCalls": []any{
				map[string]any{"calls": []any{object(0, word), map[string]any{"from": n.address(0), "to": common.Address{9}, "value": "0x5"}}},
				read,
			},
		}, at)
		return blocks
	}
	head := n.Head()
	blocks := ask("latest")
	equal(t, "blocks", len(blocks), 2)
	equal(t, "number", uint64(blocks[0].Number), head.Number()+1)
	equal(t, "parent", blocks[0].ParentHash, head.Hash)
	equal(t, "parent of the second", blocks[1].ParentHash, blocks[0].Hash)
	equal(t, "base fee, which never moves", blocks[1].BaseFeePerGas, 0)
	equal(t, "transfers as logs", len(blocks[0].Calls[1].Logs), 1)
	equal(t, "slot in the next block", common.Hash(blocks[1].Calls[0].ReturnData), word)
	if blocks[0].StateRoot == blocks[1].StateRoot || blocks[0].StateRoot == head.Header.Root {
		t.Errorf("state roots %v and %v after %v", blocks[0].StateRoot, blocks[1].StateRoot, head.Header.Root)
	}

	// The chain is as it was, and a state that has left memory is simulated on as well.
	equal(t, "head", n.Head().Hash, head.Hash)
	var slot common.Hash
	n.ask(&slot, "eth_getStorageAt", contract, "0x0", "latest")
	equal(t, "slot of the chain", slot, common.Hash{})
	n.forget()
	old := ask(hexutil.Uint64(head.Number()))
	equal(t, "parent in the ledger", old[0].ParentHash, head.Hash)
	equal(t, "slot in the next block", common.Hash(old[1].Calls[0].ReturnData), word)
	equal(t, "root while the state is in the ledger", old[1].StateRoot, head.Header.Root)
}

func TestSimulationsAreBounded(t *testing.T) {
	n := newTestNode(t, map[string]any{"reply_bytes": 200_000, "call_timeout_ms": 200})
	endless, logging, refuser := n.deploy(spinner), n.deploy(emitter), n.deploy(reverter)
	calls := func(c ...any) []any {
		return []any{map[string]any{"blockStateCalls": []any{map[string]any{"calls": c}}}}
	}
	var many []any
	for range 100 {
		many = append(many, map[string]any{"to": logging, "input": "0x" + strings.Repeat("00", 1000)})
	}
	for what, c := range map[string]struct {
		params []any
		code   int
		says   string
	}{
		"time":     {calls(map[string]any{"to": endless}), codeServer, "execution aborted (timeout = 200ms)"},
		"memory":   {calls(many...), codeReplyTooLarge, "response too large"},
		"nothing":  {[]any{map[string]any{"blockStateCalls": []any{}}}, codeInvalidParams, "empty input"},
		"too many": {[]any{map[string]any{"blockStateCalls": make([]struct{}, 257)}}, -38026, "too many blocks"},
		"gas":      {calls(map[string]any{"to": endless, "gas": "0x7fffffff"}), -38015, "block gas limit reached"},
		"unknown":  {[]any{map[string]any{"blockStateCalls": []any{map[string]any{"blockOverrides": map[string]any{"gas": "0x1"}}}}}, codeInvalidParams, `unknown field "gas" in block override`},
	} {
		r := n.call("eth_simulateV1", c.params...)
		if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.says) {
			t.Errorf("%s: %+v %.200s, expected %d %s", what, r.Error, r.Result, c.code, c.says)
		}
	}
	var blocks []simulated
	n.ask(&blocks, "eth_simulateV1", calls(map[string]any{"to": refuser})...)
	if e := blocks[0].Calls[0].Error; e == nil || e.Code != group.CodeReverted || e.Message != "execution reverted: no" {
		t.Errorf("a call that reverts: %+v", e)
	}
}
