package rpc

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/vm"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// JSON-RPC error codes, of the specification, of EIP-1474 and of go-ethereum.
const (
	codeReverted      = 3
	codeServer        = -32000
	codeUnavailable   = -32002
	codeLimit         = -32005
	codeParseError    = -32700
	codeInvalidParams = -32602
	codeNoMethod      = -32601
	codeInternal      = -32603
	codeReplyTooLarge = -32003
)

// rpcError is an error with a JSON-RPC code. go-ethereum's server asks the error itself, not what
// it wraps, so methods return no other kind: see rpcErrorOf.
type rpcError struct {
	code    int
	message string
	data    any // nil: none
}

func (e *rpcError) Error() string  { return e.message }
func (e *rpcError) ErrorCode() int { return e.code }
func (e *rpcError) ErrorData() any { return e.data }

func rpcErrorf(code int, format string, args ...any) *rpcError {
	return &rpcError{code: code, message: fmt.Sprintf(format, args...)}
}

// retryLater is the data of an error that another try may mend.
type retryLater struct {
	RetryAfter int `json:"retryAfter"` // seconds
}

// rpcErrorOf gives err the code that clients decide by, and says whether to send the call again.
func rpcErrorOf(err error) *rpcError {
	var e *rpcError
	var coded *group.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &coded):
		return &rpcError{coded.Code, coded.Message, coded.Data}
	case errors.As(err, new(*adapter.StaleError)):
		e := rpcErrorf(codeUnavailable, "%v", err)
		e.data = retryLater{RetryAfter: 1}
		return e
	case errors.Is(err, coco.ErrPending):
		e := rpcErrorf(codeUnavailable, "being prepared, ask again in a second (%v)", err)
		e.data = retryLater{RetryAfter: 1}
		return e
	case errors.Is(err, coco.ErrMissing):
		return rpcErrorf(codeUnavailable, "not on this node, ask another one (%v)", err)
	case errors.Is(err, adapter.ErrPastLimit), errors.As(err, new(*logs.LimitError)):
		return &rpcError{code: codeLimit, message: err.Error()}
	case errors.Is(err, coco.ErrBusy):
		return rpcErrorf(codeLimit, "busy, nothing was done: send the same call again in a moment (%v)", err)
	case errors.Is(err, coco.ErrNotCommitted):
		return rpcErrorf(codeServer, "not committed: send the same transaction again (%v)", err)
	case errors.Is(err, coco.ErrUnknown):
		return rpcErrorf(codeServer, "outcome unknown, the transaction may still commit: "+
			"ask for its receipt, or send the same transaction again by "+sendAgain+"; it never executes twice (%v)", err)
	}
	return &rpcError{code: codeServer, message: err.Error()}
}

// rpcResult returns err as a plain nil if it is nil.
func rpcResult[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, rpcErrorOf(err)
	}
	return v, nil
}

// maxRevertData bounds what an error carries of what a contract said, in bytes.
const maxRevertData = 128 << 10

// revertError says why a contract refused: the reason if it is a string or a panic code of
// Solidity, and the data as it came.
func revertError(data []byte) *rpcError {
	if len(data) > maxRevertData {
		return rpcErrorf(codeReverted, "%v, with %d bytes of data, which are left out: at most %d are shown", vm.ErrExecutionReverted, len(data), maxRevertData)
	}
	e := &rpcError{code: codeReverted, message: vm.ErrExecutionReverted.Error(), data: hexutil.Encode(data)}
	if reason, err := abi.UnpackRevert(data); err == nil {
		e.message += ": " + reason
	}
	return e
}

// appendError writes the reply to a call that failed, as go-ethereum's server does. The id may be
// missing.
func appendError(b, id []byte, err error) []byte {
	e := rpcErrorOf(err)
	enc, jsonErr := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	}{e.code, e.message, e.data})
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
