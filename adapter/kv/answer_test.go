package kv

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/wire"
)

func TestEveryErrorIsToldByTheTableOfErrors(t *testing.T) {
	l := &ledger{env: adapter.Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
	for _, p := range wire.Problems() {
		want := p
		if p.Hidden {
			want = wire.ByCode(wire.CodeInternal)
		}
		w := httptest.NewRecorder()
		l.fail(w, &wire.Error{Problem: p, Message: "what and why"})
		err := wire.FromAnswer(w.Code, w.Body.Bytes())
		if got := wire.ProblemOf(err); err == nil || got != want {
			t.Errorf("%s is told as %s: %v", p.Code, got.Code, err)
		}
		if again := w.Header().Get("Retry-After") != ""; again != want.Retry {
			t.Errorf("%s: Retry-After %v, want %v", p.Code, again, want.Retry)
		}
	}
	for err, code := range map[error]string{
		&preconditionError{}:   wire.CodePrecondition,
		&tooLargeError{1}:      wire.CodeTooLarge,
		&http.MaxBytesError{}:  wire.CodeTooLarge,
		os.ErrDeadlineExceeded: wire.CodeTooSlow,
	} {
		if got := problemOf(err).Code; got != code {
			t.Errorf("%v is told as %s, want %s", err, got, code)
		}
	}
}
