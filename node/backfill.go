package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/peer"
)

// A node that began with a snapshot fetches the past behind its back, chunk by chunk and the newest first, so that
// no history is lost when the nodes that wrote it are gone. A chunk is believed if its chain leads to the chunk
// after it, and that one's to the snapshot.

const (
	backfillEvery = 5 * time.Second // how often a node looks for gaps
	backfillPause = 50 * time.Millisecond
)

// backfill fills the ledger's gaps until ctx ends.
func (n *node) backfill(ctx context.Context) error {
	tick := n.cfg.Host.Clock.NewTicker(backfillEvery)
	defer tick.Stop()
	last := ""
	for {
		for {
			missing := n.ledgerLog.Missing()
			if len(missing) == 0 {
				break
			}
			err := n.fillNewest(ctx, missing)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				if reason := err.Error(); reason != last {
					n.log.Warn("a part of the past is on no node that answers", "error", err)
					last = reason
				}
				break
			}
			last = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
	}
}

// fillNewest fetches one chunk, of the newest gap that can be filled.
func (n *node) fillNewest(ctx context.Context, missing []ledger.Range) error {
	var errs []error
	for _, gap := range slices.Backward(missing) {
		err := n.fetcher.Any(ctx, func(from coco.NodeID, address string) error { return n.fill(ctx, from, address, gap) })
		if err == nil || ctx.Err() != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("entries %d to %d: %w", gap.First, gap.Last, err))
	}
	return errors.Join(errs...)
}

// fill fetches the end of a gap: the chunk there, or as much of it as is missing. Chunks end at the same entries on all
// nodes, as a rule; a gap that a cut left in the middle of one becomes a file of its own.
func (n *node) fill(ctx context.Context, from coco.NodeID, address string, gap ledger.Range) error {
	last := gap.Last
	chunk, err := n.fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchChunk, Index: last})
	if err != nil {
		return err
	}
	chunk.Close()
	first := max(chunk.First, gap.First)
	if first > last {
		return fmt.Errorf("%w: its chunk begins with entry %d, one with entry %d was asked for", coco.ErrCorrupt, chunk.First, last)
	}
	prev, err := n.following(last)
	if err != nil {
		return err
	}
	in, err := n.fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchEntries, Index: first, To: last + 1})
	if err != nil {
		return err
	}
	defer in.Close()
	check := &chainCheck{prev: prev, first: first}
	var waiting []batch.Entry
	next := first
	err = n.ledgerLog.Insert(first, last, func() (batch.Entry, error) {
		for len(waiting) == 0 {
			if err := n.idle(ctx); err != nil {
				return batch.Entry{}, err
			}
			var err error
			if waiting, err = in.Entries(next); err != nil {
				return batch.Entry{}, err
			}
			next += uint64(len(waiting))
		}
		e := waiting[0]
		waiting = waiting[1:]
		return e, check.next(e, last)
	})
	if err == nil {
		n.replica.LedgerGrew(n.ledgerLog.First())
		n.log.Info("a chunk of the past fetched", "first", first, "last", last, "from", from.Short())
	}
	return err
}

// idle gives way to the node's work.
func (n *node) idle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-n.cfg.Host.Clock.After(backfillPause):
		return nil
	}
}

// link is what the first batch after an entry says of the chain before itself: the entries between, and the digest.
type link struct {
	between []batch.Entry
	chain   coco.Digest
}

// following reads the link after an entry.
func (n *node) following(last uint64) (link, error) {
	var l link
	for index := last + 1; ; index++ {
		entries, err := n.ledgerLog.Read(index, index+1, 0)
		if err != nil {
			return l, err
		}
		if entries[0].Kind != batch.KindBatch {
			l.between = append(l.between, entries[0])
			continue
		}
		b, err := batch.Decode(entries[0].Data)
		if err != nil {
			return l, fmt.Errorf("entry %d: %w", index, err)
		}
		l.chain = b.Header.Prev
		return l, nil
	}
}

// chainCheck follows the entries of a chunk to the link after it.
type chainCheck struct {
	prev  link
	first uint64
	chain coco.Digest
	known bool
}

func (c *chainCheck) next(e batch.Entry, last uint64) error {
	c.known = c.known || e.Index == 1
	if e.Kind == batch.KindBatch {
		b, err := batch.Decode(e.Data)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if c.known && b.Header.Prev != c.chain {
			return fmt.Errorf("%w: entry %d does not follow the entries before it", coco.ErrVerify, e.Index)
		}
		c.chain, c.known = b.Header.Prev, true
	}
	if c.known {
		c.chain = e.Chain(c.chain)
	}
	if e.Index < last {
		return nil
	}
	chain := c.chain
	for _, between := range c.prev.between {
		chain = between.Chain(chain)
	}
	if chain != c.prev.chain {
		return fmt.Errorf("%w: entries %d to %d do not lead to the one after them", coco.ErrVerify, c.first, last)
	}
	return nil
}
