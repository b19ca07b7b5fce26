package rpc

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
)

// NewFilter makes a filter of logs to poll.
func (m *ethMethods) NewFilter(ctx context.Context, q logQuery) (string, error) {
	if q.From != nil && q.To != nil && *q.From >= 0 && *q.To >= 0 && *q.From > *q.To {
		return "", errBadRange
	}
	return m.addFilter(ctx, &q)
}

// NewBlockFilter makes a filter of new blocks to poll.
func (m *ethMethods) NewBlockFilter(ctx context.Context) (string, error) {
	return m.addFilter(ctx, nil)
}

// read is what a poll of the filter sees.
func (f *pollFilter) read() adapter.Read {
	if f.query == nil {
		return readBlocks
	}
	return readLogs
}

func (m *ethMethods) addFilter(ctx context.Context, q *logQuery) (string, error) {
	x := exchangeOf(ctx)
	f := &pollFilter{owner: x.caller.Actor, query: q}
	err := m.s.authorize(x.caller, f.read())
	if err == nil {
		f.seen, err = m.s.height(x)
	}
	if err != nil {
		return "", rpcErrorOf(err)
	}
	return rpcResult(m.s.polls.add(f))
}

// UninstallFilter forgets a filter.
func (m *ethMethods) UninstallFilter(ctx context.Context, id string) bool {
	return m.s.polls.remove(exchangeOf(ctx).caller.Actor, id)
}

// GetFilterLogs returns all logs that match a filter.
func (m *ethMethods) GetFilterLogs(ctx context.Context, id string) (json.RawMessage, error) {
	f, err := m.s.polls.get(exchangeOf(ctx).caller.Actor, id)
	if err == nil && f.query == nil {
		err = errNoFilter
	}
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	return rpcResult(m.s.logs(ctx, f.query))
}

// GetFilterChanges returns what happened since the last poll. After a long pause it returns a part
// and the next poll goes on from there, so nothing is lost to a limit.
func (m *ethMethods) GetFilterChanges(ctx context.Context, id string) (json.RawMessage, error) {
	f, err := m.s.polls.get(exchangeOf(ctx).caller.Actor, id)
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	v, err := m.s.view(exchangeOf(ctx), f.read())
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	defer v.Release()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen >= v.Number() {
		return json.RawMessage("[]"), nil
	}
	if f.query == nil {
		return rpcResult(m.newBlocks(ctx, v, f))
	}
	return rpcResult(m.newLogs(ctx, v, f))
}

func (m *ethMethods) newBlocks(ctx context.Context, v *chain.View, f *pollFilter) (json.RawMessage, error) {
	to := m.s.pollTo(v, f, m.s.limits.LogResults)
	from := f.seen + 1
	hashes := make([]common.Hash, to-f.seen)
	err := v.Backwards(ctx, from, to, func(b *chain.Block) error {
		hashes[b.Number()-from] = b.Hash
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.seen = to
	return encode.AppendHashes(nil, hashes), nil
}

func (m *ethMethods) newLogs(ctx context.Context, v *chain.View, f *pollFilter) (json.RawMessage, error) {
	from := f.seen + 1
	upTo := m.s.pollTo(v, f, m.s.limits.LogBlocks)
	first, until := f.query.window(upTo)
	if from = max(from, first); from > min(upTo, until) || f.query.BlockHash != nil {
		f.seen = upTo
		return json.RawMessage("[]"), nil
	}
	// Halve the range for as long as it holds too many logs. A single block's are all returned:
	// its size is bounded already.
	for to := min(upTo, until); ; to = from + (to-from)/2 {
		logs, err := m.s.findLogs(ctx, v, from, to, &f.query.LogFilter)
		if limit := (*rpcError)(nil); errors.As(err, &limit) && limit.code == codeLimit {
			if to > from {
				continue
			}
			logs, err = v.Logs(ctx, from, from, &f.query.LogFilter, chain.LogLimits{})
		}
		if err != nil {
			return nil, err
		}
		f.seen = to
		return encode.AppendLogs(nil, logs), nil
	}
}

// pollTo returns the last block that a poll looks at: after at most limit blocks, and after few if they have
// left memory, so that a poll comes to its end in time and the next one goes on.
func (s *Server) pollTo(v *chain.View, f *pollFilter, limit int) uint64 {
	if few := max(1, s.limits.ArchiveBlocks/10); few < limit && !v.InMemory(min(v.Number(), f.seen+uint64(few))) {
		limit = few
	}
	return min(v.Number(), f.seen+uint64(limit))
}

// window is the range of blocks that a filter admits. Tags in it mean blocks to come.
func (q *logQuery) window(head uint64) (from, to uint64) {
	to = head
	if q.From != nil && *q.From >= 0 {
		from = uint64(*q.From)
	}
	if q.To != nil && *q.To >= 0 {
		to = uint64(*q.To)
	}
	return from, to
}
