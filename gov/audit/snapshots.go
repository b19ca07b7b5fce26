package audit

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// applySnapshots follows a transaction's writes to the table of snapshots: it records one snapshot and
// forgets what is too old then, or asks for one, or both.
func (a *Auditor) applySnapshots(seqno uint64, writes []store.Write) error {
	if seqno == 1 && len(writes) > 0 {
		return fmt.Errorf("a genesis that writes to %s", table.SnapshotsTable)
	}
	var forgotten []store.Write
	recorded := false
	for _, w := range writes {
		switch {
		case w.Delete:
			forgotten = append(forgotten, w)
		case string(w.Key) == table.RequestKey:
			since, err := table.DecodeRequest(w.Value)
			if err != nil {
				return err
			}
			if since != seqno {
				return fmt.Errorf("a request for a snapshot since %d is written in the wrong place", since)
			}
		case recorded:
			return fmt.Errorf("it records two snapshots")
		default:
			recorded = true
			if err := a.applySnapshot(seqno, w); err != nil {
				return err
			}
		}
	}
	for _, w := range forgotten {
		if len(a.snapshots) <= members.KeepSnapshots || !bytes.Equal(w.Key, table.SnapshotKey(a.snapshots[0].Index)) {
			return fmt.Errorf("it forgets a snapshot (key %x) that is to be kept", w.Key)
		}
		a.snapshots = a.snapshots[1:]
	}
	if len(a.snapshots) > members.KeepSnapshots {
		return fmt.Errorf("it keeps %d snapshots, expected at most %d", len(a.snapshots), members.KeepSnapshots)
	}
	return nil
}

func (a *Auditor) applySnapshot(seqno uint64, w store.Write) error {
	rec, err := table.DecodeSnapshot(w.Value)
	if err != nil {
		return err
	}
	if !bytes.Equal(w.Key, table.SnapshotKey(rec.Index)) || rec.Since != seqno {
		return fmt.Errorf("the snapshot at index %d (since %d) is written in the wrong place", rec.Index, rec.Since)
	}
	var newest table.SnapshotRecord
	if n := len(a.snapshots); n > 0 {
		newest = a.snapshots[n-1]
	}
	if err := rec.Check(newest); err != nil {
		return err
	}
	a.snapshots = append(a.snapshots, rec)
	return nil
}
