package leftbehind

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/host/local"
)

// A node that hears of no leader may be cut off. It comes back by a new admission if something shows that the network went on: a node that it does
// not know, or a committed entry of an epoch whose secret no node gives.
func TestANodeComesBackOnceTheNetworkHasGoneOn(t *testing.T) {
	errBack := errors.New("it comes back")
	for name, c := range map[string]struct {
		happens  func(*Watch)
		led      bool
		retiring bool
		back     bool
	}{
		"nothing":                                             {func(*Watch) {}, false, false, false},
		"a node that it does not know":                        {func(w *Watch) { w.Unlisted() }, false, false, true},
		"a secret that it lacks":                              {(*Watch).Lacks, false, false, true},
		"a secret that it lacks, and a leader":                {(*Watch).Lacks, true, false, false}, // package epochs counts how often it asks
		"a secret that it lacks, and it is to leave for good": {(*Watch).Lacks, false, true, false},
		"a secret that it lacked": {func(w *Watch) {
			if w.lacked.Load() == 0 {
				w.Lacks()
			}
		}, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				w := New(Config{Clock: local.Clock{}, Led: func() bool { return c.led }, Retiring: func() bool { return c.retiring }})
				var happens sync.WaitGroup
				defer happens.Wait()
				defer cancel()
				happens.Go(func() {
					for ctx.Err() == nil {
						c.happens(w)
						time.Sleep(100 * time.Millisecond)
					}
				})
				began := time.Now()
				err := w.Run(ctx, func(context.Context, string) error { return errBack }, nil)
				if (err != nil) != c.back || c.back && time.Since(began) > Silence+2*time.Second {
					t.Errorf("after %v: %v, expected that it comes back: %v", time.Since(began), err, c.back)
				}
			})
		})
	}
}
