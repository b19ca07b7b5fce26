package wire_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// The table is a format: codes and statuses are what programs decide by, numbers are what nodes of other
// versions send, exit codes are what scripts test.
func TestErrorTableIsFixed(t *testing.T) {
	want := []struct {
		code   string
		kind   error
		status int
		retry  bool
		exit   int
		number uint8
		hidden bool
	}{
		{"verification_failed", coco.ErrVerify, http.StatusBadGateway, false, 3, 8, true},
		{"corrupt", coco.ErrCorrupt, http.StatusBadGateway, false, 3, 9, true},
		{"outcome_unknown", coco.ErrUnknown, http.StatusGatewayTimeout, false, 5, 6, false},
		{"denied", coco.ErrDenied, http.StatusForbidden, false, 4, 3, false},
		{"unauthenticated", coco.ErrDenied, http.StatusUnauthorized, false, 4, 3, false},
		{"invalid", coco.ErrInvalid, http.StatusBadRequest, false, 2, 1, false},
		{"method_not_allowed", coco.ErrInvalid, http.StatusMethodNotAllowed, false, 2, 1, false},
		{"precondition_failed", coco.ErrInvalid, http.StatusPreconditionFailed, false, 2, 1, false},
		{"too_large", coco.ErrInvalid, http.StatusRequestEntityTooLarge, false, 2, 1, false},
		{"unsupported_media_type", coco.ErrInvalid, http.StatusUnsupportedMediaType, false, 2, 1, false},
		{"misdirected", coco.ErrInvalid, http.StatusMisdirectedRequest, false, 2, 1, false},
		{"not_found", coco.ErrNotFound, http.StatusNotFound, false, 1, 2, false},
		{"pending", coco.ErrPending, http.StatusAccepted, true, 5, 10, false},
		{"missing", coco.ErrMissing, http.StatusServiceUnavailable, false, 1, 11, false},
		{"epoch_closed", coco.ErrMissing, http.StatusServiceUnavailable, false, 1, 11, false},
		{"busy", coco.ErrBusy, http.StatusServiceUnavailable, true, 5, 4, false},
		{"stale", coco.ErrBusy, http.StatusServiceUnavailable, true, 5, 4, false},
		{"not_committed", coco.ErrNotCommitted, http.StatusServiceUnavailable, true, 5, 5, false},
		{"too_slow", coco.ErrNotCommitted, http.StatusRequestTimeout, true, 5, 5, false},
		{"unreachable", coco.ErrUnreachable, http.StatusServiceUnavailable, true, 6, 7, false},
		{"internal", nil, http.StatusInternalServerError, false, 1, 12, false},
	}
	got := wire.Problems()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i, w := range want {
		if p := (wire.Problem{Code: w.code, Kind: w.kind, Status: w.status, Retry: w.retry, Exit: w.exit, Number: w.number, Hidden: w.hidden}); got[i] != p {
			t.Errorf("row %d is %+v, want %+v", i, got[i], p)
		}
	}
}

func TestRowsOfOneKindAgree(t *testing.T) {
	first := map[error]wire.Problem{}
	codes := map[string]bool{}
	for _, p := range wire.Problems() {
		if codes[p.Code] {
			t.Errorf("code %q stands twice", p.Code)
		}
		codes[p.Code] = true
		if f, ok := first[p.Kind]; !ok {
			first[p.Kind] = p
		} else if f.Number != p.Number || f.Exit != p.Exit || f.Retry != p.Retry || f.Hidden != p.Hidden {
			t.Errorf("%s and %s are of one kind and differ in more than code and status", f.Code, p.Code)
		}
	}
	for _, kind := range kinds() {
		if _, ok := first[kind]; !ok {
			t.Errorf("kind %v has no row", kind)
		}
	}
}

func kinds() []error {
	return []error{
		coco.ErrInvalid, coco.ErrNotFound, coco.ErrDenied, coco.ErrBusy, coco.ErrNotCommitted, coco.ErrUnknown,
		coco.ErrUnreachable, coco.ErrVerify, coco.ErrCorrupt, coco.ErrPending, coco.ErrMissing,
	}
}

func TestEveryAnswerComesBackAsItsKind(t *testing.T) {
	for _, p := range wire.Problems() {
		err := wire.FromAnswer(p.Status, p.Body("what and why"))
		var e *wire.Error
		if !errors.As(err, &e) || e.Problem != p || err.Error() != "what and why" {
			t.Errorf("%s: got %#v", p.Code, err)
			continue
		}
		if again := wire.ProblemOf(fmt.Errorf("node 2: %w", err)); again != p {
			t.Errorf("%s: told on as %s", p.Code, again.Code)
		}
		for _, kind := range kinds() {
			if got, want := errors.Is(err, kind), kind == p.Kind; got != want {
				t.Errorf("%s is of kind %v: %v, want %v", p.Code, kind, got, want)
			}
		}
	}
}

func TestEveryKindComesBackFromItsNumber(t *testing.T) {
	for _, kind := range append(kinds(), errors.New("a bug")) {
		err := fmt.Errorf("%w: what and why", kind)
		far := wire.FromNumber(wire.Number(err), err.Error())
		if p, q := wire.ProblemOf(err), wire.ProblemOf(far); p != q || far.Error() != err.Error() {
			t.Errorf("%v: the other node sees %s: %v", err, q.Code, far)
		}
	}
	if err := wire.FromNumber(0, ""); err != nil {
		t.Errorf("number 0 is %v", err)
	}
	if p := wire.ProblemOf(wire.FromNumber(200, "from a later version")); p.Code != wire.CodeInternal {
		t.Errorf("an unknown number is %s", p.Code)
	}
}

func TestEveryExitCodeComesBackAsItself(t *testing.T) {
	for code := range 7 {
		if got := wire.ExitCode(wire.FromExit(code, "what and why")); got != code {
			t.Errorf("exit code %d comes back as %d", code, got)
		}
	}
	if !errors.Is(wire.FromExit(wire.ExitNotCommitted, ""), coco.ErrNotCommitted) {
		t.Error("exit code 5 is not coco.ErrNotCommitted")
	}
}

type timeout struct{}

func (timeout) Error() string { return "i/o timeout" }
func (timeout) Timeout() bool { return true }

// named is an error that selects a row other than the first of its kind.
type named struct {
	error
	code string
}

func (n named) Unwrap() error    { return n.error }
func (n named) WireCode() string { return n.code }

func TestErrorsOfSeveralKinds(t *testing.T) {
	both := func(outer, inner error) error { return fmt.Errorf("%w: %w", outer, inner) }
	for _, tc := range []struct {
		err     error
		problem string // to the process itself
		answer  string // to a client of the node
		number  uint8  // to another node
	}{
		{both(coco.ErrNotCommitted, coco.ErrUnknown), "outcome_unknown", "outcome_unknown", 6},
		{both(coco.ErrInvalid, coco.ErrVerify), "verification_failed", "invalid", 1},
		{both(coco.ErrVerify, coco.ErrInvalid), "verification_failed", "invalid", 1},
		{both(coco.ErrMissing, coco.ErrCorrupt), "corrupt", "missing", 11},
		{coco.ErrCorrupt, "corrupt", "internal", 9},
		{coco.ErrVerify, "verification_failed", "internal", 8},
		{context.Canceled, "internal", "outcome_unknown", 6},
		{context.DeadlineExceeded, "internal", "outcome_unknown", 6},
		{both(coco.ErrNotCommitted, context.Canceled), "not_committed", "not_committed", 5},
		{os.ErrDeadlineExceeded, "internal", "too_slow", 5},
		{timeout{}, "internal", "too_slow", 5},
		{named{coco.ErrInvalid, "too_large"}, "too_large", "too_large", 1},
		{named{coco.ErrInvalid, "denied"}, "invalid", "invalid", 1},
		{both(coco.ErrUnknown, named{coco.ErrInvalid, "too_large"}), "outcome_unknown", "outcome_unknown", 6},
		{errors.New("a bug"), "internal", "internal", 12},
	} {
		if got := wire.ProblemOf(tc.err).Code; got != tc.problem {
			t.Errorf("%v is %s, want %s", tc.err, got, tc.problem)
		}
		if got := wire.AnswerTo(tc.err).Code; got != tc.answer {
			t.Errorf("%v is answered by %s, want %s", tc.err, got, tc.answer)
		}
		if got := wire.Number(tc.err); got != tc.number {
			t.Errorf("%v has number %d, want %d", tc.err, got, tc.number)
		}
	}
}

func TestAnswersThatAreNoNodes(t *testing.T) {
	const pending = `{"error":{"code":"pending","message":"soon"}}`
	for _, tc := range []struct {
		status int
		body   string
		kind   error
		ok     bool
	}{
		{200, `{}`, nil, true},
		{200, pending, nil, true}, // a value of the application may look like this
		{202, `{"seqno":7}`, nil, true},
		{202, pending, coco.ErrPending, false},
		{204, "", nil, true},
		{401, "", coco.ErrDenied, false},
		{403, "", coco.ErrDenied, false},
		{404, "<html>", coco.ErrNotFound, false},
		{415, "", coco.ErrInvalid, false},
		{431, "too large", coco.ErrInvalid, false},
		{500, "", nil, false},
		{502, "", coco.ErrCorrupt, false},
		{503, "", coco.ErrBusy, false},
		{503, `{"error":{"code":"from a later version"}}`, coco.ErrBusy, false},
		{503, `{"error":{"code":"denied"}}`, coco.ErrBusy, false},
		{504, "", coco.ErrUnknown, false},
		{302, "", nil, false},
	} {
		err := wire.FromAnswer(tc.status, []byte(tc.body))
		if tc.ok != (err == nil) {
			t.Errorf("%d %s: %v", tc.status, tc.body, err)
			continue
		}
		if got := wire.ProblemOf(err); err != nil && got.Kind != tc.kind {
			t.Errorf("%d %s: %v, which is of kind %v, want %v", tc.status, tc.body, err, got.Kind, tc.kind)
		}
		if err != nil && err.Error() == "" {
			t.Errorf("%d %s: an error without text", tc.status, tc.body)
		}
	}
}
