package node_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/node"
)

// loseSnapshots takes the snapshots off the disks of nodes that are down.
func (n *network) loseSnapshots(nodes ...int) {
	n.t.Helper()
	for _, i := range nodes {
		files, lost := n.World.Files(hostName(i), ""), 0
		for name := range files {
			if strings.HasPrefix(name, node.SnapshotDir+"/") {
				delete(files, name)
				lost++
			}
		}
		if lost == 0 {
			n.t.Fatalf("node %d has no snapshot to lose", i+1)
		}
		n.World.SetFiles(hostName(i), files)
	}
}

// Nodes that have lost their snapshots, and keep the secrets of the first epochs no longer, begin with the snapshot of the one that has it, also if that one comes late.
func TestNodesThatGoOnFetchASnapshotFromTheOneThatHasIt(t *testing.T) {
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		n.open()
		ids := n.aged(3)
		time.Sleep(5 * time.Minute)
		n.blackout()
		n.loseSnapshots(0, 1)
		var logs []*said
		for i := range 3 {
			logs = append(logs, n.listen(i))
		}
		for i := range 3 {
			if i == 2 {
				time.Sleep(15 * time.Second)
			}
			n.World.Restart(hostName(i))
			n.Start(i, n.Join(n.others(i)...))
		}
		for i := range 3 {
			n.waitReady(n.Node(i))
		}
		time.Sleep(20 * time.Second)
		for i := range 3 {
			if said := logs[i].String(); strings.Contains(said, string(logevent.NodeLeftBehind)) || !strings.Contains(said, string(logevent.SnapshotLoaded)) {
				t.Errorf("node %d: it goes on in another way than with a snapshot:\n%s", i+1, said)
			}
			for e, id := range ids {
				if v, err := n.past(i, id); err != nil || v != fmt.Sprint("value", e) {
					t.Errorf("node %d: epoch %d: %q, %v", i+1, e, v, err)
				}
			}
		}
		n.sameState(0, 1, 2)
	}, func(c *constitution.Constitution) { c.Recovery.Unattended = constitution.Yes })
}

// If no node has a snapshot, and none keeps the secrets of the first epochs, all stop and say what is missing. With the file put back on one of them they go on.
func TestNodesThatCannotGoOnSayWhatIsMissing(t *testing.T) {
	long(t)
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		n.open()
		n.aged(3)
		time.Sleep(5 * time.Minute)
		n.blackout()
		kept := n.World.Files(hostName(1), node.SnapshotDir)
		n.loseSnapshots(0, 1, 2)
		start := func() {
			for i := range 3 {
				n.World.Restart(hostName(i))
				n.Start(i, n.Join(n.others(i)...))
			}
		}
		start()
		for i := range 3 {
			err := n.Node(i).Await(2 * time.Minute)
			if !errors.Is(err, coco.ErrMissing) {
				t.Fatalf("node %d: %v", i+1, err)
			}
			for _, want := range []string{"the secret of epoch 1 has expired", "the file snapshots/snapshot_", "coco recovery start"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("node %d: found %v, expected %q", i+1, err, want)
				}
			}
		}
		n.blackout()
		files := n.World.Files(hostName(1), "")
		for name, b := range kept {
			files[name] = b
		}
		n.World.SetFiles(hostName(1), files)
		start()
		for i := range 3 {
			n.waitReady(n.Node(i))
		}
		time.Sleep(5 * time.Second)
		n.sameState(0, 1, 2)
	}, func(c *constitution.Constitution) { c.Recovery.Unattended = constitution.Yes })
}
