package rpc

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
)

func TestPolledFilters(t *testing.T) {
	n := newTestNode(t, map[string]any{"log_results": 3, "log_blocks": 4})
	contract := n.deploy(emitter)
	emit := func() { n.send(n.raw(&contract, 100_000, []byte{1})) }
	emit() // before the filters
	var blocks, logs, windowed, other string
	n.ask(&blocks, "eth_newBlockFilter")
	n.ask(&logs, "eth_newFilter", map[string]any{"address": contract})
	n.ask(&windowed, "eth_newFilter", map[string]any{"fromBlock": "0x4", "toBlock": "0x5"})
	n.ask(&other, "eth_newFilter", map[string]any{"address": common.Address{9}})

	changes := func(id string) (numbers []uint64) {
		var found []*types.Log
		n.ask(&found, "eth_getFilterChanges", id)
		for _, l := range found {
			numbers = append(numbers, l.BlockNumber)
		}
		return numbers
	}
	if got := changes(logs); got != nil {
		t.Fatalf("a fresh filter returns %v", got)
	}
	for range 9 { // blocks 3 to 11
		emit()
	}
	// The limits cut the answer into parts, of which none is lost.
	var all []uint64
	for {
		part := changes(logs)
		if len(part) == 0 {
			break
		}
		if len(part) > 3 {
			t.Fatalf("%d logs at once, the limit is 3", len(part))
		}
		all = append(all, part...)
	}
	if want := []uint64{3, 4, 5, 6, 7, 8, 9, 10, 11}; !slices.Equal(all, want) {
		t.Fatalf("logs of blocks %v, expected %v", all, want)
	}
	var inWindow []uint64
	for range 9 {
		inWindow = append(inWindow, changes(windowed)...)
	}
	if want := []uint64{4, 5}; !slices.Equal(inWindow, want) {
		t.Fatalf("logs of blocks %v, expected %v", inWindow, want)
	}
	var hashes, more []common.Hash
	n.ask(&hashes, "eth_getFilterChanges", blocks)
	n.ask(&more, "eth_getFilterChanges", blocks)
	if len(hashes) != 3 || len(more) != 3 || hashes[0] == more[0] {
		t.Fatalf("%d and %d blocks, expected 3 and the next 3", len(hashes), len(more))
	}
	if got := changes(other); got != nil {
		t.Fatalf("another address has logs in %v", got)
	}
	var found []*types.Log
	n.ask(&found, "eth_getFilterLogs", windowed)
	if len(found) != 2 {
		t.Fatalf("eth_getFilterLogs returns %d logs, expected 2", len(found))
	}
	var ok bool
	n.ask(&ok, "eth_uninstallFilter", logs)
	equal(t, "uninstalled", ok, true)
	n.ask(&ok, "eth_uninstallFilter", logs)
	equal(t, "uninstalled again", ok, false)
}

// TestFiltersBelongToTheirCaller: nobody polls, and so empties, another organisation's filter.
func TestFiltersBelongToTheirCaller(t *testing.T) {
	n := newTestNode(t, nil)
	var id string
	n.ask(&id, "eth_newBlockFilter")
	x := &exchange{ctx: context.Background(), caller: coco.Caller{Actor: coco.ActorID{2}}}
	for _, method := range []string{"eth_getFilterChanges", "eth_uninstallFilter"} {
		var r reply
		must(t, json.Unmarshal(n.rpc.replyFull(x, []byte(call(method, id)), nil), &r))
		if r.Error == nil && string(r.Result) != "false" {
			t.Errorf("%s of a stranger: %s", method, r.Result)
		}
	}
	var hashes []common.Hash
	n.ask(&hashes, "eth_getFilterChanges", id)
}
