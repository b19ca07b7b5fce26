package rpc

import (
	"context"
	"errors"
	"math/big"

	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// isTag tells whether a block parameter is one of the words that mean the newest block here, or is missing.
func isTag(at *rpc.BlockNumberOrHash) bool {
	if at == nil {
		return true
	}
	n, ok := at.Number()
	return ok && n < 0 && n != rpc.EarliestBlockNumber
}

// isPending tells whether a block parameter is the word for the next block.
func isPending(at *rpc.BlockNumberOrHash) bool {
	n := rpc.LatestBlockNumber
	if at != nil {
		n, _ = at.Number()
	}
	return n == rpc.PendingBlockNumber
}

var pending = byNumber(rpc.PendingBlockNumber)

// callMessage runs eth_call and returns what the contract returned.
func (s *Server) callMessage(ctx context.Context, x *exchange, at *rpc.BlockNumberOrHash, args *callargs.Args, o *chain.CallOptions) ([]byte, error) {
	v, err := s.viewAt(ctx, x, at, readAccount(args.To))
	if err != nil {
		return nil, err
	}
	defer v.Release()
	o.Next = isPending(at)
	msg, err := args.Message(v, s.baseFee(o), s.ledger.ChainID())
	if err != nil {
		return nil, err
	}
	var res *chain.CallResult
	err = s.guarded(ctx, x.caller, func(ctx context.Context) (err error) {
		res, err = v.Call(ctx, s.ledger, msg, o)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(res.Err, vm.ErrExecutionReverted):
		return nil, group.Reverted(res.Return)
	case res.Err != nil:
		return nil, res.Err
	}
	return res.Return, nil
}

// estimate runs eth_estimateGas. What is estimated is about to be sent, so it meets the next block, unless a
// block is asked for by its number or hash.
func (s *Server) estimate(ctx context.Context, x *exchange, at *rpc.BlockNumberOrHash, args *callargs.Args, o *chain.CallOptions) (uint64, error) {
	v, err := s.viewAt(ctx, x, at, readAccount(args.To))
	if err != nil {
		return 0, err
	}
	defer v.Release()
	o.Next = isTag(at)
	msg, err := args.Message(v, s.baseFee(o), s.ledger.ChainID())
	if err != nil {
		return 0, err
	}
	var gas uint64
	var res *chain.CallResult
	err = s.guarded(ctx, x.caller, func(ctx context.Context) (err error) {
		gas, res, err = v.EstimateGas(ctx, s.ledger, msg, o)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case gas == 0 && res != nil && errors.Is(res.Err, vm.ErrExecutionReverted):
		return 0, group.Reverted(res.Return)
	case gas == 0 && res != nil && res.Err != nil:
		return 0, res.Err
	}
	return gas, nil
}

// baseFee is the base fee that a call meets.
func (s *Server) baseFee(o *chain.CallOptions) *big.Int {
	if o.Block != nil && o.Block.BaseFee != nil {
		return o.Block.BaseFee
	}
	return s.ledger.BaseFee()
}

// viewAt returns the state that a block parameter means. Blocks are final at once, so latest,
// safe, finalized and pending mean the same state, and so does no parameter; what is executed at pending
// meets another block (see chain.CallOptions).
func (s *Server) viewAt(ctx context.Context, x *exchange, at *rpc.BlockNumberOrHash, read adapter.Read) (*sight.View, error) {
	v, err := s.view(x, read)
	if err != nil || at == nil {
		return v, err
	}
	var number uint64
	if hash, ok := at.Hash(); ok {
		n, err := v.NumberOf(ctx, hash)
		if err != nil {
			v.Release()
			if errors.Is(err, coco.ErrNotFound) {
				err = errors.New("header for hash not found")
			}
			return nil, err
		}
		number = n
	} else {
		n, _ := at.Number()
		number = resolveNumber(n, v.Number())
	}
	if number == v.Number() {
		return v, nil
	}
	head := v.Number()
	v.Release()
	if number > head {
		return nil, errors.New("header not found")
	}
	return s.sights.ViewAt(ctx, number, s.pastReader(x), &x.caller)
}

// resolveNumber replaces a tag by the number of the block that it names.
func resolveNumber(n rpc.BlockNumber, head uint64) uint64 {
	switch {
	case n >= 0:
		return uint64(n)
	case n == rpc.EarliestBlockNumber:
		return 0
	}
	return head
}
