package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
)

// tolerance is how far the ledger's time may be from the clocks of honest hosts: what a single host is believed, and what
// it takes to tell each other the time.
const tolerance = 12 * time.Second

// batchTime commits a write through a node and returns the time that its batch says.
func (n *network) batchTime(at int, key string) time.Time {
	n.t.Helper()
	id, err := put(n.client(at, at), key, "value")
	if err != nil {
		n.t.Fatalf("put %s: %v", key, err)
	}
	var h batch.Header
	if err := h.UnmarshalBinary(n.receipt(at, id.String()).Header); err != nil {
		n.t.Fatal(err)
	}
	return time.UnixMilli(int64(h.Time))
}

// lastBatchTime returns the time of the last batch in a node's ledger.
func (n *network) lastBatchTime(i int) time.Time {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(i)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	for at := log.Last(); at > 0; at-- {
		entries, err := log.Read(at, at+1, 0)
		if err != nil {
			n.t.Fatal(err)
		}
		if entries[0].Kind == batch.KindBatch {
			b, err := batch.Decode(entries[0].Data)
			if err != nil {
				n.t.Fatal(err)
			}
			return time.UnixMilli(int64(b.Header.Time))
		}
	}
	n.t.Fatal("a ledger without a batch")
	panic("unreachable")
}

// ledBy returns the host of the leader that a node knows.
func (n *network) ledBy(asked int) string {
	n.t.Helper()
	id := n.follows(asked)
	for i := range n.Members {
		if n.Node(i).Info().ID.String() == id {
			return hostName(i)
		}
	}
	n.t.Fatalf("%s follows %q", hostName(asked), id)
	panic("unreachable")
}

// near fails unless the ledger's time is the one expected.
func (n *network) near(what string, got, want time.Time) {
	n.t.Helper()
	if d := got.Sub(want); d < -tolerance || d > tolerance {
		n.t.Errorf("%s: the ledger's time is %v, expected %v: %v off", what, got.UTC(), want.UTC(), d)
	}
}

// govern has members change something by statements that are signed now.
func (n *network) govern(i int) {
	n.t.Helper()
	n.decide(action.Action{Kind: action.Set, Args: action.Args{Setting: "limits.queue", Value: fmt.Sprint(5000 + i)}})
}

func TestAPauseOfTheWholeNetworkCostsNothing(t *testing.T) {
	for name, pause := range map[string]time.Duration{"21 minutes": 21 * time.Minute, "a week": 7 * 24 * time.Hour, "three years": 3 * year} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.governs()
				n.open()
				n.batchTime(0, "before")
				for i := range 3 {
					n.Crash(i)
				}
				time.Sleep(pause)
				for i := range 3 {
					n.World.Restart(hostName(i))
				}
				n.waitReady(n.Start(n.longest(), n.Recover))
				best := n.longest()
				n.near("recovered", n.batchTime(best, "recovered"), time.Now())
				for i := range 3 {
					if i != best {
						n.waitReady(n.Start(i, n.Join(best)))
					}
				}
				n.near("together", n.batchTime(1, "together"), time.Now())
				n.govern(1)
				n.audit()
			})
		})
	}
}

// Hosts that sleep count no time meanwhile.
func TestSuspendedHostsCostNothing(t *testing.T) {
	for name, pause := range map[string]time.Duration{"an hour": time.Hour, "20 days": 20 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.governs()
				n.open()
				n.batchTime(0, "before")
				for i := range 3 {
					n.World.SetClock(hostName(i), pause)
				}
				time.Sleep(2 * time.Second)
				n.near("awake", n.batchTime(1, "awake"), time.Now().Add(pause))
			})
		})
	}
}

func TestASuspendedHostOfANetworkOfOneCostsNothing(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		n.open()
		n.batchTime(0, "before")
		n.World.SetClock(hostName(0), 20*24*time.Hour)
		n.near("awake", n.batchTime(0, "awake"), time.Now().Add(20*24*time.Hour))
	})
}

func TestOneHostsClockDoesNotMoveTheLedgersTime(t *testing.T) {
	for name, off := range map[string]time.Duration{"minutes ahead": 9 * time.Minute, "years ahead": 9 * year, "minutes behind": -9 * time.Minute, "years behind": -9 * year} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.governs()
				n.open()
				n.batchTime(0, "before")
				for i := range 3 { // each in turn leads, or does not
					n.World.SetClock(hostName(i), off)
					for k := range 3 {
						time.Sleep(40 * time.Second)
						leads := n.ledBy((i + 1) % 3)
						n.near(fmt.Sprintf("%s lies, %s leads", hostName(i), leads), n.batchTime((i+1)%3, fmt.Sprintf("key%d-%d", i, k)), time.Now())
						if k < 2 { // another one leads
							n.World.Isolate(leads)
							time.Sleep(4 * time.Second)
							n.World.Rejoin(leads)
						}
					}
					n.World.SetClock(hostName(i), 0)
				}
				n.govern(1)
			})
		})
	}
}

// The machine on which members recover a network may have any clock; theirs count.
func TestARecoverersClockDoesNotMoveTheLedgersTime(t *testing.T) {
	for name, off := range map[string]time.Duration{"years ahead": 9 * year, "years behind": -9 * year} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.governs()
				n.open()
				n.batchTime(0, "before")
				for i := range 3 {
					n.Crash(i)
				}
				time.Sleep(100 * 24 * time.Hour)
				for i := range 3 {
					n.World.Restart(hostName(i))
				}
				best := n.longest()
				n.World.SetClock(hostName(best), off)
				n.waitReady(n.Start(best, n.Recover))
				if d := time.Until(n.lastBatchTime(best)); d < -tolerance || d > 11*time.Minute {
					t.Errorf("the recoverer moved the ledger's time by %v", d)
				}
			})
		})
	}
}

// A node whose clock is not the ledger's says so and serves on; the others have nothing to say.
func TestANodeTellsOfALagBetweenItsClockAndTheLedgersTime(t *testing.T) {
	for name, c := range map[string]struct {
		off  time.Duration
		says string
	}{
		"ahead":  {5 * time.Minute, "[!] clock: this machine's clock is 4m50s ahead of the ledger's time"},
		"behind": {-5 * time.Minute, "[!] clock: this machine's clock is 4m59s behind the ledger's time"},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.open()
				time.Sleep(2 * time.Second)
				n.World.SetClock(hostName(1), c.off)
				time.Sleep(3 * time.Second)
				for i := range 3 {
					page, err := get(n.client(i, i), "/readyz")
					if want := i == 1; err != nil || strings.Contains(page, c.says) != want || strings.Contains(page, "[!]") != want || !strings.HasSuffix(page, "ok\n") {
						t.Errorf("%s: %q %v, expected a warning: %v", hostName(i), page, err, want)
					}
					_, values := n.metrics(i)
					if lag := values["coco_clock_lag_seconds"]; (lag < -30 || lag > 30) != (i == 1) {
						t.Errorf("%s: a lag of %v s", hostName(i), lag)
					}
				}
			})
		})
	}
}
