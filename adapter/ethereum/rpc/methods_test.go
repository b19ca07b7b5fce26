package rpc

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter"
)

// conformance is the folder with the tests of the execution-apis; the test is skipped without it.
func conformance(t *testing.T) string {
	shared := os.Getenv("COCO_SHARED")
	if shared == "" { // beside the repository, or in it
		shared = filepath.Join("..", "..", "..", "..", "shared")
		if _, err := os.Stat(shared); err != nil {
			shared = filepath.Join("..", "..", "..", "shared")
		}
	}
	dir := filepath.Join(shared, "rpc-compat")
	if _, err := os.Stat(filepath.Join(dir, "openrpc.json")); err != nil {
		t.Skipf("no rpc-compat in %s: set COCO_SHARED to the folder that holds it", shared)
	}
	return dir
}

// schema is the part of JSON Schema that openrpc.json uses.
type schema struct {
	Type       any
	Pattern    string
	Enum       []any
	Const      any
	OneOf      []schema
	AnyOf      []schema
	Items      *schema
	Properties map[string]schema
	Required   []string
	Additional any `json:"additionalProperties"`
	Minimum    *float64
	Maximum    *float64
}

// check returns what is wrong with v, or nothing.
func (s *schema) check(v any, at string) string {
	for _, options := range [][]schema{s.OneOf, s.AnyOf} {
		if len(options) == 0 {
			continue
		}
		var faults []string
		for i := range options {
			fault := options[i].check(v, at)
			if fault == "" {
				faults = nil
				break
			}
			faults = append(faults, fault)
		}
		if faults != nil {
			return "none of: " + strings.Join(faults, "; ")
		}
	}
	if s.Const != nil && fmt.Sprint(s.Const) != fmt.Sprint(v) || s.Enum != nil && !slices.ContainsFunc(s.Enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }) {
		return fmt.Sprintf("%s is %v", at, v)
	}
	if fault := s.checkType(v, at); fault != "" {
		return fault
	}
	switch v := v.(type) {
	case string:
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			return fmt.Sprintf("%s is %.80q, expected %s", at, v, s.Pattern)
		}
	case float64:
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			return fmt.Sprintf("%s is %v", at, v)
		}
	case []any:
		for i := range v {
			if s.Items != nil {
				if fault := s.Items.check(v[i], fmt.Sprintf("%s[%d]", at, i)); fault != "" {
					return fault
				}
			}
		}
	case map[string]any:
		return s.checkObject(v, at)
	}
	return ""
}

func (s *schema) checkType(v any, at string) string {
	name := map[string]string{"string": "string", "float64": "number", "bool": "boolean", "<nil>": "null", "[]interface {}": "array", "map[string]interface {}": "object"}[fmt.Sprintf("%T", v)]
	if want, ok := s.Type.(string); ok && want != name && (want != "integer" || name != "number") {
		return fmt.Sprintf("%s is a %s, expected a %s", at, name, want)
	}
	return ""
}

func (s *schema) checkObject(v map[string]any, at string) string {
	for _, k := range s.Required {
		if _, ok := v[k]; !ok {
			return fmt.Sprintf("%s lacks %s", at, k)
		}
	}
	for k := range v {
		p, ok := s.Properties[k]
		if !ok {
			if s.Additional == false {
				return fmt.Sprintf("%s has %s", at, k)
			}
			continue
		}
		if fault := p.check(v[k], at+"."+k); fault != "" {
			return fault
		}
	}
	return ""
}

// richNode has a transaction of each kind.
func richNode(t *testing.T) (n *testNode, hashes []common.Hash, contract common.Address) {
	n = newTestNode(t, nil)
	contract = n.deploy(emitter)
	hashes = append(hashes, n.send(n.raw(&contract, 100_000, []byte("log"))))
	auth, err := types.SignSetCode(n.keys[1], types.SetCodeAuthorization{ChainID: *uint256.NewInt(testChainID), Address: contract})
	must(t, err)
	for _, data := range []types.TxData{
		&types.LegacyTx{To: &contract, Gas: 100_000, GasPrice: big.NewInt(1)},
		&types.AccessListTx{Nonce: 1, ChainID: n.ChainID(), To: &contract, Gas: 100_000, GasPrice: new(big.Int), AccessList: types.AccessList{{Address: contract, StorageKeys: []common.Hash{{1}}}}},
		&types.SetCodeTx{Nonce: 2, ChainID: uint256.NewInt(testChainID), To: contract, Gas: 200_000, AuthList: []types.SetCodeAuthorization{auth}},
	} {
		tx, err := types.SignNewTx(n.keys[2], n.Signer(), data)
		must(t, err)
		raw, err := tx.MarshalBinary()
		must(t, err)
		hashes = append(hashes, n.send(hexutil.Encode(raw)))
	}
	return n, hashes, contract
}

// resultSchemas are the shapes of the methods' results, by the OpenRPC document in the folder of the conformance tests.
func resultSchemas(t *testing.T, dir string) map[string]schema {
	enc, err := os.ReadFile(filepath.Join(dir, "openrpc.json"))
	must(t, err)
	var spec struct {
		Methods []struct {
			Name   string
			Result struct{ Schema schema }
		}
	}
	must(t, json.Unmarshal(enc, &spec))
	schemas := map[string]schema{}
	for _, m := range spec.Methods {
		schemas[m.Name] = m.Result.Schema
	}
	return schemas
}

// TestRepliesHaveTheSpecifiedShape validates replies of a node with all kinds of transactions.
func TestRepliesHaveTheSpecifiedShape(t *testing.T) {
	schemas := resultSchemas(t, conformance(t))
	n, hashes, contract := richNode(t)
	block := n.Head().Hash
	object := map[string]any{"to": contract, "input": "0x01"}
	requests := map[string][][]any{
		"net_version": {{}}, "eth_chainId": {{}}, "eth_blockNumber": {{}}, "eth_syncing": {{}}, "eth_accounts": {{}}, "eth_gasPrice": {{}},
		"eth_maxPriorityFeePerGas": {{}}, "eth_blobBaseFee": {{}}, "eth_baseFee": {{}},
		"eth_feeHistory":                          {{"0x3", "latest", []float64{10, 90}}, {"0x400", "0x1", []float64{}}},
		"eth_getBalance":                          {{n.address(0), "latest"}, {contract, block}, {contract}},
		"eth_getCode":                             {{contract, "pending"}, {n.address(0), "safe"}},
		"eth_getStorageAt":                        {{contract, "0x0", "finalized"}, {contract, "0x" + strings.Repeat("0", 64)}},
		"eth_getTransactionCount":                 {{n.address(0), "pending"}, {n.address(2), "0x1"}},
		"eth_getBlockByNumber":                    {{"latest", false}, {"0x0", true}, {"earliest", false}, {"0x2", true}, {"0x3", true}, {"0x4", true}, {"0x5", true}, {"0x99", true}},
		"eth_getBlockByHash":                      {{block, true}, {common.Hash{}, true}},
		"eth_getBlockReceipts":                    {{"0x1"}, {"latest"}, {block}, {"0x0"}, {common.Hash{}}},
		"eth_getBlockTransactionCountByHash":      {{block}, {common.Hash{}}},
		"eth_getBlockTransactionCountByNumber":    {{"latest"}, {"0x99"}},
		"eth_getTransactionByBlockNumberAndIndex": {{"latest", "0x0"}, {"latest", "0x9"}},
		"eth_getTransactionByBlockHashAndIndex":   {{block, "0x0"}, {common.Hash{}, "0x0"}},
		"eth_getLogs":                             {{map[string]any{"fromBlock": "earliest", "address": contract}}, {map[string]any{"blockHash": block}}, {map[string]any{}}},
		"eth_call":                                {{object, "latest"}, {object}}, "eth_estimateGas": {{object}, {object, "latest"}},
		"eth_newFilter": {{map[string]any{"topics": []any{nil}}}}, "eth_newBlockFilter": {{}}, "eth_newPendingTransactionFilter": {{}},
		"eth_coinbase": {{}}, "eth_config": {{}}, "eth_capabilities": {{}}, "eth_createAccessList": {{object}, {object, "latest"}},
		"eth_getProof":         {{contract, []string{"0x0"}, "latest"}, {common.Address{9}, []string{"0x0"}}},
		"eth_getStorageValues": {{map[common.Address][]common.Hash{contract: {{}}}, "latest"}},
		"eth_simulateV1":       {{map[string]any{"blockStateCalls": []any{map[string]any{"calls": []any{object}}}, "returnFullTransactions": true}}},
		"eth_fillTransaction":  {{map[string]any{"from": n.address(0), "to": contract}}},
		"debug_getBadBlocks":   {{}}, "debug_getRawBlock": {{"latest"}}, "debug_getRawHeader": {{"0x0"}}, "debug_getRawReceipts": {{"0x2"}},
		"debug_traceBlockByHash": {{block}}, "debug_traceBlockByNumber": {{"0x1"}, {"latest", map[string]any{"enableMemory": true}}},
		"txpool_content": {{}}, "txpool_contentFrom": {{contract}}, "txpool_status": {{}},
	}
	for _, h := range append(hashes, common.Hash{}) {
		requests["eth_getTransactionByHash"] = append(requests["eth_getTransactionByHash"], []any{h})
		requests["eth_getTransactionReceipt"] = append(requests["eth_getTransactionReceipt"], []any{h})
		requests["debug_getRawTransaction"] = append(requests["debug_getRawTransaction"], []any{h})
		if h != (common.Hash{}) {
			requests["debug_traceTransaction"] = append(requests["debug_traceTransaction"], []any{h})
		}
	}
	for method, list := range requests {
		s, ok := schemas[method]
		if !ok {
			t.Errorf("%s is not specified", method)
		}
		for _, params := range list {
			var v any
			n.ask(&v, method, params...)
			if fault := s.check(v, "result"); fault != "" {
				t.Errorf("%s %v: %s", method, params, fault)
			}
		}
	}
}

// TestErrorsHaveTheSpecifiedCodes replays those of the conformance tests whose refusal depends on
// no chain.
func TestErrorsHaveTheSpecifiedCodes(t *testing.T) {
	dir := conformance(t)
	n, _, _ := richNode(t)
	for _, name := range []string{
		"eth_getLogs/filter-error-future-block-range.io", "eth_getLogs/filter-error-invalid-blockHash-and-range.io",
		"eth_getLogs/filter-error-reversed-block-range.io", "eth_getStorageAt/get-storage-invalid-key-too-large.io",
		"eth_getBlockByHash/get-block-by-notfound-hash.io", "eth_getBlockReceipts/get-block-receipts-not-found.io",
		"eth_getTransactionReceipt/get-notfound-tx.io", "eth_getCode/get-code-unknown-account.io", "eth_getTransactionCount/get-nonce-unknown-account.io",
		"eth_estimateGas/estimate-simple-transfer.io", "debug_getRawBlock/get-invalid-number.io",
	} {
		f, err := os.Open(filepath.Join(dir, name))
		must(t, err)
		var request string
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if after, ok := strings.CutPrefix(lines.Text(), ">> "); ok {
				request = after
			}
			after, ok := strings.CutPrefix(lines.Text(), "<< ")
			if !ok {
				continue
			}
			var want, got reply
			must(t, json.Unmarshal([]byte(after), &want))
			must(t, json.Unmarshal(n.post(request).Body.Bytes(), &got))
			switch {
			case want.Error == nil && got.Error != nil:
				t.Errorf("%s: %+v", name, got.Error)
			case want.Error == nil && string(want.Result) != string(got.Result):
				t.Errorf("%s: %s, expected %s", name, got.Result, want.Result)
			case want.Error != nil && (got.Error == nil || got.Error.Code != want.Error.Code || got.Error.Message != want.Error.Message):
				t.Errorf("%s: %+v, expected %+v", name, got.Error, want.Error)
			}
		}
		must(t, f.Close())
	}
}

func TestErrorsAreGoEthereums(t *testing.T) {
	n := newTestNode(t, map[string]any{"log_blocks": 5, "log_results": 2, "call_timeout_ms": 40})
	contract, refuser, endless := n.deploy(emitter), n.deploy(reverter), n.deploy(spinner)
	for range 3 {
		n.send(n.raw(&contract, 100_000, []byte{1}))
	}
	far := n.sign(1, 0, nil, 21000, 0, nil)
	foreign, err := types.SignNewTx(n.keys[1], types.LatestSignerForChainID(big.NewInt(1)), &types.LegacyTx{To: &contract, Gas: 21000, GasPrice: new(big.Int)})
	must(t, err)
	old := n.sign(0, 0, &contract, 50_000, 0, nil)
	raw := func(tx *types.Transaction) string {
		enc, err := tx.MarshalBinary()
		must(t, err)
		return hexutil.Encode(enc)
	}
	to := func(a common.Address) map[string]any { return map[string]any{"to": a} }
	for _, c := range []struct {
		method string
		params []any
		code   int
		says   string
	}{
		{"eth_call", []any{to(refuser)}, 3, "execution reverted: no"},
		{"eth_estimateGas", []any{to(refuser)}, 3, "execution reverted: no"},
		{"eth_call", []any{map[string]any{"to": contract, "gas": "0x5300"}}, -32000, "out of gas"},
		{"eth_call", []any{map[string]any{"to": contract, "gas": "0x1"}}, -32000, "intrinsic gas too low"},
		{"eth_call", []any{map[string]any{"to": contract, "from": common.Address{9}, "value": "0x1"}}, -32000, "insufficient funds for gas * price + value"},
		{"eth_call", []any{map[string]any{"to": contract, "gasPrice": "0x1", "maxFeePerGas": "0x1"}}, -32000, "both gasPrice and"},
		{"eth_call", []any{map[string]any{"to": contract, "chainId": "0x1"}}, -32000, "chainId does not match node's (have=1, want=4242)"},
		{"eth_call", []any{to(contract), "0x99"}, -32000, "header not found"},
		{"eth_call", []any{to(contract), common.Hash{1}}, -32000, "header for hash not found"},
		{"eth_call", []any{to(contract), "latest", map[string]any{contract.Hex(): map[string]any{"state": map[string]any{}, "stateDiff": map[string]any{}}}}, -32000, "has both 'state' and 'stateDiff'"},
		{"eth_call", []any{to(contract), "latest", nil, map[string]any{"beaconRoot": common.Hash{}}}, -32000, `block override "beaconRoot" is not supported`},
		{"eth_call", []any{}, -32602, "missing value for required argument 0"},
		{"eth_call", []any{map[string]any{"to": "0x1"}}, -32602, "invalid argument 0"},
		{"eth_call", []any{to(endless)}, -32000, "execution aborted (timeout = 40ms)"},
		{"eth_getLogs", []any{map[string]any{"fromBlock": "0x0"}}, -32005, "exceed maximum block range 5"},
		{"eth_getLogs", []any{map[string]any{"fromBlock": "0x2"}}, -32005, "query returned more than 2 results"},
		{"eth_getLogs", []any{map[string]any{"blockHash": common.Hash{1}}}, -32000, "unknown block"},
		{"eth_getLogs", []any{map[string]any{"topics": []any{nil, nil, nil, nil, nil}}}, -32602, "exceed max topics"},
		{"eth_getLogs", []any{map[string]any{"topics": []any{1}}}, -32602, "invalid topic(s)"},
		{"eth_getLogs", []any{map[string]any{"address": "0x12"}}, -32602, "invalid address"},
		{"eth_getFilterChanges", []any{"0x1"}, -32000, "filter not found"},
		{"eth_getFilterLogs", []any{"0x1"}, -32000, "filter not found"},
		{"eth_feeHistory", []any{"0x1", "latest", []int{101}}, -32000, "invalid reward percentile"},
		{"eth_feeHistory", []any{"0x1", "0x99", []int{}}, -32000, "request beyond head block"},
		{"eth_sendRawTransaction", []any{raw(far)}, -32000, "intrinsic gas too low"},
		{"eth_sendRawTransaction", []any{raw(foreign)}, -32000, "invalid sender"},
		{"eth_sendRawTransaction", []any{raw(old)}, -32000, "nonce too low"},
		{"eth_sendRawTransaction", []any{"0xc0"}, -32000, "too few elements"},
		{"eth_sendRawTransaction", []any{"c0"}, -32602, "invalid argument 0"},
		{"eth_subscribe", []any{"newHeads"}, -32601, "notifications not supported"},
		{"eth_mine", []any{}, -32601, "the method eth_mine does not exist/is not available"},
	} {
		r := n.call(c.method, c.params...)
		if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.says) {
			t.Errorf("%s %v: %+v %s, expected %d %s", c.method, c.params, r.Error, r.Result, c.code, c.says)
		}
	}
	if r := n.call("eth_call", to(refuser)); !strings.HasPrefix(r.Error.Data, "0x08c379a0") {
		t.Errorf("revert data %s", r.Error.Data)
	}
	var parse reply
	must(t, json.Unmarshal(n.post(`{"jsonrpc":`).Body.Bytes(), &parse))
	equal(t, "code of a parse error", parse.Error.Code, codeParseError)
}

func TestStateAtABlock(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(keeper)
	before := n.Head()
	word := common.Hash{31: 5}
	n.send(n.raw(&contract, 100_000, word[:]))
	for at, want := range map[string]common.Hash{"latest": word, "pending": word, "0x1": {}, before.Hash.Hex(): {}, "0x2": word} {
		var got common.Hash
		n.ask(&got, "eth_getStorageAt", contract, "0x0", at)
		equal(t, "slot at "+at, got, want)
	}
	var gas, overridden hexutil.Uint64
	n.ask(&gas, "eth_estimateGas", map[string]any{"to": contract, "input": word})
	other := map[string]any{"to": contract, "input": common.Hash{31: 9}}
	n.ask(&overridden, "eth_estimateGas", other, "latest", map[string]any{contract.Hex(): map[string]any{"code": "0x00"}})
	if gas <= 21000 || overridden >= gas {
		t.Errorf("estimates %d, and %d without code", gas, overridden)
	}
	// NUMBER, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN
	var number common.Hash
	n.ask(&number, "eth_call", map[string]any{"to": contract}, "latest", map[string]any{contract.Hex(): map[string]any{"code": "0x4360005260206000f3"}}, map[string]any{"number": "0x1234"})
	equal(t, "overridden number", number, common.Hash{30: 0x12, 31: 0x34})
}

func TestWhatANodeSaysOfItself(t *testing.T) {
	n := newTestNode(t, nil)
	var version string
	n.ask(&version, "web3_clientVersion")
	if !strings.HasPrefix(version, "Coco/") || strings.Contains(version, "PINNED") {
		t.Errorf("version %q", version)
	}
	var hash common.Hash
	n.ask(&hash, "web3_sha3", "0x636f636f")
	equal(t, "hash", hash, crypto.Keccak256Hash([]byte("coco")))
	for _, at := range []any{"latest", n.Head().Hash} {
		var uncles hexutil.Uint64 = 9
		n.ask(&uncles, map[bool]string{true: "eth_getUncleCountByBlockNumber", false: "eth_getUncleCountByBlockHash"}[at == "latest"], at)
		equal(t, "uncles", uncles, 0)
	}
	var listening, syncing bool
	n.ask(&listening, "net_listening")
	n.ask(&syncing, "eth_syncing")
	equal(t, "listening", listening, true)
	equal(t, "syncing", syncing, false)
	n.env.Status = func() adapter.Status { return adapter.Status{Role: "joining", Committed: 1, Known: 11} }
	var progress map[string]hexutil.Uint64
	n.ask(&progress, "eth_syncing")
	equal(t, "highest block", progress["highestBlock"], hexutil.Uint64(10))
}

func TestPendingNonceCountsWhatIsUnderWay(t *testing.T) {
	n := newTestNode(t, nil)
	to := common.Address{7}
	raw := n.raw(&to, 21000, nil)
	submit := n.env.Submit
	n.env.Submit = func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
		var nonce hexutil.Uint64
		n.ask(&nonce, "eth_getTransactionCount", n.address(0), "pending")
		equal(t, "pending nonce", nonce, 1)
		n.ask(&nonce, "eth_getTransactionCount", n.address(0), "latest")
		equal(t, "latest nonce", nonce, 0)
		return submit(ctx, calls...)
	}
	n.send(raw)
}
