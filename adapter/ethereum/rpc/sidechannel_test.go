package rpc

import (
	"bytes"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
)

func sameHeaders(a, b *httptest.ResponseRecorder) bool {
	return a.Code == b.Code && maps.EqualFunc(a.Header(), b.Header(), slices.Equal[[]string])
}

// Status, headers and size of a reply say no more than its content does: alone, and in a batch.
func TestRepliesAboutWhatIsHiddenHaveTheHeadersAndTheSizeOfThoseAboutNothing(t *testing.T) {
	n := closedNode(t, parties...)
	hidden := n.sent(maker, 0, 0, &common.Address{0xaa}, 1, make([]byte, 300))
	n.sent(maker, 0, 1, nil, 7, keeper)
	contract, nobody, none := n.of(1), common.Address{9}, common.Hash{9}
	about := everyMethod(contract, hidden, n.Head().Hash, "0x1", "0x2", map[string]any{"to": contract})
	aboutNothing := everyMethod(nobody, none, n.Head().Hash, "0x1", "0x2", map[string]any{"to": nobody})
	for name, params := range about {
		if strings.HasPrefix(name, "eth_new") {
			continue // the reply is an identifier
		}
		for i := range params {
			a, b := call(name, params[i]...), call(name, aboutNothing[name][i]...)
			for _, pair := range [][2]string{{a, b}, {"[" + a + "," + a + "]", "[" + b + "," + b + "]"}} {
				of, not := n.replied(shop, pair[0]), n.replied(shop, pair[1])
				if !sameHeaders(of, not) || of.Body.Len() != not.Body.Len() {
					t.Errorf("%s: status %d, %v and %d bytes; about what does not exist %d, %v and %d bytes", pair[0], of.Code, of.Header(), of.Body.Len(), not.Code, not.Header(), not.Body.Len())
				}
			}
		}
	}
	// Its owner is told more, in the headers too: so there is something to keep.
	if sameHeaders(n.replied(maker, call("eth_getTransactionReceipt", hidden)), n.replied(maker, call("eth_getTransactionReceipt", none))) {
		t.Error("a receipt has the headers of none")
	}
}

// What is asked in one batch, on one connection, or one after the other is answered as if it came alone: nothing that is remembered for one caller, or for
// one of its addresses, is another's.
func TestBatchesThatMixCallersAreAnsweredOneByOne(t *testing.T) {
	kim, lee := callerOf(1, "kim"), callerOf(1, "lee")
	callers := []coco.Caller{kim, lee, callerOf(1, ""), callerOf(2, "kim"), auditor}
	n := closedNode(t, kim, lee)
	var asked []string
	for i, c := range []coco.Caller{kim, lee} {
		to := n.address(2)
		hash := n.sent(c, i, 0, &to, 1, nil)
		own := n.address(i)
		asked = append(asked,
			call("eth_getTransactionReceipt", hash), call("eth_getBalance", own, "latest"), call("eth_getTransactionCount", own, "pending"),
			call("eth_call", map[string]any{"from": own, "to": own, "data": "0x"}, "latest"), call("eth_estimateGas", map[string]any{"from": own, "to": to, "value": "0x1"}),
			call("eth_getBlockReceipts", hexutil.Uint64(i+1)), call("eth_getLogs", map[string]any{"fromBlock": "0x0"}), call("coco_linkedAddresses"))
	}
	alone := map[coco.Caller][]string{}
	for _, c := range callers {
		for _, text := range asked {
			alone[c] = append(alone[c], n.replied(c, text).Body.String())
		}
	}
	for i, text := range asked { // each caller in turn, so that each meets what the one before has left behind
		for _, c := range slices.Backward(callers) {
			equal(t, "after another's: "+text, n.replied(c, text).Body.String(), alone[c][i])
		}
	}
	for _, c := range callers {
		equal(t, "in a batch", n.replied(c, "["+strings.Join(asked, ",")+"]").Body.String(), "["+strings.Join(alone[c], ",")+"]")
	}
	for i, text := range asked[:6] { // all but the last are about kim
		if alone[kim][i] == alone[lee][i] || alone[kim][i] == alone[callers[3]][i] || alone[kim][i] != alone[callers[2]][i] {
			t.Errorf("%s: kim gets %s, lee %s, their organisation %s", text, alone[kim][i], alone[lee][i], alone[callers[2]][i])
		}
	}
}

// A rule that says no from a block on ends what it has admitted, in every way to ask for events: what is remembered of its answers is of the block before.
func TestSubscriptionsEndWithTheRuleThatAdmittedThem(t *testing.T) {
	n := closedNode(t, parties...)
	// Its rule is slot 0; a call with 32 bytes stores the lowest bit of their number there, and emits so many logs.
	contract := n.made(maker, 0, 0, deciding("600054", "600160003516600055"))
	own := n.made(shop, 2, 0, emitter)
	s := n.dialAs(shop)
	s.write(call("eth_subscribe", "logs", map[string]any{}))
	s.read()
	id := got[string](n, shop, "eth_newFilter", map[string]any{"address": contract})
	nonce := uint64(0)
	emit := func(logs int64) common.Hash {
		nonce++
		return n.sent(maker, 0, nonce, &contract, 0, common.Hash{31: byte(logs)}.Bytes())
	}
	told := func() common.Address { return readEvent[types.Log](s).Params.Result.Address }
	seen := func() [3]int {
		return [3]int{
			len(got[[]types.Log](n, shop, "eth_getFilterChanges", id)), len(got[[]types.Log](n, shop, "eth_getFilterLogs", id)),
			len(got[[]types.Log](n, shop, "eth_getLogs", map[string]any{"fromBlock": "0x0", "address": contract})),
		}
	}
	emit(3)
	equal(t, "while the rule admits", seen(), [3]int{3, 3, 3})
	for range 3 {
		equal(t, "the contract that is told of", told(), contract)
	}
	hash := emit(2)
	equal(t, "once it does not", seen(), [3]int{})
	equal(t, "its receipt", n.by(shop, "eth_getTransactionReceipt", hash), n.by(shop, "eth_getTransactionReceipt", common.Hash{1}))
	n.sent(shop, 2, 1, &own, 0, []byte("own"))
	equal(t, "the next one that is told of", told(), own)
	emit(1)
	equal(t, "once it does again, for what came before, too", seen(), [3]int{1, 1, 6})
}

// What was decided about a block is remembered as long as that on which it rests: whose addresses are, that there is no contract, and which rule one states.
func TestWhatWasDecidedAboutABlockHoldsWithItsGrounds(t *testing.T) {
	n := closedNode(t, parties...)
	future := n.of(1)
	n.sent(maker, 0, 0, &future, 1, nil)
	shown := func() int { return len(got[[]types.Receipt](n, shop, "eth_getBlockReceipts", "0x1")) }
	twice := func(what string, want int) {
		t.Helper()
		equal(t, what, shown(), want)
		n.sent(shop, 2, n.nonce, &common.Address{0xdd}, 0, nil) // another block, which changes nothing of it
		n.nonce++
		equal(t, what+", after another block", shown(), want)
	}
	n.nonce = 0
	twice("of another", 0)
	n.link(0, shop)
	twice("with a link", 1)
	n.link(0, maker)
	twice("without", 0)
	n.made(maker, 0, 1, deciding("6001", "")) // which admits everybody to everything
	twice("since there is a contract that admits", 1)

	// It states a rule of TEN, transparent while slot 0 is 0. A call with a word stores it there, and emits a log.
	contract := n.made(maker, 0, 2, creation(assembled("36600414@a5736602014@b57"+"00"+":a6020600052600054602052604060405260806000f3"+":b60003560005560006000a000")))
	set := func(nonce uint64, word byte) { n.sent(maker, 0, nonce, &contract, 0, common.Hash{31: word}.Bytes()) }
	logs := func() int {
		return len(got[[]types.Log](n, shop, "eth_getLogs", map[string]any{"fromBlock": "0x0", "address": contract}))
	}
	set(3, 0)
	equal(t, "logs of a transparent contract", logs(), 1)
	set(4, 1)
	equal(t, "logs since it is private", logs(), 0)
	set(5, 0)
	equal(t, "logs since it is transparent again", logs(), 3)
}

// Code that stands in for a contract's reads none of its storage, also where the contract's rule shows the storage: which rule that is the code cannot tell.
func TestReplacedCodeReadsNoStorage(t *testing.T) {
	n := closedNode(t, parties...)
	contract := n.made(maker, 0, 0, deciding("6001", "600160003516600055"))
	n.sent(maker, 0, 1, &contract, 0, common.Hash{31: 1}.Bytes())
	one, none := common.Hash{31: 1}.Hex(), common.Hash{}.Hex()
	equal(t, "slot", got[string](n, shop, "eth_getStorageAt", contract, "0x0", "latest"), one)
	read := "0x60005460005260206000f3"
	equal(t, "what other code reads", got[string](n, shop, "eth_call", map[string]any{"to": contract}, "latest", map[string]any{contract.Hex(): map[string]any{"code": read}}), none)
	equal(t, "with a slot of the caller's", got[string](n, shop, "eth_call", map[string]any{"to": contract}, "latest", map[string]any{contract.Hex(): map[string]any{"code": read, "stateDiff": map[string]any{none: one}}}), one)
}

// The log is the host's to read, and a host's operator is a member like others: nothing in it names an account, a contract, a transaction, an amount, or what was sent,
// however little is logged elsewhere.
func TestLogsNameNobody(t *testing.T) {
	n := closedNode(t, parties...)
	var log bytes.Buffer
	n.log = &log
	n.reopen(n.env.Settings)
	n.env.Submit = n.submit
	secret := "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2"
	to := n.address(1)
	hashes := []common.Hash{n.sent(maker, 0, 0, nil, 7, keeper), n.sent(maker, 0, 1, &to, 1234567, common.FromHex(secret))}
	contract := n.of(0)
	for _, c := range []coco.Caller{maker, shop, auditor, callerOf(1, "kim-the-clerk")} {
		for name, params := range everyMethod(contract, hashes[1], n.Head().Hash, "0x1", "0x2", map[string]any{"from": n.address(0), "to": contract, "data": "0x" + secret}) {
			for _, p := range params {
				n.by(c, name, p...)
			}
		}
	}
	raw, err := n.sign(0, 0, &to, 21_000, 7654321, common.FromHex(secret)).MarshalBinary() // a nonce that is used
	must(t, err)
	for _, bad := range []string{hexutil.Encode(raw), "0x" + secret, hexutil.Encode(raw[:60])} {
		n.by(maker, "eth_sendRawTransaction", bad)
	}
	if !strings.Contains(log.String(), "level=") {
		n.env.Log.Debug("control", "hash", hashes[0]) // the log is written where it is looked for
		if !strings.Contains(log.String(), hashes[0].Hex()) {
			t.Fatal("nothing is logged to the buffer")
		}
		log.Reset()
	}
	text := strings.ToLower(log.String())
	for what, s := range map[string]string{
		"the sender": n.address(0).Hex(), "the receiver": to.Hex(), "a contract": contract.Hex(), "a transaction": hashes[0].Hex(), "another": hashes[1].Hex(),
		"an amount": "1234567", "an amount that was refused": "7654321", "what was sent": secret, "a user": "kim-the-clerk",
	} {
		if s = strings.TrimPrefix(strings.ToLower(s), "0x"); strings.Contains(text, s) {
			t.Errorf("the log names %s, %s:\n%s", what, s, text)
		}
	}
}
