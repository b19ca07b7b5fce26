package gov

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/store"
)

// SnapshotsTable is the name of the table of snapshots. It is public and ordered: SnapshotRecord by
// index (u64be), and a row requestKey.
const SnapshotsTable = "coco.snapshots"

const requestKey = "request"

// KeepSnapshots is how many records the table keeps.
const KeepSnapshots = 8

// SnapshotRecord is the network's word that a snapshot is what it says: nodes may begin with it.
type SnapshotRecord struct {
	Index  uint64      `cbor:"1,keyasint"` // of the batch that it ends with
	View   uint64      `cbor:"2,keyasint"`
	Seqno  uint64      `cbor:"3,keyasint"` // that batch's last
	Digest coco.Digest `cbor:"4,keyasint"`
	Bytes  uint64      `cbor:"5,keyasint"`
	// Since is the seqno of the transaction that recorded it.
	Since uint64 `cbor:"6,keyasint"`
}

// snapshotRequest is the row requestKey: a member has asked for a snapshot.
type snapshotRequest struct {
	Since uint64 `cbor:"1,keyasint"` // seqno of the transaction that asked
}

// check finds what is wrong with a record on top of the newest one before it.
func (rec *SnapshotRecord) check(newest SnapshotRecord) error {
	switch {
	case rec.View == 0 || rec.Index == 0 || rec.Bytes == 0 || rec.Digest == (coco.Digest{}):
		return fmt.Errorf("%w: snapshot at index %d: view %d, %d bytes, digest %s: something is missing", coco.ErrInvalid, rec.Index, rec.View, rec.Bytes, rec.Digest.Short())
	case rec.Seqno == 0 || rec.Seqno >= rec.Since:
		return fmt.Errorf("%w: snapshot at index %d: seqno %d, expected 1 to %d, what is before its record", coco.ErrInvalid, rec.Index, rec.Seqno, rec.Since-1)
	case rec.Index <= newest.Index || rec.Seqno <= newest.Seqno || rec.View < newest.View:
		return fmt.Errorf("%w: snapshot at index %d, view %d, seqno %d: expected one after that at index %d, view %d, seqno %d",
			coco.ErrInvalid, rec.Index, rec.View, rec.Seqno, newest.Index, newest.View, newest.Seqno)
	}
	return nil
}

// RecordSnapshot records a snapshot and forgets the oldest ones beyond KeepSnapshots. Since is
// set here. A request that was made up to the snapshot's seqno is met by it. The error is coco.ErrInvalid
// for a snapshot that is not newer than the last one, and nothing is written.
func RecordSnapshot(tx *store.Tx, rec SnapshotRecord) error {
	list, err := Snapshots(tx)
	if err != nil {
		return err
	}
	var newest SnapshotRecord
	if len(list) > 0 {
		newest = list[len(list)-1]
	}
	rec.Since = tx.Seqno()
	if err := rec.check(newest); err != nil {
		return err
	}
	value, err := canon.Marshal(rec)
	if err != nil {
		return err
	}
	tx.Put(SnapshotsTable, snapshotKey(rec.Index), value)
	for i := range len(list) + 1 - KeepSnapshots {
		tx.Delete(SnapshotsTable, snapshotKey(list[i].Index))
	}
	return nil
}

// RequestSnapshot asks for a snapshot of the state that this transaction leaves, or of a later one.
func RequestSnapshot(tx *store.Tx) error {
	value, err := canon.Marshal(snapshotRequest{tx.Seqno()})
	if err != nil {
		return err
	}
	tx.Put(SnapshotsTable, []byte(requestKey), value)
	return nil
}

// SnapshotRequest returns the seqno of the newest transaction that asked for a snapshot; 0 if there is none.
func SnapshotRequest(r store.Reader) (uint64, error) {
	b, ok := r.Get(SnapshotsTable, []byte(requestKey))
	if !ok {
		return 0, nil
	}
	return decodeRequest(b)
}

// Snapshots returns the records that are kept, in order.
func Snapshots(r store.Reader) ([]SnapshotRecord, error) {
	var out []SnapshotRecord
	var err error
	r.Range(SnapshotsTable, nil, nil, func(key, value []byte) bool {
		if string(key) == requestKey {
			return true
		}
		var rec SnapshotRecord
		if rec, err = decodeSnapshot(value); err != nil {
			return false
		}
		out = append(out, rec)
		return true
	})
	return out, err
}

// NewestSnapshot returns the last record, and whether there is one.
func NewestSnapshot(r store.Reader) (SnapshotRecord, bool, error) {
	list, err := Snapshots(r)
	if err != nil || len(list) == 0 {
		return SnapshotRecord{}, false, err
	}
	return list[len(list)-1], true, nil
}

func snapshotKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

func decodeSnapshot(b []byte) (SnapshotRecord, error) {
	var rec SnapshotRecord
	if err := canon.Unmarshal(b, &rec, canon.Limits{Bytes: maxRecord}); err != nil {
		return SnapshotRecord{}, fmt.Errorf("%w: snapshot record: %w", coco.ErrCorrupt, err)
	}
	return rec, nil
}

func decodeRequest(b []byte) (uint64, error) {
	var req snapshotRequest
	if err := canon.Unmarshal(b, &req, canon.Limits{Bytes: maxRecord}); err != nil {
		return 0, fmt.Errorf("%w: request for a snapshot: %w", coco.ErrCorrupt, err)
	}
	return req.Since, nil
}

// applySnapshots follows a transaction's writes to the table of snapshots: it records one snapshot and
// forgets what is too old then, or asks for one, or both.
func (a *Auditor) applySnapshots(seqno uint64, writes []store.Write) error {
	if seqno == 1 && len(writes) > 0 {
		return fmt.Errorf("a genesis that writes to %s", SnapshotsTable)
	}
	var forgotten []store.Write
	recorded := false
	for _, w := range writes {
		switch {
		case w.Delete:
			forgotten = append(forgotten, w)
		case string(w.Key) == requestKey:
			since, err := decodeRequest(w.Value)
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
		if len(a.snapshots) <= KeepSnapshots || !bytes.Equal(w.Key, snapshotKey(a.snapshots[0].Index)) {
			return fmt.Errorf("it forgets a snapshot (key %x) that is to be kept", w.Key)
		}
		a.snapshots = a.snapshots[1:]
	}
	if len(a.snapshots) > KeepSnapshots {
		return fmt.Errorf("it keeps %d snapshots, expected at most %d", len(a.snapshots), KeepSnapshots)
	}
	return nil
}

func (a *Auditor) applySnapshot(seqno uint64, w store.Write) error {
	rec, err := decodeSnapshot(w.Value)
	if err != nil {
		return err
	}
	if !bytes.Equal(w.Key, snapshotKey(rec.Index)) || rec.Since != seqno {
		return fmt.Errorf("the snapshot at index %d (since %d) is written in the wrong place", rec.Index, rec.Since)
	}
	var newest SnapshotRecord
	if n := len(a.snapshots); n > 0 {
		newest = a.snapshots[n-1]
	}
	if err := rec.check(newest); err != nil {
		return err
	}
	a.snapshots = append(a.snapshots, rec)
	return nil
}
