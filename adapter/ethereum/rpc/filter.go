package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/filter"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/guard"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/internal/budget"
)

var (
	errBadRange    = group.Errorf(codeInvalidParams, "invalid block range params")
	errFutureRange = group.Errorf(codeInvalidParams, "block range extends beyond current head block")
	errNoFilter    = group.Errorf(codeServer, "%v", filter.ErrNone)
)

// GetLogs returns the logs that match a filter.
func (m *ethMethods) GetLogs(ctx context.Context, q filter.Query) (json.RawMessage, error) {
	return m.s.logs(ctx, &q)
}

// logs answers a query.
func (s *Server) logs(ctx context.Context, q *filter.Query) (json.RawMessage, error) {
	x := exchangeOf(ctx)
	v, err := s.view(x, readLogs)
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	defer v.Release()
	from, to, err := blocksOf(ctx, q, v)
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	if err := s.mayLookAt(v, from, to); err != nil {
		return nil, rpcErrorOf(err)
	}
	list := filter.List{Out: s.buffer(x)}
	if err = s.findLogs(ctx, v, from, to, &q.Filter, &list); err == nil {
		err = list.End()
	}
	return s.result(x, list.Out, err, "ask for fewer blocks, addresses or topics")
}

// findLogs adds what it finds in from..to to a list, within the limits of time, blocks, results and bytes. Beyond one
// the error is a *logs.LimitError, and the list has all logs of the blocks before its block At, and maybe some of that block.
func (s *Server) findLogs(ctx context.Context, v *sight.View, from, to uint64, f *logs.Filter, list *filter.List) error {
	at := from // the block that is being looked into
	blocks, archived := 0, 0
	var reached error
	limit := func(format string, args ...any) error {
		reached = &logs.LimitError{Limit: fmt.Sprintf(format, args...), From: from, At: at}
		return reached
	}
	look := func(number uint64, left bool) error {
		at = number
		if blocks++; left {
			archived++
		}
		switch {
		case blocks > s.limits().LogBlocks:
			return limit("more than %d blocks may have such logs", s.limits().LogBlocks)
		case archived > s.limits().ArchiveBlocks:
			return limit("more than %d blocks that have left memory may have such logs", s.limits().ArchiveBlocks)
		}
		return nil
	}
	err := s.guarded(ctx, exchangeOf(ctx).caller, func(ctx context.Context) error {
		err := v.Logs(ctx, from, to, f, look, func(l *types.Log) error {
			if list.Count >= s.limits().LogResults {
				return limit("query returned more than %d results", s.limits().LogResults)
			}
			return list.Add(l)
		})
		switch {
		case errors.Is(err, budget.ErrLimit):
			return limit("query returned more than %d bytes (rpc.reply_bytes)", s.limits().ReplyBytes)
		case errors.Is(err, adapter.ErrPastLimit), guard.Late(ctx):
			return limit("query takes more than %v (rpc.call_timeout_ms)", s.limits().CallTimeout())
		}
		return err
	})
	return cmp.Or(reached, err)
}

// mayLookAt refuses a range with more blocks than one request may look at, where no index tells which of them to look at, or may not tell.
func (s *Server) mayLookAt(v *sight.View, from, to uint64) error {
	if s.env.Search != nil && v.All() {
		return nil
	}
	if n := uint64(s.limits().LogBlocks); to-from >= n {
		return &logs.LimitError{Limit: fmt.Sprintf("exceed maximum block range %d", n), From: from, At: from + n}
	}
	if n := uint64(s.limits().ArchiveBlocks); to-from >= n && !v.InMemory(from+n) {
		return &logs.LimitError{Limit: fmt.Sprintf("exceed maximum range of %d blocks that have left memory", n), From: from, At: from + n}
	}
	return nil
}

// blocksOf resolves a query's range.
func blocksOf(ctx context.Context, q *filter.Query, v *sight.View) (from, to uint64, err error) {
	if q.BlockHash != nil {
		n, err := v.NumberOf(ctx, *q.BlockHash)
		if errors.Is(err, coco.ErrNotFound) {
			return 0, 0, errors.New("unknown block")
		}
		if err != nil {
			return 0, 0, err
		}
		return n, n, nil
	}
	head := v.Number()
	from, to = head, head
	if q.From != nil {
		from = resolveNumber(*q.From, head)
	}
	if q.To != nil {
		to = resolveNumber(*q.To, head)
	}
	if from > to {
		return 0, 0, errBadRange
	}
	if to > head {
		return 0, 0, errFutureRange
	}
	return from, to, nil
}
