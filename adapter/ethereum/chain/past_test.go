package chain

import (
	"context"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// An execution on top of an old state ends with the first read that fails.
func TestACallOnAnOldStateNeverGuesses(t *testing.T) {
	n := newTestChain(t, 2, map[string]any{"call_gas_limit": uint64(1) << 40})
	included_(t, n.execute(n.call(n.sign(0, 0, nil, 1_000_000, 0, keeper))), 1)
	contract := crypto.CreateAddress(n.address(0), 0)
	included_(t, n.execute(n.call(n.sign(0, 1, &contract, 100_000, 0, common.BigToHash(common.Big1).Bytes()))), 1)
	at := n.Head().Number()
	for i := range uint64(store.Retain + 2) {
		included_(t, n.execute(n.call(n.transfer(1, i, 1))), 1)
	}
	reader := common.FromHex("6000" + "5b805450600101600256") // reads slot after slot
	for fails := 1; fails <= 6; fails++ {
		n.past.fail = nil
		v, err := n.At(t.Context(), at) // one that has read nothing of its state
		must(t, err)
		defer v.Release()
		start := n.past.reads
		n.past.fail = func(read int) error {
			if read >= start+fails {
				return coco.ErrMissing
			}
			return nil
		}
		o := &CallOptions{State: StateOverride{contract: {Code: &reader}}}
		if _, err := n.Call(t.Context(), v, fillMessage(&core.Message{To: &contract}), o); !errors.Is(err, coco.ErrMissing) {
			t.Fatalf("read %d fails: %v", fails, err)
		}
		equal(t, "reads", n.past.reads-start, fails)
	}
	n.past.fail = nil
	v, err := n.At(t.Context(), at)
	must(t, err)
	defer v.Release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Balance(ctx, common.Address{9}); !errors.Is(err, context.Canceled) {
		t.Fatalf("ended context: %v", err)
	}
	equal(t, "balance of an account that never was", n.balanceIn(v, common.Address{9}), 0)
}

// A node that begins with a snapshot knows the milestones, and a ledger of before there were any is read all the same.
func TestMilestonesAreOfTheStateAndNotNeeded(t *testing.T) {
	c := newTestChain(t, 1, nil)
	for i := range uint64(3 * rows.Milestones) {
		included_(t, c.execute(c.call(c.transfer(0, i, 1))), 1)
	}
	n := c.restored(settingsOf(t, 1))
	v := n.Latest()
	defer v.Release()
	older := c.restored(settingsOf(t, 1), "milestone ").Latest()
	defer older.Release()
	for _, number := range []uint64{rows.Milestones - 1, rows.Milestones, 2*rows.Milestones - 1} {
		c.past.walked = 0
		b, err := v.Block(t.Context(), number)
		must(t, err)
		equal(t, "number", b.Number(), number)
		if most := uint64(rows.Milestones); c.past.walked >= most {
			t.Errorf("block %d: %d transactions looked through", number, c.past.walked)
		}
		c.past.walked = 0
		without, err := older.Block(t.Context(), number)
		must(t, err)
		equal(t, "without the milestone", without.Hash, b.Hash)
		if least := uint64(rows.Milestones); c.past.walked < least {
			t.Errorf("block %d: %d transactions looked through without a milestone", number, c.past.walked)
		}
	}
	by := func(number uint64) uint64 { return rows.WrittenBy(n.store.Snapshot(), number) }
	if by := by(v.Number() + rows.Milestones); by != rows.Anywhere {
		t.Errorf("a block to come is written by %d", by)
	}
	if by(0) != by(rows.Milestones-1) || by(0) == by(rows.Milestones) {
		t.Error("milestones do not stand for their blocks")
	}
	if _, err := v.Block(t.Context(), v.Number()+1); err == nil {
		t.Error("there is a block after the newest one")
	}
	equal(t, "hash", v.Head().Hash != (common.Hash{}), true)
}
