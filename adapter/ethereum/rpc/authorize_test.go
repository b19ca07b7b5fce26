package rpc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/openrpc"
)

// tellNothing are the methods whose replies say nothing of the state or of blocks: facts about the program and the
// settings, what is known without asking, and sending. A new method is here, or it asks.
var tellNothing = map[string]bool{
	"web3_clientVersion": true, "web3_sha3": true, "net_version": true, "net_listening": true, "eth_chainId": true, "eth_accounts": true,
	"eth_gasPrice": true, "eth_maxPriorityFeePerGas": true, "eth_baseFee": true, "eth_blobBaseFee": true, "eth_uninstallFilter": true,
	"eth_getUncleByBlockNumberAndIndex": true, "eth_getUncleByBlockHashAndIndex": true, "eth_sendRawTransaction": true,
	"coco_sendRawTransaction": true, "debug_getBadBlocks": true, "ots_getApiLevel": true, "eth_coinbase": true, "eth_mining": true, "eth_hashrate": true, "net_peerCount": true, "rpc_discover": true,
	"eth_sendRawTransactionSync": true, "coco_linkMessage": true, "coco_linkAddress": true, "coco_unlinkAddress": true, "coco_linkedAddresses": true, "coco_sendCall": true, "coco_sendCalls": true, // of the caller's own links
	"coco_signIn": true, "coco_endSession": true, "coco_sessions": true, // and sessions
	"coco_setAccessPolicy": true, "coco_removeAccessPolicy": true, // of the caller's own contracts
}

func TestEveryMethodAsksWhetherTheCallerMaySee(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(keeper)
	tx := n.send(n.raw(&contract, 100_000, make([]byte, 32)))
	block, none := n.Head().Hash, common.Hash{1}
	var blocks, logs string
	n.ask(&blocks, "eth_newBlockFilter")
	n.ask(&logs, "eth_newFilter", map[string]any{})
	params := everyMethod(contract, tx, block, blocks, logs, map[string]any{"to": contract})
	n.rpc.authorize = func(caller coco.Caller, read adapter.Read) error {
		if caller.Actor != testCaller.Actor || read.Subject == 0 {
			t.Errorf("asked about %+v for %v", read, caller)
		}
		return fmt.Errorf("%w: by the test", coco.ErrDenied)
	}
	for _, name := range n.methods() {
		if len(params[name]) == 0 && !tellNothing[name] {
			t.Errorf("%s: nothing to try it with, and not listed as a method that tells nothing", name)
		}
		for _, p := range params[name] {
			direct, full := n.replies([]byte(call(name, p...)))
			for _, reply := range []string{string(direct), string(full)} {
				if !strings.Contains(reply, "by the test") || strings.Contains(reply, `"result"`) {
					t.Errorf("%s %v: %s", name, p, reply)
				}
			}
		}
	}
	s := n.dial()
	for _, p := range [][]any{{"newHeads"}, {"logs", map[string]any{}}, {"newPendingTransactions"}, {"syncing"}} {
		s.write(call("eth_subscribe", p...))
		if reply := s.read(); !strings.Contains(reply, "by the test") || n.Subscribers() != 0 {
			t.Errorf("eth_subscribe %v: %s", p, reply)
		}
	}

	// Where existence must not be told, a refusal looks like what does not exist.
	n.rpc.authorize = func(coco.Caller, adapter.Read) error { return coco.ErrNotFound }
	for _, name := range []string{"eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getRawTransactionByHash", "debug_getRawTransaction", "debug_traceTransaction"} {
		refused := n.post(call(name, tx)).Body.String()
		wrong := strings.Contains(refused, `"error"`) != (name == "debug_traceTransaction")
		if absent := n.post(call(name, none)).Body.String(); refused != absent || wrong {
			t.Errorf("%s: %s and %s", name, refused, absent)
		}
	}
}

// methods are the names of all methods of the server.
func (n *testNode) methods() (names []string) {
	names = openrpc.Names(n.rpc.groups())
	slices.Sort(names)
	return names
}

// everyKind is all that can be asked of a replay.
var everyKind = []string{"trace", "vmTrace", "stateDiff"}

// everyMethod is something to try each method with that tells of the state or of blocks: about a contract, a transaction and its block, with filters
// of the caller's.
func everyMethod(contract common.Address, tx, block common.Hash, blocks, logs string, message map[string]any) map[string][][]any {
	none := common.Hash{1}
	return map[string][][]any{
		"eth_blockNumber": {{}}, "eth_syncing": {{}},
		"coco_accessPolicy": {{contract}}, "coco_explainAccess": {{map[string]any{"contract": contract, "question": "state"}}},
		"eth_getBlockByNumber": {{"latest", true}, {"0x99", false}}, "eth_getBlockByHash": {{block, true}, {none, false}},
		"eth_getHeaderByNumber": {{"latest"}}, "eth_getHeaderByHash": {{block}}, "eth_getBlockReceipts": {{"latest"}},
		"eth_getBlockTransactionCountByNumber": {{"latest"}}, "eth_getBlockTransactionCountByHash": {{block}},
		"eth_getUncleCountByBlockNumber": {{"latest"}}, "eth_getUncleCountByBlockHash": {{block}},
		"eth_getTransactionByHash": {{tx}, {none}}, "coco_transactionCaller": {{tx}, {none}}, "eth_getTransactionByBlockNumberAndIndex": {{"latest", "0x0"}},
		"eth_getTransactionByBlockHashAndIndex": {{block, "0x0"}}, "eth_getRawTransactionByHash": {{tx}, {none}},
		"eth_getTransactionReceipt": {{tx}, {none}},
		"eth_getBalance":            {{contract, "latest"}, {contract, "0x0"}}, "eth_getCode": {{contract, "latest"}},
		"eth_getStorageAt": {{contract, "0x0", "latest"}}, "eth_getTransactionCount": {{contract, "latest"}, {contract, "pending"}},
		"eth_call": {{message, "latest"}, {message, "0x0"}}, "eth_estimateGas": {{message}, {map[string]any{"data": "0x00"}}},
		"eth_feeHistory": {{"0x1", "latest", []float64{50}}}, "eth_getLogs": {{map[string]any{}}},
		"debug_traceTransaction": {{tx}, {none}}, "debug_traceBlockByNumber": {{"latest"}}, "debug_traceBlockByHash": {{block}}, "debug_traceCall": {{message, "latest"}, {message, "0x0"}},
		"debug_accountRange": {{"latest", "0x", 5, false, false, false}}, "debug_storageRangeAt": {{"latest", 0, contract, "0x", 5}}, "debug_getRawHeader": {{"latest"}}, "debug_getRawBlock": {{"latest"}}, "debug_getRawReceipts": {{block}}, "debug_getRawBlockAccessList": {{"latest"}}, "eth_getBlockAccessList": {{"latest"}, {block}}, "parity_pendingTransactions": {{}}, "debug_getRawTransaction": {{tx}, {none}},
		"eth_simulateV1":       {{map[string]any{"blockStateCalls": []any{map[string]any{}}}, "latest"}},
		"eth_getStorageValues": {{map[common.Address][]common.Hash{contract: {{}}}}}, "eth_getProof": {{contract, []string{}, "latest"}}, "eth_createAccessList": {{message}},
		"ots_hasCode": {{contract, "latest"}}, "ots_getTransactionError": {{tx}}, "ots_traceTransaction": {{tx}}, "ots_getInternalOperations": {{tx}},
		"ots_getBlockDetails": {{"latest"}}, "ots_getBlockDetailsByHash": {{block}}, "ots_getBlockTransactions": {{"latest", 0, 5}},
		"ots_getTransactionBySenderAndNonce": {{contract, 0}}, "ots_getContractCreator": {{contract}}, "ots_searchTransactionsBefore": {{contract, 0, 5}},
		"ots_searchTransactionsAfter": {{contract, 0, 5}}, "erigon_getHeaderByNumber": {{"latest"}},
		"trace_transaction": {{tx}}, "trace_block": {{"latest"}}, "trace_get": {{tx, []string{"0x0"}}}, "trace_replayTransaction": {{tx, everyKind}},
		"trace_replayBlockTransactions": {{"latest", everyKind}}, "trace_call": {{message, everyKind, "latest"}}, "trace_filter": {{map[string]any{}}},
		"trace_callMany": {{[]any{[]any{message, everyKind}, []any{message, everyKind}}, "latest"}},
		"eth_getRawTransactionByBlockNumberAndIndex": {{"latest", "0x0"}}, "eth_getRawTransactionByBlockHashAndIndex": {{block, "0x0"}},
		"eth_fillTransaction": {{message}}, "eth_config": {{}}, "eth_capabilities": {{}}, "eth_pendingTransactions": {{}}, "eth_newPendingTransactionFilter": {{}},
		"txpool_status": {{}}, "txpool_content": {{}}, "txpool_contentFrom": {{contract}}, "txpool_inspect": {{}},
		"eth_newFilter": {{map[string]any{}}}, "eth_newBlockFilter": {{}}, "eth_getFilterLogs": {{logs}}, "eth_getFilterChanges": {{blocks}, {logs}},
	}
}
