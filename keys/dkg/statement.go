package dkg

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
)

// Statement is one of Register, Commit, Reveal, Verdict, Confirm and Close.
type Statement interface{ statement() }

// Register gives a receiver's ephemeral key.
type Register struct {
	Receiver uint32          `cbor:"1,keyasint"`
	Key      ristretto.Point `cbor:"2,keyasint"`
	Proof    ristretto.Proof `cbor:"3,keyasint"` // of possession
}

// Commit gives a dealer's ephemeral key, and binds the dealer to its dealing.
type Commit struct {
	Dealer  uint32          `cbor:"1,keyasint"`
	Key     ristretto.Point `cbor:"2,keyasint"`
	Proof   ristretto.Proof `cbor:"3,keyasint"` // of possession
	Dealing coco.Digest     `cbor:"4,keyasint"` // Reveal.digest
}

// Reveal is a dealer's dealing.
type Reveal struct {
	Dealer     uint32            `cbor:"1,keyasint"`
	Commitment []ristretto.Point `cbor:"2,keyasint"` // g to each coefficient, the constant one first: as many as the new threshold
	Boxes      []Box             `cbor:"3,keyasint"` // of the receivers in order
}

// Box is the dealer's polynomial at a receiver's number, a scalar of 32 bytes, xored with
//
//	HKDF-SHA256(the Diffie-Hellman key of dealer and receiver, no salt, "coco dkg box v1" ‖ 0x00 ‖ session ‖ dealer u32 ‖ receiver u32, 32 bytes)
//
// The key is used for this one box, and the commitment proves the contents, so nothing else protects their integrity.
type Box [keys.SecretSize]byte

// Verdict says what a receiver found in its boxes.
type Verdict struct {
	Receiver uint32    `cbor:"1,keyasint"`
	Disputes []Dispute `cbor:"2,keyasint,omitempty"` // in order of the dealers
}

// Dispute shows that a dealer's box for a receiver holds the wrong value, by the key that opens it.
type Dispute struct {
	Dealer uint32          `cbor:"1,keyasint"`
	Shared ristretto.Point `cbor:"2,keyasint"` // the Diffie-Hellman key of dealer and receiver
	Proof  ristretto.Proof `cbor:"3,keyasint"` // that its exponent is that of the receiver's ephemeral key
}

// Confirm says that a receiver has its share. What it holds from now on is a committee.Package.
type Confirm struct {
	Receiver   uint32 `cbor:"1,keyasint"`
	Encryption []byte `cbor:"2,keyasint"` // the public part of the seat's own key: see committee.NewDecryption
	Sealed     []byte `cbor:"3,keyasint"` // the package, encrypted to its actor; MaxSealed bytes at most
}

// Close ends a phase without those who have not spoken.
type Close struct {
	Phase Phase `cbor:"1,keyasint"`
}

func (*Register) statement() {}
func (*Commit) statement()   {}
func (*Reveal) statement()   {}
func (*Verdict) statement()  {}
func (*Confirm) statement()  {}
func (*Close) statement()    {}

// MaxSealed is how many bytes a sealed package may have.
const MaxSealed = 4096

// maxStatement bounds a statement's encoding: a Reveal of MaxMembers points and boxes takes less than a quarter of it.
const maxStatement = 1 << 19

// statements are the kinds of statements, by their numbers in an encoding.
var statements = map[uint64]func() Statement{
	1: func() Statement { return new(Register) },
	2: func() Statement { return new(Commit) },
	3: func() Statement { return new(Reveal) },
	4: func() Statement { return new(Verdict) },
	5: func() Statement { return new(Confirm) },
	6: func() Statement { return new(Close) },
}

// encoded is a statement of some session.
type encoded struct {
	Session coco.Digest `cbor:"1,keyasint"`
	Kind    uint64      `cbor:"2,keyasint"`
	Body    canon.Raw   `cbor:"3,keyasint"`
}

// Marshal encodes a statement of a session for the ledger.
func Marshal(session coco.Digest, s Statement) ([]byte, error) {
	var kind uint64
	switch s.(type) {
	case *Register:
		kind = 1
	case *Commit:
		kind = 2
	case *Reveal:
		kind = 3
	case *Verdict:
		kind = 4
	case *Confirm:
		kind = 5
	case *Close:
		kind = 6
	}
	body, err := canon.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("dkg: %w", err)
	}
	return canon.Marshal(encoded{session, kind, body})
}

// Parse decodes what Marshal made. Whether a statement is right, Ceremony.Apply says. The error is coco.ErrInvalid.
func Parse(b []byte) (session coco.Digest, s Statement, err error) {
	limits := canon.Limits{Bytes: maxStatement, Elements: keys.MaxMembers, Pairs: 8}
	var e encoded
	if err := canon.Unmarshal(b, &e, limits); err != nil {
		return coco.Digest{}, nil, fmt.Errorf("%w: statement of a key generation: %w", coco.ErrInvalid, err)
	}
	empty, ok := statements[e.Kind]
	if !ok {
		return coco.Digest{}, nil, fmt.Errorf("%w: statement of a key generation: expected a kind from 1 to %d, found %d", coco.ErrInvalid, len(statements), e.Kind)
	}
	s = empty()
	if err := canon.Unmarshal(e.Body, s, limits); err != nil {
		return coco.Digest{}, nil, fmt.Errorf("%w: statement of a key generation: %w", coco.ErrInvalid, err)
	}
	return e.Session, s, nil
}
