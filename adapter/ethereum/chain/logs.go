package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Logs calls fn with the logs of the blocks from <= number <= to that the filter selects, the oldest first, until fn
// fails. Blocks whose bloom says that they have none are not looked into.
func (v *View) Logs(ctx context.Context, from, to uint64, f *logs.Filter, fn func(*types.Log) error) error {
	if from > to {
		return refusef("invalid block range params")
	}
	to = min(to, v.Number())
	if v.head == nil {
		return nil
	}
	for from <= to {
		// Each block tells where in the ledger the one before it ends, and a milestone where the last one of some does:
		// these are found backwards, and then looked into in order.
		last := min(to, from|(Milestones-1))
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
		r, err := v.txRowOf(ctx, b, i)
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
