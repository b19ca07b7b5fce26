package lograte

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// recorder is a log whose clock a test sets.
type recorder struct {
	*slog.Logger
	text bytes.Buffer
	now  time.Duration
}

func newRecorder() *recorder {
	r := &recorder{}
	r.Logger = New(slog.NewTextHandler(&r.text, &slog.HandlerOptions{Level: slog.LevelDebug}), func() time.Duration { return r.now })
	return r
}

func (r *recorder) count(part string) int { return strings.Count(r.text.String(), part) }

func TestOneSourceFillsNoLogAndHidesNoOther(t *testing.T) {
	r := newRecorder()
	for range 10_000 {
		r.Warn("refused", "node", "flood", "error", "x")
		r.With("from", "flood2").Error("refused too")
	}
	r.Warn("refused", "node", "honest", "error", "y")
	r.Warn("something else", "node", "flood")
	if r.count("node=flood error") != ofSource || r.count("from=flood2") != ofSource+1 || r.count("honest") != 1 || r.count("something else") != 1 || r.count("too many") != 2 {
		t.Errorf("the log is\n%s", r.text.String())
	}
	r.now += window
	r.Warn("refused", "node", "flood")
	if r.count("of=refused count=9995") != 1 || r.count(`of="refused too" count=9995`) != 1 || r.count("node=flood\n") != 2 {
		t.Errorf("after a minute the log is\n%s", r.text.String())
	}
}

func TestManySourcesFillNoLog(t *testing.T) {
	r := newRecorder()
	for minute := range 3 {
		for i := range 10_000 {
			r.Warn("refused", "node", fmt.Sprint(i))
		}
		for range 1000 {
			r.Error("no source")
		}
		if n := len(r.Handler().(*handler).counts.sources); n > 2*ofMessage {
			t.Errorf("%d sources are remembered", n)
		}
		if n := strings.Count(r.text.String(), "\n"); n > (minute+1)*2*(ofMessage+2) {
			t.Fatalf("%d records in %d minutes", n, minute+1)
		}
		r.now += window
	}
}

func TestWhatIsBelowAWarningIsNotCounted(t *testing.T) {
	r := newRecorder()
	for range 100 {
		r.Debug("debug")
		r.Info("info")
	}
	if r.count("msg=debug") != 100 || r.count("msg=info") != 100 {
		t.Errorf("%d and %d records, expected 100 each", r.count("msg=debug"), r.count("msg=info"))
	}
}

func TestItHandlesRecordsAsAnyHandlerDoes(t *testing.T) {
	var text bytes.Buffer
	err := slogtest.TestHandler(New(slog.NewJSONHandler(&text, nil), func() time.Duration { return 0 }).Handler(), func() (all []map[string]any) {
		for line := range bytes.Lines(text.Bytes()) {
			var m map[string]any
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}
