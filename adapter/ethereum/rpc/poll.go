package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/filter"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/internal/budget"
)

// NewFilter makes a filter of logs to poll.
func (m *ethMethods) NewFilter(ctx context.Context, q filter.Query) (string, error) {
	if q.From != nil && q.To != nil && *q.From >= 0 && *q.To >= 0 && *q.From > *q.To {
		return "", errBadRange
	}
	return m.addFilter(ctx, &filter.Polled{Query: &q})
}

// NewBlockFilter makes a filter of new blocks to poll.
func (m *ethMethods) NewBlockFilter(ctx context.Context) (string, error) {
	return m.addFilter(ctx, new(filter.Polled))
}

// NewPendingTransactionFilter makes a filter of transactions that this node begins to send for the caller's organisation.
func (m *ethMethods) NewPendingTransactionFilter(ctx context.Context) (string, error) {
	if err := m.s.mayWatch(&exchangeOf(ctx).caller); err != nil {
		return "", rpcErrorOf(err)
	}
	watch := m.s.ledger.Sending().Watch(exchangeOf(ctx).caller.Actor, filter.MaxWaiting)
	id, err := m.addFilter(ctx, &filter.Polled{Watch: watch})
	if err != nil {
		watch.Close()
	}
	return id, err
}

// mayWatch refuses a user of an organisation in a closed network what others of it are sending.
func (s *Server) mayWatch(caller *coco.Caller) error {
	if caller.User == "" || s.sights.All(caller) {
		return nil
	}
	return fmt.Errorf("%w: what an organisation is sending is told to the organisation itself, and not to its users: ask for it by txpool_content", coco.ErrDenied)
}

// readOf is what a poll of the filter sees.
func readOf(f *filter.Polled) adapter.Read {
	if f.Query == nil {
		return readBlocks
	}
	return readLogs
}

func (m *ethMethods) addFilter(ctx context.Context, f *filter.Polled) (string, error) {
	x := exchangeOf(ctx)
	f.Owner = filter.OwnerOf(&x.caller)
	f.TakenBack(m.s.ledger.TakenBack)
	err := m.s.may(x, readOf(f))
	if err == nil {
		f.Seen, err = m.s.height(x)
	}
	if err != nil {
		return "", rpcErrorOf(err)
	}
	id, err := m.s.polls.Add(f)
	if errors.Is(err, filter.ErrTooMany) {
		err = group.Errorf(codeLimit, "more than %d filters: uninstall those that are not needed", m.s.limits().MaxFilters)
	} else if err != nil {
		err = group.Errorf(codeLimit, "%v", err)
	}
	return rpcResult(id, err)
}

// UninstallFilter forgets a filter.
func (m *ethMethods) UninstallFilter(ctx context.Context, id string) bool {
	return m.s.polls.Remove(filter.OwnerOf(&exchangeOf(ctx).caller), id)
}

// GetFilterLogs returns all logs that match a filter.
func (m *ethMethods) GetFilterLogs(ctx context.Context, id string) (json.RawMessage, error) {
	f, err := m.s.polls.Get(filter.OwnerOf(&exchangeOf(ctx).caller), id)
	if err == nil && f.Query == nil {
		err = filter.ErrNone
	}
	if err != nil {
		return nil, errNoFilter
	}
	return m.s.logs(ctx, f.Query)
}

// GetFilterChanges returns what happened since the last poll. After a long pause it returns a part
// and the next poll goes on from there, so nothing is lost to a limit.
func (m *ethMethods) GetFilterChanges(ctx context.Context, id string) (json.RawMessage, error) {
	f, err := m.s.polls.Get(filter.OwnerOf(&exchangeOf(ctx).caller), id)
	if err != nil {
		return nil, errNoFilter
	}
	v, err := m.s.view(exchangeOf(ctx), readOf(f))
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	defer v.Release()
	f.Mu.Lock()
	defer f.Mu.Unlock()
	if f.Watch != nil {
		hashes, whole := f.Hashes()
		if !whole { // its client must not believe that it saw all
			m.s.polls.Remove(f.Owner, id)
			return nil, errNoFilter
		}
		return encode.AppendHashes(nil, hashes), nil
	}
	if f.TakenBack(m.s.ledger.TakenBack); f.Seen >= v.Number() {
		return json.RawMessage("[]"), nil
	}
	if f.Query == nil {
		return m.newBlocks(ctx, v, f)
	}
	return m.newLogs(ctx, v, f)
}

func (m *ethMethods) newBlocks(ctx context.Context, v *sight.View, f *filter.Polled) (json.RawMessage, error) {
	to := m.s.pollTo(v, f, m.s.limits().LogResults)
	from := f.Seen + 1
	hashes := make([]common.Hash, to-f.Seen)
	err := v.Backwards(ctx, from, to, func(b *blocks.Block) error {
		hashes[b.Number()-from] = b.Hash
		return nil
	})
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	out := m.s.buffer(exchangeOf(ctx))
	err = out.Append(70*len(hashes)+2, func(b []byte) []byte { return encode.AppendHashes(b, hashes) })
	result, err := m.s.result(exchangeOf(ctx), out, err, "ask for a vote to raise the limit")
	if err == nil {
		f.Seen = to
	}
	return result, err
}

func (m *ethMethods) newLogs(ctx context.Context, v *sight.View, f *filter.Polled) (json.RawMessage, error) {
	from := f.Seen + 1
	upTo := m.s.pollTo(v, f, m.s.limits().LogBlocks)
	first, until := f.Query.Window(upTo)
	if from = max(from, first); from > min(upTo, until) || f.Query.BlockHash != nil {
		f.Seen = upTo
		return json.RawMessage("[]"), nil
	}
	to := min(upTo, until)
	x := exchangeOf(ctx)
	list := filter.List{Out: m.s.buffer(x)}
	err := m.s.findLogs(ctx, v, from, to, &f.Query.Filter, &list)
	if limit := (*logs.LimitError)(nil); errors.As(err, &limit) {
		if limit.At > from { // what is whole is answered, and the next poll goes on
			err, to = nil, limit.At-1
			list.Drop(limit.At)
		} else { // a single block's logs are all returned: a poll must come on
			list.Out.Release()
			list, to = filter.List{Out: budget.NewBuffer(x.claim, 0)}, from
			err = v.Logs(ctx, from, from, &f.Query.Filter, func(uint64, bool) error { return nil }, list.Add)
		}
	}
	if err == nil {
		err = list.End()
	}
	result, err := m.s.result(x, list.Out, err, "ask for fewer addresses or topics")
	if err == nil {
		f.Seen = to
	}
	return result, err
}

// pollTo returns the last block that a poll looks at: after at most limit blocks, and after few if they have
// left memory, so that a poll comes to its end in time and the next one goes on.
func (s *Server) pollTo(v *sight.View, f *filter.Polled, limit int) uint64 {
	indexed := s.env.Search != nil && f.Query != nil && v.All()
	if few := max(1, s.limits().ArchiveBlocks/10); !indexed && few < limit && !v.InMemory(min(v.Number(), f.Seen+uint64(few))) {
		limit = few
	}
	return min(v.Number(), f.Seen+uint64(limit))
}
