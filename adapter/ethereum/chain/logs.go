package chain

import (
	"context"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
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

// LogLimits bound a search for logs. 0 means no limit.
type LogLimits struct {
	Results  int
	Archived int // blocks that have left memory, each of which is looked up in the ledger
}

// Logs returns the logs of the blocks from <= number <= to that the filter selects, oldest first.
// A search beyond a limit is coco.ErrInvalid.
func (v *View) Logs(ctx context.Context, from, to uint64, f *LogFilter, limits LogLimits) ([]*types.Log, error) {
	if from > to {
		return nil, refusef("invalid block range params")
	}
	to = min(to, v.Number())
	if v.head == nil || from > to {
		return nil, nil
	}
	if n := uint64(limits.Archived); n > 0 && to-from >= n && !v.InMemory(from+n) {
		return nil, refusef("blocks %d to %d are in the ledger only, where %d may be searched at a time: ask for fewer blocks", from, from+n, n)
	}
	found, count := [][]*types.Log{}, 0 // by block, the newest first
	err := v.backwards(ctx, from, to, func(_ uint64, row *rows.Block) error {
		if bloom, ok := row.Bloom(); ok && !f.matchBloom(&bloom) {
			return nil
		}
		block, err := blockOf(row)
		if err != nil {
			return err
		}
		logs, err := logsOf(block, f, func(i int) (rows.Tx, error) { return v.txRowOf(ctx, block, i) })
		if err != nil {
			return err
		}
		if count += len(logs); limits.Results > 0 && count > limits.Results {
			return refusef("query returned more than %d results: ask for fewer blocks at a time", limits.Results)
		}
		if len(logs) > 0 {
			found = append(found, logs)
		}
		return nil
	})
	if err != nil || count == 0 {
		return nil, err
	}
	slices.Reverse(found)
	return slices.Concat(found...), nil
}

// logsOf returns the logs of a block that the filter selects; read reads the i-th transaction's row.
func logsOf(b *Block, f *LogFilter, read func(i int) (rows.Tx, error)) ([]*types.Log, error) {
	var out []*types.Log
	for i, hash := range b.Txs {
		r, err := read(i)
		if err != nil {
			return nil, err
		}
		if len(r.Logs) == 1 { // an empty list
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
