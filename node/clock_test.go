package node_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/cocoframework/coco/node"
)

func TestLeaderWithAFastClockDoesNotCloseTheNetworkForEver(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.SetClock(hostName(0), 11*365*24*time.Hour)
		for range 3 {
			if _, err := put(n.client(1, 1), "key", "value"); err != nil {
				t.Log(err)
			}
		}
		n.World.SetClock(hostName(0), 0)
		n.Crash(2)
		n.World.Restart(hostName(2))
		var log syncBuffer
		n.Alter = func(c *node.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }
		if !n.readyWithin(n.Start(2, n.Join(0, 1)), time.Minute) {
			t.Log(log.String())
		}
	})
}

func TestLeaderWhoseClockIsBefore1970(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.SetClock(hostName(0), -60*365*24*time.Hour)
		_, err := put(n.client(1, 1), "key", "value")
		t.Log(err)
		n.World.SetClock(hostName(0), 0)
		if _, err := put(n.client(1, 1), "key", "value"); err != nil {
			t.Errorf("after the clock was set right: %v", err)
		}
		n.Crash(2)
		n.World.Restart(hostName(2))
		n.readyWithin(n.Start(2, n.Join(0, 1)), time.Minute)
	})
}
