package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/internal/budget"
)

// testNode is a chain with its JSON-RPC, which may be called concurrently.
type testNode struct {
	*testChain
	mu      sync.Mutex
	batches []int // the number of calls of each Submit
	refuse  error // what Submit answers, if set
	nonce   uint64
	budget  *budget.Budget // of replies; nil: none
}

var testCaller = coco.Caller{Actor: coco.ActorID{1}, Name: "Alpha", Role: coco.Member}

func newTestNode(t testing.TB, limits map[string]any) *testNode {
	n := &testNode{testChain: newTestChain(t, 3, map[string]any{"rpc": limits, "call_gas_limit": uint64(1) << 40})}
	n.env.Submit = func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.batches = append(n.batches, len(calls))
		if n.refuse != nil {
			out := make([]adapter.Result, len(calls))
			for i := range out {
				out[i].Err = n.refuse
			}
			return out
		}
		return n.submit(ctx, calls...)
	}
	return n
}

// raw signs a transaction of account 0 with its next nonce.
func (n *testNode) raw(to *common.Address, gas uint64, data []byte) string {
	tx := n.sign(0, n.nonce, to, gas, 0, data)
	n.nonce++
	enc, err := tx.MarshalBinary()
	must(n.t, err)
	return hexutil.Encode(enc)
}

func (n *testNode) post(body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/rpc", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	n.serve(w, r)
	described(n.t, body, w.Body.Bytes())
	return w
}

// serve is what the core does: it gives each request a claim on the budget.
func (n *testNode) serve(w http.ResponseWriter, r *http.Request) {
	if n.budget != nil {
		claim := n.budget.Claim(testCaller.Actor)
		defer claim.Release()
		w = &claimed{w, claim}
	}
	n.rpc.serve(testCaller, w, r)
}

// claimed is a http.ResponseWriter with a claim, as adapter.ClaimOf wants it.
type claimed struct {
	http.ResponseWriter
	claim *budget.Claim
}

func (c *claimed) Claim() *budget.Claim        { return c.claim }
func (c *claimed) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func call(method string, params ...any) string {
	if params == nil {
		params = []any{}
	}
	enc, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		panic(err)
	}
	return string(enc)
}

// reply is a reply to one call.
type reply struct {
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
		Data    string
	}
}

func (n *testNode) call(method string, params ...any) reply {
	n.t.Helper()
	var r reply
	if err := json.Unmarshal(n.post(call(method, params...)).Body.Bytes(), &r); err != nil {
		n.t.Fatalf("%s: %v", method, err)
	}
	return r
}

// ask fails the test if the call fails.
func (n *testNode) ask(result any, method string, params ...any) {
	n.t.Helper()
	r := n.call(method, params...)
	if r.Error != nil {
		n.t.Fatalf("%s: %+v", method, r.Error)
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		n.t.Fatalf("%s: %v in %s", method, err, r.Result)
	}
}

func (n *testNode) send(raw string) common.Hash {
	n.t.Helper()
	var hash common.Hash
	n.ask(&hash, "eth_sendRawTransaction", raw)
	return hash
}

// Code of test contracts: emitter logs its input under topic 42, reverter refuses with
// Error("no"), spinner runs until its gas ends, keeper keeps the first word of its input in slot 0.
var (
	emitter  = creation("36600080376" + "02a36" + "6000a100")
	reverter = creation("7f08c379a000000000000000000000000000000000000000000000000000000000" + "600052" +
		"6020600452" + "6002602452" + "616e6f60f01b604452" + "60646000fd")
	spinner = creation("5b600056")
	keeper  = creation("60003560005500")
)

// creation returns the code that creates a contract with the given code.
func creation(code string) []byte {
	runtime := common.FromHex(code)
	// PUSH1 len, DUP1, PUSH1 11, PUSH1 0, CODECOPY, PUSH1 0, RETURN
	return append([]byte{0x60, byte(len(runtime)), 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3}, runtime...)
}

// deploy returns the address of a new contract.
func (n *testNode) deploy(code []byte) common.Address {
	n.t.Helper()
	hash := n.send(n.raw(nil, 1_000_000, code))
	var receipt types.Receipt
	n.ask(&receipt, "eth_getTransactionReceipt", hash)
	if receipt.Status != 1 || receipt.ContractAddress == (common.Address{}) {
		n.t.Fatalf("the contract was not created: %+v", receipt)
	}
	return receipt.ContractAddress
}

// replies returns what the direct way, where it applies, and the full server alone say.
func (n *testNode) replies(body []byte) (direct, full []byte) {
	x := &exchange{ctx: context.Background(), caller: testCaller}
	b := &buffers{in: bytes.Clone(body)}
	n.rpc.reply(x, b)
	return b.out, n.rpc.replyFull(&exchange{ctx: context.Background(), caller: testCaller}, body, nil)
}

// TestBothWaysSayTheSame draws requests, most of them slightly wrong, and batches of them.
func TestBothWaysSayTheSame(t *testing.T) {
	t.Run("all", func(t *testing.T) { bothWaysSayTheSame(t, map[string]any{"batch_items": 6}) })
	t.Run("small replies", func(t *testing.T) { bothWaysSayTheSame(t, map[string]any{"reply_bytes": 150}) })
}

func bothWaysSayTheSame(t *testing.T, limits map[string]any) {
	n := newTestNode(t, limits)
	contract, refuser := n.deploy(emitter), n.deploy(reverter)
	raw := n.raw(&contract, 100_000, []byte("hello"))
	hash := n.send(raw)
	gap := n.sign(1, 0, &contract, 20_000, 0, nil) // too little gas
	tooLittle, err := gap.MarshalBinary()
	must(t, err)

	seeds := []string{
		call("eth_sendRawTransaction", raw), call("eth_sendRawTransaction", "0x"),
		call("eth_sendRawTransaction", raw, raw), call("eth_sendRawTransaction"), call("eth_sendRawTransaction", nil),
		call("eth_getTransactionReceipt", hash), call("eth_getTransactionReceipt", common.Hash{}), call("eth_getTransactionReceipt", "0x12"),
		call("eth_blockNumber"), call("eth_blockNumber", 1), call("eth_chainId"), call("eth_chainId", nil),
		call("eth_call", map[string]any{"to": contract, "data": "0x01", "from": contract, "gas": "0xffff", "value": "0x0"}, "latest"),
		call("eth_call", map[string]any{"to": refuser, "input": "0x"}), call("eth_call", map[string]any{"to": refuser}, "0x1"),
		call("eth_call", map[string]any{"to": contract, "gas": "0x1"}, "pending"), call("eth_call", map[string]any{}, "safe"),
		call("eth_call", map[string]any{"to": contract, "value": "0xffffffffffff"}, "finalized"), call("eth_call", map[string]any{"to": contract, "gas": "0x01"}),
		call("eth_call", map[string]any{"to": contract}, "latest", map[string]any{refuser.Hex(): map[string]any{"nonce": "0x1"}}),
		call("eth_getBlockByNumber", "latest", true), call("eth_nothing"), call("nothing"), `{}`, `[]`, `null`, `1`, `[[]]`,
		`{"jsonrpc":"2.0","method":"eth_chainId"}`, `{"jsonrpc":"2.0","id":null,"method":"eth_chainId"}`, `{"jsonrpc":"2.0","id":"a\"b","method":"eth_chainId"}`,
		`{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}`, `{"jsonrpc":"2.0","id":7,"result":1}`, `{"id":1,"method":"eth_chainId"}`,
		`{"jsonrpc":"2.0","id":1,"id":2,"method":"eth_chainId","x":[1]}`, `{"jsonrpc":"2.0","id":-1.5e3,"method":"eth_blockNumber","params":null}`,
	}
	if limits["reply_bytes"] == nil { // those who follow a long refusal are submitted with it
		seeds = append(seeds, call("eth_sendRawTransaction", hexutil.Encode(tooLittle)))
	}
	for _, s := range seeds {
		sameReplies(t, n, []byte(s))
	}
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.Custom(func(t *rapid.T) string {
			s := rapid.SampledFrom(seeds).Draw(t, "call")
			if rapid.IntRange(0, 3).Draw(t, "spoilt") == 0 {
				i := rapid.IntRange(0, len(s)-1).Draw(t, "at")
				with := rapid.SampledFrom([]string{"", " ", "\\", "\"", "g", ",", "}", "]", "\t\n", "\x00", "é"}).Draw(t, "with")
				s = s[:i] + with + s[i+rapid.IntRange(0, 1).Draw(t, "over"):]
			}
			return s
		})
		body := one.Draw(t, "single")
		if rapid.Bool().Draw(t, "batch") {
			body = "[" + strings.Join(rapid.SliceOfN(one, 0, 7).Draw(t, "calls"), ",") + "]"
		}
		sameReplies(t, n, []byte(body))
	})
}

func sameReplies(t interface {
	Helper()
	Fatalf(string, ...any)
}, n *testNode, body []byte,
) {
	t.Helper()
	if direct, full := n.replies(body); !bytes.Equal(direct, full) {
		t.Fatalf("%s\ndirect: %s\nfull:   %s", body, direct, full)
	}
}

func FuzzBothWaysSayTheSame(f *testing.F) {
	n := newTestNode(f, nil)
	contract := n.deploy(emitter)
	for _, s := range scanSeeds {
		f.Add([]byte(s))
	}
	f.Add([]byte(call("eth_call", map[string]any{"to": contract, "data": "0x01"}, "latest")))
	f.Add([]byte(call("eth_sendRawTransaction", "0x02f8")))
	f.Add([]byte("[" + call("eth_sendRawTransaction", "0x02") + "," + call("eth_sendRawTransaction", "0x03") + "]"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("ilter")) { // makes random ids
			return
		}
		sameReplies(t, n, body)
	})
}

// TestTransactionsOfABatchAreSubmittedTogether: in order, up to the next other call.
func TestTransactionsOfABatchAreSubmittedTogether(t *testing.T) {
	n := newTestNode(t, nil)
	to := common.Address{7}
	sends := make([]string, 5)
	for i := range sends {
		sends[i] = call("eth_sendRawTransaction", n.raw(&to, 21000, nil))
	}
	for i, body := range []string{
		"[" + strings.Join([]string{sends[0], sends[1], call("eth_blockNumber"), sends[2], sends[3], sends[4]}, ",") + "]",
		// An element that is not in plain form changes nothing about that; what is sent again is
		// not executed again.
		"[" + strings.Join([]string{sends[0], sends[1], `{"jsonrpc":"2.0","method":"eth_blockNumber"}`, sends[2], sends[3], sends[4]}, ",") + "]",
	} {
		n.batches = nil
		if i == 1 {
			body = strings.ReplaceAll(body, sendOnce, sendAgain)
		}
		w := n.post(body)
		var replies []reply
		must(t, json.Unmarshal(w.Body.Bytes(), &replies))
		if fmt.Sprint(n.batches) != "[2 3]" {
			t.Fatalf("body %d: submitted %v, expected [2 3]", i, n.batches)
		}
		for _, r := range replies {
			if r.Error != nil {
				t.Fatalf("body %d: %+v", i, r.Error)
			}
		}
		if got := w.Header().Get(transactionHeader); got != "2.6" {
			t.Fatalf("body %d: %s is %q, expected that of the newest transaction, 2.6", i, transactionHeader, got)
		}
	}
}

func TestTheSameBytesAgainAreAnsweredAsByGeth(t *testing.T) {
	n := newTestNode(t, nil)
	to := common.Address{7}
	raw := n.raw(&to, 21000, nil)
	hash := n.send(raw)
	for _, plain := range []string{"id", `i\u0064`} { // the direct way, and the full server
		ask := func(method string) (r reply) {
			t.Helper()
			must(t, json.Unmarshal(n.post(strings.Replace(call(method, raw), "id", plain, 1)).Body.Bytes(), &r))
			return r
		}
		if r := ask(sendOnce); r.Error == nil || r.Error.Code != codeServer || r.Error.Message != "nonce too low: next nonce 1, tx nonce 0" {
			t.Errorf("%s: %+v", sendOnce, r)
		}
		var got common.Hash
		r := ask(sendAgain)
		if err := json.Unmarshal(r.Result, &got); err != nil || got != hash {
			t.Errorf("%s: %+v", sendAgain, r)
		}
	}
	raw = n.raw(&to, 21000, nil)
	var replies []reply
	must(t, json.Unmarshal(n.post("["+call(sendOnce, raw)+","+call(sendOnce, raw)+"]").Body.Bytes(), &replies))
	if len(replies) != 2 || replies[0].Error != nil || replies[1].Error == nil || replies[1].Error.Message != "nonce too low: next nonce 2, tx nonce 1" {
		t.Errorf("twice in a batch: %+v", replies)
	}
}

func TestRefusalsSayWhetherToSendAgain(t *testing.T) {
	n := newTestNode(t, nil)
	to := common.Address{7}
	body := call("eth_sendRawTransaction", n.raw(&to, 21000, nil))
	for _, c := range []struct {
		err          error
		code, status int
		says         string
	}{
		{coco.ErrBusy, -32005, 503, "send the same call again"},
		{coco.ErrNotCommitted, -32000, 200, "send the same transaction again"},
		{coco.ErrUnknown, -32000, 200, "may still commit"},
	} {
		n.refuse = fmt.Errorf("%w: a queue", c.err)
		w := n.post(body)
		var r reply
		must(t, json.Unmarshal(w.Body.Bytes(), &r))
		if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.says) || w.Code != c.status {
			t.Errorf("%v: status %d, %s", c.err, w.Code, w.Body)
		}
		if (w.Header().Get("Retry-After") == "1") != (c.status == 503) || w.Header().Get(transactionHeader) != "" {
			t.Errorf("%v: header %v", c.err, w.Header())
		}
		if w = n.post(strings.ReplaceAll("["+body+","+body+"]", sendOnce, sendAgain)); w.Code != 200 || strings.Count(w.Body.String(), fmt.Sprint(c.code)) != 2 {
			t.Errorf("%v in a batch: status %d, %s", c.err, w.Code, w.Body)
		}
		// The full server says the same.
		if w = n.post(strings.Replace(body, `"id"`, `"i\u0064"`, 1)); w.Code != c.status {
			t.Errorf("%v from the full server: status %d, %s", c.err, w.Code, w.Body)
		}
	}
	n.refuse = nil
	if w := n.post(body); w.Code != 200 || w.Header().Get(transactionHeader) != "2.2" {
		t.Errorf("committed: status %d, header %v, %s", w.Code, w.Header(), w.Body)
	}
}

func TestAPanicIsAnswered(t *testing.T) {
	n := newTestNode(t, nil)
	to := common.Address{7}
	one := call("eth_sendRawTransaction", n.raw(&to, 21000, nil))
	n.rpc.submit = func(context.Context, coco.Caller, bool, ...[]byte) []chain.SendResult { panic("for the test") }
	for _, body := range []string{one, "[" + one + "," + one + "]"} {
		sameReplies(t, n, []byte(body))
		if w := n.post(body); !strings.Contains(w.Body.String(), "method handler crashed") {
			t.Errorf("%s", w.Body)
		}
	}
}

func TestRequestsBeyondTheLimits(t *testing.T) {
	n := newTestNode(t, map[string]any{"body_bytes": 1000, "batch_items": 3, "reply_bytes": 100})
	long := `{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":["` + strings.Repeat("x", 1000) + `"]}`
	for _, chunked := range []bool{false, true} {
		r := httptest.NewRequest(http.MethodPost, "/rpc", strings.NewReader(long))
		r.Header.Set("Content-Type", "application/json")
		if chunked {
			r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(long))
		}
		w := httptest.NewRecorder()
		n.rpc.serve(testCaller, w, r)
		equal(t, "status of a long body", w.Code, http.StatusRequestEntityTooLarge)
	}
	one := call("eth_chainId")
	if w := n.post("[" + strings.Repeat(one+",", 3) + one + "]"); !strings.Contains(w.Body.String(), "batch too large") {
		t.Errorf("long batch: %s", w.Body)
	}
	big := call("web3_sha3", "0x00")
	if w := n.post("[" + big + "," + big + "," + big + "]"); strings.Count(w.Body.String(), "response too large") != 1 {
		t.Errorf("large replies: %s", w.Body)
	}
	for want, change := range map[int]func(*http.Request){
		http.StatusUnsupportedMediaType: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		http.StatusOK:                   func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") },
	} {
		r := httptest.NewRequest(http.MethodPost, "/rpc", strings.NewReader(one))
		change(r)
		w := httptest.NewRecorder()
		n.rpc.serve(testCaller, w, r)
		equal(t, "status", w.Code, want)
	}
}

// scanSeeds are bodies in plain form, and bodies that must be left to the full server.
var scanSeeds = []string{
	`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}`,
	` { "params" : [ "0x01" , {"a":[1,-2.5e+3,true,null]} ] , "method" : "eth_call" , "id" : "x" , "jsonrpc" : "2.0" } `,
	`{"jsonrpc":"2.0","id":-0,"method":"m","params":[{}]}`,
	`{"jsonrpc":"2.0","id":"é","method":"eth_chainId","params":[false]}`,
	`{"jsonrpc":"2.0","id":null,"method":"eth_chainId"}`,
	`{"jsonrpc":"2.0","id":1,"id":2,"method":"eth_chainId"}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chain\u0049d"}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","extra":1}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}`,
	`{"jsonrpc":"2.0","id":01,"method":"eth_chainId"}`,
	`{"jsonrpc":"2.0","id":1.,"method":"eth_chainId"}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1,]}`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId"`,
	`{"jsonrpc":"2.0","id":1,"method":"eth_chainId",}`,
	`{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}`,
	`[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b","params":["0x"]}]`,
	`[]`, `[1]`, `{}`, ``, `null`, "{\"jsonrpc\":\"2.0\",\"id\":\"\x01\",\"method\":\"a\"}",
}
