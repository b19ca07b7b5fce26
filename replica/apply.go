package replica

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/store"
)

// commit applies one committed entry, which nodes are known to hold.
func (x *executor) commit(ctx context.Context, e consensus.Entry, held []string) error {
	own, lost, err := x.chain.confirm(e)
	switch {
	case err != nil:
		return err
	case own != nil:
		x.follow(stepCommitted, own, "entry", e.Index, "nodes", held)
		return x.confirmed(own)
	case lost:
		if err := x.rollback(); err != nil {
			return err
		}
	}
	if e.Kind != consensus.Batch {
		x.chain.pass(e)
		return nil
	}
	return x.apply(ctx, e)
}

// confirmed publishes a batch that this node sealed, and answers the calls that wait for it.
func (x *executor) confirmed(s *sealed) error {
	if err := x.committed(Batch{Position: s.end, View: s.view, First: s.first, Epoch: s.epoch, Size: s.size, Network: s.own}); err != nil {
		return err
	}
	x.meter.batch.Observe(s.end.Seqno - s.first + 1)
	x.meter.commit.Observe(uint64(x.clock.Elapsed() - s.at))
	s.answer()
	return nil
}

// committed publishes the batch that is applied last.
func (x *executor) committed(b Batch) error {
	x.store.Commit(b.Seqno)
	x.opened(b.View)
	x.history.Committed(history.Position{Index: b.Index, View: b.View, Seqno: b.Seqno, Tree: b.Tree}, b.First)
	x.ledgers.committed(b)
	if b.Network {
		if err := x.readRules(); err != nil {
			return err
		}
	}
	if err := x.hooks.Committed(b); err != nil {
		return err
	}
	x.progress.committed(coco.TxID{View: b.View, Seqno: b.Seqno})
	return nil
}

// apply checks a batch of another node, or of this node's own ledger, and installs its writes.
func (x *executor) apply(ctx context.Context, e consensus.Entry) error {
	b, end, err := x.chain.verify(e)
	if err != nil {
		return err
	}
	h := b.Header
	if err := x.opens(b); err != nil {
		return damaged(e.Index, err)
	}
	keys, err := x.keysOf(ctx, h.Epoch)
	if err != nil {
		return x.hooks.LeftBehind(fmt.Sprintf("entry %d: %v", e.Index, err))
	}
	writes, err := open(b, keys)
	if err != nil {
		return damaged(e.Index, err)
	}
	trusted := x.rules.checkNode(h.Node) == nil // before it
	if err := x.store.Apply(end.Seqno, writes); err != nil {
		return damaged(e.Index, err)
	}
	if !trusted {
		if err := x.checkRecovery(h); err != nil {
			return err
		}
	}
	x.chain.begin(end)
	x.codec.keys.Use(h.Epoch)
	x.time.Set(h.Time, x.clock.Elapsed())
	applied := Batch{
		Position: end, View: h.View, First: h.First, Epoch: h.Epoch, Size: len(e.Data),
		Network: slices.ContainsFunc(writes, func(w store.Write) bool { return strings.HasPrefix(w.Table, "coco.") }),
	}
	x.followApplied(applied)
	return x.committed(applied)
}

// checkRecovery checks that a batch begins a recovery, which its node seals before the network trusts it: the batch leaves that node as the
// only trusted one. Any other batch of a node that is not trusted is no part of the ledger, though a majority holds it: an audit
// refuses it, and so does every node. It fails with coco.ErrVerify.
func (x *executor) checkRecovery(h batch.Header) error {
	after, err := x.hooks.Rules(x.store.Begin(0, 0), x.rules)
	if err != nil {
		return err
	}
	if _, alone := after.Nodes[h.Node]; !alone || len(after.Nodes) != 1 {
		return fmt.Errorf("%w: batch %d is sealed by node %s, which the network does not trust", coco.ErrVerify, h.Index, h.Node.Short())
	}
	return nil
}

// keysOf returns the keys of an epoch, waiting for its secret if this node has missed it.
func (x *executor) keysOf(ctx context.Context, epoch uint64) (*batch.Keys, error) {
	for {
		keys, err := x.codec.keys.Of(epoch)
		if err == nil || x.hooks.LackSecret(epoch) {
			return keys, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-x.clock.After(rotation.LackMillis * time.Millisecond):
		}
	}
}

// rollback returns to what is applied: none of the sealed batches will be committed.
func (x *executor) rollback() error {
	applied := x.chain.applied.Seqno
	x.log.Info("rolling back", "batches", len(x.chain.sealed), "to", applied)
	if err := x.store.Rollback(applied); err != nil {
		return err
	}
	for _, s := range x.chain.drop() {
		x.follow(stepLost, s, "entry", s.end.Index)
		s.fail(fmt.Errorf("%w: another leader took over", coco.ErrNotCommitted))
	}
	if err := x.readRules(); err != nil {
		return err
	}
	x.ledgers.rollback(applied)
	return nil
}
