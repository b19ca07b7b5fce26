// Package reason says why a proposal ended as it did, and why a change is not possible: a code with typed
// arguments. Codes are stored with a proposal and compared when an audit repeats the decision. Sentences are
// made of them where people read:
//
//	decide ──► Reason{unlisted, code[…], "virtual:aa"} ──► ledger, audit: compared byte by byte
//	                        └──► String ──► HTTP, command line, log: may be reworded at any time
//
// A code, once released, keeps its meaning and its arguments for ever; see docs/adr/0009.
//
// Trust: either
package reason

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cocoframework/coco"
)

// Code tells reasons apart.
type Code string

// MaxText bounds each text of a Reason, in bytes.
const MaxText = 256

// Reason is a code with its arguments. Each code takes some of them; the others are zero. Its canonical form
// is that of package canon.
type Reason struct {
	Code Code `cbor:"1,keyasint"`
	// Action is the number, from 1 on, of the action that it is about, if the proposal has several.
	Action uint64 `cbor:"2,keyasint,omitempty"`
	// Subject is what the reason is about: an actor, a node, a measurement, a policy, or the path of a field
	// of the constitution. Other is what it conflicts with, or what it belongs to.
	Subject string `cbor:"3,keyasint,omitempty"`
	Other   string `cbor:"4,keyasint,omitempty"`
	// Low and High bound a number.
	Low  int64 `cbor:"5,keyasint,omitempty"`
	High int64 `cbor:"6,keyasint,omitempty"`
}

// New returns a reason. Texts beyond MaxText are cut.
func New(code Code, subject, other string) Reason {
	return Reason{Code: code, Subject: cut(subject), Other: cut(other)}
}

// Range returns the reason that a number is not within its bounds.
func Range(subject string, low, high int64) Reason {
	r := New(OutOfRange, subject, "")
	r.Low, r.High = low, high
	return r
}

// cut returns the beginning of a text, in whole characters.
func cut(s string) string {
	if len(s) > MaxText {
		s = s[:MaxText]
	}
	return strings.ToValidUTF8(s, "")
}

// String returns the sentence for people; it is empty for no reason.
func (r *Reason) String() string {
	if r == nil {
		return ""
	}
	text := sentence(r)
	if r.Action > 0 {
		text = fmt.Sprintf("action %d: %s", r.Action, text)
	}
	return text
}

// CodeOf returns the code of a reason; empty for no reason.
func CodeOf(r *Reason) Code {
	if r == nil {
		return ""
	}
	return r.Code
}

// Error is a change that is not possible, for a Reason. It is coco.ErrInvalid.
type Error struct {
	Reason
	// Context says in words what was tried. Detail, if not empty, is more exact than the reason's sentence.
	// Neither is stored.
	Context, Detail string
	Cause           error // may be nil
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		r := e.Reason
		r.Action = 0
		text = r.String()
		if e.Cause != nil {
			text += ": " + strings.TrimPrefix(e.Cause.Error(), coco.ErrInvalid.Error()+": ")
		}
	}
	if e.Context != "" {
		text = e.Context + ": " + text
	}
	text = fmt.Sprintf("%v: %s", coco.ErrInvalid, text)
	if e.Action > 0 {
		text = fmt.Sprintf("action %d: %s", e.Action, text)
	}
	return text
}

// Unwrap returns coco.ErrInvalid and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{coco.ErrInvalid}
	}
	return []error{coco.ErrInvalid, e.Cause}
}

// Of returns the reason of an error, and whether it has one.
func Of(err error) (Reason, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason, true
	}
	return Reason{}, false
}
