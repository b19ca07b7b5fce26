package table

import (
	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// GrantsTable has a GrantRecord by number (u64be), since rules 3. It is public and ordered.
const GrantsTable = "coco.grants"

// maxGrantRecord bounds a row, in bytes.
const maxGrantRecord = 8 << 10

// GrantRecord says that members let an auditor read the private parts of some epochs. It is their word: what the auditor reads with is made with their keys, offline.
type GrantRecord struct {
	Number   uint64       `cbor:"1,keyasint"` // 1 for the network's first, and so on
	Since    uint64       `cbor:"2,keyasint"` // seqno of the deciding vote
	Time     uint64       `cbor:"3,keyasint"` // of that transaction, in milliseconds since 1970
	Proposal coco.Digest  `cbor:"4,keyasint"` // what members voted for: it has the certificate and the key
	Name     string       `cbor:"5,keyasint"` // the auditor's
	Auditor  coco.ActorID `cbor:"6,keyasint"` // SHA-256 of its certificate
	Key      coco.Digest  `cbor:"7,keyasint"` // SHA-256 of its public encryption key
	First    uint64       `cbor:"8,keyasint"` // epoch
	Last     uint64       `cbor:"9,keyasint"` // epoch; included
}

// Covers says whether the grant lets a key read an epoch. Key is the SHA-256 of the public key.
func (g *GrantRecord) Covers(key coco.Digest, epoch uint64) bool {
	return g.Key == key && epoch >= g.First && epoch <= g.Last
}

// Grants returns what members have granted, in order.
func Grants(r store.Reader) ([]GrantRecord, error) {
	return rowsOf(r, GrantsTable, "", func(b []byte) (GrantRecord, error) {
		return Decode[GrantRecord](GrantsTable, b, maxGrantRecord)
	})
}

// AddGrant writes the next grant.
func AddGrant(tx *store.Tx, g GrantRecord) error {
	g.Number, g.Since, g.Time = lastOf(tx, GrantsTable, NumberKey)+1, tx.Seqno(), tx.Time()
	return Put(tx, GrantsTable, NumberKey(g.Number), g)
}
