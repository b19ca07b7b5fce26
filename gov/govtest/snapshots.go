package govtest

import (
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// Snapshot records a snapshot.
func (n *Network) Snapshot(rec table.SnapshotRecord) error {
	return n.Transact(func(tx *store.Tx) error { return members.RecordSnapshot(tx, rec) })
}

// Snapshots returns the records of the network's table.
func (n *Network) Snapshots() (list []table.SnapshotRecord, requested uint64) {
	n.T.Helper()
	p := n.Store.Snapshot()
	defer p.Release()
	list, err := table.Snapshots(p)
	if err != nil {
		n.T.Fatal(err)
	}
	if requested, err = table.SnapshotRequest(p); err != nil {
		n.T.Fatal(err)
	}
	newest, ok, err := table.NewestSnapshot(p)
	if err != nil || ok != (len(list) > 0) || ok && newest != list[len(list)-1] {
		n.T.Fatalf("the newest is %v %v %v, expected the last of %v", newest, ok, err, list)
	}
	return list, requested
}
