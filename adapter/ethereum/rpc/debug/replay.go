package debug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/dryrun"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/parity"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// kinds are what a client can ask of a replay.
var kinds = []string{"trace", "vmTrace", "stateDiff"}

// fewer is what to ask for if a replay is too large.
const fewer = `ask for single transactions, and for "vmTrace" alone or not at all`

// parts are what a replay has of the transaction that was executed last.
type parts struct {
	kinds  []string
	steps  *parity.Steps
	diff   map[common.Address]*parity.Account
	output hexutil.Bytes
}

// newParts checks what a client asks for.
func newParts(asked []string) (*parts, error) {
	for _, k := range asked {
		if !slices.Contains(kinds, k) {
			return nil, group.Errorf(group.CodeInvalidParams, "the trace type %.20q does not exist: expected trace, vmTrace or stateDiff", k)
		}
	}
	return &parts{kinds: asked}, nil
}

func (p *parts) want(kind string) bool { return slices.Contains(p.kinds, kind) }

// watch returns hooks that make the parts, too, of the transaction that begins.
func (p *parts) watch(h *tracing.Hooks, take func(int) bool) *tracing.Hooks {
	if p == nil {
		return h
	}
	p.steps, p.diff, p.output = nil, nil, nil
	if !p.want("vmTrace") {
		return h
	}
	p.steps = parity.NewSteps(take)
	return parity.Join(h, p.steps.Hooks())
}

// executed notes what the transaction has come to, before it is finished.
func (p *parts) executed(s *session, evm *vm.EVM, result *core.ExecutionResult) {
	if p == nil {
		return
	}
	p.output = common.CopyBytes(result.ReturnData)
	if p.want("stateDiff") {
		p.diff = parity.Diff(s.run.DB.Differences(evm.GetRules().IsEIP158), s.meter.take)
	}
}

// replayed is what a transaction or a message has come to.
type replayed struct {
	Output          hexutil.Bytes                      `json:"output"`
	StateDiff       map[common.Address]*parity.Account `json:"stateDiff"`
	Trace           []flat                             `json:"trace"`
	TransactionHash *common.Hash                       `json:"transactionHash,omitempty"`
	VMTrace         *parity.Code                       `json:"vmTrace"`
}

// replay makes a replay of what was executed last, whose calls the tracer has listed.
func (p *parts) replay(text json.RawMessage) (*replayed, error) {
	r := &replayed{Output: p.output, StateDiff: p.diff, Trace: []flat{}}
	if p.steps != nil {
		r.VMTrace = p.steps.Result()
	}
	if !p.want("trace") {
		return r, nil
	}
	err := json.Unmarshal(text, &r.Trace)
	for _, c := range r.Trace {
		for _, name := range placed {
			delete(c, name)
		}
	}
	return r, err
}

// replays executes transactions of a block again, from first to last.
func (s *session) replays(v *sight.View, b *blocks.Block, first, last int) (out []*replayed, err error) {
	err = s.block(v, b, func(i int, t *blocks.Transaction) error {
		text, err := s.transaction(b, t)
		if err != nil {
			return err
		}
		r, err := s.parts.replay(text)
		if err != nil {
			return err
		}
		out = append(out, r)
		return nil
	}, first, last)
	return out, err
}

// ReplayTransaction executes a transaction again.
func (f *Flat) ReplayTransaction(ctx context.Context, hash common.Hash, asked []string) (json.RawMessage, error) {
	p, err := newParts(asked)
	if err != nil {
		return nil, f.m.s.Fail(err)
	}
	v, err := f.m.s.View(ctx, group.AnyState)
	if err != nil {
		return nil, f.m.s.Fail(hidden(err))
	}
	defer v.Release()
	t, b, err := v.TransactionInBlock(ctx, hash)
	if err != nil {
		return nil, f.m.s.Fail(hidden(err))
	}
	var all []*replayed
	err = f.replaying(ctx, p, func(s *session) error {
		all, err = s.replays(v, b, int(t.Index), int(t.Index))
		return err
	})
	if err != nil {
		return nil, f.m.s.Fail(err)
	}
	return f.m.s.Reply(ctx, all[0], nil, fewer)
}

// replaying runs what replays.
func (f *Flat) replaying(ctx context.Context, p *parts, fn func(*session) error) error {
	return f.m.guarded(ctx, flatConfig(), func(s *session) error {
		s.parts = p
		return fn(s)
	})
}

// ReplayBlockTransactions executes all transactions of a block again.
func (f *Flat) ReplayBlockTransactions(ctx context.Context, at rpc.BlockNumberOrHash, asked []string) (json.RawMessage, error) {
	p, err := newParts(asked)
	if err != nil {
		return nil, f.m.s.Fail(err)
	}
	v, b, err := f.m.block(ctx, group.AnyState, at)
	if err != nil {
		return nil, f.m.s.Fail(err)
	}
	defer v.Release()
	all := []*replayed{}
	err = f.replaying(ctx, p, func(s *session) error {
		if len(b.Txs) == 0 {
			return nil
		}
		all, err = s.replays(v, b, 0, len(b.Txs)-1)
		for i, r := range all {
			r.TransactionHash = &b.Txs[i]
		}
		return err
	})
	return f.m.s.Reply(ctx, all, err, fewer)
}

// Call executes a message on the state after a block.
func (f *Flat) Call(ctx context.Context, args callargs.Args, asked []string, at *rpc.BlockNumberOrHash) (json.RawMessage, error) {
	all, err := f.messages(ctx, []Asked{{args, asked}}, at)
	if err != nil {
		return nil, f.m.s.Fail(err)
	}
	return f.m.s.Reply(ctx, all[0], nil, fewer)
}

// Asked is a message of trace_callMany, and what is asked of it: a list of the two.
type Asked struct {
	Args  callargs.Args
	Kinds []string
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Asked) UnmarshalJSON(text []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a list of %d: expected a transaction object and a list of trace types", len(pair))
	}
	return errors.Join(json.Unmarshal(pair[0], &a.Args), json.Unmarshal(pair[1], &a.Kinds))
}

// CallMany executes messages one after the other, each on what those before it have left, on the state after a block. All together have the time and the
// memory of one call.
func (f *Flat) CallMany(ctx context.Context, calls []Asked, at *rpc.BlockNumberOrHash) (json.RawMessage, error) {
	all, err := f.messages(ctx, calls, at)
	return f.m.s.Reply(ctx, all, err, fewer)
}

func (f *Flat) messages(ctx context.Context, calls []Asked, at *rpc.BlockNumberOrHash) ([]*replayed, error) {
	all := make([]*parts, len(calls))
	for i := range calls {
		var err error
		if all[i], err = newParts(calls[i].Kinds); err != nil {
			return nil, err
		}
	}
	v, err := f.m.s.ViewAt(ctx, at, group.AnyState)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	out := []*replayed{}
	err = f.m.guarded(ctx, flatConfig(), func(s *session) error {
		header, err := v.HeaderFor(s.ctx, s.m.s.Ledger, false)
		if err != nil {
			return err
		}
		s.run = dryrun.New(s.ctx, s.m.s.Ledger, v)
		for i := range calls {
			s.parts = all[i]
			text, err := s.message(v, header, &calls[i].Args, new(chain.CallOptions))
			if err != nil {
				return err
			}
			r, err := s.parts.replay(text)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return nil
	})
	return out, err
}
