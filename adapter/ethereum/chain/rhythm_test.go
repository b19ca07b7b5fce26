package chain

import (
	"testing"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// tick lets a second pass and has the chain do what it does without calls. It returns the newest block's number.
func (c *testChain) tick() uint64 {
	c.t.Helper()
	c.now += 1000
	if c.Idle() {
		if out := c.execute(); len(out) != 0 {
			c.t.Fatalf("outcomes of no call: %+v", out)
		}
	}
	return c.Head().Number()
}

// Stock tools wait for 2 to 12 confirmations. They come without traffic, and then the chain rests.
func TestBlocksFollowATransactionUntilItIsConfirmed(t *testing.T) {
	c := newTestChain(t, 1, map[string]any{"confirmation_blocks": 5})
	a := newAuditor(c)
	for range 3 {
		equal(t, "height of a chain that nobody has used", c.tick(), 0)
	}
	for round := range uint64(3) {
		included_(t, c.execute(c.call(c.transfer(0, round, 1))), 1)
		c.execute() // in the same second
		first := c.Head().Number()
		equal(t, "height after a transaction", first, 1+6*round)
		for i := range uint64(5) {
			equal(t, "height", c.tick(), first+i+1)
			b := c.Head()
			if len(b.Txs) != 0 || b.Header.GasUsed != 0 || b.Header.Time != c.now/1000 || b.First != c.store.Committed() {
				t.Fatalf("block %d: %+v, of %d with transactions from %d", b.Number(), b.Header, len(b.Txs), b.First)
			}
		}
		before := c.store.Committed()
		for range 10 {
			equal(t, "height at rest", c.tick(), first+5)
		}
		equal(t, "transactions at rest", c.store.Committed(), before)
	}
	a.follow(c) // unmodified go-ethereum

	// A node that begins with a snapshot leads on: it neither begins anew nor stops short.
	included_(t, c.execute(c.call(c.transfer(0, 3, 1))), 1)
	equal(t, "height", c.tick(), 20)
	snap := c.env.State.Snapshot()
	defer snap.Release()
	equal(t, "blocks without transactions", rows.EmptyBlocks(snap, 20), 1)
	equal(t, "of another height", rows.EmptyBlocks(snap, 21), 0)
}

func TestAnOlderLedgersBlocksHaveTransactions(t *testing.T) {
	c := newTestChain(t, 1, map[string]any{"confirmation_blocks": 0})
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	equal(t, "height", c.tick(), 1)
	c.execute()
	equal(t, "height", c.Head().Number(), 1)
}

// Ethereum's rule, where the network chooses it: time runs ahead of the ledger's while there are more blocks than
// seconds, and falls back to it afterwards. Real times may be equal.
func TestTimestampsFollowTheNetworksChoice(t *testing.T) {
	for _, choice := range []string{"real", "increasing"} {
		c := newTestChain(t, 1, map[string]any{"timestamps": choice})
		begin := c.now / 1000
		for i := range uint64(5) {
			c.now += 100
			included_(t, c.execute(c.call(c.transfer(0, i, 1))), 1)
			want := begin
			if choice == "increasing" {
				want = begin + i
			}
			equal(t, choice+" time", c.Head().Header.Time, want)
		}
		c.now += 60_000
		included_(t, c.execute(c.call(c.transfer(0, 5, 1))), 1)
		equal(t, choice+" time later", c.Head().Header.Time, c.now/1000)
		newAuditor(c).follow(c)
	}
}
