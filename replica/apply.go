package replica

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/store"
)

// commit takes one committed entry.
func (x *executor) commit(e consensus.Entry) error {
	if e.Index != x.applied.Index+1 {
		return fmt.Errorf("%w: entry %d committed after %d", coco.ErrCorrupt, e.Index, x.applied.Index)
	}
	if len(x.spec) > 0 && x.spec[0].end.Index <= e.Index {
		if s := x.spec[0]; s.end.Index == e.Index && s.view == e.View {
			x.spec = slices.Delete(x.spec, 0, 1)
			x.applied = s.end
			if err := x.committed(Batch{Position: s.end, View: s.view, First: s.first, Epoch: s.epoch, Size: s.size, Network: s.own}); err != nil {
				return err
			}
			x.meter.batch.observe(s.end.Seqno - s.first + 1)
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
		x.applied.Chain = ledgerEntry(e).Chain(x.applied.Chain)
		x.applied.Index = e.Index
		return nil
	}
	return x.apply(e)
}

// committed publishes the batch that now ends applied.
func (x *executor) committed(b Batch) error {
	x.batch = b.Index
	x.store.Commit(b.Seqno)
	x.history.Committed(history.Position{Index: b.Index, View: b.View, Seqno: b.Seqno, Tree: b.Tree}, b.First)
	c := adapter.Commit{View: b.View, First: b.First, Last: b.Seqno, Time: b.Time}
	for _, l := range x.ledgers {
		l.Ledger.Committed(c)
	}
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
func (x *executor) apply(e consensus.Entry) error {
	b, err := batch.Decode(e.Data)
	if err != nil {
		return x.damaged(e.Index, err)
	}
	h := b.Header
	if h.Prev != x.applied.Chain { // the last batch has confirmed everything before itself
		return x.damaged(max(x.batch, 1), fmt.Errorf("%w: batch %d does not follow what is before it", coco.ErrVerify, e.Index))
	}
	if h.View != e.View || h.Index != e.Index || h.First != x.applied.Seqno+1 {
		return x.damaged(e.Index, fmt.Errorf("%w: batch of view %d, index %d, first seqno %d does not follow entry %d and seqno %d",
			coco.ErrVerify, h.View, h.Index, h.First, x.applied.Index, x.applied.Seqno))
	}
	end := x.applied
	end.Tree = x.applied.Tree.Clone()
	if err := b.VerifyRoot(&end.Tree); err != nil {
		return x.damaged(e.Index, err)
	}
	keys, err := x.keysOf(h.Epoch)
	if err != nil {
		return x.hooks.LeftBehind(fmt.Sprintf("entry %d: %v", e.Index, err))
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
	end.Index, end.Chain = e.Index, ledgerEntry(e).Chain(x.applied.Chain)
	end.Seqno, end.Time = h.Last(), h.Time
	if err := x.store.Apply(end.Seqno, writes); err != nil {
		return x.damaged(e.Index, err)
	}
	x.applied = end
	x.keys.Use(h.Epoch)
	x.anchor = anchor{h.Time, x.clock.Elapsed()}
	return x.committed(Batch{
		Position: end, View: h.View, First: h.First, Epoch: h.Epoch, Size: len(e.Data),
		Network: slices.ContainsFunc(writes, func(w store.Write) bool { return strings.HasPrefix(w.Table, "coco.") }),
	})
}

// keysOf returns the keys of an epoch, waiting for its secret if this node has missed it.
func (x *executor) keysOf(epoch uint64) (*batch.Keys, error) {
	for {
		keys, err := x.keys.Of(epoch)
		if err == nil || x.hooks.LackSecret(epoch) {
			return keys, err
		}
		select {
		case <-x.ended:
			return nil, err
		case <-x.clock.After(rotation.LackMillis * time.Millisecond):
		}
	}
}

// damaged says that an entry of this node's ledger is not what the network committed.
func (x *executor) damaged(index uint64, err error) error {
	return &DamagedError{Index: index, Err: err}
}

// DamagedError asks for the ledger to be cut before an entry and fetched again.
type DamagedError struct {
	Index uint64
	Err   error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("ledger entry %d is not what the network committed: %v", e.Index, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// rollback drops everything that was sealed but will not be committed.
func (x *executor) rollback() error {
	x.log.Info("rolling back", "batches", len(x.spec), "to", x.applied.Seqno)
	if err := x.store.Rollback(x.applied.Seqno); err != nil {
		return err
	}
	lost := fmt.Errorf("%w: another leader took over", coco.ErrNotCommitted)
	for _, s := range x.spec {
		for _, p := range s.waiting {
			p.finish(adapter.Result{Err: lost})
		}
	}
	x.spec = nil
	if err := x.readRules(); err != nil {
		return err
	}
	for _, l := range x.ledgers {
		x.resolve(l.Ledger.Rollback(x.applied.Seqno), nil)
	}
	return nil
}
