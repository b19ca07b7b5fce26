package reading_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/reading"
	"github.com/cocoframework/coco/wire"
)

func TestAStateThatIsTooOldIsToldByItsOwnCode(t *testing.T) {
	err := error(&adapter.StaleError{Age: time.Minute, Most: time.Second})
	if p := wire.AnswerTo(err); p.Code != wire.CodeStale || !errors.Is(err, coco.ErrBusy) {
		t.Errorf("a stale state is answered by %+v", p)
	}
}

func TestWhatARequestAsksForIsReadStrictly(t *testing.T) {
	for _, c := range []struct {
		consistency, maxAge []string
		want                adapter.Reading
		ok                  bool
	}{
		{want: adapter.Reading{MaxAge: -1}, ok: true},
		{consistency: []string{"session"}, want: adapter.Reading{MaxAge: -1}, ok: true},
		{consistency: []string{"linearizable"}, maxAge: []string{"7"}, want: adapter.Reading{Latest: true, MaxAge: 7 * time.Second}, ok: true},
		{maxAge: []string{"0"}, ok: true},
		{consistency: []string{"Linearizable"}},
		{consistency: []string{""}},
		{consistency: []string{"session", "session"}},
		{maxAge: []string{""}},
		{maxAge: []string{"-1"}},
		{maxAge: []string{"1s"}},
		{maxAge: []string{"99999999999"}},
		{maxAge: []string{"1", "2"}},
	} {
		h := http.Header{}
		if c.consistency != nil {
			h[wire.HeaderConsistency] = c.consistency
		}
		if c.maxAge != nil {
			h[wire.HeaderMaxAge] = c.maxAge
		}
		got, err := reading.Of(h)
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, coco.ErrInvalid) || c.ok && got != c.want {
			t.Errorf("%q, %q: %+v, %v; expected %+v", c.consistency, c.maxAge, got, err, c.want)
		}
	}
}
