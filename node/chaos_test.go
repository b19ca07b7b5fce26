package node_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/host/sim"
)

// TestChaos plays a random schedule of faults and looks at what is left.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; internal/sim plays more of it")
	}
	for seed := uint64(1); seed <= 1; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, seed, 3)
				defer n.close()
				r := rand.New(rand.NewPCG(seed, 7))
				n.open()
				l := n.load(6)
				ms := func(most int) { time.Sleep(time.Duration(r.IntN(most)) * time.Millisecond) }
				for range 5 {
					a := r.IntN(3)
					b := (a + 1 + r.IntN(2)) % 3
					switch r.IntN(5) {
					case 0:
						n.World.Partition(hostName(a), hostName(b))
						ms(6000)
						n.World.Heal(hostName(a), hostName(b))
					case 1:
						n.World.Isolate(hostName(a))
						ms(6000)
						n.World.Rejoin(hostName(a))
					case 2:
						n.World.SetLinkBetween(hostName(a), hostName(b), sim.Link{Delay: time.Duration(r.IntN(400)) * time.Millisecond, Jitter: 100 * time.Millisecond, Loss: 0.05})
						ms(5000)
						n.World.SetLinkBetween(hostName(a), hostName(b), sim.DefaultLink)
					default:
						time.Sleep(4 * time.Second)
						n.Crash(a)
						ms(4000)
						n.World.Restart(hostName(a))
						run := n.Start(a, n.Join((a+1)%3, (a+2)%3))
						ms(3)
						n.World.Partition(hostName(a), hostName(b))
						ms(3000)
						n.World.Heal(hostName(a), hostName(b))
						if !n.readyWithin(run, 2*time.Minute) {
							l.end()
							return
						}
						time.Sleep(2 * time.Second)
					}
					ms(1000)
				}
				before := l.count()
				time.Sleep(10 * time.Second)
				acked := l.end()
				if len(acked) == before {
					t.Error("no writes after all faults ended")
				}
				time.Sleep(5 * time.Second)
				n.check(acked, 0, 1, 2)
				n.sameState(0, 1, 2)
			})
		})
	}
}
