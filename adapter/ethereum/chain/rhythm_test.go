package chain

import (
	"encoding/json"
	"testing"

	"github.com/cocoframework/coco/adapter"
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

// Members may have the chain go on without traffic, and take it back.
func TestBlocksWithoutTransactionsGoOnIfTheConstitutionWantsThem(t *testing.T) {
	c := newTestChain(t, 1, map[string]any{"confirmation_blocks": 1, "empty_blocks": true})
	a := newAuditor(c)
	equal(t, "height of a chain that nobody has used", c.tick(), 0)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	for i := range uint64(300) {
		equal(t, "height", c.tick(), i+2)
	}
	c.vote(map[string]string{"empty_blocks": "false"})
	for range 3 {
		equal(t, "height at rest", c.tick(), 301)
	}
	a.follow(c)
}

// The constitution bounds blocks. What has no room goes on to the next one, in its order, and what no block has room for does not exist.
func TestBlocksHoldNoMoreThanTheConstitutionSays(t *testing.T) {
	for setting, want := range map[string][]int{`"block_transactions":"2"`: {2, 2, 1}, `"block_bytes":"1"`: {1, 1, 1, 1, 1}, `"gas_limit":"63000"`: {3, 2}} {
		c := newTestChain(t, 1, nil)
		a := newAuditor(c)
		var change map[string]string
		must(t, json.Unmarshal([]byte("{"+setting+"}"), &change))
		c.vote(change)
		var calls []*adapter.Call
		for i := range uint64(5) {
			calls = append(calls, c.call(c.transfer(0, i, 1)))
		}
		out := c.execute(calls...)
		for len(out) < 5 {
			out = append(out, c.execute()...)
		}
		included_(t, out, 5)
		v := c.Latest()
		for i, n := range want {
			b, err := v.Block(t.Context(), uint64(i+1))
			must(t, err)
			equal(t, setting+": transactions of a block", len(b.Txs), n)
		}
		equal(t, setting+": blocks", int(v.Number()), len(want))
		v.Release()
		a.follow(c)
	}
}

// Where blocks have an interval, what waits for the next one waits in the core's queue.
func TestCallsWaitForTheirBlock(t *testing.T) {
	c := newTestChain(t, 1, map[string]any{"block_interval_ms": 1000})
	if c.Gathers(0) {
		t.Error("nothing waits for more")
	}
	if !c.Gathers(1) {
		t.Error("a block begins between two slots")
	}
	c.vote(map[string]string{"block_interval_ms": "0"})
	if c.Gathers(1) {
		t.Error("after the vote a block waits for its slot")
	}
	c.vote(map[string]string{"block_interval_ms": "0", "block_wait_ms": "10000", "block_transactions": "3"})
	if !c.Gathers(2) || c.Gathers(3) {
		t.Error("a block waits for more calls until they fill it")
	}
	none(t, c.batch(c.long(0, 0)))
	if c.Gathers(1) {
		t.Error("calls wait for more where a long transaction has begun the block")
	}
	for c.Busy() {
		<-c.exec.long.done
	}
	included_(t, c.execute(), 1)
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
