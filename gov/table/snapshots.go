package table

import (
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/store"
)

// SnapshotsTable is the name of the table of snapshots. It is public and ordered: SnapshotRecord by
// index (u64be), and a row requestKey.
const SnapshotsTable = "coco.snapshots"

// RequestKey is the row of the newest request for a snapshot.
const RequestKey = "request"

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

// RequestRecord is the row requestKey: a member has asked for a snapshot.
type RequestRecord struct {
	Since uint64 `cbor:"1,keyasint"` // seqno of the transaction that asked
}

// Check finds what is wrong with a record on top of the newest one before it.
func (rec *SnapshotRecord) Check(newest SnapshotRecord) error {
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

// SnapshotRequest returns the seqno of the newest transaction that asked for a snapshot; 0 if there is none.
func SnapshotRequest(r store.Reader) (uint64, error) {
	b, ok := r.Get(SnapshotsTable, []byte(RequestKey))
	if !ok {
		return 0, nil
	}
	return DecodeRequest(b)
}

// Snapshots returns the records that are kept, in order.
func Snapshots(r store.Reader) ([]SnapshotRecord, error) {
	return rowsOf(r, SnapshotsTable, RequestKey, DecodeSnapshot)
}

// NewestSnapshot returns the last record, and whether there is one.
func NewestSnapshot(r store.Reader) (SnapshotRecord, bool, error) {
	list, err := Snapshots(r)
	if err != nil || len(list) == 0 {
		return SnapshotRecord{}, false, err
	}
	return list[len(list)-1], true, nil
}

// SnapshotKey returns the key of a snapshot.
func SnapshotKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

// DecodeSnapshot reads a snapshot's row. The error is coco.ErrCorrupt.
func DecodeSnapshot(b []byte) (SnapshotRecord, error) {
	var rec SnapshotRecord
	if err := canon.Unmarshal(b, &rec, canon.Limits{Bytes: MaxRecord}); err != nil {
		return SnapshotRecord{}, fmt.Errorf("%w: snapshot record: %w", coco.ErrCorrupt, err)
	}
	return rec, nil
}

// DecodeRequest returns the seqno of a request for a snapshot. The error is coco.ErrCorrupt.
func DecodeRequest(b []byte) (uint64, error) {
	var req RequestRecord
	if err := canon.Unmarshal(b, &req, canon.Limits{Bytes: MaxRecord}); err != nil {
		return 0, fmt.Errorf("%w: request for a snapshot: %w", coco.ErrCorrupt, err)
	}
	return req.Since, nil
}
