// Package group is what a group of JSON-RPC methods needs of the server that serves it: states that its caller may see, a
// place among the calls that execute, and memory for the reply. Each group is a package of its own, which knows no server.
//
//	rpc ── Server ──> debug, simulate, proof, …
//
// Trust: enclave
package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/sessions"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/internal/budget"
)

// Server is what the server does for a method. The context is the one that the method was called with: it names the caller.
// Errors may be returned as they are by Fail only.
type Server struct {
	Ledger *chain.Ledger
	// Caller is who has called the method.
	Caller func(ctx context.Context) coco.Caller
	// Grant is what the session is good for by which the caller came; nil if it came by another credential.
	Grant func(ctx context.Context) *sessions.Grant
	// View returns the newest state, if the caller may see what the method reads. It MUST be released.
	View func(ctx context.Context, read adapter.Read) (*sight.View, error)
	// ViewAt is View for the state that a parameter of a block means; nil means the newest.
	ViewAt func(ctx context.Context, at *rpc.BlockNumberOrHash, read adapter.Read) (*sight.View, error)
	// Guarded runs what executes within the time of a call, once the caller's organisation has room for it.
	Guarded func(ctx context.Context, fn func(context.Context) error) error
	// Send commits a signed transaction for the caller.
	Send func(ctx context.Context, raw []byte) chain.SendResult
	// Estimate is eth_estimateGas in the next block.
	Estimate func(ctx context.Context, args *callargs.Args) (uint64, error)
	// Sent notes what became of a transaction for the reply, and returns the error of one that was refused, as Fail does.
	Sent func(ctx context.Context, r chain.SendResult) error
	// Claim is what the reply takes in memory; nil in tests.
	Claim func(ctx context.Context) *budget.Claim
	// ReplyBytes is how much of the limit of the reply is left.
	ReplyBytes func(ctx context.Context) int
	// Result makes the result of what was written, or of the error. A result that is too large is refused with the advice
	// what else to ask for.
	Result func(ctx context.Context, out *budget.Buffer, err error, instead string) (json.RawMessage, error)
	// Buffer returns a buffer for the result.
	Buffer func(ctx context.Context) *budget.Buffer
	// Fail gives an error the code that clients decide by; nil stays nil.
	Fail func(error) error
}

// Reply makes the result of a value, or of the error.
func (s *Server) Reply(ctx context.Context, v any, err error, instead string) (json.RawMessage, error) {
	if err != nil {
		return nil, s.Fail(err)
	}
	out := s.Buffer(ctx)
	text, err := json.Marshal(v)
	if err == nil {
		err = out.Own(text)
	}
	return s.Result(ctx, out, err, instead)
}

// Refuse is Fail for what changes or explains links, sessions and policies: a refusal has the code of parameters that cannot be, because what was asked for is
// wrong, and asking again does not help.
func (s *Server) Refuse(err error) error {
	if errors.Is(err, coco.ErrInvalid) || errors.Is(err, coco.ErrDenied) || errors.Is(err, coco.ErrNotFound) {
		err = Errorf(CodeInvalidParams, "%v", err)
	}
	return s.Fail(err)
}

// Submit commits a call that is no transaction of the chain, and returns the id of its transaction of the ledger.
func (s *Server) Submit(ctx context.Context, env *adapter.Env, c interface{ Payload() []byte }) (string, error) {
	r := env.Submit(ctx, &adapter.Call{Caller: s.Caller(ctx), Payload: c.Payload(), Decoded: c, Done: ctx.Done()})[0]
	if r.Err != nil {
		return "", s.Refuse(r.Err)
	}
	return r.TxID.String(), nil
}

// Reads of what a method may come to see that executes whatever its caller gives it, and of all blocks.
var (
	AnyState = adapter.Read{Subject: adapter.State, Table: rows.Accounts, Range: true}
	Blocks   = adapter.Read{Subject: adapter.State, Table: rows.Blocks, Range: true}
)

// BlockAt returns the block that a parameter means, or coco.ErrNotFound.
func BlockAt(ctx context.Context, v *sight.View, at rpc.BlockNumberOrHash) (*blocks.Block, error) {
	if hash, ok := at.Hash(); ok {
		return v.BlockByHash(ctx, hash)
	}
	n, _ := at.Number()
	switch {
	case n >= 0:
		return v.Block(ctx, uint64(n))
	case n == rpc.EarliestBlockNumber:
		return v.Block(ctx, 0)
	}
	return v.Block(ctx, v.Number())
}

// First returns the first block, from low to high, for whose state ok holds. It MUST hold from some block on, and at high.
func (s *Server) First(ctx context.Context, low, high uint64, read adapter.Read, ok func(*sight.View) (bool, error)) (uint64, error) {
	for low < high {
		middle := (low + high) / 2
		holds, err := s.Holds(ctx, middle, read, ok)
		if err != nil {
			return 0, err
		}
		if holds {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return high, nil
}

// Holds reports whether ok holds for the state of a block.
func (s *Server) Holds(ctx context.Context, number uint64, read adapter.Read, ok func(*sight.View) (bool, error)) (bool, error) {
	at := rpc.BlockNumberOrHashWithNumber(rpc.BlockNumber(number))
	v, err := s.ViewAt(ctx, &at, read)
	if err != nil {
		return false, err
	}
	defer v.Release()
	return ok(v)
}

// Codes of errors.
const (
	CodeReverted      = 3
	CodeServer        = -32000
	CodeReplyTooLarge = -32003
	CodeLimit         = -32005
	CodeInvalidParams = -32602
	CodeInternal      = -32603
)

// maxRevertData bounds what an error carries of what a contract said, in bytes.
const maxRevertData = 128 << 10

// Reverted says why a contract refused: the reason if it is a string or a panic code of
// Solidity, and the data as it came.
func Reverted(data []byte) *Error {
	if len(data) > maxRevertData {
		return Errorf(CodeReverted, "%v, with %d bytes of data, which are left out: at most %d are shown", vm.ErrExecutionReverted, len(data), maxRevertData)
	}
	e := &Error{Code: CodeReverted, Message: vm.ErrExecutionReverted.Error(), Data: hexutil.Encode(data)}
	if reason, err := abi.UnpackRevert(data); err == nil {
		e.Message += ": " + reason
	}
	return e
}

// Error is an error with a code of JSON-RPC.
type Error struct {
	Code    int
	Message string
	Data    any // nil: none
}

// Errorf returns an error with a code.
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Message }

// ErrorCode implements rpc.Error.
func (e *Error) ErrorCode() int { return e.Code }

// ErrorData implements rpc.DataError.
func (e *Error) ErrorData() any { return e.Data }
