package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/cockroachdb/datadriven"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/store"
)

// A ledger whose settings lack what later releases have added goes on as the program of its time would have gone on with it: blocks, rows
// and claims are the same, byte for byte, so that its nodes can be upgraded one after the other. The expectations in
// testdata/older were written by the program before the settings timestamps and confirmation_blocks. They are never written again.
func TestALedgerWithoutLaterSettingsGoesOnAsItsProgramWould(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1) // of PREVRANDAO
	c := newOlderChain(t, 3)
	nonces := map[int]uint64{}
	var token common.Address
	tx := func(from int, to *common.Address, gas uint64, value int64, data []byte) *adapter.Call {
		signed := c.sign(from, nonces[from], to, gas, value, data)
		nonces[from]++
		return c.forwarded(signed)
	}
	var again *adapter.Call // an earlier transaction
	steps := map[string]func() []*adapter.Call{
		"transfers": func() []*adapter.Call {
			return []*adapter.Call{c.forwarded(c.transfer(0, nonces[0], 1)), c.forwarded(c.transfer(1, nonces[1], 2)), c.forwarded(c.transfer(2, nonces[2], 3))}
		},
		"deploy": func() []*adapter.Call {
			return []*adapter.Call{tx(0, nil, 3_000_000, 0, contracts.DeployToken("Token", "TOK", big.NewInt(10_000)))}
		},
		"tokens": func() []*adapter.Call {
			return []*adapter.Call{
				tx(0, &token, 100_000, 0, contracts.Transfer(c.address(1), big.NewInt(5))),
				tx(1, &token, 100_000, 0, contracts.Transfer(c.address(2), big.NewInt(3))),
				tx(2, &token, 100_000, 0, contracts.Transfer(c.address(0), big.NewInt(900))), // reverts
				tx(2, &token, 23_000, 0, contracts.Transfer(c.address(0), big.NewInt(1))),    // out of gas
			}
		},
		"much gas": func() []*adapter.Call {
			return []*adapter.Call{tx(0, &token, 15_000_000, 0, contracts.MintMany([]common.Address{{7}, {8}}, big.NewInt(1)))}
		},
		"again": func() []*adapter.Call { return []*adapter.Call{again} },
		"none":  func() []*adapter.Call { return nil },
	}
	datadriven.RunTest(t, "testdata/older", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		var ms uint64
		d.ScanArgs(t, "after", &ms)
		c.now += ms
		before := len(c.records)
		if d.Cmd == "step" {
			calls := steps[strings.TrimSpace(d.Input)]()
			for _, o := range c.execute(calls...) {
				fmt.Fprintf(&out, "%v %v %.32x\n", o.TxID, o.Err, o.Reply) // what follows the hash does not leave the leader's connection
			}
			switch strings.TrimSpace(d.Input) {
			case "transfers":
				nonces[0], nonces[1], nonces[2] = nonces[0]+1, nonces[1]+1, nonces[2]+1
				again = calls[0]
			case "deploy":
				token = crypto.CreateAddress(c.address(0), nonces[0]-1)
			}
		}
		if d.Cmd == "genesis" {
			before = 0
		}
		head := c.Head()
		fmt.Fprintf(&out, "block %d %v time %d\n", head.Number(), head.Hash, head.Header.Time)
		for _, r := range c.records[before:] {
			fmt.Fprintf(&out, "claims %x public %d\n", sha256.Sum256(r.Claims), len(r.Public))
			if len(r.Private) == 0 {
				continue
			}
			writes, err := store.DecodeWrites(r.Private)
			must(t, err)
			for _, w := range writes {
				fmt.Fprintf(&out, "  %s %x %t %.8x\n", w.Table, w.Key, w.Delete, sha256.Sum256(w.Value))
			}
		}
		if head.Number() > 0 {
			c.awaitRoot(head.Number()) // so that the next header carries it
		}
		return out.String()
	})
}

// older are settings as programs stored them before there were others.
const older = `{"alloc":{%s},"allow_unprotected":false,"call_gas_limit":50000000,"chain_id":4242,"coinbase":"0x0000000000000000000000000000000000000000",` +
	`"fork":"osaka","gap_bytes":67108864,"gap_per_sender":1024,"gap_total":16384,"gap_wait_ms":10000,"gas_limit":100000000,"max_tx_bytes":131072,"min_gas_price":0,` +
	`"rpc":{"archive_blocks":5000,"batch_items":5000,"body_bytes":5242880,"call_timeout_ms":5000,"connection_calls":512,"log_blocks":100000,"log_results":10000,` +
	`"max_filters":256,"max_subscriptions":256,"reply_bytes":26214400}}`

// newOlderChain has such settings.
func newOlderChain(t *testing.T, accounts int) *testChain {
	c := &testChain{t: t, store: store.New(), view: 2, now: 1_700_000_000_000, past: new(recording)}
	var alloc []string
	for i := range accounts {
		key, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "account %d", i)))
		must(t, err)
		c.keys = append(c.keys, key)
		alloc = append(alloc, fmt.Sprintf(`"%v":{"balance":"1000000000000000000000"}`, c.address(i)))
	}
	slices.Sort(alloc)
	scope, err := c.store.Scope("ethereum", rows.Tables()...)
	must(t, err)
	c.scope = scope
	c.openStored(fmt.Appendf(nil, older, strings.Join(alloc, ",")))
	// The first transaction is the one that a program of that time wrote.
	text, err := os.ReadFile("testdata/older-genesis")
	must(t, err)
	private, err := hex.DecodeString(strings.TrimSpace(string(text)))
	must(t, err)
	writes, err := store.DecodeWrites(private)
	must(t, err)
	set := c.store.Begin(1, c.now)
	tx := set.Begin()
	must(t, tx.In(c.scope, func(tx *store.Tx) error {
		for _, w := range writes {
			tx.Put(w.Table, w.Key, w.Value)
		}
		return nil
	}))
	tx.Commit()
	c.commit(set)
	return c
}

// What members vote on is stored with the first block that is made by it, as in a new ledger.
func TestAVoteInAnOlderLedgerIsStoredWithItsBlock(t *testing.T) {
	c := newOlderChain(t, 1)
	terms := func(want uint64, stored bool) {
		t.Helper()
		snap := c.env.State.Snapshot()
		defer snap.Release()
		limit, _, ok, err := rows.ReadTerms(snap)
		must(t, err)
		if ok != stored || limit != want {
			t.Errorf("gas limit %d of the newest block is stored: %t, expected %d, %t", limit, ok, want, stored)
		}
	}
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	terms(0, false)
	c.vote(map[string]string{"min_gas_price": "1"})
	c.vote(map[string]string{"min_gas_price": "0"})
	included_(t, c.execute(c.call(c.transfer(0, 1, 1))), 1)
	terms(0, false)
	section := c.vote(map[string]string{"gas_limit": "30000000"})
	included_(t, c.execute(c.call(c.transfer(0, 2, 1))), 1)
	terms(30_000_000, true)
	equal(t, "gas limit", c.Head().Header.GasLimit, 30_000_000)
	// The next vote finds a row, whatever the node began with.
	c.openStored(section)
	c.Committed(adapter.Commit{View: c.view, First: c.store.Committed(), Last: c.store.Committed(), Time: c.now})
	c.vote(map[string]string{"gas_limit": "100000000"})
	included_(t, c.execute(c.call(c.transfer(0, 3, 1))), 1)
	terms(100_000_000, true)
}

// A node that begins with a snapshot of a ledger that says nothing of its newest block's terms does not take the settings in force for them.
func TestACallAtTheNewestBlockOfAnOlderLedgerMeetsThatBlock(t *testing.T) {
	c := newOlderChain(t, 1)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	at, code := common.Address{0x11}, common.FromHex("0x455f524160205260405ff3") // GASLIMIT, COINBASE
	sees := func(n *testChain) []byte {
		t.Helper()
		v := n.Latest()
		defer v.Release()
		r, err := n.Call(t.Context(), v, fillMessage(&core.Message{To: &at}), &CallOptions{State: StateOverride{at: {Code: &code}}})
		must(t, err)
		must(t, r.Err)
		return r.Return
	}
	same := func(section []byte) *testChain {
		t.Helper()
		n := c.restored(section)
		sameBytes(t, "what a call sees", sees(n), sees(c))
		n.env.Past = nil // it is read once
		sameBytes(t, "what the next call sees", sees(n), sees(c))
		return n
	}
	same(c.vote(map[string]string{"gas_limit": "32000000"})) // made before the vote
	// Made after it, by a leader that began between them, and before the next vote.
	section := c.vote(map[string]string{"gas_limit": "33000000", "coinbase": `"0x00000000000000000000000000000000000000c1"`})
	c.openStored(section)
	included_(t, c.execute(c.call(c.transfer(0, 1, 1))), 1)
	snap := c.env.State.Snapshot()
	_, _, stored, err := rows.ReadTerms(snap)
	snap.Release()
	must(t, err)
	equal(t, "the terms are stored", stored, false)
	same(c.vote(map[string]string{"gas_limit": "34000000", "coinbase": `"0x00000000000000000000000000000000000000c2"`}))
}
