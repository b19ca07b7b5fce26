package node_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/node"
)

func TestJoinerWhoseGrantGotLostIsAdmittedAtLast(t *testing.T) {
	long(t)
	for at := 300 * time.Microsecond; at < 6*time.Millisecond && !t.Failed(); at += 300 * time.Microsecond {
		t.Run(at.String(), func(t *testing.T) {
			simulate(t, 4, func(t *testing.T, n *network) {
				n.waitReady(n.Start(0, n.Found))
				n.waitReady(n.Start(1, n.Join(0)))
				n.waitReady(n.Start(2, n.Join(0)))
				time.Sleep(time.Second)
				r := n.Start(3, n.Join(0, 1, 2))
				time.Sleep(at)
				n.World.Partition(hostName(0), hostName(3))
				time.Sleep(25 * time.Second)
				n.World.Heal(hostName(0), hostName(3))
				n.readyWithin(r, 2*time.Minute)
			})
		})
	}
}

// The host's network fails for half a minute while a node fetches its snapshot.
func TestAJoinerWithoutNetworkWaitsForItsSnapshot(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(2 * time.Second)
		n.Crash(2)
		n.World.SetFiles(hostName(2), nil)
		n.World.Restart(hostName(2))
		log := n.listen(2)
		r := n.Start(2, n.Join(0, 1))
		for !strings.Contains(log.String(), string(logevent.SnapshotFetched)) {
			time.Sleep(100 * time.Microsecond)
		}
		n.World.Isolate(hostName(2))
		time.Sleep(30 * time.Second)
		n.World.Rejoin(hostName(2))
		n.waitReady(r)
		if strings.Contains(log.String(), string(logevent.WholeLedgerExecuted)) {
			t.Errorf("the node gave up its snapshot:\n%s", log)
		}
	})
}

// A node that dies with its grant in hand never took part. The network does not count on its vote.
func TestAJoinerThatDiesWithItsGrantTakesNoVote(t *testing.T) {
	simulate(t, 2, func(t *testing.T, n *network) {
		log := n.listen(0)
		n.waitReady(n.Start(0, n.Found))
		n.Start(1, n.Join(0))
		for !strings.Contains(log.String(), string(logevent.NodeAdmitted)) {
			time.Sleep(10 * time.Microsecond)
		}
		n.Crash(1)
		time.Sleep(5 * time.Second)
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Error(err)
		}
	})
}

// hooked is a disk that tells of each snapshot that is opened.
type hooked struct {
	host.Disk
	opened func()
}

func (d *hooked) Open(name string) (host.File, error) {
	if strings.HasPrefix(name, node.SnapshotDir) {
		d.opened()
	}
	return d.Disk.Open(name)
}

// While a joiner is cut off with its grant in hand, all nodes that it was told of are replaced.
func TestAJoinerWhosePeersWereAllReplacedJoinsAgain(t *testing.T) {
	long(t)
	simulate(t, 4, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(3 * time.Second)
		n.Crash(3)
		n.World.SetFiles(hostName(3), n.World.Files(hostName(3), node.SnapshotDir)) // it needs entries still
		n.World.Restart(hostName(3))
		var once sync.Once
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(3) {
				c.Host.Disk = &hooked{c.Host.Disk, func() { once.Do(func() { n.World.Isolate(hostName(3)) }) }}
			}
		}
		r := n.Start(3, n.Join(0, 1, 2))
		time.Sleep(time.Second)
		for i := range 3 {
			n.lose(i, (i+1)%3, (i+2)%3)
			time.Sleep(5 * time.Second)
		}
		n.World.Rejoin(hostName(3))
		n.waitReady(r)
	})
}

// Each node serves few fetches at a time. Who finds no room waits.
func TestManyJoinersAtOnceAllBeginWithTheSnapshot(t *testing.T) {
	simulate(t, 7, func(t *testing.T, n *network) {
		n.frequent()
		var slow atomic.Bool
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(0) {
				c.Host.Disk = &hooked{c.Host.Disk, func() {
					if slow.Load() {
						time.Sleep(3 * time.Second)
					}
				}}
			}
		}
		n.waitReady(n.Start(0, n.Found))
		c := n.client(0, 0)
		for k := range 250 {
			if _, err := put(c, fmt.Sprint("key", k), "value"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		slow.Store(true)
		var logs []*said
		for i := 1; i < 7; i++ {
			logs = append(logs, n.listen(i))
			n.Start(i, n.Join(0))
		}
		for i := 1; i < 7; i++ {
			n.waitReady(n.Node(i))
		}
		for _, log := range logs {
			if strings.Contains(log.String(), string(logevent.WholeLedgerExecuted)) {
				t.Errorf("a joiner gave up the snapshot:\n%.2000s", log)
			}
		}
	})
}

// The newest snapshot was on disks only that are gone. Those before it are on all.
func TestAJoinerMakesDoWithAnOlderSnapshot(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(3 * time.Second)
		names := n.finished(0)
		newest := slices.MaxFunc(names, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
		n.Crash(2)
		n.World.SetFiles(hostName(2), nil)
		n.World.Restart(hostName(2))
		for i := range 2 {
			if err := n.World.Host(hostName(i)).Disk.Remove(newest); err != nil {
				t.Fatal(err)
			}
		}
		log := n.listen(2)
		n.waitReady(n.Start(2, n.Join(0, 1)))
		if strings.Contains(log.String(), string(logevent.WholeLedgerExecuted)) {
			t.Errorf("the node did without any snapshot; the others hold %v", n.finished(0))
		}
	})
}
