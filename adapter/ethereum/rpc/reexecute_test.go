package rpc

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/reexecute"
	"github.com/cocoframework/coco/internal/contracts"
)

// An auditor of a closed network has blocks with salted headers, by JSON-RPC alone, and unmodified go-ethereum executes them again. A party of
// a block gets none of what that needs.
func TestAnAuditorExecutesBlocksOfAClosedNetworkAgain(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.Token()
	token := n.create(a, "Token", "T", big.NewInt(1000))
	n.sent(maker, 0, 1, &token, 0, packed(t, &a.ABI, "transfer", n.address(1), big.NewInt(321)))
	n.sent(shop, 1, 0, &common.Address{0xdd}, 5, nil)
	n.sent(shop, 1, 1, &token, 0, packed(t, &a.ABI, "transfer", n.address(0), big.NewInt(999))) // fails
	again, err := reexecute.New(n.GenesisSpec())
	must(t, err)
	genesis, _ := again.Newest()
	equal(t, "genesis", genesis.Hash().Hex(), got[struct{ Hash string }](n, auditor, "eth_getBlockByNumber", "0x0", false).Hash)
	salts := map[string]bool{}
	for number := again.Next(); number <= n.Head().Number(); number++ {
		at := hexutil.Uint64(number)
		var block types.Block
		must(t, rlp.DecodeBytes(got[hexutil.Bytes](n, auditor, "debug_getRawBlock", at), &block))
		// Every caller is told the hash; the auditor alone has what it is of.
		equal(t, "hash that a party is told", got[struct{ Hash common.Hash }](n, shop, "eth_getBlockByNumber", at, false).Hash, block.Hash())
		must(t, again.Execute(&block, true))
		salts[string(block.Extra()[8:])] = true
		for _, c := range []coco.Caller{maker, shop, {Actor: auditor.Actor, Name: auditor.Name, User: "clerk"}} {
			equal(t, "what a party is told of a raw block", n.by(c, "debug_getRawBlock", at), n.by(c, "debug_getRawBlock", "0x7fffffff"))
		}
	}
	equal(t, "different salts", uint64(len(salts)), n.Head().Number())
	if len(salts) < 4 {
		t.Fatalf("%d blocks", len(salts))
	}
}

// What go-ethereum comes to is compared: a header that says something else does not pass.
func TestABlockThatSaysMoreThanItsTransactionsDoIsRefused(t *testing.T) {
	n := closedNode(t, parties...)
	n.sent(maker, 0, 0, &common.Address{0xdd}, 5, nil)
	n.sent(maker, 0, 1, &common.Address{0xdd}, 6, nil)
	for name, change := range map[string]func(*types.Header){
		"gas used":      func(h *types.Header) { h.GasUsed++ },
		"receipts root": func(h *types.Header) { h.ReceiptHash[0]++ },
		"bloom":         func(h *types.Header) { h.Bloom[0]++ },
		"state root":    func(h *types.Header) { h.Root[0]++ },
		"a later root":  func(h *types.Header) { h.Extra[7] = 9 },
		"no salt":       func(h *types.Header) { h.Extra = h.Extra[:8] },
		"transactions":  func(h *types.Header) { h.TxHash[0]++ },
		"parent":        func(h *types.Header) { h.ParentHash[0]++ },
		"":              func(*types.Header) {},
	} {
		again, err := reexecute.New(n.GenesisSpec())
		must(t, err)
		var block types.Block
		must(t, rlp.DecodeBytes(got[hexutil.Bytes](n, auditor, "debug_getRawBlock", "0x1"), &block))
		h := types.CopyHeader(block.Header())
		change(h)
		if err := again.Execute(block.WithSeal(h), true); (err == nil) != (name == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
