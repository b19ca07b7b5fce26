package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/store"
)

// commit takes one committed entry.
func (x *executor) commit(e consensus.Entry) error {
	if e.Index != x.applied.index+1 {
		return fmt.Errorf("%w: entry %d committed after %d", coco.ErrCorrupt, e.Index, x.applied.index)
	}
	if len(x.spec) > 0 && x.spec[0].end.index <= e.Index {
		if s := x.spec[0]; s.end.index == e.Index && s.view == e.View {
			x.spec = slices.Delete(x.spec, 0, 1)
			x.applied = s.end
			if err := x.committed(s.view, s.first, s.epoch, s.size, s.own); err != nil {
				return err
			}
			x.meter.batch.observe(s.end.seqno - s.first + 1)
			x.meter.commit.observe(uint64(x.clock.Elapsed() - s.at))
			for _, p := range s.waiting {
				p.finish(p.result)
			}
			return nil
		}
		if err := x.rollback(); err != nil {
			return err
		}
	}
	if e.Kind != consensus.Batch {
		x.applied.chain = ledgerEntry(e).Chain(x.applied.chain)
		x.applied.index = e.Index
		return nil
	}
	return x.apply(e)
}

// committed publishes the batch that now ends applied; governed says that it changed the network's
// own tables.
func (x *executor) committed(view, first, epoch uint64, size int, governed bool) error {
	x.view, x.batch, x.epoch = view, x.applied.index, epoch
	x.store.Commit(x.applied.seqno)
	x.history.Committed(history.Position{Index: x.applied.index, View: view, Seqno: x.applied.seqno, Tree: x.applied.tree}, first)
	c := adapter.Commit{View: view, First: first, Last: x.applied.seqno, Time: x.applied.time}
	for _, l := range x.ledgers {
		l.ledger.Committed(c)
	}
	if governed {
		if err := x.restand(); err != nil {
			return err
		}
		x.governed()
		if err := x.governedPace(first); err != nil {
			return err
		}
	}
	x.pace.committed(x.applied, view, first, epoch, size, x.store)
	x.facts.committed(coco.TxID{View: view, Seqno: x.applied.seqno})
	return nil
}

func (x *executor) governedPace(first uint64) error {
	s := x.store.Snapshot()
	defer s.Release()
	return x.pace.governed(s, first)
}

// apply checks a batch of another node, or of this node's own ledger, and installs its writes.
func (x *executor) apply(e consensus.Entry) error {
	b, err := batch.Decode(e.Data)
	if err != nil {
		return x.damaged(e.Index, err)
	}
	h := b.Header
	if h.Prev != x.applied.chain { // the last batch has confirmed everything before itself
		return x.damaged(max(x.batch, 1), fmt.Errorf("%w: batch %d does not follow what is before it", coco.ErrVerify, e.Index))
	}
	if h.View != e.View || h.Index != e.Index || h.First != x.applied.seqno+1 {
		return x.damaged(e.Index, fmt.Errorf("%w: batch of view %d, index %d, first seqno %d does not follow entry %d and seqno %d",
			coco.ErrVerify, h.View, h.Index, h.First, x.applied.index, x.applied.seqno))
	}
	end := x.applied
	end.tree = x.applied.tree.Clone()
	if err := b.VerifyRoot(&end.tree); err != nil {
		return x.damaged(e.Index, err)
	}
	keys, err := x.keysOf(h.Epoch)
	if err != nil {
		return x.rejoin(fmt.Sprintf("entry %d: %v", e.Index, err))
	}
	records, err := b.Open(keys)
	if err != nil {
		return x.damaged(e.Index, err)
	}
	var writes []store.Write
	for _, r := range records {
		for _, part := range [2][]byte{r.Public, r.Private} {
			if writes, err = store.AppendWrites(writes, part); err != nil {
				return x.damaged(e.Index, err)
			}
		}
	}
	end.index, end.chain = e.Index, ledgerEntry(e).Chain(x.applied.chain)
	end.seqno, end.time = h.Last(), h.Time
	if err := x.store.Apply(end.seqno, writes); err != nil {
		return x.damaged(e.Index, err)
	}
	x.applied = end
	x.keys.use(h.Epoch)
	x.anchor = anchor{h.Time, x.clock.Elapsed()}
	return x.committed(h.View, h.First, h.Epoch, len(e.Data), slices.ContainsFunc(writes, func(w store.Write) bool {
		return strings.HasPrefix(w.Table, "coco.")
	}))
}

// damaged says that an entry of this node's ledger is not what the network committed.
func (x *executor) damaged(index uint64, err error) error {
	return &damageError{index: index, err: err}
}

// damageError asks for the ledger to be cut before an entry and fetched again.
type damageError struct {
	index uint64
	err   error
}

func (e *damageError) Error() string {
	return fmt.Sprintf("ledger entry %d is not what the network committed: %v", e.index, e.err)
}

func (e *damageError) Unwrap() error { return e.err }

// rollback drops everything that was sealed but will not be committed.
func (x *executor) rollback() error {
	x.log.Info("rolling back", "batches", len(x.spec), "to", x.applied.seqno)
	if err := x.store.Rollback(x.applied.seqno); err != nil {
		return err
	}
	lost := fmt.Errorf("%w: another leader took over", coco.ErrNotCommitted)
	for _, s := range x.spec {
		for _, p := range s.waiting {
			p.finish(adapter.Result{Err: lost})
		}
	}
	x.spec = nil
	if err := x.restand(); err != nil {
		return err
	}
	for _, l := range x.ledgers {
		x.settle(l.ledger.Rollback(x.applied.seqno), nil)
	}
	return nil
}
