package slots

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
)

func actor(i int) coco.ActorID { return coco.ActorID{byte(i)} }

// world is slots in virtual time.
func world(t *testing.T, n, most int, f func(*testing.T, *Slots)) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		f(t, New(n, most, func() time.Duration { return time.Since(start) }))
	})
}

func TestAFloodOfLongCallsDoesNotDelayAnotherOrganisation(t *testing.T) {
	world(t, 4, 2000, func(t *testing.T, s *Slots) {
		flood, stop := context.WithCancel(t.Context())
		for range 990 {
			go func() {
				if leave, err := s.Enter(flood, actor(1)); err == nil {
					time.Sleep(5 * time.Second)
					leave()
				}
			}()
		}
		synctest.Wait()
		if held, waiting := s.Held(); held != 2 || waiting != 988 {
			t.Errorf("the flood holds %d of 4 slots, %d wait", held, waiting)
		}
		for range 100 {
			began := time.Now()
			leave, err := s.Enter(t.Context(), actor(2))
			if err != nil || time.Since(began) > 0 {
				t.Fatalf("a call of another organisation waited %v: %v", time.Since(began), err)
			}
			time.Sleep(time.Millisecond)
			leave()
		}
		stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if held, waiting := s.Held(); held != 0 || waiting != 0 {
			t.Errorf("in the end %d slots are held, %d wait", held, waiting)
		}
	})
}

func TestOfThoseThatWaitGoesWhoseCallsHaveRunLeast(t *testing.T) {
	world(t, 1, 100, func(t *testing.T, s *Slots) {
		leave, err := s.Enter(t.Context(), actor(1))
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 10)
		for _, who := range []int{1, 1, 1, 2} { // actor 2 comes last
			go func() {
				leave, err := s.Enter(t.Context(), actor(who))
				if err != nil {
					t.Error(err)
					return
				}
				order <- who
				time.Sleep(time.Second)
				leave()
			}()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		leave()
		synctest.Wait()
		if first := <-order; first != 2 {
			t.Errorf("organisation %d goes first", first)
		}
		time.Sleep(time.Minute)
	})
}

func TestWhatWaitsIsBoundedAndShared(t *testing.T) {
	world(t, 1, 10, func(t *testing.T, s *Slots) {
		ctx, stop := context.WithCancel(t.Context())
		leave, err := s.Enter(ctx, actor(1))
		if err != nil {
			t.Fatal(err)
		}
		refused := make(chan error, 100)
		for range 20 {
			go func() {
				_, err := s.Enter(ctx, actor(1))
				refused <- err
			}()
			synctest.Wait()
		}
		if _, waiting := s.Held(); waiting != 5 || len(refused) != 15 {
			t.Errorf("%d wait and %d are refused of 20", waiting, len(refused))
		}
		for range 15 {
			if err := <-refused; !errors.Is(err, coco.ErrBusy) {
				t.Errorf("refused with %v", err)
			}
		}
		stop()
		synctest.Wait()
		if _, waiting := s.Held(); waiting != 0 {
			t.Errorf("%d wait after they gave up", waiting)
		}
		leave()
		if held, _ := s.Held(); held != 0 {
			t.Errorf("%d slots are held in the end", held)
		}
	})
}
