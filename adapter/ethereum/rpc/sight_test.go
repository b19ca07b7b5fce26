package rpc

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/store"
)

// callerOf is a caller of an organisation, or one of its users.
func callerOf(actor byte, user string) coco.Caller {
	return coco.Caller{Actor: coco.ActorID{actor}, Name: fmt.Sprintf("org%d", actor), Role: coco.Member, User: user}
}

var auditor = callerOf(99, "")

// closedNode is a closed network, in which the accounts 0 and 1 are those of two callers.
func closedNode(t testing.TB, callers ...coco.Caller) *testNode {
	n := &testNode{testChain: newTestChain(t, 3, map[string]any{
		"visibility": "closed", "auditors": []string{auditor.Name}, "call_gas_limit": 50_000_000,
		"predeploys": []string{"multicall3"},
	})}
	n.env.Submit = n.submit
	for i, c := range callers {
		n.link(i, c)
	}
	return n
}

// link links an account to a caller.
func (n *testNode) link(i int, c coco.Caller) {
	n.t.Helper()
	set := n.store.Begin(n.view, n.now)
	tx := set.Begin()
	must(n.t, tx.In(n.scope, func(tx *store.Tx) error {
		return links.Link(tx, n.address(i), links.Holder{Actor: c.Actor, User: c.User}, n.now)
	}))
	tx.Commit()
	n.commit(set)
}

// by asks as a caller, and returns the whole reply.
func (n *testNode) by(c coco.Caller, method string, params ...any) string {
	return n.replied(c, call(method, params...)).Body.String()
}

// replied is the whole reply to a body: status, headers and content.
func (n *testNode) replied(c coco.Caller, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/rpc", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	n.rpc.serve(c, w, r)
	described(n.t, body, w.Body.Bytes())
	return w
}

// got is the result of a call that succeeds.
func got[T any](n *testNode, c coco.Caller, method string, params ...any) (v T) {
	n.t.Helper()
	var r reply
	must(n.t, json.Unmarshal([]byte(n.by(c, method, params...)), &r))
	if r.Error != nil {
		n.t.Fatalf("%s %v: %+v", method, params, r.Error)
	}
	must(n.t, json.Unmarshal(r.Result, &v))
	return v
}

// sent sends a transaction of an account by a caller.
func (n *testNode) sent(c coco.Caller, from int, nonce uint64, to *common.Address, value int64, data []byte) common.Hash {
	n.t.Helper()
	raw, err := n.sign(from, nonce, to, 1_000_000, value, data).MarshalBinary()
	must(n.t, err)
	return got[common.Hash](n, c, "eth_sendRawTransaction", hexutil.Encode(raw))
}

// world is a network in which account 0 has done something, or something else in as many blocks.
type world struct {
	*testNode
	contract common.Address // only if it was created
	tx       common.Hash    // of the last block
}

func newWorld(t *testing.T, owner, stranger coco.Caller, busy bool) *world {
	w := &world{testNode: closedNode(t, owner, stranger)}
	w.contract = crypto.CreateAddress(w.address(0), 0)
	if busy {
		w.sent(owner, 0, 0, nil, 7, keeper)
		w.tx = w.sent(owner, 0, 1, &w.contract, 9, common.Hash{31: 5}.Bytes())
	} else { // a transaction in each block, or there would be none
		w.sent(owner, 2, 0, &common.Address{0xdd}, 0, nil)
		w.tx = w.sent(owner, 2, 1, &common.Address{0xdd}, 1, nil)
	}
	return w
}

// normal is a reply in which what names blocks and what was asked for has the same name in each world.
func (w *world) normal(reply string) string {
	for n := uint64(0); n <= w.Head().Number(); n++ {
		reply = strings.ReplaceAll(reply, w.blockHash(n).Hex(), fmt.Sprintf("block %d", n))
	}
	reply = strings.ReplaceAll(reply, w.tx.Hex(), "the transaction")
	return ownHash.ReplaceAllString(reply, `"hash":"its own"`)
}

// ownHash is the hash of a block that a request has made, which follows the hash of its parent.
var ownHash = regexp.MustCompile(`"hash":"0x[0-9a-f]{64}"`)

// What a method of the server answers about what is another's.
const (
	fact  = "the same to all"       // it tells nothing of accounts and transactions
	own   = "their own to each"     // what a stranger gets is what is answered of what does not exist
	shape = "that a block is there" // its number, time and hash
	whole = "to those who see all"  // refused to others, whatever exists
	sends = "what becomes of a sending"
)

// verdicts say it for each method. A new method gets one here, or the test fails.
var verdicts = map[string]string{
	"rpc_discover": fact, "web3_clientVersion": fact, "web3_sha3": fact, "net_version": fact, "net_listening": fact, "net_peerCount": fact, "eth_chainId": fact, "eth_accounts": fact,
	"eth_gasPrice": fact, "eth_maxPriorityFeePerGas": fact, "eth_baseFee": fact, "eth_blobBaseFee": fact, "eth_coinbase": fact, "eth_mining": fact, "eth_hashrate": fact,
	"eth_getUncleByBlockNumberAndIndex": fact, "eth_getUncleByBlockHashAndIndex": fact, "eth_getBlockAccessList": fact, "debug_getBadBlocks": fact, "ots_getApiLevel": fact, "eth_config": fact,
	"eth_uninstallFilter": fact, "eth_newFilter": fact, "eth_newBlockFilter": fact, "eth_newPendingTransactionFilter": fact,
	"eth_blockNumber": fact, "eth_syncing": fact, "eth_capabilities": fact, "eth_getUncleCountByBlockNumber": fact, "eth_getUncleCountByBlockHash": fact,
	"eth_feeHistory": shape, "eth_getHeaderByNumber": shape, "eth_getHeaderByHash": shape, "erigon_getHeaderByNumber": shape,

	"eth_sendRawTransaction": sends, "coco_sendRawTransaction": sends, "eth_sendRawTransactionSync": sends, "coco_sendCall": sends, "coco_sendCalls": sends,

	// What is said and read of a caller's own addresses.
	"coco_linkMessage": sends, "coco_linkAddress": sends, "coco_unlinkAddress": sends, "coco_linkedAddresses": own, "coco_transactionCaller": own,
	"coco_signIn": sends, "coco_endSession": sends, "coco_sessions": own,
	// A policy is told to its contract's deployer, and an explanation tells of supposed callers, without anybody's links.
	"coco_setAccessPolicy": sends, "coco_removeAccessPolicy": sends, "coco_accessPolicy": own, "coco_explainAccess": own,

	"eth_getBlockByNumber": own, "eth_getBlockByHash": own, "eth_getBlockReceipts": own, "eth_getBlockTransactionCountByNumber": own, "eth_getBlockTransactionCountByHash": own,
	"eth_getTransactionByHash": own, "eth_getTransactionByBlockNumberAndIndex": own, "eth_getTransactionByBlockHashAndIndex": own, "eth_getRawTransactionByHash": own,
	"eth_getTransactionReceipt": own, "eth_getRawTransactionByBlockNumberAndIndex": own, "eth_getRawTransactionByBlockHashAndIndex": own, "debug_getRawTransaction": own,
	"eth_getBalance": own, "eth_getTransactionCount": own, "eth_getCode": own, "eth_getStorageAt": own, "eth_getStorageValues": own,
	"eth_call": own, "eth_estimateGas": own, "eth_createAccessList": own, "eth_simulateV1": own, "eth_fillTransaction": own, "debug_traceCall": own, "trace_call": own, "trace_callMany": own,
	"eth_getLogs": own, "eth_getFilterLogs": own, "eth_getFilterChanges": own, "eth_pendingTransactions": own, "parity_pendingTransactions": own,
	"txpool_status": own, "txpool_content": own, "txpool_contentFrom": own, "txpool_inspect": own,
	"ots_hasCode": own, "ots_getTransactionBySenderAndNonce": own, "ots_getContractCreator": own, "ots_searchTransactionsBefore": own, "ots_searchTransactionsAfter": own,
	"ots_getBlockDetails": own, "ots_getBlockDetailsByHash": own, "ots_getBlockTransactions": own,

	// Whose own transaction it is gets the refusal, and a stranger the answer about one that does not exist.
	"debug_traceTransaction": whole, "trace_transaction": whole, "trace_get": whole, "trace_replayTransaction": whole,
	"ots_getTransactionError": whole, "ots_traceTransaction": whole, "ots_getInternalOperations": whole,
	"debug_traceBlockByNumber": whole, "debug_traceBlockByHash": whole, "trace_block": whole, "trace_replayBlockTransactions": whole, "trace_filter": whole,
	"eth_getProof": whole, "debug_storageRangeAt": whole, "debug_accountRange": whole, "debug_getRawHeader": whole, "debug_getRawBlock": whole, "debug_getRawReceipts": whole, "debug_getRawBlockAccessList": whole,
}

// TestAStrangerLearnsNothing asks each method of the server, for each pair of an owner and a stranger, in two networks that differ in what the owner has done.
// The stranger gets the same bytes in both.
func TestAStrangerLearnsNothing(t *testing.T) {
	for _, pair := range [][2]coco.Caller{
		{callerOf(1, ""), callerOf(2, "")},
		{callerOf(2, ""), callerOf(1, "")},
		{callerOf(1, "alice"), callerOf(1, "bob")},
		{callerOf(1, "alice"), callerOf(2, "alice")},
		{callerOf(1, ""), callerOf(1, "bob")},
	} {
		owner, stranger := pair[0], pair[1]
		t.Run(owner.Name+owner.User+" "+stranger.Name+stranger.User, func(t *testing.T) {
			busy, idle := newWorld(t, owner, stranger, true), newWorld(t, owner, stranger, false)
			params := func(w *world, c coco.Caller, message map[string]any) map[string][][]any {
				blocks, logs := got[string](w.testNode, c, "eth_newBlockFilter"), got[string](w.testNode, c, "eth_newFilter", map[string]any{"fromBlock": "0x0"})
				all := everyMethod(w.contract, w.tx, w.Head().Hash, blocks, logs, message)
				dump := map[string]any{w.contract.Hex(): map[string]any{"code": "0x60005460005260206000f3"}}
				all["eth_call"] = append(all["eth_call"], []any{message, "latest", dump})
				all["debug_traceCall"] = append(all["debug_traceCall"], []any{message, "latest", map[string]any{"stateOverrides": dump}})
				all["eth_simulateV1"] = [][]any{{map[string]any{"blockStateCalls": []any{map[string]any{"stateOverrides": dump, "calls": []any{message}}}}, "latest"}}
				all["eth_getBalance"] = append(all["eth_getBalance"], []any{w.address(0), "latest"})
				all["eth_getTransactionCount"] = append(all["eth_getTransactionCount"], []any{w.address(0), "latest"}, []any{w.address(0), "pending"})
				all["eth_getLogs"] = append(all["eth_getLogs"], []any{map[string]any{"fromBlock": "0x0", "address": w.contract}})
				all["txpool_contentFrom"] = append(all["txpool_contentFrom"], []any{w.address(0)})
				all["ots_getTransactionBySenderAndNonce"] = append(all["ots_getTransactionBySenderAndNonce"], []any{w.address(0), 1})
				all["ots_searchTransactionsBefore"] = append(all["ots_searchTransactionsBefore"], []any{w.address(0), 0, 5})
				return all
			}
			message := map[string]any{"to": busy.contract, "data": "0x" + strings.Repeat("0", 63) + "1"}
			inBusy, inIdle := params(busy, stranger, message), params(idle, stranger, message)
			for _, name := range busy.methods() {
				verdict, ok := verdicts[name]
				if !ok {
					t.Errorf("%s: there is no verdict what it tells of others: add it to verdicts", name)
				}
				if len(inBusy[name]) == 0 && !tellNothing[name] {
					t.Errorf("%s: nothing to try it with", name)
				}
				for i, p := range inBusy[name] {
					if strings.HasPrefix(name, "eth_new") {
						continue // an identifier
					}
					a, b := busy.normal(busy.by(stranger, name, p...)), idle.normal(idle.by(stranger, name, inIdle[name][i]...))
					if a != b {
						t.Errorf("%s %v tells a stranger of what another has done:\n%s\n%s", name, p, a, b)
					}
					if verdict == whole && !strings.Contains(busy.by(owner, name, p...), "who see the whole state") && !slices.Contains(p, any(common.Hash{1})) {
						t.Errorf("%s %v: %s", name, p, busy.by(owner, name, p...))
					}
					if by := busy.by(auditor, name, p...); strings.Contains(by, "who see the whole state") {
						t.Errorf("%s %v of an auditor: %s", name, p, by)
					}
				}
			}
			// The owner is not shut out of what is its own.
			if receipt := busy.by(owner, "eth_getTransactionReceipt", busy.tx); !strings.Contains(receipt, busy.tx.Hex()) {
				t.Errorf("the owner gets %s", receipt)
			}
			if balance := got[string](busy.testNode, owner, "eth_getBalance", busy.address(0), "latest"); balance == "0x0" {
				t.Error("the owner sees no balance")
			}
		})
	}
}

// raw are the methods of the chain that show it as it is. Package sight has those that callers may see it through.
var raw = []string{"Latest", "View", "ViewAt", "At", "Call", "EstimateGas", "HeaderFor", "Send", "Archive"}

// TestMethodsSeeTheChainThroughSights looks at the source: what answers callers has no other way to the chain's state than package sight.
func TestMethodsSeeTheChainThroughSights(t *testing.T) {
	must(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "blocks" && (sel.Sel.Name == "View" || sel.Sel.Name == "Archive") {
				t.Errorf("%s uses blocks.%s: use sight.View", path, sel.Sel.Name)
			}
			on := ""
			switch x := sel.X.(type) {
			case *ast.Ident:
				on = x.Name
			case *ast.SelectorExpr:
				on = x.Sel.Name
			}
			if (on == "ledger" || on == "Ledger" || on == "l") && slices.Contains(raw, sel.Sel.Name) && !(path == "server.go" && sel.Sel.Name == "Send") {
				t.Errorf("%s: %s.%s shows the chain as it is: ask package sight", path, on, sel.Sel.Name)
			}
			return true
		})
		return nil
	}))
}
