package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
)

// Problem is a row of the table of errors: how one kind of error is told at each border.
type Problem struct {
	Code   string // in JSON, the error's name for programs
	Kind   error  // that errors.Is finds on both sides; nil for an error of no kind
	Status int    // of HTTP
	Retry  bool   // the same request may be sent again in a moment
	Exit   int    // exit code of the command line
	Number uint8  // in frames between nodes
	// Hidden: a node that meets it while it serves a client answers Internal. What fails inside a node is for
	// its log only.
	Hidden bool
}

// The codes. They are part of the format: a code is never renamed and never used for another kind.
const (
	CodeVerify        = "verification_failed"
	CodeCorrupt       = "corrupt"
	CodeUnknown       = "outcome_unknown"
	CodeDenied        = "denied"
	CodeNoCertificate = "unauthenticated"
	CodeInvalid       = "invalid"
	CodeMethod        = "method_not_allowed"
	CodePrecondition  = "precondition_failed"
	CodeTooLarge      = "too_large"
	CodeMediaType     = "unsupported_media_type"
	CodeMisdirected   = "misdirected"
	CodeNotFound      = "not_found"
	CodePending       = "pending"
	CodeMissing       = "missing"
	CodeEpochClosed   = "epoch_closed"
	CodeBusy          = "busy"
	CodeStale         = "stale"
	CodeNotCommitted  = "not_committed"
	CodeTooSlow       = "too_slow"
	CodeUnreachable   = "unreachable"
	CodeInternal      = "internal"
)

// InternalMessage is all that a client learns of an internal error.
const InternalMessage = "internal error; the node's log says more"

// problems is the table. The most careful row comes first: an error of two kinds whose outcome may be unknown
// is unknown. The first row of a kind is the kind's own; an error selects another one by its method
// WireCode.
var problems = []Problem{
	{Code: CodeVerify, Kind: coco.ErrVerify, Status: 502, Exit: ExitVerify, Number: 8, Hidden: true},
	{Code: CodeCorrupt, Kind: coco.ErrCorrupt, Status: 502, Exit: ExitVerify, Number: 9, Hidden: true},
	{Code: CodeUnknown, Kind: coco.ErrUnknown, Status: 504, Exit: ExitNotCommitted, Number: 6},
	{Code: CodeDenied, Kind: coco.ErrDenied, Status: 403, Exit: ExitDenied, Number: 3},
	{Code: CodeNoCertificate, Kind: coco.ErrDenied, Status: 401, Exit: ExitDenied, Number: 3},
	{Code: CodeInvalid, Kind: coco.ErrInvalid, Status: 400, Exit: ExitUsage, Number: 1},
	{Code: CodeMethod, Kind: coco.ErrInvalid, Status: 405, Exit: ExitUsage, Number: 1},
	{Code: CodePrecondition, Kind: coco.ErrInvalid, Status: 412, Exit: ExitUsage, Number: 1},
	{Code: CodeTooLarge, Kind: coco.ErrInvalid, Status: 413, Exit: ExitUsage, Number: 1},
	{Code: CodeMediaType, Kind: coco.ErrInvalid, Status: 415, Exit: ExitUsage, Number: 1},
	{Code: CodeMisdirected, Kind: coco.ErrInvalid, Status: 421, Exit: ExitUsage, Number: 1},
	{Code: CodeNotFound, Kind: coco.ErrNotFound, Status: 404, Exit: ExitError, Number: 2},
	{Code: CodePending, Kind: coco.ErrPending, Status: 202, Retry: true, Exit: ExitNotCommitted, Number: 10},
	{Code: CodeMissing, Kind: coco.ErrMissing, Status: 503, Exit: ExitError, Number: 11},
	{Code: CodeEpochClosed, Kind: coco.ErrMissing, Status: 503, Exit: ExitError, Number: 11},
	{Code: CodeBusy, Kind: coco.ErrBusy, Status: 503, Retry: true, Exit: ExitNotCommitted, Number: 4},
	{Code: CodeStale, Kind: coco.ErrBusy, Status: 503, Retry: true, Exit: ExitNotCommitted, Number: 4},
	{Code: CodeNotCommitted, Kind: coco.ErrNotCommitted, Status: 503, Retry: true, Exit: ExitNotCommitted, Number: 5},
	{Code: CodeTooSlow, Kind: coco.ErrNotCommitted, Status: 408, Retry: true, Exit: ExitNotCommitted, Number: 5},
	{Code: CodeUnreachable, Kind: coco.ErrUnreachable, Status: 503, Retry: true, Exit: ExitUnreachable, Number: 7},
	{Code: CodeInternal, Status: 500, Exit: ExitError, Number: 12},
}

// Problems returns the table, the most careful row first.
func Problems() []Problem { return slices.Clone(problems) }

// ProblemOf returns the row of an error of this process, Internal's if it is of no kind.
func ProblemOf(err error) Problem {
	return find(err, func(p Problem) bool { return true })
}

// AnswerTo returns the row by which a node answers a client. It differs from ProblemOf where the error is the
// node's own matter: a hidden kind counts only if there is no other. A request that was cancelled or ran out
// of time has an unknown outcome, and any other timeout is that of the connection on which the request's
// body arrives.
func AnswerTo(err error) Problem {
	p := find(err, func(p Problem) bool { return !p.Hidden })
	if p.Kind != nil {
		return p
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return ByCode(CodeUnknown)
	}
	if late := interface{ Timeout() bool }(nil); errors.As(err, &late) && late.Timeout() {
		return ByCode(CodeTooSlow)
	}
	return p
}

func find(err error, among func(Problem) bool) Problem {
	for _, p := range problems {
		if p.Kind == nil || !among(p) || !errors.Is(err, p.Kind) {
			continue
		}
		if named := interface{ WireCode() string }(nil); errors.As(err, &named) {
			if q := ByCode(named.WireCode()); q.Kind == p.Kind {
				return q
			}
		}
		return p
	}
	return ByCode(CodeInternal)
}

// ByCode returns the row with a code, Internal's if there is none.
func ByCode(code string) Problem {
	for _, p := range problems {
		if p.Code == code {
			return p
		}
	}
	return problems[len(problems)-1]
}

// Number returns the number by which a node tells another one of what kind an error is. The other may have
// to repeat it to a client, so it is the kind that a client of this node would be told, if there is one.
func Number(err error) uint8 {
	if p := AnswerTo(err); p.Kind != nil {
		return p.Number
	}
	return ProblemOf(err).Number
}

// FromNumber returns the error that a node reported by a number; nil for 0. A number that this version does
// not know stands for an error of no kind.
func FromNumber(n uint8, message string) error {
	if n == 0 {
		return nil
	}
	for _, p := range problems {
		if p.Number == n {
			return &Error{Problem: p, Message: message}
		}
	}
	return &Error{Problem: ByCode(CodeInternal), Message: message}
}

// Error is an error that names its row: another process reported it, or a kind has several codes. It unwraps
// to the row's kind.
type Error struct {
	Problem
	Message string
}

func (e *Error) Error() string {
	switch {
	case e.Message != "":
		return e.Message
	case e.Kind != nil:
		return fmt.Sprintf("the node answers %v (%d)", e.Kind, e.Status)
	}
	return fmt.Sprintf("the node answers with status %d", e.Status)
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// WireCode returns the code of the row.
func (e *Error) WireCode() string { return e.Code }

// ErrorAnswer is the body of an HTTP answer that reports an error.
type ErrorAnswer struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"` // for people
	} `json:"error"`
}

// Body returns the JSON body of an answer.
func (p Problem) Body(message string) []byte {
	var a ErrorAnswer
	a.Error.Code, a.Error.Message = p.Code, message
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // two strings
	}
	return append(text, '\n')
}

// FromAnswer returns the error that an HTTP answer reports; nil if it is a success. An answer of status 202 is
// an error if its body says so, and a success otherwise. A code counts only together with its status, so what
// did not come from a node, or from a newer one, is judged by its status alone.
func FromAnswer(status int, body []byte) error {
	if status == 200 || status == 201 || status == 204 { // without a look at the body, which may be large
		return nil
	}
	var a ErrorAnswer
	if json.Unmarshal(body, &a) != nil {
		a = ErrorAnswer{}
	}
	p := ByCode(a.Error.Code)
	switch {
	case p.Status == status && p.Code == a.Error.Code:
	case status >= 200 && status <= 299:
		return nil
	default:
		p = byStatus(status)
	}
	return &Error{Problem: p, Message: a.Error.Message}
}

// byStatus returns a row for a status alone.
func byStatus(status int) Problem {
	p := ByCode(CodeInternal)
	switch {
	case status == 401:
		return ByCode(CodeNoCertificate)
	case status == 503: // of its codes the one that asks for nothing but patience
		return ByCode(CodeBusy)
	case status == 502: // no node answers this
		return ByCode(CodeCorrupt)
	}
	for _, row := range problems {
		if row.Status == status {
			return row
		}
	}
	if status >= 400 && status <= 499 {
		p = ByCode(CodeInvalid)
	}
	p.Code, p.Status = "", status
	return p
}
