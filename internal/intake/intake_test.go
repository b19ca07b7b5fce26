package intake

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

func TestTheSameStatementIsCheckedOnceAndBroughtToTheLeaderOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := New(time.Minute, func() time.Duration { return time.Since(start) })
		var checks, runs atomic.Int64
		recorded := false
		check := func() error {
			checks.Add(1)
			if recorded {
				return fmt.Errorf("%w: known already", coco.ErrInvalid)
			}
			return nil
		}
		run := func(context.Context) (wire.Outcome, error) {
			runs.Add(1)
			time.Sleep(time.Second)
			recorded = true
			return wire.Outcome{State: "open"}, nil
		}
		by := coco.Caller{Actor: coco.ActorID{1}}
		flood := func(raw string, want string) {
			for range 240 {
				go func() {
					out, err := s.Submit(t.Context(), by, []byte(raw), check, run)
					if out.State != want || (err == nil) != (want == "open") {
						t.Errorf("answered %q, %v", out.State, err)
					}
				}()
			}
			synctest.Wait()
		}
		gone, stop := context.WithCancel(t.Context())
		go func() { _, _ = s.Submit(gone, by, []byte("a"), check, run) }()
		synctest.Wait()
		flood("a", "open")
		stop() // the first one goes, the others wait on
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if checks.Load() != 1 || runs.Load() != 1 {
			t.Errorf("241 of one statement: %d checks, %d reach the leader", checks.Load(), runs.Load())
		}
		flood("a", "")
		flood("a", "")
		if checks.Load() != 2 || runs.Load() != 1 {
			t.Errorf("480 more after it was committed: %d checks, %d reach the leader; expected 2 and 1", checks.Load(), runs.Load())
		}
	})
}

func TestAFloodOfStatementsLeavesSlotsForAnotherMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := New(time.Minute, func() time.Duration { return time.Since(start) })
		run := func(ctx context.Context) (wire.Outcome, error) {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
			return wire.Outcome{}, nil
		}
		fine := func() error { return nil }
		for i := range 100 {
			go func() {
				_, _ = s.Submit(t.Context(), coco.Caller{Actor: coco.ActorID{1}}, fmt.Append(nil, i), fine, run)
			}()
		}
		synctest.Wait()
		began := time.Now()
		_, err := s.Submit(t.Context(), coco.Caller{Actor: coco.ActorID{2}}, []byte("another"), fine, func(context.Context) (wire.Outcome, error) { return wire.Outcome{}, nil })
		if err != nil || time.Since(began) > 0 {
			t.Errorf("another member's statement: %v after %v", err, time.Since(began))
		}
		time.Sleep(10 * time.Minute)
	})
}

// The others who sent a statement must not take a fault of the program for its acceptance.
func TestAPanicIsNoSuccessForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := New(time.Minute, func() time.Duration { return time.Since(start) })
		by := coco.Caller{Actor: coco.ActorID{1}}
		check := func() error { return nil }
		go func() {
			defer func() { _ = recover() }()
			_, _ = s.Submit(t.Context(), by, []byte("one"), check, func(context.Context) (wire.Outcome, error) {
				time.Sleep(time.Second)
				panic("a fault")
			})
		}()
		time.Sleep(time.Millisecond)
		out, err := s.Submit(t.Context(), by, []byte("one"), check, func(context.Context) (wire.Outcome, error) { return wire.Outcome{}, nil })
		if !errors.Is(err, coco.ErrUnknown) {
			t.Errorf("%+v %v, want an unknown outcome", out, err)
		}
	})
}
