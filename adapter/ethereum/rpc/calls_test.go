package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/calls"
	"github.com/cocoframework/coco/adapter/ethereum/reexecute"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/internal/contracts"
)

// authenticated asks as a caller who has come with a credential.
func authenticated[T any](n *testNode, c coco.Caller, how rows.How, method string, params ...any) (v T, failed string) {
	n.t.Helper()
	r := httptest.NewRequest("POST", "/rpc", strings.NewReader(call(method, params...)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	n.rpc.serve(c, w, r.WithContext(calls.With(r.Context(), how)))
	var out reply
	must(n.t, json.Unmarshal(w.Body.Bytes(), &out))
	if out.Error != nil {
		return v, out.Error.Message
	}
	if method == "coco_sendCall" && w.Header().Get(transactionHeader) == "" {
		n.t.Error("the reply does not name the transaction of the ledger")
	}
	must(n.t, json.Unmarshal(out.Result, &v))
	return v, ""
}

// admits has the constitution admit credentials for calls without a signature.
func (n *testNode) admits(t *testing.T, credentials string) {
	t.Helper()
	must(t, n.Configure(with(t, n.env.Settings, "authenticated_calls", credentials)))
}

func TestACallNeedsNoSignatureWhereMembersAdmitItsCredential(t *testing.T) {
	kim, lee := callerOf(maker.Actor[0], "kim"), callerOf(maker.Actor[0], "lee")
	n := closedNode(t, kim, maker, shop)
	to := common.Address{0xaa}
	pay := map[string]any{"to": to, "value": "0x5"}
	sent := func(c coco.Caller, how rows.How, m map[string]any) (common.Hash, string) {
		return authenticated[common.Hash](n, c, how, "coco_sendCall", m)
	}
	refused := func(what string, c coco.Caller, how rows.How, m map[string]any, want string) {
		t.Helper()
		if _, failed := sent(c, how, m); !strings.Contains(failed, want) {
			t.Errorf("%s: %q, expected %q", what, failed, want)
		}
	}
	refused("before members have admitted it", kim, rows.ByToken, pay, `admits no calls without a signature of callers with the credential "token"`)
	n.admits(t, `["token"]`)
	refused("by another credential", kim, rows.ByCertificate, pay, `"certificate"`)
	refused("by none", kim, 0, pay, `"signature"`)
	refused("a user without an address", lee, rows.ByToken, pay, "no address is linked to the caller itself")
	from := func(i int) map[string]any {
		return map[string]any{"from": n.address(i), "to": to, "value": "0x5"}
	}
	refused("from another organisation's address", kim, rows.ByToken, from(2), "from is not linked to the caller itself")
	refused("an organisation from its user's address", maker, rows.ByToken, from(0), "from is not linked to the caller itself")
	refused("a user from its organisation's address", kim, rows.ByToken, from(1), "from is not linked to the caller itself")
	refused("with blobs", kim, rows.ByToken, map[string]any{"to": to, "blobVersionedHashes": []common.Hash{{1}}, "gas": "0x5208"}, "")

	hash, failed := sent(kim, rows.ByToken, pay)
	if failed != "" {
		t.Fatal(failed)
	}
	own, failed := sent(maker, rows.ByToken, pay)
	if failed != "" {
		t.Fatal(failed)
	}
	if hash == own {
		t.Error("calls of two senders have one hash")
	}
	// Whoever may see it sees a transaction like any other, of any client library.
	tx := got[struct{ From common.Address }](n, kim, "eth_getTransactionByHash", hash)
	var plain types.Transaction
	must(t, json.Unmarshal(got[json.RawMessage](n, kim, "eth_getTransactionByHash", hash), &plain))
	equal(t, "hash of what go-ethereum reads", plain.Hash(), hash)
	equal(t, "sender", tx.From, n.address(0))
	if receipt := got[*types.Receipt](n, kim, "eth_getTransactionReceipt", hash); receipt == nil || receipt.Status != 1 {
		t.Errorf("receipt %+v", receipt)
	}
	if reply := n.by(shop, "eth_getTransactionByHash", hash); !strings.Contains(reply, `"result":null`) {
		t.Errorf("another organisation sees %s", reply)
	}
	for c, want := range map[coco.Caller]string{
		kim: `"user":"kim","credential":"token"`, maker: `"user":"kim","credential":"token"`, auditor: `"user":"kim","credential":"token"`, shop: "null",
	} {
		if reply := n.by(c, "coco_transactionCaller", hash); !strings.Contains(reply, want) {
			t.Errorf("coco_transactionCaller answers %s %s with %s, expected %s", c.Name, c.User, reply, want)
		}
	}
	if reply := n.by(maker, "coco_transactionCaller", own); !strings.Contains(reply, `"user":"","credential":"token"`) {
		t.Errorf("of an organisation's own call: %s", reply)
	}
	if reply := n.by(auditor, "debug_traceTransaction", hash, map[string]any{"tracer": "callTracer"}); !strings.Contains(reply, strings.ToLower(n.address(0).Hex())) {
		t.Errorf("its trace is %s", reply)
	}
	// Nobody else gets such bytes into a block.
	raw := got[hexutil.Bytes](n, kim, "eth_getRawTransactionByHash", hash)
	if reply := n.by(kim, "eth_sendRawTransaction", raw); !strings.Contains(reply, `"error"`) {
		t.Errorf("its bytes are answered by %s", reply)
	}
	refused("a link that has ended", shop, rows.ByToken, from(0), "not linked")
	n.admits(t, `[]`)
	refused("after members have taken it back", kim, rows.ByToken, pay, "admits no calls")
	n.reexecuted()
}

// reexecuted has unmodified go-ethereum execute all blocks.
func (n *testNode) reexecuted() {
	n.t.Helper()
	again, err := reexecute.New(n.GenesisSpec())
	must(n.t, err)
	v := n.Latest()
	defer v.Release()
	for number := uint64(1); number <= v.Number(); number++ {
		b, err := v.Block(n.t.Context(), number)
		must(n.t, err)
		body := types.Body{Withdrawals: types.Withdrawals{}}
		for i := range b.Txs {
			row, err := v.TxRowOf(n.t.Context(), b, i)
			must(n.t, err)
			tx := new(types.Transaction)
			must(n.t, tx.UnmarshalBinary(row.Raw))
			if _, is := calls.Is(tx); is != (row.By.How != 0) || is && !calls.Proves(row.By, tx) || calls.Proves(rows.By{Actor: row.By.Actor, User: "mallory", How: row.By.How}, tx) {
				n.t.Errorf("transaction %v of %+v", tx.Hash(), row.By)
			}
			body.Transactions = append(body.Transactions, tx)
		}
		must(n.t, again.Execute(types.NewBlockWithHeader(b.Header).WithBody(body), n.Settings().Closed()))
	}
}

// A call with a nonce is executed once. Without one, each is another transaction, also if two say the same.
func TestACallWithANonceIsExecutedOnce(t *testing.T) {
	n := closedNode(t, maker)
	n.admits(t, `["certificate"]`)
	to := common.Address{0xaa}
	send := func(m map[string]any) (common.Hash, string) {
		return authenticated[common.Hash](n, maker, rows.ByCertificate, "coco_sendCall", m)
	}
	pay := map[string]any{"to": to, "value": "0x5", "nonce": "0x0"}
	first, failed := send(pay)
	second, failed2 := send(pay)
	if failed+failed2 != "" || first != second {
		t.Fatalf("%v %s, then %v %s", first, failed, second, failed2)
	}
	if _, failed := send(map[string]any{"to": to, "value": "0x6", "nonce": "0x0"}); !strings.Contains(failed, "nonce too low") {
		t.Errorf("another call of that nonce is answered by %q", failed)
	}
	delete(pay, "nonce")
	third, failed := send(pay)
	fourth, failed2 := send(pay)
	if failed+failed2 != "" || third == fourth || third == first {
		t.Fatalf("%v %s, then %v %s", third, failed, fourth, failed2)
	}
	// Another node has chosen the same nonce at the same time.
	submit, raced := n.env.Submit, false
	n.env.Submit = func(ctx context.Context, list ...*adapter.Call) []adapter.Result {
		if !raced {
			raced = true
			n.execute(n.testChain.call(n.sign(0, 3, &to, 21_000, 1, nil)))
		}
		return submit(ctx, list...)
	}
	if _, failed := send(pay); failed != "" || !raced {
		t.Errorf("a call whose nonce another node has given away is answered by %q", failed)
	}
	equal(t, "balance", got[*hexutil.Big](n, maker, "eth_getBalance", to, "latest") != nil, true)
	n.reexecuted()
}

func TestSeveralCallsAreSentAtOnce(t *testing.T) {
	n := closedNode(t, maker)
	n.admits(t, `["message"]`)
	deploy := map[string]any{"data": hexutil.Bytes(contracts.DeployToken("Token", "T", common.Big256)), "gas": "0x2dc6c0"}
	type result struct {
		Hash  *common.Hash
		Error *struct{ Message string }
	}
	pay := map[string]any{"to": common.Address{0xaa}, "value": "0x5", "gas": "0x5208"}
	bad := map[string]any{"to": common.Address{0xaa}, "gas": "0x1"}
	list, failed := authenticated[[]result](n, maker, rows.ByMessage, "coco_sendCalls", []any{deploy, pay, bad, pay})
	if failed != "" || len(list) != 4 {
		t.Fatalf("%s %+v", failed, list)
	}
	for i, r := range list {
		if (r.Hash == nil) != (i == 2) || (r.Error == nil) != (i != 2) {
			t.Errorf("call %d: %+v", i, r)
		}
	}
	if list[1].Hash != nil && list[3].Hash != nil && *list[1].Hash == *list[3].Hash {
		t.Error("two calls that say the same are one transaction")
	}
	equal(t, "next nonce", got[hexutil.Uint64](n, maker, "eth_getTransactionCount", n.address(0), "latest"), 3)
	for _, list := range [][]any{{}, make([]any, 5001)} {
		for i := range list {
			list[i] = pay
		}
		if _, failed := authenticated[[]result](n, maker, rows.ByMessage, "coco_sendCalls", list); !strings.Contains(failed, fmt.Sprintf("expected 1 to 5000 calls, found %d", len(list))) {
			t.Errorf("%d calls are answered by %q", len(list), failed)
		}
	}
	n.reexecuted()
}
