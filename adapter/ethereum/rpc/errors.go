package rpc

import (
	"encoding/json"
	"errors"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/wire"
)

// JSON-RPC error codes, of the specification, of EIP-1474 and of go-ethereum.
const (
	codeServer        = group.CodeServer
	codeUnavailable   = -32002
	codeLimit         = group.CodeLimit
	codeParseError    = -32700
	codeInvalidParams = group.CodeInvalidParams
	codeNoMethod      = -32601
	codeInternal      = group.CodeInternal
	codeReplyTooLarge = group.CodeReplyTooLarge
)

// retryLater is the data of an error that another try may mend.
type retryLater struct {
	RetryAfter int `json:"retryAfter"` // seconds
}

// rpcErrorOf gives err the code that clients decide by, and says whether to send the call again. go-ethereum's server asks the error
// itself for its code, not what it wraps, so methods return no other kind.
func rpcErrorOf(err error) *group.Error {
	var e *group.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, new(*adapter.StaleError)):
		e := group.Errorf(codeUnavailable, "%v", err)
		e.Data = retryLater{RetryAfter: 1}
		return e
	case errors.Is(err, coco.ErrPending):
		e := group.Errorf(codeUnavailable, "being prepared, ask again in a second (%v)", err)
		e.Data = retryLater{RetryAfter: 1}
		return e
	case wire.ProblemOf(err).Code == wire.CodeEpochClosed:
		return group.Errorf(codeUnavailable, "%v", err) // no other node has it
	case errors.Is(err, coco.ErrMissing):
		return group.Errorf(codeUnavailable, "not on this node, ask another one (%v)", err)
	case errors.Is(err, adapter.ErrPastLimit), errors.As(err, new(*logs.LimitError)):
		return &group.Error{Code: codeLimit, Message: err.Error()}
	case errors.Is(err, coco.ErrBusy):
		return group.Errorf(codeLimit, "busy, nothing was done: send the same call again in a moment (%v)", err)
	case errors.Is(err, coco.ErrNotCommitted):
		return group.Errorf(codeServer, "not committed: send the same transaction again (%v)", err)
	case errors.Is(err, coco.ErrUnknown):
		return group.Errorf(codeServer, "outcome unknown, the transaction may still commit: "+
			"ask for its receipt, or send the same transaction again by "+sendAgain+"; it never executes twice (%v)", err)
	}
	return &group.Error{Code: codeServer, Message: err.Error()}
}

// rpcResult returns err as a plain nil if it is nil.
func rpcResult[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, rpcErrorOf(err)
	}
	return v, nil
}

// appendError writes the reply to a call that failed, as go-ethereum's server does. The id may be
// missing.
func appendError(b, id []byte, err error) []byte {
	e := rpcErrorOf(err)
	enc, jsonErr := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	}{e.Code, e.Message, e.Data})
	if jsonErr != nil { // data is what this package makes it
		enc = []byte(`{"code":-32603,"message":"internal error"}`)
	}
	b = append(b, `{"jsonrpc":"2.0"`...)
	if id != nil {
		b = append(append(b, `,"id":`...), id...)
	}
	b = append(b, `,"error":`...)
	b = append(b, enc...)
	return append(b, '}')
}

// appendReply begins the reply to a call that succeeded; the result and a brace must follow.
func appendReply(b, id []byte) []byte {
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, id...)
	return append(b, `,"result":`...)
}
