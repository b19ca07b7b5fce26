package blocks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Logs calls fn with the logs of the blocks from <= number <= to that the filter selects, the oldest first, until fn
// fails. look is called with the number of each block before it is looked into, and tells by an error if that is one too
// many; archived says that the block has left memory. Blocks are looked into if their bloom, or the index of the past,
// does not say that they have none of these logs.
func (v *View) Logs(ctx context.Context, from, to uint64, f *logs.Filter, look func(number uint64, archived bool) error, fn func(*types.Log) error) error {
	if from > to {
		return fmt.Errorf("%w: logs of the blocks %d to %d: expected the older block first", coco.ErrInvalid, from, to)
	}
	to = min(to, v.Number())
	if v.head == nil || from > to {
		return nil
	}
	// Blocks that are in memory are the newest.
	recent := from + uint64(sort.Search(int(to-from+1), func(i int) bool { return v.InMemory(from + uint64(i)) }))
	if v.archive.env.Search == nil {
		recent = from
	}
	if recent > from {
		if err := v.searchLogs(ctx, from, recent-1, f, look, fn); err != nil {
			return err
		}
	}
	return v.scanLogs(ctx, recent, to, f, look, fn)
}

// searchLogs is Logs for blocks that have left memory, by the index.
func (v *View) searchLogs(ctx context.Context, from, to uint64, f *logs.Filter, look func(uint64, bool) error, fn func(*types.Log) error) error {
	first, err := v.blockRow(ctx, from, rows.Anywhere)
	if err != nil {
		return err
	}
	last, err := v.blockRow(ctx, to, rows.Anywhere)
	if err != nil {
		return err
	}
	return v.past.Search(ctx, rows.Txs, f.Groups(), first.First, last.Last(), func(_, end uint64) error {
		// A batch has one block at most: the newest as of the batch's end.
		head, err := v.past.Get(ctx, rows.Meta, rows.KeyHead, end)
		if err != nil {
			return lost(err, "the head as of seqno %d", end)
		}
		at, err := rows.DecodeHead(head.Value)
		if err != nil {
			return err
		}
		if err := look(at.Number, true); err != nil {
			return err
		}
		block, err := v.block(ctx, at.Number, end)
		if err != nil || !f.MatchBloom(&block.Header.Bloom) {
			return err
		}
		return v.LogsOf(ctx, block, f, fn)
	})
}

// scanLogs is Logs by the blooms of all blocks.
func (v *View) scanLogs(ctx context.Context, from, to uint64, f *logs.Filter, look func(uint64, bool) error, fn func(*types.Log) error) error {
	for from <= to {
		// Each block tells where in the ledger the one before it ends, and a milestone where the last one of some does:
		// these are found backwards, and then looked into in order.
		last := min(to, from|(rows.Milestones-1))
		var found []*Block
		err := v.backwards(ctx, from, last, func(_ uint64, row *rows.Block) error {
			if bloom, ok := row.Bloom(); ok && !f.MatchBloom(&bloom) {
				return nil
			}
			block, err := blockOf(row)
			found = append(found, block)
			return err
		})
		if err != nil {
			return err
		}
		for _, block := range slices.Backward(found) {
			if err := look(block.Number(), false); err != nil {
				return err
			}
			if err := v.LogsOf(ctx, block, f, fn); err != nil {
				return err
			}
		}
		from = last + 1
	}
	return nil
}

// LogsOf calls fn with the logs of a block that the filter selects, in order, until fn fails.
func (v *View) LogsOf(ctx context.Context, b *Block, f *logs.Filter, fn func(*types.Log) error) error {
	for i, hash := range b.Txs {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		r, err := v.TxRowOf(ctx, b, i)
		if err != nil {
			return err
		}
		if len(r.Logs) == 1 { // an empty list
			continue
		}
		t := Transaction{Hash: hash, BlockNumber: r.Block, Index: r.Index, Logs: r.Logs, FirstLog: r.FirstLog}
		err = t.EachLog(b, func(l *types.Log) error {
			if f.Match(l) {
				return fn(l)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// EachLog calls fn with the transaction's logs in order, which are those of a block, until fn fails. Each is decoded
// when its turn comes.
func (t *Transaction) EachLog(b *Block, fn func(*types.Log) error) error {
	err := logs.Each(t.Logs, func(i int, l *types.Log) error {
		l.BlockNumber, l.BlockHash, l.BlockTimestamp = t.BlockNumber, b.Hash, b.Header.Time
		l.TxHash, l.TxIndex, l.Index = t.Hash, uint(t.Index), uint(t.FirstLog)+uint(i)
		return fn(l)
	})
	if errors.Is(err, coco.ErrCorrupt) {
		return fmt.Errorf("transaction %v: %w", t.Hash, err)
	}
	return err
}

// bloom is that of the transaction's logs.
func (t *Transaction) bloom() (bloom types.Bloom, err error) {
	err = logs.Each(t.Logs, func(_ int, l *types.Log) error {
		bloom.Add(l.Address[:])
		for i := range l.Topics {
			bloom.Add(l.Topics[i][:])
		}
		return nil
	})
	return bloom, err
}
