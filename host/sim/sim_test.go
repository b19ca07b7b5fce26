package sim_test

import (
	"testing"
	"testing/synctest"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/hosttest"
	"github.com/cocoframework/coco/host/sim"
)

func TestHostKeepsTheContract(t *testing.T) {
	hosttest.Run(t, func(t *testing.T, test func(*testing.T, hosttest.Env)) {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(1)
			test(t, hosttest.Env{Host: w.Host("a"), Peer: w.Host("b"), Listen: ":0", Reopen: func() host.Host {
				w.Restart("a")
				return w.Host("a")
			}})
		})
	})
}
