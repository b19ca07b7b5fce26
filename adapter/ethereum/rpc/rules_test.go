package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/access"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/store"
)

var (
	maker, carrier, shop = callerOf(1, ""), callerOf(2, ""), callerOf(3, "")
	parties              = []coco.Caller{maker, carrier, shop}
)

// packed encodes a call, or the arguments of a constructor if the method is empty.
func packed(t testing.TB, a *abi.ABI, method string, args ...any) []byte {
	t.Helper()
	out, err := a.Pack(method, args...)
	must(t, err)
	return out
}

// create creates a contract of an artefact by account 0.
func (n *testNode) create(a *contracts.Artefact, args ...any) common.Address {
	n.t.Helper()
	nonce := uint64(got[hexutil.Uint64](n, maker, "eth_getTransactionCount", n.address(0), "latest"))
	raw, err := n.sign(0, nonce, nil, 5_000_000, 0, append(bytes.Clone(a.Bytecode), packed(n.t, &a.ABI, "", args...)...)).MarshalBinary()
	must(n.t, err)
	hash := got[common.Hash](n, maker, "eth_sendRawTransaction", hexutil.Encode(raw))
	r := got[types.Receipt](n, maker, "eth_getTransactionReceipt", hash)
	equal(n.t, "status", r.Status, types.ReceiptStatusSuccessful)
	return r.ContractAddress
}

// calls is what an eth_call of a caller returns.
func (n *testNode) calls(c coco.Caller, to common.Address, data []byte) hexutil.Bytes {
	n.t.Helper()
	return got[hexutil.Bytes](n, c, "eth_call", map[string]any{"to": to, "data": hexutil.Bytes(data)}, "latest")
}

// logsOf are the logs of a contract that a caller sees, by the names of their events.
func (n *testNode) logsOf(c coco.Caller, a *contracts.Artefact, of common.Address) string {
	n.t.Helper()
	var names []string
	for _, l := range got[[]types.Log](n, c, "eth_getLogs", map[string]any{"fromBlock": "0x0", "address": of}) {
		e, err := a.ABI.EventByID(l.Topics[0])
		must(n.t, err)
		names = append(names, e.Name)
	}
	return strings.Join(names, " ")
}

func TestAContractOfTENRunsUnchanged(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.TenToken()
	token := n.create(a, big.NewInt(1000))
	n.sent(maker, 0, 1, &token, 0, packed(t, &a.ABI, "transfer", n.address(1), big.NewInt(5)))
	last := got[[]types.Log](n, carrier, "eth_getLogs", map[string]any{"fromBlock": "0x0", "address": token})
	for c, want := range map[coco.Caller]string{
		maker: "OwnershipTransferred Transfer Transfer", carrier: "OwnershipTransferred Transfer", shop: "OwnershipTransferred",
	} {
		equal(t, "logs of "+c.Name, n.logsOf(c, a, token), want)
		// Everybody may call it: it is its code that decides by msg.sender.
		equal(t, "balance", new(big.Int).SetBytes(n.calls(c, token, packed(t, &a.ABI, "balanceOf", n.address(1)))).Int64(), 5)
		equal(t, "code", len(got[hexutil.Bytes](n, c, "eth_getCode", token, "latest")), 0)
		equal(t, "storage", got[common.Hash](n, c, "eth_getStorageAt", token, "0x2", "latest"), common.Hash{})
	}
	// The event that a caller sees of a transaction that it does not see tells no place of others.
	if len(last) != 2 || last[0].TxIndex != 0 || last[0].Index != 0 || last[1].Index != 0 {
		t.Errorf("logs %+v", last)
	}
	equal(t, "receipt", n.by(shop, "eth_getTransactionReceipt", last[1].TxHash), n.by(shop, "eth_getTransactionReceipt", common.Hash{1}))
	// The sender sees of its own transaction the logs that the rule gives it.
	receipt := got[types.Receipt](n, maker, "eth_getTransactionReceipt", last[1].TxHash)
	equal(t, "logs in the receipt", len(receipt.Logs), 1)
}

func TestAContractDecidesByItsState(t *testing.T) {
	n := closedNode(t, parties...)
	inspector := callerOf(4, "")
	set := n.store.Begin(n.view, n.now)
	tx := set.Begin()
	must(t, tx.In(n.scope, func(tx *store.Tx) error {
		return links.Link(tx, common.Address{0x15}, links.Holder{Actor: inspector.Actor}, 1)
	}))
	tx.Commit()
	n.commit(set)
	a := contracts.Shipments()
	ships := n.create(a, common.Address{0x15})
	pass := func(from int, nonce uint64, shipment int64, to common.Address) common.Hash {
		return n.sent(parties[from], from, nonce, &ships, 0, packed(t, &a.ABI, "pass", big.NewInt(shipment), to, "goods"))
	}
	holder := packed(t, &a.ABI, "holderOf", big.NewInt(7))
	hash := pass(0, 1, 7, n.address(1))
	for c, want := range map[coco.Caller]common.Address{maker: n.address(1), carrier: n.address(1)} {
		equal(t, c.Name, common.BytesToAddress(n.calls(c, ships, holder)), n.address(1))
		equal(t, c.Name+"'s answer", common.BytesToAddress(n.calls(c, ships, holder)), want)
		equal(t, "logs", n.logsOf(c, a, ships), "Passed")
	}
	nobody := common.Address{0xee}
	for _, method := range []string{"eth_call", "eth_estimateGas", "eth_createAccessList", "trace_call"} {
		args := func(to common.Address) []any {
			message := map[string]any{"to": to, "data": hexutil.Bytes(holder)}
			if method == "trace_call" {
				return []any{message, []string{"trace"}, "latest"}
			}
			return []any{message, "latest"}
		}
		want := strings.ReplaceAll(n.by(shop, method, args(nobody)...), strings.ToLower(nobody.Hex()), strings.ToLower(ships.Hex()))
		equal(t, method+" of a stranger", n.by(shop, method, args(ships)...), want)
	}
	equal(t, "a stranger's logs", n.logsOf(shop, a, ships), "")
	equal(t, "an inspector's logs", n.logsOf(inspector, a, ships), "Passed")
	if r := n.by(inspector, "eth_getTransactionReceipt", hash); !strings.Contains(r, hash.Hex()) {
		t.Errorf("an inspector gets %s", r)
	}
	if v := got[common.Hash](n, carrier, "eth_getStorageAt", ships, "0x0", "latest"); v != (common.Hash{}) {
		t.Error("a party reads storage")
	}
	// The rule follows its state from block to block, also for what was before.
	pass(1, 0, 7, n.address(2))
	equal(t, "the new party's answer", common.BytesToAddress(n.calls(shop, ships, holder)), n.address(2))
	equal(t, "the new party's logs", n.logsOf(shop, a, ships), "Passed Passed")
	// From another contract the question is about any data, and this one says no.
	multicall := common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")
	aggregate, err := abi.JSON(strings.NewReader(`[{"type":"function","name":"aggregate","inputs":[{"name":"calls","type":"tuple[]","components":[{"name":"target","type":"address"},{"name":"callData","type":"bytes"}]}],"outputs":[{"name":"","type":"uint256"},{"name":"","type":"bytes[]"}]}]`))
	must(t, err)
	type one struct {
		Target   common.Address
		CallData []byte
	}
	through := n.calls(shop, multicall, packed(t, &aggregate, "aggregate", []one{{ships, holder}}))
	values, err := aggregate.Unpack("aggregate", through)
	must(t, err)
	equal(t, "what another contract gets", len(values[1].([][]byte)[0]), 0)
}

// A contract that never comes to an answer, that answers everything with yes, or that writes, admits nobody.
func TestABadRuleAdmitsNobody(t *testing.T) {
	n := closedNode(t, parties...)
	nonce := uint64(0)
	deploy := func(code []byte) common.Address {
		n.sent(maker, 0, nonce, nil, 0, code)
		nonce++
		return crypto.CreateAddress(n.address(0), nonce-1)
	}
	id := access.InterfaceID()
	// An ERC-165 contract for its identifier and 0x01ffc9a7, whose every other method loops.
	loops := creation("60003560e01c6301ffc9a7146013575b600f565b60043560e01c8063" + common.Bytes2Hex(id[:]) + "14906301ffc9a714176000526020" + "6000f3")
	for name, code := range map[string][]byte{
		"endless": spinner, "yes": creation("600160005260206000f3"), "loops once it is asked": loops, "reverts": reverter, "stores": keeper,
	} {
		addr := deploy(code)
		equal(t, name, n.by(carrier, "eth_call", map[string]any{"to": addr, "data": "0x01"}, "latest"), n.by(carrier, "eth_call", map[string]any{"to": common.Address{0xee}, "data": "0x01"}, "latest"))
		equal(t, name, got[hexutil.Uint64](n, carrier, "eth_estimateGas", map[string]any{"to": addr}), 21000)
	}
}

func TestWhatIsNoRuleOfTENIsRefused(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, make([]byte, 31), bytes.Repeat([]byte{0xff}, 96), append(common.Hash{31: 0x20}.Bytes(), common.Hash{31: 2}.Bytes()...)} {
		if _, err := access.ParseTEN(b); err == nil {
			t.Errorf("%x is a rule", b)
		}
	}
}

// bruteForce is what somebody does with a header: it names the parties among known addresses by the bloom, and looks for the amount whose
// receipt gives the receipts' root.
func bruteForce(h *types.Header, token common.Address, known []common.Address, amounts int64) (named []common.Address, amount int64) {
	for _, addr := range known {
		if f := (logs.Filter{Topics: [][]common.Hash{nil, {common.BytesToHash(addr[:])}}}); f.MatchBloom(&h.Bloom) {
			named = append(named, addr)
		} else if f := (logs.Filter{Topics: [][]common.Hash{nil, nil, {common.BytesToHash(addr[:])}}}); f.MatchBloom(&h.Bloom) {
			named = append(named, addr)
		}
	}
	if len(named) != 2 {
		return named, -1
	}
	for guess := range amounts {
		l := &types.Log{Address: token, Topics: []common.Hash{crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)")), common.BytesToHash(named[0][:]), common.BytesToHash(named[1][:])}, Data: common.BigToHash(big.NewInt(guess)).Bytes()}
		r := &types.Receipt{Type: types.DynamicFeeTxType, Status: 1, CumulativeGasUsed: h.GasUsed, Logs: []*types.Log{l}}
		r.Bloom = types.CreateBloom(r)
		if types.DeriveSha(types.Receipts{r}, trie.NewStackTrie(nil)) == h.ReceiptHash {
			return named, guess
		}
	}
	return named, -1
}

// headerOf is a block's header as a client reads it.
func headerOf(t testing.TB, reply string) *types.Header {
	var r struct{ Result *types.Header }
	must(t, json.Unmarshal([]byte(reply), &r))
	return r.Result
}

func TestBruteForceOfAHeader(t *testing.T) {
	const amount = 321
	n := closedNode(t, parties...)
	a := contracts.Token()
	token := n.create(a, "Token", "T", big.NewInt(1000))
	n.sent(maker, 0, 1, &token, 0, packed(t, &a.ABI, "transfer", n.address(1), big.NewInt(amount)))
	known := []common.Address{n.address(2), n.address(0), {0xaa}, n.address(1), {0xbb}}
	head := n.Head()
	// The attack works on a true header.
	true_ := headerOf(t, n.by(auditor, "eth_getHeaderByNumber", "latest"))
	named, found := bruteForce(true_, token, known, 1000)
	if len(named) != 2 || found != amount {
		t.Fatalf("the true header tells %v %d: the attack is none", named, found)
	}
	// What an auditor gets is the header that the hash is of, and raw.
	equal(t, "hash of the auditor's header", true_.Hash(), head.Hash)
	var raw types.Header
	must(t, rlp.DecodeBytes(got[hexutil.Bytes](n, auditor, "debug_getRawHeader", "latest"), &raw))
	equal(t, "hash of the raw header", raw.Hash(), head.Hash)
	equal(t, "extra data", len(raw.Extra), 32)
	for c, of := range map[coco.Caller]string{shop: "a stranger", maker: "the sender", {Actor: auditor.Actor, Name: auditor.Name, User: "clerk"}: "an auditor's clerk"} {
		for _, reply := range []string{
			n.by(c, "eth_getHeaderByNumber", "latest"), n.by(c, "eth_getHeaderByHash", head.Hash), n.by(c, "eth_getBlockByNumber", "latest", true),
			n.by(c, "eth_getBlockByHash", head.Hash, false), n.by(c, "erigon_getHeaderByNumber", "latest"),
		} {
			h := headerOf(t, reply)
			if named, found := bruteForce(h, token, known, 1000); len(named) > 0 || found >= 0 {
				t.Errorf("%s finds %v %d in %s", of, named, found, reply)
			}
			if h.Root != (common.Hash{}) || h.GasUsed != 0 || len(h.Extra) > 0 || h.TxHash != (common.Hash{}) || !strings.Contains(reply, head.Hash.Hex()) {
				t.Errorf("%s gets %s", of, reply)
			}
		}
	}
	// The hash, which everybody gets, confirms no guess: somebody who knows all but the amount and the salt guesses the amount and finds no header with the hash.
	guess := types.CopyHeader(&raw)
	guess.Extra = raw.Extra[:8]
	if guess.Hash() == head.Hash {
		t.Error("the hash is that of a header without a salt")
	}
	// No two blocks have one salt.
	n.sent(maker, 0, 2, &token, 0, packed(t, &a.ABI, "transfer", n.address(1), big.NewInt(1)))
	var next types.Header
	must(t, rlp.DecodeBytes(got[hexutil.Bytes](n, auditor, "debug_getRawHeader", "latest"), &next))
	if bytes.Equal(next.Extra[8:], raw.Extra[8:]) {
		t.Error("two blocks have one salt")
	}
	if open := newTestNode(t, nil); len(open.Head().Header.Extra) > 8 {
		t.Error("an open network has salts")
	}
}

func TestBlocksTellHowManyTransactionsTheyHideWhereTheConstitutionSaysSo(t *testing.T) {
	n := closedNode(t, parties...)
	n.sent(maker, 0, 0, &common.Address{0xaa}, 1, nil)
	if b := n.by(shop, "eth_getBlockByNumber", "latest", false); strings.Contains(b, "hidden") || !strings.Contains(b, `"transactions":[]`) {
		t.Error(b)
	}
	must(t, n.Configure(with(t, n.env.Settings, "counts", "true")))
	if b := n.by(shop, "eth_getBlockByNumber", "latest", false); !strings.Contains(b, `"hiddenTransactions":"0x1"`) {
		t.Error(b)
	}
	if b := n.by(maker, "eth_getBlockByNumber", "latest", false); !strings.Contains(b, `"hiddenTransactions":"0x0"`) {
		t.Error(b)
	}
}

// What other routes of a node answer about a transaction of the ledger is decided as JSON-RPC decides.
func TestTransactionsOfTheLedgerAreTheirPartiesAlone(t *testing.T) {
	n := closedNode(t, parties...)
	n.sent(maker, 0, 0, &common.Address{0xaa}, 1, nil)
	to := n.address(1)
	n.sent(maker, 0, 1, &to, 1, nil)
	s := sight.New(n.Ledger)
	for _, c := range []struct {
		caller coco.Caller
		seen   bool
	}{{maker, true}, {carrier, false}, {shop, false}, {auditor, true}} {
		first := n.Head().First - 1
		if err := s.Authorize(t.Context(), c.caller, coco.TxID{View: n.view, Seqno: first}, nil, nil); (err == nil) != c.seen {
			t.Errorf("%s: %v", c.caller.Name, err)
		}
	}
	if err := s.Authorize(t.Context(), carrier, coco.TxID{View: n.view, Seqno: n.Head().First}, nil, nil); err != nil {
		t.Errorf("the receiver: %v", err)
	}
	if err := s.Authorize(t.Context(), shop, coco.TxID{View: n.view, Seqno: 3}, nil, nil); err != nil { // a link
		t.Errorf("of another transaction: %v", err)
	}
}

// A receipt of the ledger proves all logs of its transaction: its sender gets it only if the rules of contracts show it all of them.
func TestAReceiptWithALogThatIsNotShownIsRefused(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.TenToken()
	token := n.create(a, big.NewInt(1000))
	s := sight.New(n.Ledger)
	authorize := func(c coco.Caller) error {
		return s.Authorize(t.Context(), c, coco.TxID{View: n.view, Seqno: n.Head().First}, nil, nil)
	}
	n.sent(maker, 0, 1, &token, 0, packed(t, &a.ABI, "approve", n.address(1), big.NewInt(5)))
	must(t, authorize(maker))
	n.sent(carrier, 1, 0, &token, 0, packed(t, &a.ABI, "transferFrom", n.address(0), n.address(2), big.NewInt(5)))
	for c, want := range map[coco.Caller]error{carrier: coco.ErrDenied, maker: coco.ErrNotFound, shop: coco.ErrNotFound, auditor: nil} {
		if err := authorize(c); !errors.Is(err, want) {
			t.Errorf("%s: %v, expected %v", c.Name, err, want)
		}
	}
}

// A receipt is asked for before anybody knows what its transaction is, so what it claims is decided about, too.
func TestReceiptsAreShownByWhatTheyClaim(t *testing.T) {
	n, kim := closedNode(t, parties...), callerOf(1, "kim")
	s := sight.New(n.Ledger)
	link := &links.Holder{Actor: kim.Actor, User: kim.User}
	row := rows.Tx{Block: 9, Logs: rows.EncodeLogs(nil)}
	later, _ := rows.EncodeClaims(&common.Hash{5}, types.DynamicFeeTxType, &row, new(types.Bloom))
	for what, c := range map[string]struct {
		link   *links.Holder
		claims []byte
		seen   []coco.Caller
		hidden []coco.Caller
	}{
		"a link":                      {link, []byte{1}, []coco.Caller{kim, maker, auditor}, []coco.Caller{carrier, callerOf(1, "lee"), callerOf(2, "kim")}},
		"a transaction of no block":   {nil, later, []coco.Caller{auditor}, []coco.Caller{maker, carrier, kim}},
		"what is of another ledger":   {nil, []byte("coco kv write"), []coco.Caller{maker, shop, kim}, nil},
		"a transaction with no claim": {nil, []byte{}, []coco.Caller{maker, shop, kim}, nil},
	} {
		for _, caller := range c.seen {
			if err := s.Authorize(t.Context(), caller, coco.TxID{View: n.view, Seqno: 1000}, c.link, c.claims); err != nil {
				t.Errorf("%s, %s %s: %v", what, caller.Name, caller.User, err)
			}
		}
		for _, caller := range c.hidden {
			if err := s.Authorize(t.Context(), caller, coco.TxID{View: n.view, Seqno: 1000}, c.link, c.claims); !errors.Is(err, coco.ErrNotFound) {
				t.Errorf("%s, %s %s: %v, expected that it is not found", what, caller.Name, caller.User, err)
			}
		}
	}
}
