package history

import (
	"cmp"
	"errors"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/merkle"
)

// passed is a run of batches of an epoch that no node opens. They are not indexed. What is after them is: the batch that follows and opens authenticates the digest of all entries before it.
type passed struct {
	from, to    uint64 // seqnos
	first, last uint64 // entries
	epoch       uint64
	why         error
	tree        merkle.Frontier // after it
	chain       coco.Digest     // of its last entry
}

// pass goes on behind a batch of an epoch that no node opens, and has look-ups say so.
func (x *Index) pass(b *builder, e batch.Entry, why error) error {
	from := b.To + 1
	epoch, err := b.pass(e, x.vouch)
	if err != nil {
		return err
	}
	p := passed{from: from, to: b.To, first: e.Index, last: e.Index, epoch: epoch, why: why, tree: b.tree.Clone(), chain: b.chain}
	x.mu.Lock()
	defer x.mu.Unlock()
	i, _ := slices.BinarySearchFunc(x.found.passed, p, func(a, b passed) int { return cmp.Compare(a.from, b.from) })
	if i > 0 && x.found.passed[i-1].to+1 == from && x.found.passed[i-1].epoch == epoch {
		i--
		p.from, p.first = x.found.passed[i].from, x.found.passed[i].first
		x.found.passed[i] = p
		return nil
	}
	x.found.passed = slices.Insert(x.found.passed, i, p)
	return nil
}

// pass is add for a batch that add has refused as it does not open, before the builder has any. On an error nothing has changed.
func (b *builder) pass(e batch.Entry, check func(tree *merkle.Frontier, h *batch.Header) error) (epoch uint64, err error) {
	o, err := decodeEntry(e)
	if err != nil {
		return 0, err
	}
	h := &o.Header
	tree, err := b.follow(o.Batch, check)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tree, b.chain, b.chained, b.next = tree, e.Chain(h.Prev), true, e.Index+1
	b.Before, b.From, b.To = tree.Root(), h.Last()+1, h.Last()
	return h.Epoch, nil
}

// reopen has what was passed over indexed where the epoch may open now.
func (x *Index) reopen() (did bool) {
	now := x.cfg.Clock.Elapsed()
	if len(x.found.passed) == 0 || now < x.loop.reopenAt {
		return false
	}
	x.loop.reopenAt = now + poll
	x.mu.RLock()
	all := slices.Clone(x.found.passed)
	x.mu.RUnlock()
	all = slices.DeleteFunc(all, func(p passed) bool {
		_, err := x.keys(p.epoch)
		did = did || !errors.Is(err, errClosed)
		return !errors.Is(err, errClosed)
	})
	x.mu.Lock()
	x.found.passed = all
	x.mu.Unlock()
	return did
}

// behind returns the last seqno before which nothing is left to be indexed, given one. x.mu is held.
func (x *Index) behind(seqno uint64) uint64 {
	for _, p := range x.found.passed {
		if p.from <= seqno+1 {
			seqno = max(seqno, p.to)
		}
	}
	return seqno
}
