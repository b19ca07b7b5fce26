package catchup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/ledger/chain"
	"github.com/cocoframework/coco/peer"
)

// bridge makes the ledger reach up to a snapshot. What is shared with the network stays; a ledger that ended earlier
// goes on with the chunk that the snapshot's entry is in.
func (l *Local) bridge(ctx context.Context, b *Basis, shared uint64) error {
	log, at := l.Ledger, b.Header.Index
	if shared >= at && log.First() <= at+1 {
		return nil // what the leader compared leads to the snapshot's entry, and beyond
	}
	if log.First() > at+1 {
		if err := log.TruncateAfter(at); err != nil {
			return fmt.Errorf("cut the ledger after entry %d: %w", at, err)
		}
	}
	for try := 1; ; try++ {
		err := l.Fetcher.Any(ctx, func(from coco.NodeID, address string) error {
			chunk, err := l.Fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchChunk, Index: at})
			if err != nil {
				return err
			}
			chunk.Close()
			return l.fetchBridge(ctx, from, address, chunk.First, at)
		})
		if err == nil {
			if err = l.checkBridge(b); err == nil || !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrCorrupt) {
				return err
			}
			return &UnusableError{err}
		}
		if ctx.Err() != nil {
			return err
		}
		if try == bridgeTries {
			return &StaleError{fmt.Sprintf("the entries before the snapshot at entry %d do not come: %v", at, err)}
		}
		if try == 1 {
			l.Log.Warn("the entries before the snapshot do not come yet, trying again", "index", at, "error", err)
		}
		if err := l.pause(ctx, tryPause); err != nil {
			return err
		}
	}
}

// fetchBridge appends entries from one node, from the chunk's first or what comes after this node's last.
func (l *Local) fetchBridge(ctx context.Context, from coco.NodeID, address string, first, at uint64) error {
	log := l.Ledger
	next := max(first, log.Last()+1)
	if next > log.Last()+1 || log.Last() == 0 && next > 1 {
		if err := log.StartAt(next); err != nil {
			return fmt.Errorf("begin the ledger at entry %d: %w", next, err)
		}
	}
	if next > at {
		return nil
	}
	in, err := l.Fetcher.Fetch(ctx, from, address, peer.FetchRequest{What: peer.FetchEntries, Index: next, To: at + 1})
	if err != nil {
		return err
	}
	defer in.Close()
	for {
		entries, err := in.Entries(next)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = log.Append(entries)
		}
		if err != nil {
			return errors.Join(err, log.Sync())
		}
		next += uint64(len(entries))
	}
	if next != at+1 {
		err = fmt.Errorf("%w: its entries end before %d", coco.ErrNotFound, next)
	}
	return errors.Join(err, log.Sync())
}

// checkBridge compares the entries up to the snapshot with its chain digest, as far as its chunk goes back.
func (l *Local) checkBridge(b *Basis) error {
	log, at := l.Ledger, b.Header.Index
	first := max(log.First(), 1)
	for _, c := range log.Chunks() {
		if c.First <= at && (at <= c.Last || !c.Complete) {
			first = c.First
		}
	}
	check := chain.NewCheck(first, at, chain.To(b.Header.Chain))
	for next := first; next <= at; {
		entries, err := log.Read(next, at+1, peer.FetchPiece)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := check.Next(e); err != nil {
				return err
			}
		}
		next += uint64(len(entries))
	}
	return nil
}
