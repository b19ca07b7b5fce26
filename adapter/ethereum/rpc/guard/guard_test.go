package guard

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
)

func TestCallsWaitForASlot(t *testing.T) {
	g := New(local.Clock{}, func() time.Duration { return time.Hour }, 1)
	inside, finish := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- g.Do(context.Background(), coco.Caller{}, func(context.Context) error { close(inside); <-finish; return nil })
	}()
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Do(ctx, coco.Caller{}, func(context.Context) error { return nil }); err == nil {
		t.Error("a second call ran, there is one slot")
	}
	close(finish)
	if err := errors.Join(<-done, g.Do(context.Background(), coco.Caller{}, func(context.Context) error { return nil })); err != nil {
		t.Fatal(err)
	}
	g.Close()
	g.Close()
}

// A watcher that calls keep busy goes by a timeout that members change meanwhile.
func TestATimeoutThatChangesHoldsForTheCallsThatFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var timeout atomic.Int64
		timeout.Store(int64(time.Hour))
		g := New(local.Clock{}, func() time.Duration { return time.Duration(timeout.Load()) }, 4)
		defer g.Close()
		wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		ctx, cancel := context.WithCancel(t.Context())
		busy := make(chan error, 1)
		go func() { busy <- g.Do(ctx, coco.Caller{}, wait) }()
		time.Sleep(time.Minute)
		timeout.Store(int64(time.Second))
		time.Sleep(time.Second) // until the watcher looks
		began := time.Now()
		err := g.Do(t.Context(), coco.Caller{}, wait)
		late := (*TimeoutError)(nil)
		if took := time.Since(began); !errors.As(err, &late) || late.After != time.Second || took > 2*time.Second {
			t.Errorf("after %v: %v, expected that the call ends after a second", took, err)
		}
		cancel()
		if err := <-busy; !errors.As(err, &late) {
			t.Errorf("a call that had run for longer already: %v", err)
		}
	})
}
