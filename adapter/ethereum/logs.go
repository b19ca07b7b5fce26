package ethereum

import (
	"context"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// LogFilter selects logs as eth_getLogs does: of any of the addresses, or of all if there are none,
// and by position with any of the topics, or with whichever if there are none. It MUST NOT be
// modified while it is in use.
type LogFilter struct {
	Addresses []common.Address
	Topics    [][]common.Hash
}

// Match tells whether the filter selects the log.
func (f *LogFilter) Match(l *types.Log) bool {
	if len(f.Addresses) > 0 && !slices.Contains(f.Addresses, l.Address) || len(f.Topics) > len(l.Topics) {
		return false
	}
	for i, any := range f.Topics {
		if len(any) > 0 && !slices.Contains(any, l.Topics[i]) {
			return false
		}
	}
	return true
}

// matchBloom tells whether a block with the bloom may contain logs that the filter selects.
func (f *LogFilter) matchBloom(bloom *types.Bloom) bool {
	if *bloom == (types.Bloom{}) {
		return false
	}
	if len(f.Addresses) > 0 && !slices.ContainsFunc(f.Addresses, func(a common.Address) bool { return bloom.Test(a[:]) }) {
		return false
	}
	for _, any := range f.Topics {
		if len(any) > 0 && !slices.ContainsFunc(any, func(h common.Hash) bool { return bloom.Test(h[:]) }) {
			return false
		}
	}
	return true
}

// Logs returns the logs of the blocks from <= number <= to that the filter selects, oldest first.
// More than limit of them, unless limit is 0, are coco.ErrInvalid.
func (v *View) Logs(ctx context.Context, from, to uint64, f *LogFilter, limit int) ([]*types.Log, error) {
	var (
		out []*types.Log
		err error
	)
	visit := func(_, value []byte) bool {
		if err = context.Cause(ctx); err != nil {
			return false
		}
		var row blockRow
		if row, err = decodeBlockRow(value); err != nil {
			return false
		}
		if bloom, ok := row.bloom(); ok && !f.matchBloom(&bloom) {
			return true
		}
		var block *Block
		if block, err = row.block(); err != nil {
			return false
		}
		if out, err = v.ledger.logsOf(v.snapshot, block, f, out); err != nil {
			return false
		}
		if limit > 0 && len(out) > limit {
			err = refusef("query returned more than %d results: ask for fewer blocks", limit)
		}
		return err == nil
	}
	if from > to {
		return nil, refusef("invalid block range params")
	}
	end := []byte(nil)
	if to+1 != 0 {
		end = blockKey(to + 1)
	}
	v.snapshot.Range(tableBlocks, blockKey(from), end, visit)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// logsOf appends the logs of a block that the filter selects.
func (l *Ledger) logsOf(src store.Reader, b *Block, f *LogFilter, out []*types.Log) ([]*types.Log, error) {
	for _, hash := range b.Txs {
		r, err := readTx(src, hash)
		if err != nil {
			return nil, fmt.Errorf("%w: block %d: %w", coco.ErrCorrupt, b.Number(), err)
		}
		if len(r.logs) == 1 { // an empty list
			continue
		}
		logs, err := expandLogs(&r, hash, b)
		if err != nil {
			return nil, err
		}
		for _, log := range logs {
			if f.Match(log) {
				out = append(out, log)
			}
		}
	}
	return out, nil
}
