package debug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/eth/tracers"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// Flat is the JSON-RPC namespace trace, which indexers ask for: the calls of transactions as flat lists, by the tracer
// flatCallTracer, and what replays have beside them (replay.go).
type Flat struct{ m *Methods }

// NewFlat returns the methods.
func NewFlat(s *group.Server) *Flat { return &Flat{New(s)} }

// flatConfig is the tracer's, with errors as this namespace names them.
func flatConfig() *tracers.TraceConfig {
	name := "flatCallTracer"
	return &tracers.TraceConfig{Tracer: &name, TracerConfig: json.RawMessage(`{"convertParityErrors":true}`)}
}

// flat is a call. Its other members are passed on as the tracer writes them.
type flat map[string]json.RawMessage

// members of a call that say where it is; replays and calls have none.
var placed = []string{"blockHash", "blockNumber", "transactionHash", "transactionPosition"}

// Transaction is the calls of a transaction; null if there is none.
func (f *Flat) Transaction(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	list, err := f.ofTransaction(ctx, hash)
	if errors.Is(err, coco.ErrNotFound) {
		return json.RawMessage("null"), nil
	}
	return f.m.s.Reply(ctx, list, err, instead)
}

func (f *Flat) ofTransaction(ctx context.Context, hash common.Hash) (list []flat, err error) {
	v, err := f.m.s.View(ctx, group.AnyState)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	t, b, err := v.TransactionInBlock(ctx, hash)
	if err != nil {
		return nil, err
	}
	err = f.m.guarded(ctx, flatConfig(), func(s *session) error {
		all, err := traces[[]flat](s, v, b, int(t.Index), int(t.Index))
		if err == nil {
			list = all[0]
		}
		return err
	})
	return list, err
}

// Get is one call of a transaction, by its place below each call that leads to it; null if there is none.
func (f *Flat) Get(ctx context.Context, hash common.Hash, path []hexutil.Uint64) (json.RawMessage, error) {
	list, err := f.ofTransaction(ctx, hash)
	if err != nil && !errors.Is(err, coco.ErrNotFound) {
		return nil, f.m.s.Fail(err)
	}
	for _, c := range list {
		var at []hexutil.Uint64
		var numbers []uint64
		if json.Unmarshal(c["traceAddress"], &numbers) != nil {
			continue
		}
		for _, n := range numbers {
			at = append(at, hexutil.Uint64(n))
		}
		if slices.Equal(at, path) {
			return f.m.s.Reply(ctx, c, nil, instead)
		}
	}
	return json.RawMessage("null"), nil
}

// Block is the calls of all transactions of a block; null if there is none.
func (f *Flat) Block(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	v, err := f.m.s.View(ctx, group.AnyState)
	if err != nil {
		return nil, f.m.s.Fail(err)
	}
	defer v.Release()
	if err := v.Whole(); err != nil {
		return nil, f.m.s.Fail(err)
	}
	b, err := group.BlockAt(ctx, v, at)
	if errors.Is(err, coco.ErrNotFound) {
		return json.RawMessage("null"), nil
	}
	if err != nil {
		return nil, f.m.s.Fail(err)
	}
	list := []flat{}
	err = f.m.guarded(ctx, flatConfig(), func(s *session) error {
		if b.Number() == 0 {
			return nil
		}
		all, err := traces[[]flat](s, v, b, 0, len(b.Txs)-1)
		list = append(list, slices.Concat(all...)...)
		return err
	})
	return f.m.s.Reply(ctx, list, err, instead)
}

// Filter is the parameter of trace_filter.
type Filter struct {
	FromBlock, ToBlock     *rpc.BlockNumber
	FromAddress, ToAddress []common.Address
	After, Count           *uint64
}

// maxFiltered is how many blocks one query executes again.
const maxFiltered = 1000

// Filter is the calls in a range of blocks, by their callers and callees. All blocks with transactions in the range are
// executed again, within the time of one call.
func (f *Flat) Filter(ctx context.Context, q Filter) (json.RawMessage, error) {
	v, err := f.m.s.View(ctx, group.AnyState)
	if err != nil {
		return nil, f.m.s.Fail(err)
	}
	defer v.Release()
	if err := v.Whole(); err != nil {
		return nil, f.m.s.Fail(err)
	}
	number := func(n *rpc.BlockNumber) uint64 {
		switch {
		case n != nil && *n >= 0:
			return uint64(*n)
		case n != nil && *n == rpc.EarliestBlockNumber:
			return 0
		}
		return v.Number()
	}
	from, to := number(q.FromBlock), min(number(q.ToBlock), v.Number())
	if from > to {
		return nil, f.m.s.Fail(group.Errorf(group.CodeInvalidParams, "invalid block range params"))
	}
	if to-from >= maxFiltered {
		return nil, f.m.s.Fail(group.Errorf(group.CodeLimit, "exceed maximum block range %d. Try with this block range [%#x, %#x]", maxFiltered, from, from+maxFiltered-1))
	}
	list, skip := []flat{}, uint64(0)
	if q.After != nil {
		skip = *q.After
	}
	full := func() bool { return q.Count != nil && uint64(len(list)) >= *q.Count }
	err = f.m.guarded(ctx, flatConfig(), func(s *session) error {
		for n := max(from, 1); n <= to && !full(); n++ {
			b, err := v.Block(s.ctx, n)
			if err != nil {
				return err
			}
			if len(b.Txs) == 0 {
				continue
			}
			all, err := traces[[]flat](s, v, b, 0, len(b.Txs)-1)
			if err != nil {
				return fmt.Errorf("block %d: %w", n, err)
			}
			for _, c := range slices.Concat(all...) {
				switch {
				case !q.match(c) || full():
				case skip > 0:
					skip--
				default:
					list = append(list, c)
				}
			}
		}
		return nil
	})
	return f.m.s.Reply(ctx, list, err, "ask for fewer blocks")
}

// match reports whether a call is from one of the callers, or to one of the callees. Without any of a kind, all match.
func (q *Filter) match(c flat) bool {
	var action struct{ From, To, Address, RefundAddress *common.Address }
	var result struct{ Address *common.Address } // of a contract that was created
	if json.Unmarshal(c["action"], &action) != nil {
		return false
	}
	_ = json.Unmarshal(c["result"], &result) // null if the call failed
	among := func(list []common.Address, of ...*common.Address) bool {
		return len(list) == 0 || slices.ContainsFunc(of, func(a *common.Address) bool { return a != nil && slices.Contains(list, *a) })
	}
	return among(q.FromAddress, action.From, action.Address) && among(q.ToAddress, action.To, action.RefundAddress, result.Address)
}
