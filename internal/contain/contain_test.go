package contain

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cocoframework/coco/internal/logevent"
)

func TestAPanicIsLoggedCountedAndEndsOneThing(t *testing.T) {
	var log bytes.Buffer
	p := New(slog.New(slog.NewTextHandler(&log, nil)))
	ended := 0
	serve := func(fn func()) {
		defer p.End("a test", func() { ended++ })
		fn()
	}
	serve(func() {})
	if ended != 0 || p.Total() != 0 || log.Len() > 0 {
		t.Fatal("something happened without a panic")
	}
	serve(deep)
	text := log.String()
	for _, want := range []string{string(logevent.RequestPanicked), "a test", "index out of range", "contain.deep:"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q: %s", want, text)
		}
	}
	log.Reset()
	serve(func() { panic(errors.New("planted secret")) })
	if text := log.String(); strings.Contains(text, "planted") || !strings.Contains(text, "errorString") {
		t.Errorf("a value of the program's own: %s", text)
	}
	if ended != 2 || p.Total() != 2 {
		t.Errorf("%d ended, %d counted", ended, p.Total())
	}
}

func deep() {
	var none []int
	_ = none[len(none)]
}
