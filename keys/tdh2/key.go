package tdh2

import (
	"crypto/rand"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
)

// MaxHolders is how many holders a key may have.
const MaxHolders = keys.MaxMembers

// Share is a holder's share of a private key.
type Share struct {
	Holder uint32      `cbor:"1,keyasint"` // from 1 on
	Value  keys.Secret `cbor:"2,keyasint"` // a scalar of Ristretto255, little-endian
}

// Key is a public key with threshold decryption. It does not change, and is safe for concurrent use.
type Key struct {
	commitment []group.Element // g to each coefficient of the polynomial
	holders    uint32
}

// NewKey returns the key with a commitment: g to each coefficient of the sharing polynomial, the constant one first, as many as holders
// are needed to open a ciphertext. The error is coco.ErrInvalid if they cannot be a key's.
func NewKey(commitment []ristretto.Point, holders uint32) (*Key, error) {
	if holders < 1 || holders > MaxHolders {
		return nil, fmt.Errorf("%w: key: expected 1 to %d holders, found %d", coco.ErrInvalid, MaxHolders, holders)
	}
	if len(commitment) < 1 || len(commitment) > int(holders) {
		return nil, fmt.Errorf("%w: key: expected a threshold of 1 to %d, found a commitment of %d points", coco.ErrInvalid, holders, len(commitment))
	}
	elements, err := ristretto.Elements(commitment)
	if err != nil {
		return nil, fmt.Errorf("key: commitment: %w", err)
	}
	return &Key{commitment: elements, holders: holders}, nil
}

// Threshold returns how many holders open a ciphertext.
func (k *Key) Threshold() int { return len(k.commitment) }

// Holders returns how many holders the key has. They are numbered from 1 on.
func (k *Key) Holders() uint32 { return k.holders }

// Public returns h, the public key itself.
func (k *Key) Public() ristretto.Point { return ristretto.Encode(k.commitment[0]) }

// Commitment returns g to each coefficient, the constant one first.
func (k *Key) Commitment() []ristretto.Point { return ristretto.Encoded(k.commitment) }

// Verification returns g to a holder's share, which everyone derives from the commitment. The error is coco.ErrInvalid if the key has no such holder.
func (k *Key) Verification(holder uint32) (ristretto.Point, error) {
	e, err := k.verification(holder)
	if err != nil {
		return ristretto.Point{}, err
	}
	return ristretto.Encode(e), nil
}

func (k *Key) verification(holder uint32) (group.Element, error) {
	if holder < 1 || holder > k.holders {
		return nil, fmt.Errorf("%w: expected a holder from 1 to %d, found %d", coco.ErrInvalid, k.holders, holder)
	}
	return ristretto.Committed(k.commitment, holder), nil
}

// Check says whether a share is its holder's of this key. The error is coco.ErrInvalid if it is not.
func (k *Key) Check(s Share) error {
	_, err := k.scalar(s)
	return err
}

// scalar returns a share's value, checked against the commitment.
func (k *Key) scalar(s Share) (group.Scalar, error) {
	public, err := k.verification(s.Holder)
	if err != nil {
		return nil, err
	}
	x, err := ristretto.ParseScalar(s.Value[:])
	if err != nil {
		return nil, fmt.Errorf("share of holder %d: %w", s.Holder, err)
	}
	if !ristretto.Group.NewElement().MulGen(x).IsEqual(public) {
		return nil, fmt.Errorf("%w: share of holder %d: it does not match the key: it was altered, or is of another key", coco.ErrInvalid, s.Holder)
	}
	return x, nil
}

// Deal makes a key and its shares in one place, whose word for having forgotten them its holders must take. Package dkg makes them in many. The error is
// coco.ErrInvalid.
func Deal(threshold, holders int) (*Key, []Share, error) {
	if threshold < 1 || threshold > holders || holders > MaxHolders {
		return nil, nil, fmt.Errorf("%w: key: expected 1 to %d holders and a threshold of 1 to as many, found %d and %d", coco.ErrInvalid, MaxHolders, holders, threshold)
	}
	coefficients := make([]group.Scalar, threshold)
	commitment := make([]ristretto.Point, threshold)
	for i := range coefficients {
		coefficients[i] = ristretto.Group.RandomNonZeroScalar(rand.Reader)
		commitment[i] = ristretto.Encode(ristretto.Group.NewElement().MulGen(coefficients[i]))
	}
	k, err := NewKey(commitment, uint32(holders))
	if err != nil {
		return nil, nil, err
	}
	p, shares := polynomial.New(coefficients), make([]Share, holders)
	for i := range shares {
		holder := uint32(i + 1)
		shares[i] = Share{Holder: holder, Value: ristretto.SecretOf(p.Evaluate(ristretto.At(holder)))}
	}
	return k, shares, nil
}
