package node_test

import (
	"testing"
	"time"

	"github.com/cocoframework/coco/host/sim"
)

// No client is told of a write that a disk has not made durable: the disk says so, and the node ends.
func TestAWriteThatTheDiskDidNotSyncIsNotAcknowledged(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		n.open()
		r := n.Node(0)
		n.World.SetDiskErrors(hostName(0), sim.DiskErrors{Sync: 1})
		if id, err := put(n.client(0, 0), "key", "value"); err == nil {
			t.Errorf("the write was acknowledged as %s, and its disk fails every sync", id)
		}
		select {
		case <-r.Done():
			n.Forget(0)
		case <-time.After(time.Minute):
			t.Error("the node goes on with a disk of which nobody knows what it holds")
		}
	})
}

func TestLeaderWhoseDiskHangsMakesRoom(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.SetSyncDelay(hostName(0), 10*time.Minute)
		var err error
		for range 3 {
			if _, err = put(n.client(1, 1), "key", "value"); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("two of three nodes are well, a write fails: %v", err)
		}
	})
}
