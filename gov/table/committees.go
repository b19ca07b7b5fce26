package table

import (
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/store"
)

// The names of the tables of committees, which hold the keys of the past (rules 3). Both are public and ordered.
const (
	// CeremoniesTable has a CeremonyRecord by number (u64be), a StatementRecord by number ‖ seqno (both u64be) while the ceremony's committee is not in force yet, and
	// a row RefreshKey.
	CeremoniesTable = "coco.ceremonies"
	// CommitteesTable has a CommitteeRecord by number (u64be). All but those that no later archive opens are reduced.
	CommitteesTable = "coco.committees"

	// RefreshKey is the row of the newest vote for a ceremony: a RequestRecord.
	RefreshKey = "refresh"
)

// Bounds of rows, in bytes. A committee of keys.MaxMembers seats has less than 5,000 for each of them.
const (
	MaxCeremonyRecord  = 1 << 20
	MaxStatementRecord = 1 << 20
	MaxCommitteeRecord = 8 << 20
	MaxEpochRecord     = 3 << 20
)

// CeremonyState says how far a ceremony is.
type CeremonyState string

// The states of a ceremony. Installed and failed are final.
const (
	CeremonyRuns      CeremonyState = "running"
	CeremonyDone      CeremonyState = "done"      // every seat has its share, and its committee is not in force yet
	CeremonyInstalled CeremonyState = "installed" // its committee has come into force
	CeremonyFailed    CeremonyState = "failed"
)

// CeremonyCause says why a ceremony was needed.
type CeremonyCause string

// The causes of a ceremony.
const (
	NoCommittee      CeremonyCause = "first"      // the network comes from rules without committees
	MembersChanged   CeremonyCause = "members"    // the seats are not the members
	ThresholdChanged CeremonyCause = "threshold"  // how many of them open what is sealed is another number
	KeyChanged       CeremonyCause = "encryption" // a member has another encryption key
	SeatLost         CeremonyCause = "node"       // a node that had its organisation's package is not trusted any more
	SeatFound        CeremonyCause = "own"        // a member for whom another one's node acted has a node of its own now
	RefreshVoted     CeremonyCause = "vote"
)

// CeremonyRecord is a ceremony by which a committee comes to be.
type CeremonyRecord struct {
	Number  uint64        `cbor:"1,keyasint"` // 1 for the network's first, and so on
	Session dkg.Session   `cbor:"2,keyasint"` // its Attempt is Number
	Cause   CeremonyCause `cbor:"3,keyasint"`
	// Acting are the nodes that speak for the receivers, in their order, and Dealing those that speak for the dealers of a resharing: the nodes
	// that acted for the seats of the committee before. Those who deal a new key are its receivers.
	Acting  []coco.NodeID   `cbor:"4,keyasint"`
	Dealing []coco.NodeID   `cbor:"5,keyasint,omitempty"`
	Since   uint64          `cbor:"6,keyasint"` // seqno of the transaction that began it
	Time    uint64          `cbor:"7,keyasint"` // of that transaction, in milliseconds since 1970
	State   CeremonyState   `cbor:"8,keyasint"`
	Ended   uint64          `cbor:"9,keyasint,omitempty"` // seqno of the transaction that gave it a state other than running; for an installed one that of its installation
	Faults  []CeremonyFault `cbor:"10,keyasint,omitempty"`
}

// Deals returns the nodes that speak for the dealers.
func (c *CeremonyRecord) Deals() []coco.NodeID {
	if c.Session.Old == nil {
		return c.Acting
	}
	return c.Dealing
}

// CeremonyFault names a party that did not do its part in a ceremony.
type CeremonyFault struct {
	Phase dkg.Phase    `cbor:"1,keyasint"`
	Actor coco.ActorID `cbor:"2,keyasint"`
	Code  dkg.Code     `cbor:"3,keyasint"`
}

// StatementRecord is a statement in a ceremony.
type StatementRecord struct {
	Node coco.NodeID `cbor:"1,keyasint"` // that speaks; zero for a dkg.Close, which the ledger itself gives cause for
	Time uint64      `cbor:"2,keyasint"` // of the transaction, in milliseconds since 1970
	Raw  []byte      `cbor:"3,keyasint"` // see dkg.Parse
}

// CommitteeRecord is a committee: who opens, together, what is sealed to them. The row of the newest one is whole. One whose archive the next committee's archive opens is reduced:
// it has no Commitment and no Seats, and its Archive is one of archive.Archive.Reduce.
type CommitteeRecord struct {
	Number  uint64 `cbor:"1,keyasint"` // 1 for the network's first, and so on
	Version uint64 `cbor:"2,keyasint"` // of its key: the same key that is shared anew keeps it
	// Session is the digest of the ceremony's session, and Ceremony its number. Both are zero if one enclave has dealt the committee, as the first node of a network
	// does.
	Session    coco.Digest       `cbor:"3,keyasint"`
	Ceremony   uint64            `cbor:"4,keyasint"`
	Since      uint64            `cbor:"5,keyasint"`            // seqno of the transaction from which on it is in force
	Time       uint64            `cbor:"6,keyasint"`            // of that transaction, in milliseconds since 1970
	Commitment []ristretto.Point `cbor:"7,keyasint,omitempty"`  // of the key: g to each coefficient, as many as seats are needed
	Seats      []SeatRecord      `cbor:"8,keyasint,omitempty"`  // in order of their actors; the first has number 1
	Archive    []byte            `cbor:"9,keyasint"`            // see archive.Parse
	Reduced    uint64            `cbor:"10,keyasint,omitempty"` // seqno of the transaction that has reduced the row; 0 if it is whole
}

// SeatRecord is a member's place in a committee.
type SeatRecord struct {
	Actor      coco.ActorID `cbor:"1,keyasint"`
	Node       coco.NodeID  `cbor:"2,keyasint"` // that acted for it; it has the package if it is the actor's own
	Encryption []byte       `cbor:"3,keyasint"` // the seat's own public key: X-Wing
	To         []byte       `cbor:"4,keyasint"` // the member's encryption key
	Package    []byte       `cbor:"5,keyasint"` // sealed to it: committee.OpenPackage
}

// Threshold returns how many seats open what is sealed to the committee.
func (c *CommitteeRecord) Threshold() int { return len(c.Commitment) }

// Reduce returns the row without what only the seats need, given the seqno of the transaction in which the next committee comes into force. The next one's archive MUST hold the secret of this
// one's: nothing else opens it afterwards. The error is coco.ErrCorrupt.
func (c *CommitteeRecord) Reduce(seqno uint64) (CommitteeRecord, error) {
	a, err := archive.Parse(c.Archive)
	if err != nil {
		return CommitteeRecord{}, fmt.Errorf("committee %d: %w", c.Number, err)
	}
	out := *c
	out.Commitment, out.Seats, out.Reduced = nil, nil, seqno
	if out.Archive, err = a.Reduce().Marshal(); err != nil {
		return CommitteeRecord{}, fmt.Errorf("committee %d: %w", c.Number, err)
	}
	return out, nil
}

// Committee returns what seals to the committee, and opens. The error is coco.ErrCorrupt, also for a row that is reduced.
func (c *CommitteeRecord) Committee() (*committee.Committee, error) {
	seats := make([]committee.Seat, len(c.Seats))
	for i, s := range c.Seats {
		seats[i] = committee.Seat{Actor: s.Actor, Encryption: s.Encryption}
	}
	out, err := committee.FromCommitment(c.Commitment, seats)
	if err != nil {
		return nil, fmt.Errorf("%w: committee %d: %w", coco.ErrCorrupt, c.Number, err)
	}
	return out, nil
}

// Place returns which package the one of a seat is; the first seat has number 1.
func (c *CommitteeRecord) Place(network coco.Digest, seat uint32) committee.Place {
	at := committee.Place{Of: committee.DealtOf(network, c.Number), Seat: seat, Actor: c.Seats[seat-1].Actor}
	if c.Ceremony != 0 {
		at.Of = c.Session[:]
	}
	return at
}

// ParseArchive returns the committee's archive, and what its contents are bound to. The error is coco.ErrCorrupt.
func (c *CommitteeRecord) ParseArchive(network coco.Digest) (*archive.Archive, archive.Of, error) {
	a, err := archive.Parse(c.Archive)
	if err != nil {
		return nil, archive.Of{}, fmt.Errorf("committee %d: %w", c.Number, err)
	}
	return a, archive.Of{Network: network, Committee: c.Number, Key: c.Version, Constitution: a.Constitution}, nil
}

// At returns where an epoch of format 2 is announced, given the committee that it is sealed to.
func (e *EpochRecord) At(network coco.Digest, c *CommitteeRecord, sealed *archive.Epoch) archive.At {
	return archive.At{
		Of:    archive.Of{Network: network, Committee: c.Number, Key: c.Version, Constitution: sealed.Constitution},
		Epoch: e.Epoch, View: sealed.View, Seqno: e.Since,
	}
}

// NumberKey returns the key of a ceremony or a committee.
func NumberKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// StatementKey returns the key of a statement in a ceremony.
func StatementKey(number, seqno uint64) []byte {
	return binary.BigEndian.AppendUint64(NumberKey(number), seqno)
}

// Ceremony returns a ceremony. The error is coco.ErrNotFound if there is none with this number.
func Ceremony(r store.Reader, number uint64) (CeremonyRecord, error) {
	b, ok := r.Get(CeremoniesTable, NumberKey(number))
	if !ok {
		return CeremonyRecord{}, fmt.Errorf("%w: there is no ceremony %d", coco.ErrNotFound, number)
	}
	return DecodeCeremony(b)
}

// DecodeCeremony reads a ceremony's row. The error is coco.ErrCorrupt.
func DecodeCeremony(b []byte) (CeremonyRecord, error) {
	return decodeKeys[CeremonyRecord](CeremoniesTable, b, MaxCeremonyRecord)
}

// NewestCeremony returns the newest ceremony, and whether there is one.
func NewestCeremony(r store.Reader) (CeremonyRecord, bool, error) {
	n := lastOf(r, CeremoniesTable, NumberKey)
	if n == 0 {
		return CeremonyRecord{}, false, nil
	}
	rec, err := Ceremony(r, n)
	return rec, err == nil, err
}

// Statement is a row of a ceremony.
type Statement struct {
	Ceremony uint64
	Seqno    uint64 // of the transaction that has it
	StatementRecord
}

// DecodeStatement reads a statement's row. The error is coco.ErrCorrupt.
func DecodeStatement(key, value []byte) (Statement, error) {
	if len(key) != 16 {
		return Statement{}, fmt.Errorf("%w: %s: row %.40x is no statement", coco.ErrCorrupt, CeremoniesTable, key)
	}
	rec, err := decodeKeys[StatementRecord](CeremoniesTable, value, MaxStatementRecord)
	return Statement{binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:]), rec}, err
}

// EncodeStatement makes the row of a statement.
func EncodeStatement(st StatementRecord) ([]byte, error) {
	b, err := canon.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CeremoniesTable, err)
	}
	return b, nil
}

// PutCeremony writes a ceremony's row.
func PutCeremony(tx *store.Tx, rec CeremonyRecord) error {
	return Put(tx, CeremoniesTable, NumberKey(rec.Number), rec)
}

// RefreshVotedAt returns the seqno of the newest transaction by which members have voted for a ceremony; 0 if there is none.
func RefreshVotedAt(r store.Reader) (uint64, error) {
	b, ok := r.Get(CeremoniesTable, []byte(RefreshKey))
	if !ok {
		return 0, nil
	}
	rec, err := decodeKeys[RequestRecord](CeremoniesTable, b, MaxRecord)
	return rec.Since, err
}

// Committee returns a committee. The error is coco.ErrNotFound if there is none with this number.
func Committee(r store.Reader, number uint64) (CommitteeRecord, error) {
	b, ok := r.Get(CommitteesTable, NumberKey(number))
	if !ok {
		return CommitteeRecord{}, fmt.Errorf("%w: there is no committee %d", coco.ErrNotFound, number)
	}
	return DecodeCommittee(b)
}

// DecodeCommittee reads a committee's row. The error is coco.ErrCorrupt.
func DecodeCommittee(b []byte) (CommitteeRecord, error) {
	return decodeKeys[CommitteeRecord](CommitteesTable, b, MaxCommitteeRecord)
}

// LastCommittee returns the number of the newest committee, which is in force; 0 if there is none.
func LastCommittee(r store.Reader) uint64 { return lastOf(r, CommitteesTable, NumberKey) }

// NewestCommittee returns the committee in force, and whether there is one: before rules 3 there is none, and after a vote for them not at once.
func NewestCommittee(r store.Reader) (CommitteeRecord, bool, error) {
	n := LastCommittee(r)
	if n == 0 {
		return CommitteeRecord{}, false, nil
	}
	rec, err := Committee(r, n)
	return rec, err == nil, err
}

// PutCommittee writes a committee's row.
func PutCommittee(tx *store.Tx, rec CommitteeRecord) error {
	return Put(tx, CommitteesTable, NumberKey(rec.Number), rec)
}

// decodeKeys reads a row whose lists have an element for each member.
func decodeKeys[T any](table string, b []byte, limit int) (v T, err error) {
	if err := canon.Unmarshal(b, &v, canon.Limits{Bytes: limit, Elements: 3 * keys.MaxMembers}); err != nil {
		return v, fmt.Errorf("%w: %s: %w", coco.ErrCorrupt, table, err)
	}
	return v, nil
}
