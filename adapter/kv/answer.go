package kv

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/precondition"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

// preconditionError is a write, or a read, whose condition did not hold.
type preconditionError struct {
	op, of    int // which of how many operations; of is 0 for a read
	condition precondition.Condition
	found     uint64
}

func (e *preconditionError) Error() string {
	found := "no such key"
	if e.found != 0 {
		found = fmt.Sprintf("version %d", e.found)
	}
	text := fmt.Sprintf("precondition failed: expected %v, found %s", e.condition, found)
	if e.of > 1 {
		return fmt.Sprintf("operation %d: %s; nothing was written", e.op, text)
	}
	return text
}

// Unwrap makes it an invalid request.
func (e *preconditionError) Unwrap() error { return coco.ErrInvalid }

// WireCode selects the row of the table of errors.
func (e *preconditionError) WireCode() string { return wire.CodePrecondition }

// tooLargeError is a value above the limit of the constitution.
type tooLargeError struct{ limit int }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("value too large: expected at most %d bytes", e.limit)
}

func (e *tooLargeError) Unwrap() error { return coco.ErrInvalid }

// WireCode selects the row of the table of errors.
func (e *tooLargeError) WireCode() string { return wire.CodeTooLarge }

func (s Settings) valueTooLarge() error { return &tooLargeError{s.MaxValueBytes} }

// bodyError gives an error of reading a body its kind.
func bodyError(err error) error {
	if unread(err) {
		return err
	}
	return fmt.Errorf("%w: the body ended early: %v", coco.ErrInvalid, err)
}

// unread tells a body that the gateway did not let pass, for its size or its slowness.
func unread(err error) bool {
	big := (*http.MaxBytesError)(nil)
	return errors.As(err, &big) || late(err)
}

// late is true for a read deadline that has passed.
func late(err error) bool {
	t := interface{ Timeout() bool }(nil)
	return errors.As(err, &t) && t.Timeout()
}

// problemOf returns the row of the table of errors by which a request is answered.
func problemOf(err error) wire.Problem {
	if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
		return wire.ByCode(wire.CodeTooLarge)
	}
	return wire.AnswerTo(err)
}

func (l *ledger) fail(w http.ResponseWriter, err error) {
	p, message := problemOf(err), err.Error()
	if p.Code == wire.CodeInternal {
		l.env.Log.Error("kv: a request failed", "error", err)
		message = wire.InternalMessage
	}
	problem.Write(w, p, message)
}

func (l *ledger) answer(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		l.fail(w, err)
		return
	}
	writeContent(w, wire.MediaJSON, append(text, '\n'))
}

// answerPage answers by a page, whose JSON is claimed while it is built. A page is small beside the budget, so a refusal
// is a matter of the moment.
func (l *ledger) answerPage(w http.ResponseWriter, write func(*budget.Buffer) error) {
	out := budget.NewBuffer(adapter.ClaimOf(w), 0)
	defer out.Release()
	if err := write(out); err != nil {
		w.Header().Del(wire.HeaderTxID)
		l.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", wire.MediaJSON)
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	_, _ = out.WriteTo(w) // a client that has gone
}

func writeContent(w http.ResponseWriter, contentType string, content []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) // a client that has gone
}

// setID tells the transaction that a write became, or whose state was read.
func setID(w http.ResponseWriter, id coco.TxID) {
	w.Header()[wire.HeaderTxID] = []string{id.String()}
}

func setTag(w http.ResponseWriter, version uint64) {
	w.Header()["Etag"] = []string{`"` + strconv.FormatUint(version, 10) + `"`}
}
