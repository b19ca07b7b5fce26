package members

import (
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// KeepSnapshots is how many records the table keeps.
const KeepSnapshots = 8

// RecordSnapshot records a snapshot and forgets the oldest ones beyond KeepSnapshots. Since is
// set here. A request that was made up to the snapshot's seqno is met by it. The error is coco.ErrInvalid
// for a snapshot that is not newer than the last one, and nothing is written.
func RecordSnapshot(tx *store.Tx, rec table.SnapshotRecord) error {
	list, err := table.Snapshots(tx)
	if err != nil {
		return err
	}
	var newest table.SnapshotRecord
	if len(list) > 0 {
		newest = list[len(list)-1]
	}
	rec.Since = tx.Seqno()
	if err := rec.Check(newest); err != nil {
		return err
	}
	value, err := canon.Marshal(rec)
	if err != nil {
		return err
	}
	tx.Put(table.SnapshotsTable, table.SnapshotKey(rec.Index), value)
	for i := range len(list) + 1 - KeepSnapshots {
		tx.Delete(table.SnapshotsTable, table.SnapshotKey(list[i].Index))
	}
	return nil
}

// RequestSnapshot asks for a snapshot of the state that this transaction leaves, or of a later one.
func RequestSnapshot(tx *store.Tx) error {
	value, err := canon.Marshal(table.RequestRecord{Since: tx.Seqno()})
	if err != nil {
		return err
	}
	tx.Put(table.SnapshotsTable, []byte(table.RequestKey), value)
	return nil
}
