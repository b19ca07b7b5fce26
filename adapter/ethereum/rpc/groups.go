package rpc

import (
	"context"
	"encoding/json"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/debug"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/development"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/facts"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/fees"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/fill"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/identity"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/openrpc"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/otter"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/pool"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/rules"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/simulate"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/states"
	"github.com/cocoframework/coco/adapter/ethereum/sessions"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/internal/budget"
)

// group is what groups of methods need of the server.
func (s *Server) group() *group.Server {
	return &group.Server{
		Ledger: s.ledger,
		Caller: func(ctx context.Context) coco.Caller { return exchangeOf(ctx).caller },
		Grant:  func(ctx context.Context) *sessions.Grant { return exchangeOf(ctx).grant },
		View: func(ctx context.Context, read adapter.Read) (*sight.View, error) {
			return s.view(exchangeOf(ctx), read)
		},
		ViewAt: func(ctx context.Context, at *rpc.BlockNumberOrHash, read adapter.Read) (*sight.View, error) {
			return s.viewAt(ctx, exchangeOf(ctx), at, read)
		},
		Guarded: func(ctx context.Context, fn func(context.Context) error) error {
			return s.guarded(ctx, exchangeOf(ctx).caller, fn)
		},
		Send: func(ctx context.Context, raw []byte) chain.SendResult {
			return s.send(ctx, exchangeOf(ctx), false, raw)[0]
		},
		Claim:      func(ctx context.Context) *budget.Claim { return exchangeOf(ctx).claim },
		ReplyBytes: func(ctx context.Context) int { return s.limits().ReplyBytes - exchangeOf(ctx).size },
		Buffer:     func(ctx context.Context) *budget.Buffer { return s.buffer(exchangeOf(ctx)) },
		Result: func(ctx context.Context, out *budget.Buffer, err error, instead string) (json.RawMessage, error) {
			return s.result(exchangeOf(ctx), out, err, instead)
		},
		Estimate: func(ctx context.Context, args *callargs.Args) (uint64, error) {
			return s.estimate(ctx, exchangeOf(ctx), nil, args, &chain.CallOptions{})
		},
		Sent: func(ctx context.Context, r chain.SendResult) error {
			x := exchangeOf(ctx)
			if r.Err != nil {
				return x.failed(r.Err)
			}
			x.commits(r.TxID)
			return nil
		},
		Fail: func(err error) error {
			_, err = rpcResult(struct{}{}, err)
			return err
		},
	}
}

// groups are the methods of the server by their namespaces: its own, and those that packages of their own have.
func (s *Server) groups() map[string][]any {
	g := s.group()
	all := map[string][]any{
		"coco":   {&cocoMethods{s}, identity.New(g, s.env), identity.NewSessions(g, s.env), s.unsigned, rules.New(g, s.sights, s.env)},
		"debug":  {debug.New(g), states.NewLists(g)},
		"eth":    {&ethMethods{s}, facts.New(g), fill.New(g), debug.NewEncodings(g), fees.New(g), pool.NewPending(g), simulate.New(g), states.New(g)},
		"erigon": {otter.NewErigon(g)},
		"parity": {pool.NewPending(g)}, // which indexers ask for that take a node for Parity
		"net":    {&netMethods{s}, facts.NewNet()},
		"ots":    {otter.New(g)},
		"trace":  {debug.NewFlat(g)},
		"txpool": {pool.New(g)},
		"web3":   {&web3Methods{s}},
	}
	all["rpc"] = []any{openrpc.New(all, g.Reply)}
	if s.ledger.Settings().Development {
		for name, methods := range development.Groups(g, s.env) {
			all[name] = append(all[name], methods)
		}
	}
	return all
}
