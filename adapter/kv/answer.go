package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/cocoframework/coco"
)

// preconditionError is a write, or a read, whose condition did not hold.
type preconditionError struct {
	op, of    int // which of how many operations; of is 0 for a read
	condition condition
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

// Unwrap makes it an invalid request for who does not know better.
func (e *preconditionError) Unwrap() error { return coco.ErrInvalid }

// tooLargeError is a value above the limit of the constitution.
type tooLargeError struct{ limit int }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("value too large: expected at most %d bytes", e.limit)
}

func (e *tooLargeError) Unwrap() error { return coco.ErrInvalid }

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

// kinds maps errors to answers as the gateway does, the most careful one first.
var kinds = []struct {
	kind   error
	status int
	code   string
}{
	{coco.ErrUnknown, http.StatusGatewayTimeout, "outcome_unknown"},
	{coco.ErrDenied, http.StatusForbidden, "denied"},
	{coco.ErrInvalid, http.StatusBadRequest, "invalid"},
	{coco.ErrNotFound, http.StatusNotFound, "not_found"},
	{coco.ErrPending, http.StatusAccepted, "pending"},
	{coco.ErrMissing, http.StatusServiceUnavailable, "missing"},
	{coco.ErrBusy, http.StatusServiceUnavailable, "busy"},
	{coco.ErrNotCommitted, http.StatusServiceUnavailable, "not_committed"},
	{coco.ErrUnreachable, http.StatusServiceUnavailable, "unreachable"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "outcome_unknown"},
	{context.Canceled, http.StatusGatewayTimeout, "outcome_unknown"},
}

func classify(err error) (status int, code string) {
	if refused := (*preconditionError)(nil); errors.As(err, &refused) {
		return http.StatusPreconditionFailed, "precondition_failed"
	}
	large, body := (*tooLargeError)(nil), (*http.MaxBytesError)(nil)
	if errors.As(err, &large) || errors.As(err, &body) {
		return http.StatusRequestEntityTooLarge, "too_large"
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.status, k.code
		}
	}
	if late(err) {
		return http.StatusRequestTimeout, "too_slow"
	}
	return http.StatusInternalServerError, "internal"
}

func (l *ledger) fail(w http.ResponseWriter, err error) {
	status, code := classify(err)
	message := err.Error()
	switch status {
	case http.StatusInternalServerError:
		l.env.Log.Error("kv: a request failed", "error", err)
		message = "internal error; the node's log says more"
	case http.StatusAccepted, http.StatusServiceUnavailable:
		if code != "missing" { // which no repetition mends
			w.Header().Set("Retry-After", "1")
		}
	}
	text, err := json.Marshal(map[string]any{"error": map[string]string{"code": code, "message": message}})
	if err != nil {
		panic(err) // two strings
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that has gone
}

func (l *ledger) answer(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		l.fail(w, err)
		return
	}
	writeContent(w, "application/json", append(text, '\n'))
}

func writeContent(w http.ResponseWriter, contentType string, content []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) // a client that has gone
}

// setID tells the transaction that a write became, or whose state was read.
func setID(w http.ResponseWriter, id coco.TxID) {
	w.Header()["X-Coco-Transaction-Id"] = []string{id.String()}
}

func setTag(w http.ResponseWriter, version uint64) {
	w.Header()["Etag"] = []string{`"` + strconv.FormatUint(version, 10) + `"`}
}
