package sim_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cocoframework/coco/host/sim"
)

func TestAFrozenHostNeitherSpeaksNorCountsTime(t *testing.T) {
	for _, counted := range []bool{true, false} {
		world(t, 1, func(t *testing.T, w *sim.World) {
			const pause = 3 * time.Second
			near, far := dial(t, w, "a", "b")
			clock := w.Host("a").Clock
			before, waits := clock.Elapsed(), clock.After(time.Second)
			tick := clock.NewTicker(time.Second)
			defer tick.Stop()
			w.Freeze("a")
			w.Freeze("a") // has no further effect
			late := clock.After(time.Second)
			send(t, far, "asked")
			ok(t, near.SetReadDeadline(time.Now().Add(pause)))
			time.Sleep(pause)
			if n, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a frozen host reads %d bytes: %v", n, err)
			}
			select {
			case <-waits:
				t.Error("a frozen host's timer rings")
			case <-late:
				t.Error("a timer that is set by a frozen host rings")
			case <-tick.C():
				t.Error("a frozen host's ticker ticks")
			default:
			}
			if d := clock.Elapsed() - before; d != 0 {
				t.Errorf("a frozen host counted %v", d)
			}
			w.Thaw("a", counted)
			w.Thaw("a", counted)
			thawed := time.Now()
			ok(t, near.SetReadDeadline(time.Time{}))
			receive(t, near, "asked")
			want := time.Second
			if counted {
				want = 0
			}
			<-waits
			<-late
			if d := time.Since(thawed); d < want || d > want+100*time.Millisecond {
				t.Errorf("timers ring %v after the thaw, expected %v", d, want)
			}
			<-tick.C()
			if d, want := clock.Elapsed()-before, time.Since(thawed); counted && d < want+pause || !counted && d > want {
				t.Errorf("the host has counted %v, %v after the thaw", d, want)
			}
		})
	}
}
