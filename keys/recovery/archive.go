package recovery

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/ristretto"
)

// Committee is a committee as the ledger has it: its archive, and for each seat the package that its member opens. One that the ledger has reduced has no commitment and no seats: its archive opens by that of
// the committee after it, and is no lock.
type Committee struct {
	Network    coco.Digest       `cbor:"1,keyasint"` // see archive.Of
	Number     uint64            `cbor:"2,keyasint"`
	Key        uint64            `cbor:"3,keyasint"` // the version of its key
	Commitment []ristretto.Point `cbor:"4,keyasint"` // of its key; as many as seats are needed
	Seats      []Seat            `cbor:"5,keyasint"` // the first has number 1
	Ceremony   []byte            `cbor:"6,keyasint"` // see committee.Place.Of
	Archive    *archive.Archive  `cbor:"7,keyasint"`
}

// Seat is a member's place in a committee.
type Seat struct {
	Actor      coco.ActorID `cbor:"1,keyasint"`
	Encryption []byte       `cbor:"2,keyasint"` // the seat's own public key
	To         []byte       `cbor:"3,keyasint"` // the member's
	Package    []byte       `cbor:"4,keyasint"` // sealed to it: committee.OpenPackage
}

func (c *Committee) of() archive.Of {
	return archive.Of{Network: c.Network, Committee: c.Number, Key: c.Key, Constitution: c.Archive.Constitution}
}

// committee returns what opens.
func (c *Committee) committee() (*committee.Committee, error) {
	seats := make([]committee.Seat, len(c.Seats))
	for i, s := range c.Seats {
		seats[i] = committee.Seat{Actor: s.Actor, Encryption: s.Encryption}
	}
	return committee.FromCommitment(c.Commitment, seats)
}

// check says whether the archive is sealed to the committee. The error is coco.ErrInvalid or coco.ErrVerify.
func (c *Committee) check() error {
	if c.Archive == nil || len(c.Seats) == 0 || len(c.Commitment) == 0 || len(c.Commitment) > len(c.Seats) {
		return fmt.Errorf("%w: committee %d: expected an archive, and a threshold of 1 to %d", coco.ErrInvalid, c.Number, len(c.Seats))
	}
	opens, err := c.committee()
	if err != nil {
		return err
	}
	return c.Archive.Check(opens, c.of())
}

// archiveLock is the lock of a committee's archive.
type archiveLock struct{ c *Committee }

func (l archiveLock) name() string {
	return fmt.Sprintf("the archive of committee %d", l.c.Number)
}
func (l archiveLock) threshold() int { return len(l.c.Commitment) }

func (l archiveLock) holders() (out []coco.ActorID) {
	for i := range l.c.Seats {
		out = append(out, l.c.Seats[i].Actor)
	}
	return out
}

func (l archiveLock) actorOf(public []byte) (coco.ActorID, bool) {
	for i := range l.c.Seats {
		if bytes.Equal(l.c.Seats[i].To, public) {
			return l.c.Seats[i].Actor, true
		}
	}
	return coco.ActorID{}, false
}

// seat returns the number of a member's seat; 0 for none.
func (l archiveLock) seat(actor coco.ActorID) uint32 {
	for i := range l.c.Seats {
		if l.c.Seats[i].Actor == actor {
			return uint32(i + 1)
		}
	}
	return 0
}

func (l archiveLock) part(actor coco.ActorID, key *keys.MemberKey) ([]byte, error) {
	n := l.seat(actor)
	if n == 0 {
		return nil, fmt.Errorf("%w: committee %d has no seat of actor %s", coco.ErrNotFound, l.c.Number, actor.Short())
	}
	s := &l.c.Seats[n-1]
	if public := key.Public(); !bytes.Equal(public, s.To) {
		return nil, fmt.Errorf("%w: committee %d: the package of actor %s is encrypted to key %x…, found key %x…: use the key that the constitution lists",
			coco.ErrInvalid, l.c.Number, actor.Short(), s.To[:min(4, len(s.To))], public[:4])
	}
	p, err := committee.OpenPackage(s.Package, key, committee.Place{Of: l.c.Ceremony, Seat: n, Actor: actor})
	if err != nil {
		return nil, err
	}
	defer clear(p.Decryption[:])
	defer clear(p.Share.Value[:])
	opens, err := l.c.committee()
	if err != nil {
		return nil, err
	}
	if err := opens.Holds(p); err != nil {
		return nil, fmt.Errorf("%w: the package of actor %s: %w", coco.ErrVerify, actor.Short(), err)
	}
	part, err := l.c.Archive.Part(opens, l.c.of(), p)
	if err != nil {
		return nil, err
	}
	defer clear(part.Share[:])
	return canon.MarshalSecret(part)
}

// decode reads a part of a seat.
func (l archiveLock) decode(actor coco.ActorID, b []byte) (part committee.Part, err error) {
	if err := canon.UnmarshalSecret(b, &part, canon.Limits{Bytes: maxReleased}); err != nil {
		return part, fmt.Errorf("%w: it does not decode", coco.ErrVerify)
	}
	if n := l.seat(actor); part.Partial.Holder != n {
		return part, fmt.Errorf("%w: it is of seat %d, expected %d", coco.ErrVerify, part.Partial.Holder, n)
	}
	return part, nil
}

func (l archiveLock) check(actor coco.ActorID, b []byte) error {
	part, err := l.decode(actor, b)
	if err != nil {
		return err
	}
	defer clear(part.Share[:])
	opens, err := l.c.committee()
	if err != nil {
		return err
	}
	return l.c.Archive.CheckPart(opens, l.c.of(), part)
}

func (l archiveLock) combine(parts map[coco.ActorID][]byte) (keys.Secret, error) {
	opens, err := l.c.committee()
	if err != nil {
		return keys.Secret{}, err
	}
	var all []committee.Part
	for actor, b := range parts {
		part, err := l.decode(actor, b)
		if err != nil {
			return keys.Secret{}, err
		}
		all = append(all, part)
	}
	secret, _, err := l.c.Archive.Combine(opens, l.c.of(), all)
	for i := range all {
		clear(all[i].Share[:])
	}
	return secret, err
}
