package node_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// simulate runs a test under virtual time.
func simulate(t *testing.T, members int, test func(*testing.T, *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, members)
		defer n.close()
		test(t, n)
	})
}

func TestAnAcknowledgedWriteIsReadOnEveryNode(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		id, err := put(n.client(1, 1), "greeting", "hello")
		if err != nil {
			t.Fatal(err)
		}
		t.Log(id)
		time.Sleep(time.Second)
		n.check(map[string]string{"greeting": "hello"}, 0, 1, 2)
	})
}

func TestCrashedLeaderLosesNoAcknowledgedWrite(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		l := n.load(8)
		time.Sleep(2 * time.Second)
		before := l.count()
		n.crash(0)
		time.Sleep(5 * time.Second)
		acked := l.end()
		if before == 0 || len(acked) <= before {
			t.Fatalf("%d writes before the crash, %d after: the network did not go on", before, len(acked))
		}
		time.Sleep(time.Second)
		n.check(acked, 1, 2)
		t.Logf("%d acknowledged before the crash, %d in all", before, len(acked))
	})
}

func TestCrashedNodeRejoinsAndCatchesUp(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		l := n.load(4)
		for _, victim := range []int{2, 0} { // a follower, the leader
			time.Sleep(time.Second)
			n.crash(victim)
			time.Sleep(5 * time.Second)
			n.world.Restart(hostName(victim))
			n.waitReady(n.start(victim, n.join((victim+1)%3, (victim+2)%3)))
			time.Sleep(time.Second)
		}
		acked := l.end()
		time.Sleep(time.Second)
		n.check(acked, 0, 1, 2)
	})
}

func TestNetworkGoesOnFromItsLedgersAfterAllNodesCrash(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		for range 2 {
			l := n.load(4)
			time.Sleep(time.Second)
			for i := range 3 {
				n.crash(i)
			}
			acked := l.end()
			for i := range 3 {
				n.world.Restart(hostName(i))
			}
			best := n.longest()
			n.waitReady(n.start(best, n.recover))
			n.waitReady(n.start((best+1)%3, n.join(best)))
			n.waitReady(n.start((best+2)%3, n.join(best)))
			time.Sleep(time.Second)
			n.check(acked, 0, 1, 2)
		}
	})
}
