package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/store"
)

// The names of the tables of proposals and what came of them. All of them are public and ordered.
const (
	VersionsTable  = "coco.versions"  // VersionRecord by version (u64be)
	ProposalsTable = "coco.proposals" // ProposalRecord by id, and a row openKey
	BallotsTable   = "coco.ballots"   // BallotRecord by proposal ‖ actor
	PlacesTable    = "coco.places"    // PlaceRecord by owner ‖ address

	OpenKey = "open"
)

// MaxVersionRecord bounds a VersionRecord, which may hold an adapter's settings.
const MaxVersionRecord = constitution.MaxCore + 2*constitution.MaxSettings

// VersionRecord is a version of the constitution.
type VersionRecord struct {
	Version  uint64      `cbor:"1,keyasint"`
	Digest   coco.Digest `cbor:"2,keyasint"`
	Since    uint64      `cbor:"3,keyasint"` // seqno of the transaction that made it
	Time     uint64      `cbor:"4,keyasint"` // that batch's, in milliseconds since 1970
	Proposal coco.Digest `cbor:"5,keyasint"` // zero for version 1
	Core     []byte      `cbor:"6,keyasint"` // its canonical form
	// Before holds the settings (canonical JSON) of each adapter whose settings this version
	// changed, as they were before. Current ones stand in ConstitutionTable.
	Before map[string][]byte `cbor:"7,keyasint"`
}

// ProposalState says what became of a proposal.
type ProposalState string

// The states of a proposal. All but Open are final.
const (
	Open      ProposalState = "open"
	Accepted  ProposalState = "accepted"
	Rejected  ProposalState = "rejected"  // not even the votes that are missing could have it accepted
	Withdrawn ProposalState = "withdrawn" // by its proposer
	Expired   ProposalState = "expired"   // not accepted when the time for voting was over
	Failed    ProposalState = "failed"    // accepted, but its actions were not possible any more; Reason says why
)

// ProposalRecord is a proposal, kept for ever.
type ProposalRecord struct {
	ID       coco.Digest   `cbor:"1,keyasint"` // of its envelope
	Number   uint64        `cbor:"2,keyasint"` // 1 for the network's first, and so on
	State    ProposalState `cbor:"3,keyasint"`
	Proposer coco.ActorID  `cbor:"4,keyasint"`
	Kinds    []string      `cbor:"5,keyasint"` // of its actions, without repetition
	Expires  uint64        `cbor:"6,keyasint"`
	Since    uint64        `cbor:"7,keyasint"` // seqno of the transaction that recorded it
	// Decided is the seqno of the transaction that ended it, at the batch's time DecidedTime; 0
	// while it is open. Version is that of the constitution which it made, 0 if it made none.
	Decided     uint64         `cbor:"8,keyasint"`
	DecidedTime uint64         `cbor:"9,keyasint"`
	Version     uint64         `cbor:"10,keyasint"`
	Reason      *reason.Reason `cbor:"11,keyasint,omitempty"` // of Rejected, Expired and Failed
	Raw         []byte         `cbor:"12,keyasint"`           // the envelope, verbatim
	// Opened is the time of the transaction that recorded it, in milliseconds since 1970. Zero by rules 1.
	Opened uint64 `cbor:"13,keyasint,omitempty"`
}

// Signed opens the proposal's envelope.
func (p *ProposalRecord) Signed() (*envelope.Signed, error) { return envelope.Open(p.Raw) }

// Actions returns what is proposed.
func (p *ProposalRecord) Actions() ([]action.Action, error) {
	s, err := p.Signed()
	if err != nil {
		return nil, err
	}
	if s.Proposal == nil {
		return nil, fmt.Errorf("%w: proposal %s: its envelope holds a ballot", coco.ErrCorrupt, p.ID.Short())
	}
	return DecodeActions(s.Proposal)
}

// BallotRecord is the last ballot of an actor about a proposal.
type BallotRecord struct {
	Proposal coco.Digest   `cbor:"1,keyasint"`
	Actor    coco.ActorID  `cbor:"2,keyasint"`
	Vote     envelope.Vote `cbor:"3,keyasint"`
	Time     uint64        `cbor:"4,keyasint"` // of signing, in milliseconds since 1970
	Since    uint64        `cbor:"5,keyasint"` // seqno of the transaction that recorded it
	// Void: the actor has been removed since, so that the ballot does not count, even if it comes back.
	Void bool   `cbor:"6,keyasint"`
	Raw  []byte `cbor:"7,keyasint"` // the envelope, verbatim
}

// PlaceRecord says what was decided about a place where a node may run: by a vote, a node of that owner
// there is admitted without another vote, or, once Removed, only by another vote. When a node leaves in its owner's name, its place is
// Removed without a Proposal, from rules 2 on.
type PlaceRecord struct {
	Owner    coco.ActorID `cbor:"1,keyasint"`
	Address  string       `cbor:"2,keyasint"`
	Removed  bool         `cbor:"3,keyasint"`
	Since    uint64       `cbor:"4,keyasint"`
	Proposal coco.Digest  `cbor:"5,keyasint"`
	// Unbalanced: the node there votes in consensus, whatever share of the votes its owner has then.
	Unbalanced bool `cbor:"6,keyasint,omitempty"`
}

// LeftPlace is the record of the place of a node that leaves in its owner's name.
func LeftPlace(rec *NodeRecord, seqno uint64) PlaceRecord {
	return PlaceRecord{Owner: rec.Owner, Address: rec.Address, Removed: true, Since: seqno}
}

// Left reports whether the place was removed because its node left in its owner's name.
func (p *PlaceRecord) Left() bool { return p.Removed && p.Proposal == coco.Digest{} }

// OpenIndex is the row openKey: a vote costs the same however many proposals there were.
type OpenIndex struct {
	Last uint64         `cbor:"1,keyasint"` // number of the newest proposal
	Open []OpenProposal `cbor:"2,keyasint"` // in order of their numbers
}

// OpenProposal is a proposal in OpenIndex.
type OpenProposal struct {
	ID       coco.Digest  `cbor:"1,keyasint"`
	Expires  uint64       `cbor:"2,keyasint"`
	Proposer coco.ActorID `cbor:"3,keyasint"`
}

// VersionKey returns the key of a version.
func VersionKey(version uint64) []byte { return binary.BigEndian.AppendUint64(nil, version) }

// BallotKey returns the key of an actor's ballot about a proposal.
func BallotKey(proposal coco.Digest, actor coco.ActorID) []byte {
	return append(bytes.Clone(proposal[:]), actor[:]...)
}

// PlaceKey returns the key of a place.
func PlaceKey(owner coco.ActorID, address string) []byte {
	return append(bytes.Clone(owner[:]), address...)
}

// Get reads a row of CBOR; ok tells whether it is there.
func Get[T any](r store.Reader, table string, key []byte, limit int) (v T, ok bool, err error) {
	b, ok := r.Get(table, key)
	if !ok {
		return v, false, nil
	}
	v, err = Decode[T](table, b, limit)
	return v, true, err
}

// Decode reads the value of a row. The error is coco.ErrCorrupt.
func Decode[T any](table string, b []byte, limit int) (v T, err error) {
	if err := canon.Unmarshal(b, &v, canon.Limits{Bytes: limit}); err != nil {
		return v, fmt.Errorf("%w: %s: %w", coco.ErrCorrupt, table, err)
	}
	return v, nil
}

// List reads the rows from <= key < to that keep wants; nil wants all.
func List[T any](r store.Reader, table string, from, to []byte, limit int, keep func(T) bool) (out []T, err error) {
	r.Range(table, from, to, func(key, value []byte) bool {
		if table == ProposalsTable && string(key) == OpenKey {
			return true
		}
		var v T
		if v, err = Decode[T](table, value, limit); err != nil {
			return false
		}
		if keep == nil || keep(v) {
			out = append(out, v)
		}
		return true
	})
	return out, err
}

// Put writes a row of CBOR.
func Put(tx *store.Tx, table string, key []byte, v any) error {
	b, err := canon.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", table, err)
	}
	tx.Put(table, key, b)
	return nil
}

// DecodeActions returns what a proposal proposes. The error is coco.ErrInvalid.
func DecodeActions(p *envelope.Proposal) ([]action.Action, error) {
	out := make([]action.Action, len(p.Actions))
	for i, raw := range p.Actions {
		var err error
		if out[i], err = action.Decode(raw); err != nil {
			return nil, fmt.Errorf("action %d: %w", i+1, err)
		}
	}
	return out, nil
}

// LoadOpen returns the index of open proposals; it is empty if there has never been one.
func LoadOpen(r store.Reader) (OpenIndex, error) {
	index, _, err := Get[OpenIndex](r, ProposalsTable, []byte(OpenKey), MaxRecord)
	return index, err
}

// Proposal returns a proposal. The error is coco.ErrNotFound if there is none with this id.
func Proposal(r store.Reader, id coco.Digest) (ProposalRecord, error) {
	rec, ok, err := Get[ProposalRecord](r, ProposalsTable, id[:], MaxRecord)
	if err == nil && !ok {
		err = fmt.Errorf("%w: there is no proposal %s", coco.ErrNotFound, id.Short())
	}
	return rec, err
}

// OpenProposals returns the proposals that are being voted on, in order of their numbers. What it
// costs does not grow with the number of past ones.
func OpenProposals(r store.Reader) ([]ProposalRecord, error) {
	index, err := LoadOpen(r)
	if err != nil {
		return nil, err
	}
	var out []ProposalRecord
	for _, o := range index.Open {
		rec, err := Proposal(r, o.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

// Proposals returns the proposals that keep wants, in order of their ids; nil wants all. Keep sees the id, number,
// state, Since and Decided of a proposal only, so that past ones, of which there are more and more, cost little where they are not wanted.
func Proposals(r store.Reader, keep func(ProposalRecord) bool) (out []ProposalRecord, err error) {
	r.Range(ProposalsTable, nil, nil, func(key, value []byte) bool {
		if string(key) == OpenKey {
			return true
		}
		if keep != nil {
			var head ProposalRecord
			if head, err = proposalHead(key, value); err != nil {
				return false
			}
			if !keep(head) {
				return true
			}
		}
		var rec ProposalRecord
		if rec, err = Decode[ProposalRecord](ProposalsTable, value, MaxRecord); err != nil {
			return false
		}
		out = append(out, rec)
		return true
	})
	return out, err
}

// proposalHead reads what Proposals selects by.
func proposalHead(key, value []byte) (rec ProposalRecord, err error) {
	var fields [4]canon.Raw
	err = canon.Fields(value, []uint64{2, 3, 7, 8}, fields[:], canon.Limits{Bytes: MaxRecord})
	if err == nil {
		rec.Number, _, err = canon.CutHead(fields[0], canon.Uint)
	}
	var state []byte
	if err == nil {
		state, _, err = canon.CutText(fields[1])
	}
	if err == nil {
		rec.Since, _, err = canon.CutHead(fields[2], canon.Uint)
	}
	if err == nil {
		rec.Decided, _, err = canon.CutHead(fields[3], canon.Uint)
	}
	if err != nil || len(key) != len(rec.ID) {
		return rec, fmt.Errorf("%w: %s: row %.40x: %v", coco.ErrCorrupt, ProposalsTable, key, err)
	}
	rec.ID, rec.State = coco.Digest(key), ProposalState(state)
	return rec, nil
}

// Ballots returns the ballots about a proposal, one for each actor, in order of their ids.
func Ballots(r store.Reader, proposal coco.Digest) ([]BallotRecord, error) {
	return List[BallotRecord](r, BallotsTable, proposal[:], store.Behind(proposal[:]), MaxRecord, nil)
}

// Places returns the places that votes have decided about.
func Places(r store.Reader) ([]PlaceRecord, error) {
	return List[PlaceRecord](r, PlacesTable, nil, nil, MaxRecord, nil)
}

// Due returns when the next open proposal's time for voting is over, in milliseconds since 1970,
// and whether there is an open proposal. From then on Expire has something to do.
func Due(r store.Reader) (ms uint64, ok bool) {
	index, err := LoadOpen(r)
	if err != nil {
		return 0, false
	}
	for _, o := range index.Open {
		if !ok || o.Expires < ms {
			ms, ok = o.Expires, true
		}
	}
	return ms, ok
}

// Versions calls fn with the versions of the constitution after one, in order, until fn returns false.
func Versions(r store.Reader, after uint64, fn func(VersionRecord) bool) (err error) {
	r.Range(VersionsTable, VersionKey(after+1), nil, func(_, value []byte) bool {
		var rec VersionRecord
		rec, err = Decode[VersionRecord](VersionsTable, value, MaxVersionRecord)
		return err == nil && fn(rec)
	})
	return err
}

// VersionAt returns the version that was in force after the transaction of a seqno; 0 for none. It reads few rows.
func VersionAt(r store.Reader, seqno uint64) (uint64, error) {
	var failed error
	n := sort.Search(int(LastVersion(r)), func(i int) bool {
		rec, err := Version(r, uint64(i)+1)
		failed = errors.Join(failed, err)
		return err != nil || rec.Since > seqno
	})
	return uint64(n), failed
}

// LastVersion returns the number of the newest version of the constitution; 0 if there is none.
func LastVersion(r store.Reader) uint64 { return lastOf(r, VersionsTable, VersionKey) }

// Version returns the record of a version. The error is coco.ErrNotFound if there is no such version.
func Version(r store.Reader, version uint64) (VersionRecord, error) {
	rec, ok, err := Get[VersionRecord](r, VersionsTable, VersionKey(version), MaxVersionRecord)
	if err == nil && !ok {
		err = fmt.Errorf("%w: there is no version %d of the constitution", coco.ErrNotFound, version)
	}
	return rec, err
}

// ConstitutionAt returns a version of the constitution. The error is coco.ErrNotFound if there is
// no such version.
func ConstitutionAt(r store.Reader, version uint64) (*constitution.Constitution, error) {
	rec, err := Version(r, version)
	if err != nil {
		return nil, err
	}
	c, err := constitution.Decode(rec.Core)
	if err != nil {
		return nil, err
	}
	replaced, err := replacedAfter(r, version)
	if err != nil {
		return nil, err
	}
	for name := range c.AdapterDigests() {
		text, ok := replaced[name]
		if !ok {
			text, _ = r.Get(ConstitutionTable, []byte(SettingsKey+name))
		}
		if err := c.AddSettings(name, text); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// replacedAfter returns the settings of adapters that later versions replaced, as they were at a version. Of the versions, of which there
// are more and more, only those are decoded that changed some.
func replacedAfter(r store.Reader, version uint64) (replaced map[string][]byte, err error) {
	replaced = map[string][]byte{}
	r.Range(VersionsTable, VersionKey(version+1), nil, func(_, value []byte) bool {
		before, _, e := canon.Field(value, 7, canon.Limits{Bytes: MaxVersionRecord})
		if n, _, empty := canon.CutHead(before, canon.Map); e == nil && empty == nil && n == 0 {
			return true
		}
		var rec VersionRecord
		if rec, err = Decode[VersionRecord](VersionsTable, value, MaxVersionRecord); err != nil {
			return false
		}
		for name, text := range rec.Before {
			if _, earlier := replaced[name]; !earlier {
				replaced[name] = text
			}
		}
		return true
	})
	return replaced, err
}

// PutVersion writes the row of a version of the constitution; before holds the settings that it replaces, by adapter.
func PutVersion(tx *store.Tx, c *constitution.Constitution, proposal coco.Digest, before map[string][]byte) error {
	return Put(tx, VersionsTable, VersionKey(c.Version), VersionRecord{
		Version: c.Version, Digest: c.Digest(), Since: tx.Seqno(), Time: tx.Time(), Proposal: proposal, Core: c.Canonical(), Before: before,
	})
}
