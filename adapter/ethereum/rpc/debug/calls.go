package debug

import (
	"context"
	"encoding/json"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/eth/tracers"

	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// Frame is a call, or the creation of a contract, as the tracer callTracer shows it.
type Frame struct {
	Type   string
	From   common.Address
	To     *common.Address
	Value  *hexutil.Big
	Input  hexutil.Bytes
	Output hexutil.Bytes
	Error  string
	Calls  []Frame
}

// Walk calls fn with the frame and all below it in their order, with their depths.
func (f *Frame) Walk(depth int, fn func(depth int, f *Frame)) {
	fn(depth, f)
	for i := range f.Calls {
		f.Calls[i].Walk(depth+1, fn)
	}
}

// Calls executes transactions of a block of a view again, from first to last, and returns the calls of each.
func Calls(ctx context.Context, s *group.Server, v *sight.View, b *blocks.Block, first, last int) ([]Frame, error) {
	name := "callTracer"
	var out []Frame
	err := New(s).guarded(ctx, &tracers.TraceConfig{Tracer: &name}, func(s *session) error {
		var err error
		out, err = traces[Frame](s, v, b, first, last)
		return err
	})
	return out, err
}

// traces executes transactions of a block again and returns what the tracer shows of each.
func traces[T any](s *session, v *sight.View, b *blocks.Block, first, last int) (all []T, err error) {
	err = s.block(v, b, func(_ int, t *blocks.Transaction) error {
		text, err := s.transaction(b, t)
		if err != nil {
			return err
		}
		var trace T
		err = json.Unmarshal(text, &trace)
		all = append(all, trace)
		return err
	}, first, last)
	return all, err
}
