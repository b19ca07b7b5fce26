package rpc

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb/memorydb"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// proof is a reply to eth_getProof.
type proof struct {
	AccountProof []hexutil.Bytes
	Balance      *hexutil.Big
	CodeHash     common.Hash
	Nonce        hexutil.Uint64
	StorageHash  common.Hash
	StorageProof []struct {
		Key   string
		Value *hexutil.Big
		Proof []hexutil.Bytes
	}
}

// proved checks nodes against a root with go-ethereum's verifier, and returns the value; nil if they prove that there is none.
func proved(t *testing.T, root common.Hash, key []byte, nodes []hexutil.Bytes) []byte {
	t.Helper()
	db := memorydb.New()
	for _, n := range nodes {
		must(t, db.Put(crypto.Keccak256(n), n))
	}
	value, err := trie.VerifyProof(root, crypto.Keccak256(key), db)
	must(t, err)
	return value
}

// A header names the block whose state its root is of. Proofs at that block are valid against the header.
func TestProofsAreValidAgainstTheRootOfAHeader(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(keeper)
	word := common.Hash{31: 7}
	n.send(n.raw(&contract, 100_000, word[:]))
	var at rows.KnownRoot
	for deadline := time.Now().Add(20 * time.Second); at.Number < 2; { // the root is made in the background
		if time.Now().After(deadline) {
			t.Fatal("no header carries a root of a new block")
		}
		n.send(n.raw(&contract, 100_000, word[:]))
		at = rows.CarriedBy(n.Head().Header)
	}
	var p proof
	n.ask(&p, "eth_getProof", contract, []string{"0x0", "0x1", common.Hash{}.Hex()}, hexutil.Uint64(at.Number))
	var account types.StateAccount
	must(t, rlp.DecodeBytes(proved(t, at.Root, contract[:], p.AccountProof), &account))
	equal(t, "nonce", account.Nonce, uint64(p.Nonce))
	equal(t, "code", common.BytesToHash(account.CodeHash), p.CodeHash)
	equal(t, "storage", account.Root, p.StorageHash)
	for i, want := range []struct {
		name  string
		slot  common.Hash
		value []byte
	}{{"0x0", common.Hash{}, []byte{7}}, {"0x1", common.Hash{31: 1}, nil}, {common.Hash{}.Hex(), common.Hash{}, []byte{7}}} {
		s := p.StorageProof[i]
		equal(t, "name of the slot", s.Key, want.name)
		equal(t, "value of the slot", string(proved(t, p.StorageHash, want.slot[:], s.Proof)), string(want.value))
		equal(t, "value", s.Value.ToInt().Uint64(), common.BytesToHash(want.value).Big().Uint64())
	}
	nobody := common.Address{1, 2, 3}
	n.ask(&p, "eth_getProof", nobody, []string{"0x0"}, hexutil.Uint64(at.Number))
	if value := proved(t, at.Root, nobody[:], p.AccountProof); value != nil {
		t.Errorf("an account that is not there is proved: %x", value)
	}
	equal(t, "code of no account", p.CodeHash, common.Hash{})

	n.forget()
	r := n.call("eth_getProof", contract, []string{}, hexutil.Uint64(at.Number))
	if r.Error == nil || r.Error.Code != codeServer || !strings.HasPrefix(r.Error.Message, "missing trie node") {
		t.Errorf("a proof of a state that has left memory: %+v", r.Error)
	}
	var can struct {
		State, StateProofs struct{ OldestBlock hexutil.Uint64 }
	}
	n.ask(&can, "eth_capabilities")
	equal(t, "oldest state", can.State.OldestBlock, 0)
	if uint64(can.StateProofs.OldestBlock) <= at.Number {
		t.Errorf("proofs from block %d on, and block %d has none", can.StateProofs.OldestBlock, at.Number)
	}
	n.ask(&p, "eth_getProof", contract, []string{}, can.StateProofs.OldestBlock)
}

// The list that is made is the one that the call needs: with it the call costs no more slots.
func TestAccessListsAreWhatCallsNeed(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(keeper)
	// Calls keeper with its input, and so writes a slot of another account.
	forwarder := n.deploy(creation("60003560005260006000602060006000" + "73" + contract.Hex()[2:] + "5af1" + "00"))
	object := map[string]any{"from": n.address(0), "to": forwarder, "input": common.Hash{31: 5}}
	var list struct {
		AccessList types.AccessList
		GasUsed    hexutil.Uint64
		Error      string
	}
	n.ask(&list, "eth_createAccessList", object)
	want := types.AccessList{{Address: contract, StorageKeys: []common.Hash{{}}}}
	equal(t, "list", fmt.Sprint(list.AccessList), fmt.Sprint(want))
	equal(t, "error", list.Error, "")
	object["accessList"] = list.AccessList
	var gas hexutil.Uint64
	n.ask(&gas, "eth_estimateGas", object)
	if list.GasUsed > gas {
		t.Errorf("the call uses %d gas with its list, and the estimate is %d", list.GasUsed, gas)
	}
	n.ask(&list, "eth_createAccessList", map[string]any{"to": n.deploy(reverter)}, "latest")
	equal(t, "error", list.Error, "execution reverted")

	var values map[common.Address][]common.Hash
	n.send(n.raw(&contract, 100_000, common.Hash{31: 9}.Bytes()))
	n.ask(&values, "eth_getStorageValues", map[common.Address][]common.Hash{contract: {{}, {1}}, forwarder: {{}}})
	equal(t, "values", fmt.Sprint(values[contract]), fmt.Sprint([]common.Hash{{31: 9}, {}}))

	bounded := newTestNode(t, map[string]any{"call_timeout_ms": 40})
	endless := bounded.deploy(spinner)
	for _, c := range []struct {
		method string
		params []any
		code   int
		says   string
	}{
		{"eth_createAccessList", []any{map[string]any{"to": endless}}, codeServer, "execution aborted (timeout = 40ms)"},
		{"eth_getStorageValues", []any{map[common.Address][]common.Hash{endless: make([]common.Hash, 1025)}}, -38026, "too many slots"},
		{"eth_getProof", []any{endless, make([]string, 1025)}, codeInvalidParams, "too many storage keys"},
		{"eth_getProof", []any{endless, []string{"0xzz"}}, codeInvalidParams, "invalid hex"},
	} {
		r := bounded.call(c.method, c.params...)
		if r.Error == nil || r.Error.Code != c.code || !strings.Contains(r.Error.Message, c.says) {
			t.Errorf("%s: %+v %s, expected %d %s", c.method, r.Error, r.Result, c.code, c.says)
		}
	}
}

func TestTheRulesOfANetworkAreTold(t *testing.T) {
	n := newTestNode(t, nil)
	var config struct {
		Current *struct {
			ActivationTime uint64
			ChainID        hexutil.Uint64
			ForkID         hexutil.Bytes
			Precompiles    map[string]common.Address
			BlobSchedule   struct{ Max int }
		}
		Next, Last json.RawMessage
	}
	n.ask(&config, "eth_config")
	equal(t, "chain", config.Current.ChainID, testChainID)
	equal(t, "precompile of Osaka", config.Current.Precompiles["P256VERIFY"], common.HexToAddress("0x100"))
	equal(t, "next rules", string(config.Next)+string(config.Last), "nullnull")
	equal(t, "bytes of the fork's id", len(config.Current.ForkID), 4)
}

// The accounts of a state are those that go-ethereum dumps, with the root of the state and of each account's storage.
func TestTheAccountsOfAStateAreListed(t *testing.T) {
	n, bc := importedNode(t, conformance(t))
	head := bc.CurrentBlock()
	s, err := bc.StateAt(head.Root, head.Number, head.Time)
	must(t, err)
	type page struct {
		Root     string
		Accounts map[string]json.RawMessage
		Next     hexutil.Bytes
	}
	for _, c := range []struct{ nocode, nostorage bool }{{false, false}, {true, true}} {
		text, err := json.Marshal(s.RawDump(&state.DumpConfig{SkipCode: c.nocode, SkipStorage: c.nostorage}))
		must(t, err)
		var want struct{ Accounts map[string]any }
		must(t, json.Unmarshal(text, &want))
		found, pages := map[string]any{}, 0
		for start := (hexutil.Bytes{}); ; pages++ {
			var p page
			n.ask(&p, "debug_accountRange", "latest", start, 7, c.nocode, c.nostorage, false)
			equal(t, "root", p.Root, hex.EncodeToString(head.Root[:]))
			if len(p.Accounts) == 0 || len(p.Accounts) > 7 {
				t.Fatalf("a page of %d accounts", len(p.Accounts))
			}
			for addr, a := range p.Accounts {
				var v any
				must(t, json.Unmarshal(a, &v))
				found[addr] = v
			}
			if start = p.Next; start == nil {
				break
			}
		}
		if fault := difference(any(want.Accounts), any(found), "accounts"); fault != "" || pages < 3 {
			t.Errorf("%d pages: %s", pages, fault)
		}
	}
	for _, params := range [][]any{{"latest", "0x" + strings.Repeat("00", 33), 5, true, true, true}, {"0xffffff", "0x", 5, true, true, true}} {
		if r := n.call("debug_accountRange", params...); r.Error == nil {
			t.Errorf("%v: %s", params, r.Result)
		}
	}
	n = newTestNode(t, nil)
	n.deploy(keeper)
	n.forget()
	if r := n.call("debug_accountRange", "0x1", "0x", 5, true, true, true); r.Error == nil || !strings.HasPrefix(r.Error.Message, "missing trie node") {
		t.Errorf("a state that has left memory: %+v", r.Error)
	}
}
