package adapter

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/store"
)

// countingClock passes by as it is waited for, and by step whenever it is looked at.
type countingClock struct {
	host.Clock
	now, step time.Duration
	waits     int
}

func (c *countingClock) Elapsed() time.Duration {
	c.now += c.step
	return c.now
}

func (c *countingClock) After(d time.Duration) <-chan time.Time {
	c.waits++
	c.now += d
	ch := make(chan time.Time, 1)
	ch <- time.Time{}
	return ch
}

func TestARequestWaitsForThePastOnceAndForABoundedTime(t *testing.T) {
	clock := &countingClock{}
	e := &Env{Clock: clock, Past: func(context.Context, string, []byte, uint64) (PastValue, error) {
		return PastValue{}, coco.ErrPending
	}}
	r := e.NewPastReader(time.Hour)
	for range 3 {
		if _, err := r.Get(t.Context(), "t", nil, 1); !errors.Is(err, coco.ErrPending) {
			t.Fatal(err)
		}
	}
	if clock.now != pastPatience {
		t.Fatalf("three reads waited for %v, expected %v", clock.now, pastPatience)
	}
}

func TestAnAnswerThatBecomesReadyIsWaitedFor(t *testing.T) {
	reads := 0
	e := &Env{Clock: &countingClock{}, Past: func(context.Context, string, []byte, uint64) (PastValue, error) {
		if reads++; reads < 4 {
			return PastValue{}, coco.ErrPending
		}
		return PastValue{Time: 7}, nil
	}}
	if v, err := e.NewPastReader(time.Hour).Get(t.Context(), "t", nil, 1); err != nil || v.Time != 7 {
		t.Fatal(v, err)
	}
}

func TestARequestSpendsNoMoreThanItsLimit(t *testing.T) {
	reads := 0
	e := &Env{Clock: &countingClock{step: time.Second}, Past: func(context.Context, string, []byte, uint64) (PastValue, error) {
		reads++
		return PastValue{}, nil
	}}
	r := e.NewPastReader(3 * time.Second)
	for {
		_, err := r.Get(t.Context(), "t", nil, 1)
		if errors.Is(err, ErrPastLimit) && errors.Is(err, coco.ErrInvalid) {
			break
		}
		if err != nil || reads > 10 {
			t.Fatal(reads, err)
		}
	}
	if reads != 4 { // of a second each; what is under way is not cut short
		t.Fatalf("%d reads", reads)
	}
}

func TestWithoutALedgerThePastIsMissing(t *testing.T) {
	if _, err := (&Env{}).NewPastReader(time.Hour).Get(t.Context(), "t", nil, 1); !errors.Is(err, coco.ErrMissing) {
		t.Fatal(err)
	}
}

func TestAnEndedRequestReadsNothing(t *testing.T) {
	e := &Env{Clock: &countingClock{}, Past: func(context.Context, string, []byte, uint64) (PastValue, error) {
		t.Error("it reads")
		return PastValue{}, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.NewPastReader(time.Hour).Get(ctx, "t", nil, 1); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestThePastOfATableOfAnotherOwnerIsRefused(t *testing.T) {
	s := store.New()
	scope, err := s.Scope("kv", store.Table{Name: "kv.data"})
	if err != nil {
		t.Fatal(err)
	}
	read := OwnPast(scope, func(context.Context, string, []byte, uint64) (PastValue, error) { return PastValue{Time: 7}, nil })
	if v, err := read(t.Context(), "kv.data", nil, 1); err != nil || v.Time != 7 {
		t.Fatal(v, err)
	}
	if v, err := read(t.Context(), "coco.service", nil, 1); !errors.Is(err, coco.ErrInvalid) || v.Time != 0 {
		t.Fatal(v, err)
	}
}

func TestThePastOfRowsWithAnAudienceIsReadForItsActorsOnly(t *testing.T) {
	scope, err := store.New().Scope("kv", store.Table{Name: "kv.open"}, store.Table{Name: "kv.parties", Private: true, Audience: true})
	if err != nil {
		t.Fatal(err)
	}
	acme, bank := coco.ActorID{1}, coco.ActorID{2}
	audience := store.Audience{acme}
	row := PastValue{Value: append(make([]byte, store.SaltSize), "value"...)}
	var asked []string
	read := OwnPastFor(scope, func(_ context.Context, table string, key []byte, at uint64) (PastValue, error) {
		asked = append(asked, table+" "+string(key))
		return row, nil
	})
	if v, err := read(t.Context(), acme, audience, "kv.parties", []byte("k"), 7); err != nil || string(v.Value) != "value" {
		t.Errorf("%q, %v", v.Value, err)
	}
	if want := "kv.parties " + string(append(audience.Append(nil), 'k')); len(asked) != 1 || asked[0] != want {
		t.Errorf("read %q, expected %q", asked, want)
	}
	for _, x := range []struct {
		actor    coco.ActorID
		audience store.Audience
		table    string
		kind     error
	}{{bank, audience, "kv.parties", coco.ErrNotFound}, {acme, nil, "kv.parties", coco.ErrNotFound}, {acme, audience, "kv.open", coco.ErrInvalid}} {
		if _, err := read(t.Context(), x.actor, x.audience, x.table, []byte("k"), 7); !errors.Is(err, x.kind) {
			t.Errorf("%+v: %v", x, err)
		}
	}
	if len(asked) != 1 {
		t.Errorf("for an outsider %q was looked up", asked[1:])
	}
	if _, err := OwnPast(scope, nil)(t.Context(), "kv.parties", []byte("k"), 7); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("without an actor: %v", err)
	}
	row.Value = []byte("short")
	if _, err := read(t.Context(), acme, audience, "kv.parties", []byte("k"), 7); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("a row without a salt: %v", err)
	}
	row = PastValue{Deleted: true}
	if v, err := read(t.Context(), acme, audience, "kv.parties", []byte("k"), 7); err != nil || !v.Deleted {
		t.Errorf("a row that was deleted: %+v, %v", v, err)
	}
}
