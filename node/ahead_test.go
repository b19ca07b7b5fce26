package node_test

import (
	"fmt"
	"testing"
	"time"
)

// setClocks sets how far the hosts' times of day are off.
func (n *network) setClocks(off time.Duration, hosts ...int) {
	for _, i := range hosts {
		n.World.SetClock(hostName(i), off)
	}
}

// commits fails unless a node that runs commits a write soon. Clients try again, with other keys, as those of a network do that elects a leader.
func (n *network) commits(what string, within time.Duration, at ...int) {
	n.t.Helper()
	began := time.Now()
	for k := 0; ; k++ {
		c := n.client(at[k%len(at)], at[k%len(at)])
		c.Timeout = time.Second
		_, err := put(c, fmt.Sprintf("%s-%d", what, k), "value")
		took := time.Since(began)
		if err == nil {
			if took > within {
				n.t.Errorf("%s: committed after %v, expected within %v", what, took, within)
			}
			return
		}
		if took > within+10*time.Minute {
			n.t.Fatalf("%s: nothing is committed: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// handOver has another one of two or more nodes lead, and returns which.
func (n *network) handOver(nodes ...int) int {
	n.t.Helper()
	leads := func() (int, bool) {
		for _, i := range nodes {
			if n.status(i).Role == "leader" {
				return i, true
			}
		}
		return 0, false
	}
	before, _ := leads()
	for range 50 {
		n.World.Isolate(hostName(before))
		time.Sleep(4 * time.Second)
		n.World.Rejoin(hostName(before))
		for range 100 {
			time.Sleep(50 * time.Millisecond)
			if now, ok := leads(); ok && now != before {
				return now
			} else if ok && len(nodes) == 2 {
				break
			}
		}
	}
	n.t.Fatalf("no other node than %s leads", hostName(before))
	return 0
}

// The clocks of all machines were ahead, and are right again: the ledger's time stands still until they have reached it, and everything else goes on,
// whoever leads, and with nodes that know that time from their disks or from a snapshot.
func TestALedgerThatIsAheadGoesOnUnderEveryLeader(t *testing.T) {
	long(t)
	for _, members := range []int{2, 3} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			simulate(t, members, func(t *testing.T, n *network) {
				all := []int{0, 1, 2}[:members]
				n.frequent()
				n.open()
				n.setClocks(30*time.Minute, all...)
				n.busy(2 * time.Second) // snapshots are written
				n.setClocks(0, all...)
				time.Sleep(2 * time.Second)
				n.commits("back", 2*time.Second, all...)
				leads := n.handOver(all...)
				n.commits("handed over", 5*time.Second, all...)
				for _, begin := range []func(i int, others ...int){n.restart, n.lose} {
					if members == 2 {
						break // without a majority no node joins
					}
					again, third := (leads+1)%members, (leads+2)%members
					begin(again, leads, third)
					time.Sleep(3 * time.Second) // it votes
					n.World.Isolate(hostName(third))
					n.commits(fmt.Sprint("with node ", again), 8*time.Second, again, leads)
					n.World.Rejoin(hostName(third))
					time.Sleep(3 * time.Second)
					leads = n.handOver(all...)
					n.commits(fmt.Sprint("handed over to ", leads), 5*time.Second, all...)
				}
			})
		})
	}
}

// restart crashes a node, which joins again with its disk.
func (n *network) restart(i int, others ...int) {
	n.t.Helper()
	n.Crash(i)
	n.World.Restart(hostName(i))
	n.waitReady(n.Start(i, n.Join(others...)))
}

// A node that was cut off while the ledger's time went ahead is needed, and takes what it has missed.
func TestANodeThatMissedHowTheLedgerWentAheadIsWonWithinSeconds(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		n.commits("before", 2*time.Second, 0, 1, 2)
		time.Sleep(3 * time.Second)
		n.World.Isolate(hostName(2))
		n.setClocks(30*time.Minute, 0, 1, 2)
		time.Sleep(5 * time.Second)
		n.commits("ahead", 2*time.Second, 0, 1)
		n.setClocks(0, 0, 1, 2)
		time.Sleep(2 * time.Second)
		n.commits("back", 2*time.Second, 0, 1)
		n.Crash(1)
		n.World.Rejoin(hostName(2))
		n.commits("the node is needed", 20*time.Second, 0)
		n.commits("and goes on", 2*time.Second, 0, 2)
		n.handOver(0, 2)
		n.commits("and leads", 5*time.Second, 0, 2)
	})
}

// A node that joins a ledger that is days ahead gets a certificate that is valid by its peers' clocks.
func TestANodeJoinsALedgerThatIsDaysAhead(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		n.setClocks(30*24*time.Hour, 0, 1, 2)
		time.Sleep(3 * time.Second)
		n.commits("ahead", 2*time.Second, 0, 1, 2)
		n.setClocks(0, 0, 1, 2)
		time.Sleep(2 * time.Second)
		n.restart(2, 0, 1)
		time.Sleep(3 * time.Second)
		n.commits("joined", 2*time.Second, 2)
		n.World.Isolate(hostName(1))
		n.commits("needed", 5*time.Second, 0, 2)
	})
}

// A network's only voter, by whose clock it goes, is ahead of the node that joins.
func TestANodeThatJoinsAVoterWithAFastClockDoesNotStopIt(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.setClocks(30*time.Minute, 0)
		n.waitReady(n.Start(0, n.Found))
		l := n.load(1)
		for i := 1; i < 3; i++ {
			n.waitReady(n.Start(i, n.Join(0)))
			before := l.count()
			time.Sleep(5 * time.Second)
			n.commits(fmt.Sprint("with ", i+1), time.Second, 0)
			if l.count() < before+50 {
				t.Errorf("with %d nodes %d writes were acknowledged in 5 s", i+1, l.count()-before)
			}
		}
		l.end()
	})
}
