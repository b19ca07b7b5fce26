package rpc

import (
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// asked is a call of a client.
type askedOf struct {
	method string
	params []any
}

// What clients ask for in their order. Where a client has variants, it is the union of those that fit: of Blockscout geth (with callTracer),
// nethermind and erigon; of graph-node with EIP-1898.
func clients(from, contract common.Address, tx, block common.Hash, number hexutil.Uint64, raw string) map[string][]askedOf {
	message := map[string]any{"from": from, "to": contract, "data": "0x" + strings.Repeat("00", 32)}
	at := map[string]any{"blockHash": block}
	return map[string][]askedOf{
		// blockscout/blockscout, apps/ethereum_jsonrpc/lib/ethereum_jsonrpc
		"Blockscout": {
			{"web3_clientVersion", nil},
			{"net_version", nil},
			{"eth_blockNumber", nil},
			{"eth_getBlockByNumber", []any{"latest", false}},
			{"eth_getBlockByNumber", []any{number, true}},
			{"eth_getBlockByHash", []any{block, true}},
			{"eth_getUncleByBlockHashAndIndex", []any{block, "0x0"}},
			{"eth_getTransactionReceipt", []any{tx}},
			{"eth_getBlockReceipts", []any{number}},
			{"eth_getTransactionByHash", []any{tx}},
			{"eth_getRawTransactionByHash", []any{tx}},
			{"debug_traceTransaction", []any{tx, map[string]any{"tracer": "callTracer", "timeout": "5s"}}},
			{"debug_traceBlockByNumber", []any{number, map[string]any{"tracer": "callTracer"}}},
			{"trace_replayBlockTransactions", []any{number, []string{"trace"}}},
			{"trace_replayTransaction", []any{tx, []string{"trace"}}},
			{"trace_block", []any{number}},
			{"txpool_content", nil},
			{"parity_pendingTransactions", nil},
			{"eth_getBalance", []any{contract, number}},
			{"eth_getCode", []any{contract, number}},
			{"eth_getTransactionCount", []any{from, number}},
			{"eth_call", []any{message, "latest"}},
			{"eth_getLogs", []any{map[string]any{"fromBlock": number, "toBlock": number}}},
			{"eth_getStorageAt", []any{contract, "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc", "latest"}},
			{"eth_gasPrice", nil},
		},
		// graphprotocol/graph-node, chain/ethereum/src/ethereum_adapter.rs
		"graph-node": {
			{"net_version", nil},
			{"eth_getBlockByNumber", []any{"0x0", false}},
			{"web3_clientVersion", nil},
			{"eth_getBlockByNumber", []any{"latest", false}},
			{"eth_getBlockByHash", []any{block, true}},
			{"eth_getBlockReceipts", []any{at}},
			{"eth_getTransactionReceipt", []any{tx}},
			{"eth_getLogs", []any{map[string]any{"fromBlock": number, "toBlock": number, "address": []any{contract}, "topics": []any{nil}}}},
			{"trace_filter", []any{map[string]any{"fromBlock": number, "toBlock": number, "toAddress": []any{contract}}}},
			{"trace_filter", []any{map[string]any{"fromBlock": number, "toBlock": number}}},
			{"eth_call", []any{message, at}},
			{"eth_getBalance", []any{contract, at}},
			{"eth_getCode", []any{contract, at}},
		},
		// what test/web3/proxy.test.mjs has of it, and MetaMask/core, packages/gas-fee-controller
		"MetaMask": {
			{"eth_chainId", nil},
			{"net_version", nil},
			{"eth_blockNumber", nil},
			{"eth_getBlockByNumber", []any{"latest", false}},
			{"eth_getBalance", []any{from, "latest"}},
			{"eth_getCode", []any{contract, "latest"}},
			{"eth_feeHistory", []any{"0x5", "latest", []float64{10, 20, 30}}},
			{"eth_gasPrice", nil},
			{"eth_maxPriorityFeePerGas", nil},
			{"eth_estimateGas", []any{message}},
			{"eth_getTransactionCount", []any{from, "pending"}},
			{"eth_call", []any{message, "latest"}},
			{"eth_simulateV1", []any{map[string]any{"blockStateCalls": []any{map[string]any{"calls": []any{message}}}, "traceTransfers": true}, "latest"}},
			{"eth_sendRawTransaction", []any{raw}},
			{"eth_getTransactionByHash", []any{tx}},
			{"eth_getTransactionReceipt", []any{tx}},
			{"eth_getBlockByHash", []any{block, false}},
		},
		// wevm/viem, src/types/eip1193.ts: what wagmi's hooks come to
		"wagmi": {
			{"eth_chainId", nil},
			{"eth_blockNumber", nil},
			{"eth_getBlockByNumber", []any{"latest", true}},
			{"eth_getBlockByHash", []any{block, true}},
			{"eth_getBlockTransactionCountByNumber", []any{"latest"}},
			{"eth_getBlockTransactionCountByHash", []any{block}},
			{"eth_call", []any{message, "latest", map[string]any{contract.Hex(): map[string]any{"balance": "0x1"}}}},
			{"eth_createAccessList", []any{message, "latest"}},
			{"eth_estimateGas", []any{message, "latest"}},
			{"eth_feeHistory", []any{"0x4", "latest", []float64{25, 75}}},
			{"eth_gasPrice", nil},
			{"eth_maxPriorityFeePerGas", nil},
			{"eth_blobBaseFee", nil},
			{"eth_getBalance", []any{from, "latest"}},
			{"eth_getCode", []any{contract, "latest"}},
			{"eth_getProof", []any{contract, []string{"0x0"}, "latest"}},
			{"eth_getStorageAt", []any{contract, "0x0", "latest"}},
			{"eth_getTransactionCount", []any{from, "pending"}},
			{"eth_fillTransaction", []any{message}},
			{"eth_sendRawTransactionSync", []any{raw}},
			{"eth_getTransactionByHash", []any{tx}},
			{"eth_getTransactionByBlockHashAndIndex", []any{block, "0x0"}},
			{"eth_getTransactionByBlockNumberAndIndex", []any{number, "0x0"}},
			{"eth_getTransactionReceipt", []any{tx}},
			{"eth_getLogs", []any{map[string]any{"fromBlock": "earliest", "toBlock": "latest"}}},
			{"eth_newBlockFilter", nil},
			{"eth_newFilter", []any{map[string]any{}}},
			{"eth_newPendingTransactionFilter", nil},
			{"eth_simulateV1", []any{map[string]any{"blockStateCalls": []any{map[string]any{"calls": []any{message}}}, "validation": false}}},
			{"eth_syncing", nil},
			{"net_listening", nil},
			{"net_peerCount", nil},
			{"web3_sha3", []any{"0x00"}},
			{"eth_accounts", nil},
		},
	}
}

// What indexers and wallets ask for, in their order, is answered by a result, which is as the OpenRPC document says.
func TestWhatIndexersAndWalletsAskIsAnswered(t *testing.T) {
	for _, name := range []string{"Blockscout", "graph-node", "MetaMask", "wagmi"} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode(t, nil)
			contract := n.deploy(emitter)
			tx := n.send(n.raw(&contract, 100_000, []byte{1}))
			for _, c := range clients(n.address(0), contract, tx, n.Head().Hash, hexutil.Uint64(n.Head().Number()), n.raw(&contract, 100_000, nil))[name] {
				if r := n.call(c.method, c.params...); r.Error != nil {
					t.Errorf("%s %v: %+v", c.method, c.params, r.Error)
				}
			}
		})
	}
}

// In a closed network an auditor's indexer gets the same.
func TestAnAuditorsIndexerIsAnsweredInAClosedNetwork(t *testing.T) {
	n := closedNode(t, parties...)
	contract := n.made(maker, 0, 0, emitter)
	tx := n.sent(maker, 0, 1, &contract, 0, []byte{1})
	for _, name := range []string{"Blockscout", "graph-node"} {
		for _, c := range clients(common.Address{}, contract, tx, n.Head().Hash, hexutil.Uint64(n.Head().Number()), "")[name] {
			for _, p := range c.params {
				if message, ok := p.(map[string]any); ok {
					delete(message, "from")
				}
			}
			if reply := n.by(auditor, c.method, c.params...); strings.Contains(reply, `"error"`) {
				t.Errorf("%s: %s %v: %s", name, c.method, c.params, reply)
			}
		}
	}
}
