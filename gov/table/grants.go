package table

import (
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/grant"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/store"
)

// GrantsTable has a GrantRecord by number (u64be), since rules 3, and what the auditor reads with by number ‖ epoch ‖ seat (u64be, u64be, u32be): a GrantSealing where both are 0,
// a GrantBox by its epoch, and a GrantPart by its seat. It is public and ordered.
const GrantsTable = "coco.grants"

// Bounds of rows, in bytes. A sealing of keys.MaxMembers seats has less than 1,400 for each of them.
const (
	maxGrantRecord  = 8 << 10
	maxGrantSealing = grant.MaxSealing + 1<<20
)

// MaxGranted is how many epochs one grant may be of.
const MaxGranted = 1000

// GrantRecord says that members let an auditor read the private parts of some epochs.
type GrantRecord struct {
	Number   uint64       `cbor:"1,keyasint"` // 1 for the network's first, and so on
	Since    uint64       `cbor:"2,keyasint"` // seqno of the deciding vote
	Time     uint64       `cbor:"3,keyasint"` // of that transaction, in milliseconds since 1970
	Proposal coco.Digest  `cbor:"4,keyasint"` // what members voted for: it has the certificate
	Name     string       `cbor:"5,keyasint"` // the auditor's
	Auditor  coco.ActorID `cbor:"6,keyasint"` // SHA-256 of its certificate
	To       []byte       `cbor:"7,keyasint"` // its public encryption key: X-Wing or X25519
	First    uint64       `cbor:"8,keyasint"` // epoch
	Last     uint64       `cbor:"9,keyasint"` // epoch; included
}

// Covers says whether the grant lets a public encryption key read an epoch.
func (g *GrantRecord) Covers(key []byte, epoch uint64) bool {
	return string(g.To) == string(key) && epoch >= g.First && epoch <= g.Last
}

// GrantSealing is the key pair of a grant, as a node that led sealed it to the committee of its time. It has what is needed of that committee to combine parts, because the
// committee's own row is reduced when another one replaces it.
type GrantSealing struct {
	Committee  uint64            `cbor:"1,keyasint"` // its number
	Key        uint64            `cbor:"2,keyasint"` // the version of its key
	Since      uint64            `cbor:"3,keyasint"` // seqno of the transaction
	Time       uint64            `cbor:"4,keyasint"` // of that, in milliseconds since 1970
	Commitment []ristretto.Point `cbor:"5,keyasint"` // of the committee's key
	Seats      []GrantSeat       `cbor:"6,keyasint"` // of the committee, in its order; the first has number 1
	Sealing    []byte            `cbor:"7,keyasint"` // see grant.Parse
}

// GrantSeat is a seat of a committee.
type GrantSeat struct {
	Actor coco.ActorID `cbor:"1,keyasint"`
	Node  coco.NodeID  `cbor:"2,keyasint"` // that acts for it
}

// GrantBox is what reads one epoch, encrypted to a grant's key.
type GrantBox struct {
	Since uint64 `cbor:"1,keyasint"` // seqno of the transaction
	Box   []byte `cbor:"2,keyasint"` // see keys.GrantEpoch
}

// GrantPart is a seat's part in opening a grant's key, encrypted to the auditor.
type GrantPart struct {
	Node  coco.NodeID `cbor:"1,keyasint"` // that gave it
	Since uint64      `cbor:"2,keyasint"` // seqno of the transaction
	Time  uint64      `cbor:"3,keyasint"` // of that, in milliseconds since 1970
	Box   []byte      `cbor:"4,keyasint"` // see grant.Sealing.Part
}

// Of returns what a sealing of the grant to a committee is bound to.
func (g *GrantRecord) Of(network coco.Digest, number, key uint64) grant.Of {
	return grant.Of{Network: network, Grant: g.Number, Committee: number, Key: key, To: g.To}
}

// ToCombine returns the committee, to check and combine parts. The error is coco.ErrCorrupt.
func (s *GrantSealing) ToCombine() (*committee.Committee, error) {
	actors := make([]coco.ActorID, len(s.Seats))
	for i, seat := range s.Seats {
		actors[i] = seat.Actor
	}
	c, err := committee.ToCombine(s.Commitment, actors)
	if err != nil {
		return nil, fmt.Errorf("%w: committee %d: %w", coco.ErrCorrupt, s.Committee, err)
	}
	return c, nil
}

// GrantKey returns the key of what the auditor of a grant reads with: the sealing where epoch and seat are 0, an epoch's box where the seat is, and a seat's part where the epoch is.
func GrantKey(number, epoch uint64, seat uint32) []byte {
	b := binary.BigEndian.AppendUint64(NumberKey(number), epoch)
	return binary.BigEndian.AppendUint32(b, seat)
}

// GrantPlace is what a row of a grant is about.
type GrantPlace struct {
	Number, Epoch uint64
	Seat          uint32
	Record        bool // the row is a GrantRecord: epoch and seat are 0
}

// ParseGrantKey says what a key of GrantsTable is. The error is coco.ErrCorrupt if it is none.
func ParseGrantKey(key []byte) (p GrantPlace, err error) {
	switch len(key) {
	case 8:
		p.Record = true
	case 20:
		p.Epoch, p.Seat = binary.BigEndian.Uint64(key[8:]), binary.BigEndian.Uint32(key[16:])
	default:
		return p, fmt.Errorf("%w: %s: row %.40x is none of a grant", coco.ErrCorrupt, GrantsTable, key)
	}
	p.Number = binary.BigEndian.Uint64(key)
	if p.Epoch != 0 && p.Seat != 0 {
		return p, fmt.Errorf("%w: %s: row %.40x is of an epoch and of a seat", coco.ErrCorrupt, GrantsTable, key)
	}
	return p, nil
}

// LastGrant returns the number of the newest grant; 0 if there is none.
func LastGrant(r store.Reader) uint64 { return lastOf(r, GrantsTable, NumberKey) }

// Grant returns a grant. The error is coco.ErrNotFound if there is none with this number.
func Grant(r store.Reader, number uint64) (GrantRecord, error) {
	b, ok := r.Get(GrantsTable, NumberKey(number))
	if !ok {
		return GrantRecord{}, fmt.Errorf("%w: there is no grant %d", coco.ErrNotFound, number)
	}
	return Decode[GrantRecord](GrantsTable, b, maxGrantRecord)
}

// Grants returns what members have granted, in order.
func Grants(r store.Reader) (all []GrantRecord, err error) {
	for n := range LastGrant(r) {
		g, err := Grant(r, n+1)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

// AddGrant writes the next grant.
func AddGrant(tx *store.Tx, g GrantRecord) error {
	g.Number, g.Since, g.Time = LastGrant(tx)+1, tx.Seqno(), tx.Time()
	return Put(tx, GrantsTable, NumberKey(g.Number), g)
}

// DecodeGrantSealing reads the row of a grant's sealing. The error is coco.ErrCorrupt.
func DecodeGrantSealing(b []byte) (GrantSealing, error) {
	return decodeKeys[GrantSealing](GrantsTable, b, maxGrantSealing)
}

// DecodeGrantBox reads the row of an epoch's box. The error is coco.ErrCorrupt.
func DecodeGrantBox(b []byte) (GrantBox, error) {
	return Decode[GrantBox](GrantsTable, b, maxGrantRecord)
}

// DecodeGrantPart reads the row of a seat's part. The error is coco.ErrCorrupt.
func DecodeGrantPart(b []byte) (GrantPart, error) {
	return Decode[GrantPart](GrantsTable, b, maxGrantRecord)
}
