// Package ristretto has elements of the group Ristretto255 (RFC 9496), scalars and proofs as messages carry them.
//
// What comes from elsewhere is parsed once, by Point.Element and ParseScalar, which take the one encoding of a value only and refuse the
// identity; the arithmetic is that of package group of circl. In comments the group is written multiplicatively: g is its generator.
//
// There are two kinds of proofs, both made non-interactive by a hash of the whole statement (Fiat and Shamir):
//
//	Equality      the same exponent x in a^x and b^x (Chaum and Pedersen; package dleq of circl)
//	Possession    that somebody knows the x of g^x (Schnorr, RFC 8235; package dl of circl)
//
// Each is made for a Context, which is hashed too: a proof that was made for one purpose, session or party says nothing in another.
//
// Trust: enclave
package ristretto

import (
	"crypto"
	"crypto/rand"
	_ "crypto/sha512" // of the proofs
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/zk/dl"
	"github.com/cloudflare/circl/zk/dleq"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
)

// Group is the group.
var Group = group.Ristretto255

// Sizes in bytes.
const (
	PointSize = 32
	ProofSize = 64
)

// Point is an element of the group, encoded as in RFC 9496, section 4.3.2.
type Point [PointSize]byte

// Proof is a proof of Equality (challenge ‖ response, two scalars) or of Possession (commitment ‖ response, an element and a scalar).
type Proof [ProofSize]byte

// Element decodes a point. The identity is refused: an honest party never sends it, and a statement about it says nothing. The error is coco.ErrInvalid.
func (p Point) Element() (group.Element, error) {
	e := Group.NewElement()
	if err := e.UnmarshalBinary(p[:]); err != nil || e.IsIdentity() {
		return nil, fmt.Errorf("%w: expected an element of Ristretto255 other than the identity, found %x", coco.ErrInvalid, p[:])
	}
	return e, nil
}

// Elements decodes points.
func Elements(points []Point) ([]group.Element, error) {
	out := make([]group.Element, len(points))
	for i, p := range points {
		var err error
		if out[i], err = p.Element(); err != nil {
			return nil, fmt.Errorf("point %d: %w", i, err)
		}
	}
	return out, nil
}

// Encode returns an element's encoding.
func Encode(e group.Element) Point {
	b, err := e.MarshalBinary()
	if err != nil {
		panic(err) // every element has an encoding
	}
	return Point(b)
}

// Encoded returns the encodings of elements.
func Encoded(elements []group.Element) []Point {
	out := make([]Point, len(elements))
	for i, e := range elements {
		out[i] = Encode(e)
	}
	return out
}

// ParseScalar decodes a scalar: 32 bytes, little-endian, below the group's order. The error is coco.ErrInvalid and does not show the bytes.
func ParseScalar(b []byte) (group.Scalar, error) {
	s := Group.NewScalar()
	if err := s.UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("%w: expected a scalar of Ristretto255 of %d bytes, found none", coco.ErrInvalid, keys.SecretSize)
	}
	return s, nil
}

// SecretOf returns a scalar's encoding.
func SecretOf(s group.Scalar) keys.Secret {
	b, err := s.MarshalBinary()
	if err != nil {
		panic(err) // every scalar has an encoding
	}
	defer clear(b)
	return keys.Secret(b)
}

// At returns the scalar of a party's number: where the party's share is, as the secret is at 0.
func At(number uint32) group.Scalar { return Group.NewScalar().SetUint64(uint64(number)) }

// Committed returns g to the value at a number of the polynomial to whose coefficients a commitment is, the constant one first (Feldman,
// "A Practical Scheme for Non-interactive Verifiable Secret Sharing", FOCS '87).
func Committed(commitment []group.Element, number uint32) group.Element {
	at, sum := At(number), Group.Identity()
	for i := len(commitment) - 1; i >= 0; i-- { // Horner's rule
		sum = Group.NewElement().Add(Group.NewElement().Mul(sum, at), commitment[i])
	}
	return sum
}

// Context is what a proof is made for: a name with a version, and a digest of everything that it must hold for alone.
type Context struct {
	Name   string
	Digest coco.Digest
}

func (c Context) bytes() []byte { return append(append([]byte(c.Name), 0), c.Digest[:]...) }

// Pair is a base and its power.
type Pair struct{ Base, Power group.Element }

// Equality proves that both powers have the exponent x.
func (c Context) Equality(x group.Scalar, a, b Pair) Proof {
	p, err := dleq.Prover{Params: c.params()}.Prove(x, a.Base, a.Power, b.Base, b.Power, rand.Reader)
	if err != nil {
		panic(err) // every element has an encoding
	}
	encoded, err := p.MarshalBinary()
	if err != nil {
		panic(err) // so has every scalar
	}
	return Proof(encoded)
}

// Equal checks a proof that Equality made.
func (c Context) Equal(proof Proof, a, b Pair) bool {
	var p dleq.Proof
	return p.UnmarshalBinary(Group, proof[:]) == nil && dleq.Verifier{Params: c.params()}.Verify(a.Base, a.Power, b.Base, b.Power, &p)
}

func (c Context) params() dleq.Params { return dleq.Params{G: Group, H: crypto.SHA512, DST: c.bytes()} }

// Possession proves knowledge of the x of g^x.
func (c Context) Possession(x group.Scalar) Proof {
	p := dl.Prove(Group, Group.Generator(), Group.NewElement().MulGen(x), x, nil, c.bytes(), rand.Reader)
	v, r := Encode(p.V), SecretOf(p.R)
	return Proof(append(v[:], r[:]...))
}

// Possessed checks a proof that Possession made.
func (c Context) Possessed(proof Proof, power group.Element) bool {
	v, err := Point(proof[:PointSize]).Element()
	if err != nil {
		return false
	}
	r, err := ParseScalar(proof[PointSize:])
	return err == nil && dl.Verify(Group, Group.Generator(), power, dl.Proof{V: v, R: r}, nil, c.bytes())
}
