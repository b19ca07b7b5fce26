package chain

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/store"
)

// hurriedClock waits for nothing.
type hurriedClock struct{ local.Clock }

func (hurriedClock) After(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return c
}

func (c *testChain) carried() uint64 { return binary.BigEndian.Uint64(c.Head().Header.Extra) }

func TestHeadersCarryTheRootOfAnEarlierBlock(t *testing.T) {
	// Before Cancun contracts can be destroyed, and made again, with their storage.
	for _, fork := range []string{"shanghai", "osaka"} {
		t.Run(fork, func(t *testing.T) {
			c := newTestChain(t, 6, map[string]any{"fork": fork})
			f := &traffic{c: c, r: rand.New(rand.NewPCG(3, 4)), nonces: make([]uint64, 6)}
			a := newAuditor(c)
			f.token = crypto.CreateAddress(c.address(0), 0)
			f.nonces[0]++
			included_(t, c.execute(c.call(c.sign(0, 0, nil, 5_000_000, 0, contracts.DeployToken("Token", "TOK", common.Big256)))), 1)
			for n := range uint64(60) {
				calls := make([]*adapter.Call, 1+f.r.IntN(10))
				for i := range calls {
					calls[i] = c.call(f.next())
				}
				included_(t, c.execute(calls...), len(calls))
				if n%3 == 0 {
					head := c.Head().Number()
					c.awaitRoot(head)
					included_(t, c.execute(c.call(f.next())), 1)
					equal(t, "block named", c.carried(), head)
				}
			}
			a.follow(c) // checks every root
			snap := c.env.State.Snapshot()
			defer snap.Release()
			root, err := stateroot.Recompute(snap, func() bool { return true })
			must(t, err)
			_, want := a.Newest()
			equal(t, "root computed from the rows", root, want)
		})
	}
}

// A wrong root is found by every node that sees the header, and the leader builds its trie anew.
func TestAWrongRootInAHeaderIsFound(t *testing.T) {
	c := newTestChain(t, 1, nil)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	c.awaitRoot(1)
	included_(t, c.execute(c.call(c.transfer(0, 1, 1))), 1) // carries the root of block 1
	c.awaitSamples(1, 0)
	c.awaitRoot(2)
	right, _ := c.exec.roots.Newest(0)
	// What no block has changed reaches the trie: memory that is broken, or a fault of the program.
	c.exec.roots.Add(statedb.Changes{Number: 2, Accounts: []statedb.AccountChange{{
		Addr: common.Address{1}, Record: rows.Account{Exists: true, Nonce: 1, Balance: rows.ZeroBalance, CodeHash: types.EmptyCodeHash},
	}}})
	for k := right; k.Root == right.Root; k, _ = c.exec.roots.Newest(0) {
		time.Sleep(time.Millisecond)
	}
	c.view++ // the first new root of a view is computed again at once
	for c.roots.Done().Wrong == 0 {
		included_(t, c.execute(c.call(c.transfer(0, c.Head().Number(), 1))), 1)
		time.Sleep(time.Millisecond)
	}
	wrong := c.Head().Number()
	for c.carried() < wrong {
		included_(t, c.execute(c.call(c.transfer(0, c.Head().Number(), 1))), 1)
		time.Sleep(time.Millisecond)
	}
	snap, ok := c.StateAfter(c.carried())
	if !ok {
		t.Fatalf("no state of block %d", c.carried())
	}
	defer snap.Release()
	root, err := stateroot.Recompute(snap, func() bool { return true })
	must(t, err)
	equal(t, "root after the trie was built anew", c.Head().Header.Root, root)
}

// awaitSamples waits until so many roots were computed again.
func (c *testChain) awaitSamples(right, wrong int) {
	for {
		if d := c.roots.Done(); d.Right == right && d.Wrong == wrong {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestRootsGoOnWithTheNextLeader(t *testing.T) {
	c := newTestChain(t, 1, nil)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	c.awaitRoot(1)
	included_(t, c.execute(c.call(c.transfer(0, 1, 1))), 1)
	equal(t, "block named", c.carried(), 1)

	// The node loses its view with two blocks under way, of which the first is committed by the
	// next leader, which is this node again.
	var sets []*store.Set
	for i := range uint64(2) {
		set := c.store.Begin(c.view, c.now)
		included_(t, c.run(set, c.call(c.transfer(0, 2+i, 1))), 1)
		must(t, set.Install())
		sets = append(sets, set)
	}
	c.Rollback(c.store.Newest())
	commit := func(set *store.Set) {
		c.store.Commit(set.Next() - 1)
		c.Committed(adapter.Commit{View: set.View(), First: set.First(), Last: set.Next() - 1})
	}
	commit(sets[0])
	must(t, c.store.Rollback(sets[0].Next()-1))
	c.view++
	set := c.store.Begin(c.view, c.now)
	included_(t, c.run(set, c.call(c.transfer(0, 3, 7))), 1)
	must(t, set.Install())
	commit(set)
	if n := c.carried(); n > 3 {
		t.Fatalf("block 4 names block %d", n)
	}
	c.awaitRoot(4)
	included_(t, c.execute(c.call(c.transfer(0, 4, 1))), 1)
	equal(t, "block named", c.carried(), 4)
	newAuditor(c).follow(c)
}

func TestRefusalsDoNotDisturbTheRoots(t *testing.T) {
	c := newTestChain(t, 1, nil)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	c.awaitRoot(1)
	run := c.exec.roots.Run
	to := c.address(0)
	refused(t, c.execute(c.call(types.MustSignNewTx(c.keys[0], c.Signer(), &types.LegacyTx{
		Nonce: 1, To: &to, Gas: 21000, Value: common.Big256, GasPrice: new(big.Int).Lsh(common.Big1, 200),
	}))), "insufficient funds", coco.ErrInvalid)
	included_(t, c.execute(c.call(c.transfer(0, 1, 1))), 1)
	equal(t, "runs", c.exec.roots.Run, run)
	equal(t, "block named", c.carried(), 1)
}
