package chain

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// restored opens the chain on a node that has begun with a snapshot of the state, and whose ledger is
// that of this one. The state lacks the rows of the meta table whose keys begin with one of without.
func (c *testChain) restored(settings []byte, without ...string) *testChain {
	s := c.store.Snapshot()
	defer s.Release()
	n := &testChain{t: c.t, store: store.New(), view: c.view + 1, now: c.now, keys: c.keys, past: c.past}
	all := rows.Tables()
	scope, err := n.store.Scope("ethereum", all...)
	must(c.t, err)
	n.scope = scope
	r := n.store.Restore(s.Version())
	for _, table := range all {
		if !table.Archive {
			must(c.t, s.Each(table.Name, func(key string, value []byte) error {
				if table.Name == rows.Meta && slices.ContainsFunc(without, func(w string) bool { return strings.HasPrefix(key, w) }) {
					return nil
				}
				return r.Put(table.Name, key, value)
			}))
		}
	}
	must(c.t, r.Done())
	n.reopen(settings)
	return n
}

func TestANodeThatBeginsWithASnapshotLeadsAndAnswers(t *testing.T) {
	const accounts = 3
	c := newTestChain(t, accounts, nil)
	included_(t, c.execute(c.call(c.sign(0, 0, nil, 1_000_000, 0, keeper))), 1)
	contract := crypto.CreateAddress(c.address(0), 0)
	for i := range uint64(store.Retain + 20) {
		included_(t, c.execute(c.call(c.transfer(1, i, 1))), 1)
	}
	c.awaitRoot(c.Head().Number())
	included_(t, c.execute(c.call(c.sign(0, 1, &contract, 100_000, 0, common.BigToHash(common.Big2).Bytes())), c.call(c.transfer(2, 0, 1))), 2)

	n := c.restored(settingsOf(t, accounts))
	was := c.Head()
	equal(t, "head", n.Head().Hash, was.Hash)
	n.env.Past = nil // nothing that follows needs the ledger
	call := func(c *testChain) []byte {
		v := c.Latest()
		defer v.Release()
		o := &CallOptions{State: StateOverride{contract: {Code: new(blockProbe())}}}
		r, err := c.Call(t.Context(), v, fillMessage(&core.Message{To: &contract}), o)
		must(t, err)
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		return r.Return
	}
	sameBytes(t, "what a call sees of the newest block", call(n), call(c))

	again := c.call(c.transfer(2, 0, 1))
	refused(t, n.execute(again), "nonce too low", coco.ErrInvalid)
	included_(t, n.execute(n.call(n.transfer(2, 1, 5))), 1)
	b := n.Head()
	equal(t, "number", b.Number(), was.Number()+1)
	equal(t, "parent", b.Header.ParentHash, was.Hash)
	equal(t, "root carried", n.carried() >= c.carried(), true)
	n.awaitRoot(b.Number())
	included_(t, n.execute(n.call(n.transfer(2, 2, 5))), 1)
	equal(t, "root carried", n.carried(), b.Number())

	// A block of before the snapshot needs it.
	v := n.Latest()
	defer v.Release()
	if _, err := v.Block(t.Context(), was.Number()); !errors.Is(err, coco.ErrMissing) {
		t.Fatalf("without the ledger: %v", err)
	}
	n.env.Past = n.past.read
	newAuditor(n).follow(n) // all blocks and roots, from the first on
}

// creation returns the code that creates a contract with the given code.
func creation(code string) []byte {
	runtime := common.FromHex(code)
	// PUSH1 len, DUP1, PUSH1 11, PUSH1 0, CODECOPY, PUSH1 0, RETURN
	return append([]byte{0x60, byte(len(runtime)), 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3}, runtime...)
}

// keeper keeps the first word of its input in slot 0.
var keeper = creation("60003560005500")

// blockProbe is code that returns BLOCKHASH of the block before, of 256 blocks before and of 300 before, the slot 0
// and PREVRANDAO.
func blockProbe() []byte {
	return common.FromHex("6001430340600052" + "610100430340602052" + "61012c430340604052" + "600054606052" + "44608052" + "60a06000f3")
}
