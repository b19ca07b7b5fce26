package chain

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// spinner is init code that counts in slot 0 and spins until its gas is used up, or stops at once if the slot is set.
var spinner = []byte{
	0x60, 0, 0x54, 0x15, 0x60, 8, 0x57, 0x00, // PUSH 0 SLOAD ISZERO PUSH 8 JUMPI STOP
	0x5b, 0x60, 1, 0x60, 0, 0x55, // JUMPDEST PUSH 1 PUSH 0 SSTORE
	0x5b, 0x60, 14, 0x56, // JUMPDEST PUSH 14 JUMP
}

// long signs a transaction that executes beside the executor.
func (c *testChain) long(from int, nonce uint64) *adapter.Call {
	return c.call(c.sign(from, nonce, nil, longGas+1, 0, spinner))
}

// batch runs one batch and commits it, and waits for nothing.
func (c *testChain) batch(calls ...*adapter.Call) []adapter.Outcome {
	set := c.store.Begin(c.view, c.now)
	out := c.run(set, calls...)
	c.commit(set)
	return out
}

func TestALongTransactionExecutesBesideTheExecutor(t *testing.T) {
	c := newTestChain(t, 3, nil)
	a := newAuditor(c)
	first, long, late := c.call(c.transfer(0, 0, 1)), c.long(1, 0), c.call(c.transfer(2, 0, 1))
	out := c.batch(first, long)
	included_(t, out, 1) // the long one begins a block of its own
	none(t, c.batch(late))
	if l := c.exec.long; l == nil || l.kept.call != long || len(c.queue) != 1 {
		t.Fatalf("the long transaction is not under way, or a call was executed beside it: %d wait", len(c.queue))
	}
	<-c.exec.long.done
	if c.Busy() || !c.Ready() {
		t.Fatal("a long transaction that has ended is not ready")
	}
	out = c.batch()
	included_(t, out, 2)
	if out[0].Call != long || out[1].Call != late || c.Busy() || c.Ready() {
		t.Fatal("the block of the long transaction does not go on with the calls that waited")
	}
	equal(t, "gas used", c.Head().Header.GasUsed, longGas+1+21000)
	a.follow(c) // unmodified go-ethereum comes to the same
}

func TestARollbackAbandonsALongTransaction(t *testing.T) {
	c := newTestChain(t, 2, nil)
	a := newAuditor(c)
	set := c.store.Begin(c.view, c.now)
	included_(t, c.run(set, c.call(c.transfer(0, 0, 1))), 1)
	must(t, set.Install()) // and not committed
	long := c.long(1, 0)
	none(t, c.run(c.store.Begin(c.view, c.now), long))
	if c.exec.long == nil {
		t.Fatal("no long transaction is under way")
	}
	must(t, c.store.Rollback(c.store.Committed()))
	out := c.Rollback(c.store.Committed())
	if len(out) != 1 || out[0].Call != long || !errors.Is(out[0].Err, coco.ErrNotCommitted) || c.Busy() || c.Ready() {
		t.Fatalf("outcomes of the rollback: %+v", out)
	}
	included_(t, c.execute(c.call(c.transfer(0, 0, 7)), c.long(1, 0)), 1)
	included_(t, c.execute(), 1)
	a.follow(c)
}

func TestALongTransactionThatCannotBeExecutedIsRefusedAlone(t *testing.T) {
	c := newTestChain(t, 2, nil)
	to := c.address(0)
	poor := c.call(c.sign(1, 0, &to, longGas+1, 0, nil))
	poor.Decoded.(*checked).msg.Value.SetAllOne()
	none(t, c.batch(poor, c.call(c.transfer(0, 0, 1))))
	<-c.exec.long.done
	out := c.batch()
	if len(out) != 2 || out[0].Call != poor || out[0].Err == nil || out[1].Err != nil {
		t.Fatalf("outcomes: %+v", out)
	}
	equal(t, "transactions", len(c.Head().Txs), 1)
}

// TestATransactionThatDoesNotFitFailsAlone has transactions that write much, in a set that holds one of them.
func TestATransactionThatDoesNotFitFailsAlone(t *testing.T) {
	c := newTestChain(t, 3, nil)
	a := newAuditor(c)
	const bound = 400 << 10
	batch := func(calls ...*adapter.Call) []adapter.Outcome {
		set := c.store.Begin(c.view, c.now)
		set.Bound(bound)
		out := c.run(set, calls...)
		if set.Size() > bound {
			t.Errorf("a set of %d bytes, expected %d at most", set.Size(), bound)
		}
		c.commit(set)
		return out
	}
	// Init code that logs so many KiB of zeros.
	logs := func(from int, nonce uint64, kib byte) *adapter.Call {
		return c.call(c.sign(from, nonce, nil, 3_500_000, 0, []byte{0x61, kib << 2, 0, 0x5f, 0xa0}))
	}
	large := logs(0, 0, 63)
	huge := []*adapter.Call{logs(1, 0, 60), logs(1, 1, 60), logs(1, 2, 60), logs(1, 3, 60)}
	included_(t, batch(append([]*adapter.Call{large}, huge...)...), 3)
	equal(t, "calls that wait for the next batch", len(c.queue), 2)
	included_(t, batch(), 2)

	set := c.store.Begin(c.view, c.now)
	set.Bound(100 << 10)
	out := c.run(set, logs(2, 0, 63), c.call(c.transfer(0, 1, 1)))
	c.commit(set)
	if len(out) != 2 || !errors.Is(out[0].Err, coco.ErrInvalid) || out[1].Err != nil {
		t.Fatalf("outcomes: %+v", out)
	}
	a.follow(c)
}
