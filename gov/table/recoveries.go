package table

import (
	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// RecoveriesTable has a RecoveryRecord by number (u64be), since rules 3. It is public and ordered.
const RecoveriesTable = "coco.recoveries"

// RecoveryRecord is a recovery: members opened a ledger of which no node was left, and the network went on under a new service. It
// serves neither clients nor nodes that join before members have voted for that.
type RecoveryRecord struct {
	Number uint64      `cbor:"1,keyasint"` // 1 for the network's first, and so on
	Since  uint64      `cbor:"2,keyasint"` // seqno of the transaction that begins it
	Time   uint64      `cbor:"3,keyasint"` // of that transaction, in milliseconds since 1970
	Node   coco.NodeID `cbor:"4,keyasint"` // that recovered the network
	View   uint64      `cbor:"5,keyasint"` // of the last transaction before
	Last   uint64      `cbor:"6,keyasint"` // its seqno
	Root   coco.Digest `cbor:"7,keyasint"` // of the Merkle tree up to it
	Old    []byte      `cbor:"8,keyasint"` // the certificate of the service of the time before, DER
	// Opened is the seqno of the transaction by which members opened the network, and Proposal what they voted for. Zero before.
	Opened   uint64      `cbor:"9,keyasint,omitempty"`
	Proposal coco.Digest `cbor:"10,keyasint"`
}

// LastTx returns the last transaction that was recovered.
func (r *RecoveryRecord) LastTx() coco.TxID { return coco.TxID{View: r.View, Seqno: r.Last} }

// NewestRecovery returns the newest recovery, and whether there is one.
func NewestRecovery(r store.Reader) (RecoveryRecord, bool, error) {
	n := lastOf(r, RecoveriesTable, NumberKey)
	if n == 0 {
		return RecoveryRecord{}, false, nil
	}
	return Get[RecoveryRecord](r, RecoveriesTable, NumberKey(n), 2*MaxServiceBytes)
}

// Closed reports whether members have yet to open the network that they recovered.
func Closed(r store.Reader) (bool, error) {
	rec, found, err := NewestRecovery(r)
	return found && rec.Opened == 0, err
}

// PutRecovery writes a recovery's row.
func PutRecovery(tx *store.Tx, rec RecoveryRecord) error {
	return Put(tx, RecoveriesTable, NumberKey(rec.Number), rec)
}
