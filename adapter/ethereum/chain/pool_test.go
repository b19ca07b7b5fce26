package chain

import (
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// none checks that every call of the batch was kept.
func none(t testing.TB, out []adapter.Outcome) {
	t.Helper()
	if len(out) != 0 {
		t.Fatalf("outcomes: %+v (%v)", out, out[0].Err)
	}
}

func TestGapWaitsUntilItIsFilled(t *testing.T) {
	c := newTestChain(t, 2, nil)
	late2, late1, other := c.call(c.transfer(0, 2, 1)), c.call(c.transfer(0, 1, 1)), c.call(c.transfer(1, 0, 1))
	out := c.execute(late2, other)
	included_(t, out, 1)
	if out[0].Call != other {
		t.Fatal("the wrong call was executed")
	}
	none(t, c.execute(late1))
	out = c.execute(c.call(c.transfer(0, 0, 1)))
	included_(t, out, 3)
	if out[1].Call != late1 || out[2].Call != late2 {
		t.Fatal("the waiting calls came in the wrong order")
	}
	equal(t, "kept", c.exec.pool.calls.Used(), 0)
	equal(t, "bytes kept", c.exec.pool.bytes.Used(), 0)
}

func TestGapIsRefusedInTheEnd(t *testing.T) {
	c := newTestChain(t, 1, map[string]any{"gap_wait_ms": 5000})
	none(t, c.execute(c.call(c.transfer(0, 3, 1))))
	c.now += 4950
	none(t, c.execute())
	c.now += sweepEvery
	refused(t, c.execute(), "nonce too high: next nonce 0, tx nonce 3: waited 5s", coco.ErrInvalid)
	none(t, c.execute())
}

func TestAbandonedCallsAreDropped(t *testing.T) {
	c := newTestChain(t, 1, nil)
	done := make(chan struct{})
	gone := c.call(c.transfer(0, 1, 1))
	gone.Done = done
	none(t, c.execute(gone))
	close(done)
	out := c.execute(c.call(c.transfer(0, 0, 1)))
	if len(out) != 2 || out[1].Err != nil || !errors.Is(out[0].Err, coco.ErrNotCommitted) {
		t.Fatalf("outcomes: %+v", out)
	}
	equal(t, "transactions", len(c.Head().Txs), 1)
	out = c.execute(gone)
	if len(out) != 1 || !errors.Is(out[0].Err, coco.ErrNotCommitted) {
		t.Fatalf("outcomes: %+v", out)
	}
}

func TestPoolIsBounded(t *testing.T) {
	c := newTestChain(t, 3, map[string]any{"gap_per_sender": 2, "gap_total": 3})
	of := func(organisation, sender int, nonce uint64) *adapter.Call {
		call := c.call(c.transfer(sender, nonce, 1))
		call.Caller.Actor = coco.ActorID{byte(organisation)}
		return call
	}
	none(t, c.execute(of(1, 0, 5), of(1, 0, 6)))
	refused(t, c.execute(of(1, 0, 7)), "account limit exceeded", coco.ErrBusy)
	refused(t, c.execute(of(1, 1, 5)), "busy: this organisation has its share", coco.ErrBusy)
	none(t, c.execute(of(2, 1, 5)))
	refused(t, c.execute(of(3, 2, 5)), "busy: 3 transactions", coco.ErrBusy)
}

func TestPoolReplacesByHigherFees(t *testing.T) {
	c := newTestChain(t, 1, nil)
	tx := func(fee, value int64) *adapter.Call {
		to := c.address(0)
		return c.call(types.MustSignNewTx(c.keys[0], c.Signer(), &types.LegacyTx{Nonce: 4, To: &to, Gas: 21000, Value: big.NewInt(value), GasPrice: big.NewInt(fee)}))
	}
	first := tx(100, 1)
	none(t, c.execute(first))
	refused(t, c.execute(tx(100, 1)), "already known", coco.ErrInvalid)
	refused(t, c.execute(tx(109, 1)), "replacement transaction underpriced", coco.ErrInvalid)
	out := c.execute(tx(110, 2))
	refused(t, out, "replaced by transaction", coco.ErrInvalid)
	if out[0].Call != first {
		t.Fatal("the wrong call was replaced")
	}
	equal(t, "kept", c.exec.pool.calls.Used(), 1)
}

func TestWaitingRivalOfAnExecutedNonceIsRefused(t *testing.T) {
	c := newTestChain(t, 1, nil)
	rival := c.call(c.transfer(0, 1, 99))
	none(t, c.execute(rival))
	// Both nonces arrive in one batch: the waiting transaction goes first, as it came first.
	out := c.execute(c.call(c.transfer(0, 0, 1)), c.call(c.transfer(0, 1, 2)))
	if len(out) != 3 || out[1].Call != rival || out[1].Err != nil || out[2].Err == nil {
		t.Fatalf("outcomes: %+v", out)
	}
}

func TestFullBlockLeavesTheRestToTheNext(t *testing.T) {
	c := newTestChain(t, 3, map[string]any{"gas_limit": 63_000})
	var calls []*adapter.Call
	for i := range 7 {
		calls = append(calls, c.call(c.transfer(i%3, uint64(i/3), 1)))
	}
	included_(t, c.execute(calls...), 3)
	equal(t, "left to the next", len(c.queue), 4)
	late := c.call(c.transfer(0, 3, 1))
	out := c.execute(late)
	included_(t, out, 3)
	for i := range out {
		if out[i].Call != calls[3+i] {
			t.Fatal("the backlog is out of order")
		}
	}
	out = c.execute()
	included_(t, out, 2)
	if out[1].Call != late {
		t.Fatal("the late call did not come last")
	}
	equal(t, "left to the next", len(c.queue), 0)
	equal(t, "kept", c.exec.pool.calls.Used(), 0)
	equal(t, "blocks", c.Head().Number(), 3)
}

func TestGasThatIsNotUsedIsFreeForOthers(t *testing.T) {
	c := newTestChain(t, 3, map[string]any{"gas_limit": 100_000})
	to := c.address(0)
	out := c.execute(c.call(c.sign(0, 0, &to, 50_000, 0, nil)), c.call(c.sign(1, 0, &to, 50_000, 0, nil)), c.call(c.sign(2, 0, &to, 58_000, 0, nil)))
	included_(t, out, 3)
	equal(t, "gas used", c.Head().Header.GasUsed, 63_000)
}
