package catchup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/ledger/chain"
	"github.com/cocoframework/coco/peer"
)

const (
	backfillEvery = 5 * time.Second       // how often a node looks for gaps
	backfillPause = 50 * time.Millisecond // after each piece, so that the node's work goes first
)

// Backfill fills the ledger's gaps until ctx ends, so that no history is lost when the nodes that wrote it are
// gone. It calls filled after each chunk that was inserted.
func (l *Local) Backfill(ctx context.Context, filled func()) error {
	tick := l.Clock.NewTicker(backfillEvery)
	defer tick.Stop()
	last := ""
	for {
		for {
			missing := l.Ledger.Missing()
			if len(missing) == 0 {
				break
			}
			err := l.fillNewest(ctx, missing)
			if err == nil {
				filled()
			}
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				if reason := err.Error(); reason != last {
					l.Log.Warn("a part of the past is on no node that answers", "error", err)
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
func (l *Local) fillNewest(ctx context.Context, missing []ledger.Range) error {
	var errs []error
	for _, gap := range slices.Backward(missing) {
		err := l.Fetcher.Any(ctx, func(from coco.NodeID, address string) error { return l.fill(ctx, from, address, gap) })
		if err == nil || ctx.Err() != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("entries %d to %d: %w", gap.First, gap.Last, err))
	}
	return errors.Join(errs...)
}

// fill fetches the end of a gap: the chunk there, or as much of it as is missing. Chunks end at the same entries on all
// nodes, as a rule; a gap that a cut left in the middle of one becomes a file of its own.
func (l *Local) fill(ctx context.Context, from coco.NodeID, address string, gap ledger.Range) error {
	last := gap.Last
	chunk, err := l.Fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchChunk, Index: last})
	if err != nil {
		return err
	}
	chunk.Close()
	first := max(chunk.First, gap.First)
	if first > last {
		return fmt.Errorf("%w: its chunk begins with entry %d, one with entry %d was asked for", coco.ErrCorrupt, chunk.First, last)
	}
	after, err := chain.Following(l.Ledger, last)
	if err != nil {
		return err
	}
	in, err := l.Fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchEntries, Index: first, To: last + 1})
	if err != nil {
		return err
	}
	defer in.Close()
	check := chain.NewCheck(first, last, after)
	var waiting []batch.Entry
	next := first
	err = l.Ledger.Insert(first, last, func() (batch.Entry, error) {
		for len(waiting) == 0 {
			if err := l.pause(ctx, backfillPause); err != nil {
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
		return e, check.Next(e)
	})
	if err == nil {
		l.Log.Info("a chunk of the past fetched", "first", first, "last", last, "from", from.Short())
	}
	return err
}
