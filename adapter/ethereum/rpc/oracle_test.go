package rpc

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/access"
	"github.com/cocoframework/coco/internal/contracts"
)

// assembled is code with labels: "@a" pushes where ":a" is.
func assembled(code string) string {
	at := map[byte]int{}
	plain := ""
	for i := 0; i < len(code); i++ {
		switch code[i] {
		case ':':
			i++
			at[code[i]] = len(plain) / 2
			plain += "5b"
		case '@':
			i++
			plain += "60" + string([]byte{code[i], code[i]})
		default:
			plain += code[i : i+1]
		}
	}
	for label, place := range at {
		plain = strings.ReplaceAll(plain, "60"+string([]byte{label, label}), fmt.Sprintf("60%02x", place))
	}
	return plain
}

// deciding creates a contract that implements CocoAccess and answers everything else with the word that body leaves on the stack. A call with 32 bytes,
// which is no question, emits as many logs as they say, and executes also with each.
func deciding(body, also string) []byte {
	id := access.InterfaceID()
	const answer = "60005260206000f3"
	return creation(assembled("36602014@v57" + "60003560e01c6301ffc9a714@w57" + body + answer +
		":w60043560e01c8063" + common.Bytes2Hex(id[:]) + "14906301ffc9a71417" + answer +
		":v600035:z8060006000a1" + also + "6001900380@z5700"))
}

// The words that a body compares.
const (
	staticCall, delegateCall = "fa", "f4"

	asked  = "60243560240135" // the first word of mayCall's data
	viewer = "60043560240135" // the first of the viewers
	lower  = "10"             // whether the last word is lower than the one before
)

// answerOf is code that leaves the word that a contract returns for data, by an instruction.
func answerOf(to common.Address, data []byte, op string) string {
	code := ""
	for at := 0; at < len(data); at += 32 {
		word := common.Hash{}
		copy(word[:], data[at:])
		code += "7f" + common.Bytes2Hex(word[:]) + fmt.Sprintf("60%02x52", at)
	}
	return code + fmt.Sprintf("60206080"+"60%02x600073", len(data)) + common.Bytes2Hex(to[:]) + "5a" + op + "50608051"
}

// made creates a contract by an account of a caller.
func (n *testNode) made(c coco.Caller, from int, nonce uint64, code []byte) common.Address {
	n.t.Helper()
	hash := n.sent(c, from, nonce, nil, 0, code)
	equal(n.t, "status", got[types.Receipt](n, c, "eth_getTransactionReceipt", hash).Status, types.ReceiptStatusSuccessful)
	return crypto.CreateAddress(n.address(from), nonce)
}

// A contract of the caller's own, whose rule says whether somebody has more than an amount, would tell by eth_call how much, a bit with each, and leave no
// trace.
func TestARuleTellsNothingOfWhatItsContractIsNotShown(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.Token()
	token := n.create(a, "Token", "T", big.NewInt(1000))
	n.sent(maker, 0, 1, &common.Address{0xaa}, 7, nil)
	owner := n.address(0)
	hex := common.Bytes2Hex(owner[:])
	for nonce, c := range []struct {
		what, word string
		of         int64 // an amount that the word exceeds
	}{
		{"ether of an account", "73" + hex + "31", 1},
		{"what a token says of an account", answerOf(token, packed(t, &a.ABI, "balanceOf", owner), staticCall), 999},
		{"size of a contract's code", "73" + common.Bytes2Hex(token[:]) + "3b", 1},
		{"hash of a contract's code", "73" + common.Bytes2Hex(token[:]) + "3f", 1},
		{"code of a contract on storage of the asker's", answerOf(token, packed(t, &a.ABI, "decimals"), delegateCall), 1},
	} {
		oracle := n.made(shop, 2, uint64(nonce), deciding(c.word+asked+lower, ""))
		guess := func(amount int64) hexutil.Bytes {
			return n.calls(shop, oracle, append(word(amount), 0))
		}
		if low, high := guess(c.of), guess(1<<62); len(low) > 0 || len(high) > 0 {
			t.Errorf("%s: the rule tells that it exceeds %d: %v %v", c.what, c.of, low, high)
		}
	}
	// Of itself a contract knows everything: the same rule about its own code.
	own := n.made(shop, 2, 5, deciding("303b"+asked+lower, ""))
	if size := n.calls(shop, own, append(word(10), 0)); len(size) == 0 {
		t.Error("a rule does not see its own contract")
	}
}

// A rule may read a contract that admits the rule's own: a registry, or the implementation behind a proxy.
func TestARuleReadsContractsThatAdmitIt(t *testing.T) {
	n := closedNode(t, parties...)
	registry, member, stranger, implementation, hidden, proxy, blind := n.of(0), n.of(1), n.of(2), n.of(3), n.of(4), n.of(5), n.of(6)
	hex := func(a common.Address) string { return common.Bytes2Hex(a[:]) }
	code := [][]byte{
		// The registry answers one without a question with 1, and admits one contract.
		deciding("3615"+viewer+"73"+hex(member)+"1417", ""),
		deciding(answerOf(registry, nil, staticCall), ""),
		deciding(answerOf(registry, nil, staticCall), ""),
		deciding("6001", ""),                     // says yes, also for itself
		deciding("3073"+hex(n.of(4))+"1415", ""), // says yes for others that have its code alone
		cloneOf(implementation),
		cloneOf(hidden),
	}
	for nonce, c := range code {
		n.made(maker, 0, uint64(nonce), c)
	}
	for _, again := range []string{"first", "again", "in the next block"} {
		if again == "in the next block" {
			n.sent(maker, 0, 7, &common.Address{0xaa}, 1, nil)
		}
		for what, c := range map[string]struct {
			at   common.Address
			seen bool
		}{
			"the registry, of a viewer whom it does not admit": {registry, false}, "a contract that the registry admits": {member, true},
			"a contract that the registry does not admit": {stranger, false}, "an implementation": {implementation, true}, "another": {hidden, false},
		} {
			// They return a word for anything; what is not shown returns nothing.
			if r := n.calls(carrier, c.at, []byte{1}); (len(r) > 0) != c.seen {
				t.Errorf("%s, %s: %v", what, again, r)
			}
		}
		// The caller, too, must be admitted by the implementation; the state of the proxy is its own alone.
		if r := n.calls(carrier, proxy, []byte{1}); len(r) == 0 {
			t.Errorf("%s: a proxy is not shown by the rule of its implementation", again)
		}
		if r := n.calls(carrier, blind, []byte{1}); len(r) > 0 {
			t.Errorf("%s: a proxy executes an implementation that does not admit it: %v", again, r)
		}
	}
}

// of is the address of the contract that account 0 creates with a nonce.
func (n *testNode) of(nonce uint64) common.Address { return crypto.CreateAddress(n.address(0), nonce) }

// cloneOf creates a proxy that executes another contract's code: ERC-1167.
func cloneOf(to common.Address) []byte {
	return creation("363d3d373d3d3d363d73" + common.Bytes2Hex(to[:]) + "5af43d82803e903d91602b57fd5bf3")
}

// Contracts that ask one another without end, and each of many, come to an answer.
func TestRulesThatAskOneAnotherEnd(t *testing.T) {
	n := closedNode(t, parties...)
	one, other := n.of(0), n.of(1)
	n.made(maker, 0, 0, deciding(answerOf(other, nil, staticCall), ""))
	n.made(maker, 0, 1, deciding(answerOf(one, nil, staticCall), ""))
	for range 2 {
		for _, at := range []common.Address{one, other} {
			if r := n.calls(carrier, at, []byte{1}); len(r) > 0 {
				t.Errorf("%v: %v", at, r)
			}
		}
	}
}

// What the rule of one contract uses closes no event of another in the block, nor the block.
func TestARuleThatCostsMuchClosesItsOwnEventsAlone(t *testing.T) {
	const events, costly = 2000, 300
	n := closedNode(t, parties...)
	token := n.made(maker, 0, 0, deciding("60005460015401600101", "")) // reads two slots and says yes
	heavy := n.made(shop, 2, 0, deciding(":y@y56", ""))                // never comes to an answer
	both := n.made(shop, 2, 1, creation(n.emitting(heavy, costly)+n.emitting(token, 1)+"00"))
	included_(t, n.execute(
		n.testChain.call(n.sign(2, 2, &heavy, 500_000, 0, word(costly))),
		n.testChain.call(n.sign(0, 1, &token, 2_000_000, 0, word(events))),
		n.testChain.call(n.sign(2, 3, &both, 500_000, 0, nil)),
	), 3)
	equal(t, "transactions of the block", len(n.Head().Txs), 3)
	for range 2 {
		equal(t, "events of the token", n.newLogs(carrier, token), events+1)
		equal(t, "events whose rule gives no answer", n.newLogs(carrier, heavy), 0)
		mine := got[[]types.Receipt](n, maker, "eth_getBlockReceipts", "latest")
		equal(t, "receipts", len(mine), 1)
		equal(t, "logs", len(mine[0].Logs), events)
	}
}

// newLogs is how many logs of a contract a caller sees in the newest block.
func (n *testNode) newLogs(c coco.Caller, of common.Address) int {
	n.t.Helper()
	return len(got[[]types.Log](n, c, "eth_getLogs", map[string]any{"blockHash": n.Head().Hash, "address": of}))
}

// word is a number as a contract reads it.
func word(n int64) []byte { return common.BigToHash(big.NewInt(n)).Bytes() }

// emitting is code that has a contract emit so many logs.
func (n *testNode) emitting(of common.Address, logs int) string {
	return fmt.Sprintf("61%04x600052", logs) + "600060006020600060007" + "3" + common.Bytes2Hex(of[:]) + "5af150"
}

// The gas of a transaction tells its sender which way a contract went, by state that the sender does not see. docs/access.md shows how a contract pads
// it: a precompiled contract that fails uses exactly the gas that it is given.
func TestAContractPadsItsGas(t *testing.T) {
	n := closedNode(t, parties...)
	const (
		start, store = "5a", "6001600055"                                // GAS; SSTORE, which is dear in an empty slot
		pad          = "5a9003619c4003" + "6000600060016000600885fa5050" // 40,000 less what was used, to the precompiled contract 8 with one byte
	)
	plain, padded := n.made(maker, 0, 0, creation(start+store+"00")), n.made(maker, 0, 1, creation(start+store+pad+"00"))
	used := func(nonce uint64, to common.Address) uint64 {
		r := got[types.Receipt](n, maker, "eth_getTransactionReceipt", n.sent(maker, 0, nonce, &to, 0, nil))
		equal(t, "status", r.Status, types.ReceiptStatusSuccessful)
		return r.GasUsed
	}
	first, second := used(2, plain), used(3, plain)
	if first < second+17_000 {
		t.Errorf("without padding %d and %d gas: nothing tells the slot", first, second)
	}
	even, again := used(4, padded), used(5, padded)
	if even != again {
		t.Errorf("padded %d and %d gas", even, again)
	}
	t.Logf("gas of a first and a second write: %d and %d, padded %d and %d", first, second, even, again)
}
