package sim

import (
	"fmt"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/snapshot"
)

// replace loses a machine of a network at rest and puts an empty one in its place: whatever happened before, what the network has recorded is a
// state to begin with.
func (r *run) replace() {
	n, i := &r.network, int(r.seed)%r.plan.members
	r.witness.Say("the machine of %s is replaced", hostName(i))
	r.mayStop(i, "")
	n.Crash(i)
	n.World.SetFiles(hostName(i), nil)
	n.World.Restart(hostName(i))
	r.mu.Lock()
	r.lies[i] = nil
	r.mu.Unlock()
	n.Start(i, n.join(i))
	probe := r.newSession("probe", 0)
	defer probe.http.CloseIdleConnections()
	if err := r.healHost(i, probe); err != nil {
		r.witness.Fail("alive", "an empty machine in the place of %s does not take part: %v", hostName(i), err)
		r.abort()
		return
	}
	r.digests(probe)
}

// recorded compares the snapshots on a disk that are said to be recorded with the ledger: each is of the state that its entry leaves.
func (r *run) recorded(host int, entries map[uint64]batch.Entry) error {
	files, err := snapshot.List(r.network.World.Host(hostName(host)).Disk, node.SnapshotDir)
	if err != nil {
		return err
	}
	for _, f := range files {
		e, ok := entries[f.Index]
		if f.Pending || !ok {
			continue
		}
		b, err := batch.Decode(e.Data)
		if err != nil {
			return fmt.Errorf("snapshot %s is of entry %d: %w", f.Name(), f.Index, err)
		}
		if last := b.Header.Last(); last != f.Seqno {
			return fmt.Errorf("snapshot %s is of seqno %d, its entry %d ends with %d", f.Name(), f.Seqno, f.Index, last)
		}
	}
	return nil
}
