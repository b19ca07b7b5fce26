package rpc

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/contracts"
)

// calling is code that calls a contract with data.
func calling(to common.Address, data []byte) string {
	code := ""
	for at := 0; at < len(data); at += 32 {
		word := common.Hash{}
		copy(word[:], data[at:])
		code += "7f" + common.Bytes2Hex(word[:]) + fmt.Sprintf("61%04x52", at) // PUSH32, PUSH2, MSTORE
	}
	// No output, the input, no value; POP of the result.
	return code + fmt.Sprintf("6000600061%04x60006000", len(data)) + "73" + common.Bytes2Hex(to[:]) + "5af150"
}

// revertingWithReply reverts with what the last call has returned.
const revertingWithReply = "3d600060003e3d6000fd"

// ofTheMessage is what depends on the message that was simulated.
var ofTheMessage = regexp.MustCompile(`"(hash|transactionsroot|blockhash|transactionhash)":"0x[0-9a-f]{64}"|"transactions":\[[^]]*\]`)

// alike fails unless two replies are the same but for the addresses that they are about.
func alike(t *testing.T, what, a string, about common.Address, b string, other common.Address) {
	t.Helper()
	plain := func(s string, addr common.Address) string {
		s = strings.ReplaceAll(strings.ToLower(s), common.Bytes2Hex(addr[:]), "the address")
		return ofTheMessage.ReplaceAllString(s, "")
	}
	if a, b = plain(a, about), plain(b, other); a != b {
		t.Errorf("%s tells that something is there:\n%s\n%s", what, a, b)
	}
}

// A helper pays for an answer, reads it, and reverts, so that nothing is paid: the rule of a contract is asked on the state that is committed, and
// from another contract only about any data.
func TestAHelperThatPaysReadsAndReverts(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.Shipments()
	ships := n.create(a, common.Address{0x15})
	n.sent(maker, 0, 1, &ships, 0, packed(t, &a.ABI, "pass", big.NewInt(7), n.address(1), "goods"))
	nobody := common.Address{} // with the same bytes, so that naming it costs the same
	for i := range ships {
		nobody[i] = ships[len(ships)-1-i]
	}
	attack := func(target common.Address) (replies []string) {
		pass := packed(t, &a.ABI, "pass", big.NewInt(9), n.address(2), "goods")
		read := packed(t, &a.ABI, "holderOf", big.NewInt(9))
		helper := "0x" + calling(target, pass) + calling(target, read) + revertingWithReply
		at := n.address(2).Hex()
		override := map[string]any{at: map[string]any{"code": helper}}
		message := map[string]any{"to": at}
		return []string{
			n.by(shop, "eth_call", map[string]any{"data": helper}, "latest"),
			n.by(shop, "eth_call", message, "latest", override),
			n.by(shop, "eth_estimateGas", map[string]any{"data": helper}),
			n.by(shop, "eth_createAccessList", map[string]any{"data": helper}, "latest"),
			n.by(shop, "debug_traceCall", map[string]any{"data": helper}, "latest"),
			n.by(shop, "trace_call", map[string]any{"data": helper}, []string{"trace"}, "latest"),
			n.by(shop, "eth_simulateV1", map[string]any{"blockStateCalls": []any{map[string]any{"calls": []any{
				map[string]any{"to": target, "data": hexutil.Bytes(pass)}, map[string]any{"to": target, "data": hexutil.Bytes(read)},
			}}}}, "latest"),
			// A dumper in the place of the contract's code prints no storage of it.
			n.by(shop, "eth_call", map[string]any{"to": target}, "latest", map[string]any{target.Hex(): map[string]any{"code": "0x60005460005260206000f3"}}),
		}
	}
	there, absent := attack(ships), attack(nobody)
	for i := range there {
		alike(t, fmt.Sprintf("attack %d", i), there[i], ships, absent[i], nobody)
	}
	// In an open network they work: the attacks are some.
	n.opened()
	if r := n.by(shop, "eth_call", map[string]any{"data": "0x" + calling(ships, packed(t, &a.ABI, "pass", big.NewInt(9), n.address(2), "goods")) + revertingWithReply}, "latest"); !strings.Contains(r, "reverted") {
		t.Error(r)
	}
	if r := n.by(shop, "eth_call", map[string]any{"to": ships}, "latest", map[string]any{ships.Hex(): map[string]any{"code": "0x600060005260206000207f" + strings.Repeat("0", 64) + "5060005460005260206000f3"}}); !strings.Contains(r, "result") {
		t.Error(r)
	}
}

// opened makes the network an open one.
func (n *testNode) opened() {
	n.t.Helper()
	var all map[string]json.RawMessage
	must(n.t, json.Unmarshal(n.env.Settings, &all))
	all["visibility"] = json.RawMessage(`"network"`)
	section, err := json.Marshal(all)
	must(n.t, err)
	must(n.t, n.Configure(section))
}

// Whoever may name another as the sender finds a balance by halving: an amount above it fails, with the balance in the error of some tokens.
func TestABalanceIsNotFoundByHalving(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.Token()
	token := n.create(a, "Token", "T", big.NewInt(1000))
	nobody := common.Address{0xee}
	for _, method := range []string{"eth_call", "eth_estimateGas", "eth_fillTransaction", "eth_createAccessList", "debug_traceCall"} {
		var first string
		for _, from := range []common.Address{n.address(0), nobody} {
			for _, amount := range []int64{1, 1000, 1001, 1 << 40} {
				message := map[string]any{"from": from, "to": token, "data": hexutil.Bytes(packed(t, &a.ABI, "transfer", n.address(1), big.NewInt(amount)))}
				payment := map[string]any{"from": from, "to": n.address(1), "value": hexutil.EncodeUint64(uint64(amount) << 20)}
				for _, m := range []map[string]any{message, payment} {
					reply := n.by(carrier, method, m)
					if first == "" {
						first = reply
					}
					if reply != first || !strings.Contains(reply, "none of the addresses that are linked to you") {
						t.Errorf("%s from %v: %s", method, from, reply)
					}
				}
			}
		}
	}
	// A signed transaction of another's tells neither nonce nor balance.
	refusals := map[string]bool{}
	for _, tx := range []*types.Transaction{n.sign(0, 0, &token, 50_000, 0, nil), n.sign(0, 1, &nobody, 21_000, 1<<62, nil), n.sign(0, 0, &nobody, 21_000, 5, nil)} {
		raw, err := tx.MarshalBinary()
		must(t, err)
		if tx.Value().BitLen() > 60 { // what the sender has is not enough for it
			refusals[n.by(carrier, "eth_sendRawTransaction", hexutil.Encode(append(raw[:len(raw)-1:len(raw)-1], raw[len(raw)-1])))] = true
			continue
		}
		refusals[n.by(carrier, "eth_sendRawTransaction", hexutil.Encode(raw))] = true
	}
	for r := range refusals {
		if strings.Contains(r, "nonce") || strings.Contains(r, "have ") {
			t.Errorf("another's transaction tells %s", r)
		}
	}
}

// A transaction that is another's takes the work of one that does not exist, whether it is in memory or in the ledger alone: counted in reads of the ledger, not in time.
func TestNotYoursTakesTheWorkOfNotThere(t *testing.T) {
	n := closedNode(t, parties...)
	old := n.sent(maker, 0, 0, &common.Address{0xaa}, 1, nil)
	n.nonce = 1
	n.forget()
	recent := n.Head().Txs[0]
	for _, method := range []string{"eth_getTransactionReceipt", "eth_getTransactionByHash", "debug_getRawTransaction", "coco_transactionCaller"} {
		count := func(hash common.Hash) int {
			before := n.past.reads
			n.by(shop, method, hash)
			return n.past.reads - before
		}
		absent := count(common.Hash{1})
		if absent == 0 || count(old) != absent || count(recent) != absent || count(common.Hash{2}) != absent {
			t.Errorf("%s: absent transactions take %d and %d reads, an old one of another %d, a recent one %d", method, absent, count(common.Hash{2}), count(old), count(recent))
		}
	}
}

// Filters and subscriptions go by what their caller may see when they tell it: links that come and end count at once.
func TestFiltersAndSubscriptionsFollowLinks(t *testing.T) {
	n := closedNode(t, parties...)
	n.sent(maker, 0, 0, nil, 0, emitter)
	contract := crypto.CreateAddress(n.address(0), 0)
	s := n.dialAs(shop)
	s.write(call("eth_subscribe", "logs", map[string]any{}))
	s.read()
	id := got[string](n, shop, "eth_newFilter", map[string]any{"address": contract})
	poll := func() int { return len(got[[]types.Log](n, shop, "eth_getFilterChanges", id)) }
	emit := func(nonce uint64) { n.sent(maker, 0, nonce, &contract, 0, []byte("secret")) }
	next := func() uint64 {
		return uint64(readEvent[struct{ BlockNumber hexutil.Uint64 }](s).Params.Result.BlockNumber)
	}

	emit(1)
	if polled := poll(); polled != 0 {
		t.Errorf("a stranger polls %d logs", polled)
	}
	n.link(0, shop)
	emit(2)
	if polled := poll(); polled != 1 {
		t.Errorf("with the link %d logs are polled, expected the newest one", polled)
	}
	n.link(0, maker)
	emit(3)
	if polled := poll(); polled != 0 {
		t.Errorf("without the link %d logs are polled", polled)
	}
	n.link(0, shop)
	emit(4)
	// What is told goes by the links of its time, and in order. The log of block 2 may come as late as the link that admits it.
	for number := next(); number != n.Head().Number(); number = next() {
	}
}

// A polled filter is its maker's: another user of the organisation, or the organisation itself, would take its news away, and learn its query.
func TestAFilterIsItsMakersAlone(t *testing.T) {
	kim, lee := callerOf(1, "kim"), callerOf(1, "lee")
	n := closedNode(t, kim, lee)
	id := got[string](n, kim, "eth_newFilter", map[string]any{"address": common.Address{1}})
	none := n.by(lee, "eth_getFilterLogs", "0x1")
	for _, c := range []coco.Caller{lee, callerOf(1, ""), callerOf(2, "kim")} {
		for _, method := range []string{"eth_getFilterLogs", "eth_getFilterChanges"} {
			equal(t, method+" of "+c.Name+" "+c.User, n.by(c, method, id), none)
		}
		if got[bool](n, c, "eth_uninstallFilter", id) {
			t.Errorf("%s %s uninstalls another's filter", c.Name, c.User)
		}
	}
	got[[]types.Log](n, kim, "eth_getFilterChanges", id)
	if !got[bool](n, kim, "eth_uninstallFilter", id) {
		t.Error("its maker does not uninstall it")
	}
}

// Several callers' transactions in one block tell each nothing of the others': not how many there are, nor what they used.
func TestABlockOfSeveralCallers(t *testing.T) {
	n := closedNode(t, parties...)
	n.sent(maker, 0, 0, nil, 0, emitter)
	contract := crypto.CreateAddress(n.address(0), 0)
	txs := []*types.Transaction{
		n.sign(0, 1, &contract, 100_000, 0, []byte("a")), n.sign(1, 0, &contract, 100_000, 0, []byte("bb")), n.sign(2, 0, &contract, 100_000, 0, []byte("ccc")),
		n.sign(1, 1, &contract, 100_000, 0, []byte("dddd")),
	}
	included_(t, n.execute(n.testChain.call(txs[0]), n.testChain.call(txs[1]), n.testChain.call(txs[2]), n.testChain.call(txs[3])), 4)
	equal(t, "transactions of the block", len(n.Head().Txs), 4)
	mine := got[[]types.Receipt](n, carrier, "eth_getBlockReceipts", "latest")
	if len(mine) != 2 || mine[0].TxHash != txs[1].Hash() || mine[1].TxHash != txs[3].Hash() {
		t.Fatalf("receipts %+v", mine)
	}
	gas := uint64(0)
	for i, r := range mine {
		gas += r.GasUsed
		if r.TransactionIndex != uint(i) || r.CumulativeGasUsed != gas || len(r.Logs) != 1 || r.Logs[0].Index != uint(i) || r.Logs[0].TxIndex != uint(i) {
			t.Errorf("receipt %d: %+v", i, r)
		}
		alone := got[types.Receipt](n, carrier, "eth_getTransactionReceipt", r.TxHash)
		if alone.TransactionIndex != r.TransactionIndex || alone.CumulativeGasUsed != r.CumulativeGasUsed || alone.Logs[0].Index != r.Logs[0].Index {
			t.Errorf("alone: %+v", alone)
		}
		at := got[struct{ Hash common.Hash }](n, carrier, "eth_getTransactionByBlockNumberAndIndex", "latest", hexutil.EncodeUint64(uint64(i)))
		equal(t, "by its index", at.Hash, r.TxHash)
	}
	for i, l := range got[[]types.Log](n, carrier, "eth_getLogs", map[string]any{"blockHash": n.Head().Hash}) {
		if l.TxHash != mine[i].TxHash || l.TxIndex != uint(i) || l.Index != uint(i) {
			t.Errorf("log %d: %+v", i, l)
		}
	}
	// In one request each question is answered as if it came alone.
	asked := "[" + call("eth_getTransactionReceipt", txs[1].Hash()) + "," + call("eth_getTransactionReceipt", txs[0].Hash()) + "," + call("eth_getTransactionReceipt", common.Hash{1}) + "]"
	want := "[" + strings.Join([]string{
		n.by(carrier, "eth_getTransactionReceipt", txs[1].Hash()), n.by(carrier, "eth_getTransactionReceipt", common.Hash{1}), n.by(carrier, "eth_getTransactionReceipt", common.Hash{1}),
	}, ",") + "]"
	equal(t, "the batch", n.replied(carrier, asked).Body.String(), want)
}

// News of a block say that it is there, and nothing of what others have done in it.
func TestNewsOfBlocksTellNothingOfOthers(t *testing.T) {
	n := closedNode(t, parties...)
	s := n.dialAs(shop)
	s.write(call("eth_subscribe", "newHeads"))
	s.read()
	n.sent(maker, 0, 0, nil, 0, emitter)
	head := readEvent[*types.Header](s).Params.Result
	if head.Number.Uint64() != n.Head().Number() || head.ParentHash != n.Head().Header.ParentHash {
		t.Fatalf("news of block %v", head.Number)
	}
	if head.Root != (common.Hash{}) || head.TxHash != (common.Hash{}) || head.ReceiptHash != (common.Hash{}) || head.GasUsed != 0 || head.Bloom != (types.Bloom{}) || len(head.Extra) > 0 {
		t.Errorf("a stranger is told %+v", head)
	}
}

// A contract knows a user by its own addresses: those of its organisation, and of the others of it, would say who else is there, and admit it by them.
func TestAContractIsToldTheUsersOwnAddresses(t *testing.T) {
	clerk, colleague := callerOf(1, "clerk"), callerOf(1, "colleague")
	n := closedNode(t, maker, carrier, clerk)
	a := contracts.Shipments()
	ships := n.create(a, common.Address{0x15})
	pass := func(nonce uint64, shipment int64, to common.Address) {
		n.sent(maker, 0, nonce, &ships, 0, packed(t, &a.ABI, "pass", big.NewInt(shipment), to, "goods"))
	}
	pass(1, 7, n.address(1))
	pass(2, 8, n.address(2))
	for c, want := range map[coco.Caller]string{maker: "Passed Passed", carrier: "Passed", clerk: "Passed", colleague: ""} {
		equal(t, "logs of "+c.Name+" "+c.User, n.logsOf(c, a, ships), want)
	}
}

// For its events a contract's rule decides alone: whoever spends another's allowance sees its own transaction, and not the payment of two others.
func TestARuleDecidesAloneForItsEvents(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.TenToken()
	token := n.create(a, big.NewInt(1000))
	n.sent(maker, 0, 1, &token, 0, packed(t, &a.ABI, "approve", n.address(1), big.NewInt(5)))
	hash := n.sent(carrier, 1, 0, &token, 0, packed(t, &a.ABI, "transferFrom", n.address(0), n.address(2), big.NewInt(5)))
	receipt := got[types.Receipt](n, carrier, "eth_getTransactionReceipt", hash)
	if receipt.Status != types.ReceiptStatusSuccessful || len(receipt.Logs) != 0 || receipt.Bloom != (types.Bloom{}) {
		t.Errorf("the spender is told %+v", receipt)
	}
	equal(t, "the spender's logs", n.logsOf(carrier, a, token), "OwnershipTransferred")
	equal(t, "the receiver's logs", n.logsOf(shop, a, token), "OwnershipTransferred Transfer")
	equal(t, "the owner's logs", n.logsOf(maker, a, token), "OwnershipTransferred Transfer Approval Transfer") // of an approval the rule says nothing
}
