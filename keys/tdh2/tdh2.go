// Package tdh2 encrypts to a key whose private part exists only as shares.
//
// It is TDH2 of Shoup and Gennaro ("Securing Threshold Cryptosystems against Chosen Ciphertext Attack", EUROCRYPT '98; Journal of
// Cryptology 15, 2002, section 4) over Ristretto255 (RFC 9496), used as a key encapsulation: what is encrypted is a fresh random
// secret of 32 bytes. It is secure against chosen ciphertexts in the random oracle model if the decisional Diffie-Hellman problem is hard
// in the group, against an attacker that chose fewer than a threshold of the holders before it began.
//
//	anyone            Key.Encapsulate(label)        ──▶ secret, Ciphertext
//	each holder       Key.Decrypt(share, ciphertext) ─▶ Partial, after the ciphertext's proof was checked
//	anyone            Key.Open(ciphertext, label)   ──▶ Opening, whose proof is checked once for all that follows
//	                  Opening.Add(partial)          ──▶ whether it is right
//	                  Opening.Secret()              ──▶ secret
//
// A label says what a ciphertext is for. It is not part of the ciphertext: each holder checks the ciphertext against the label of what it
// was asked to open, so a ciphertext that was made for one epoch, or altered in any way, is opened as no other one. ElGamal's scheme lacks this:
// whoever may have one ciphertext opened could have a shifted copy of another one opened.
//
// The private key x is the value at 0 of a polynomial of degree threshold−1, holder i's share is its value at i, and the Key has Feldman's
// commitments to the coefficients, from which everyone derives each holder's verification key. A partial is u^(x_i); partials are combined
// in the exponent, so neither shares nor the private key ever come together. In this comment the group is written multiplicatively; g is its generator:
//
//	Key          h = g^x, and g to each coefficient
//	Ciphertext   u = g^r, ū = ḡ^r, and a proof of log_g(u) = log_ḡ(ū) for the label, where nobody knows log_g(ḡ)
//	Partial      u_i = u^(x_i), and a proof of log_g(h_i) = log_u(u_i)
//	secret       HKDF-SHA256(h^r), where h^r is the product of u_i^λ_i
//
// The proofs are those of package ristretto. Their contexts hold the key and the label, and for partials the ciphertext and the holder.
//
// The package decides nothing: who may hold a share, or have something opened, is its callers' business. All randomness comes from crypto/rand.
//
// Trust: enclave
package tdh2

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/cloudflare/circl/group"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/erase"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
)

// Strings that keep what is hashed for one purpose from being taken for another.
const (
	contextGenerator  = "coco tdh2 second generator v1"
	contextCiphertext = "coco tdh2 ciphertext v1"
	contextPartial    = "coco tdh2 partial v1"
	contextSecret     = "coco tdh2 secret v1"
)

// ḡ, of which nobody knows the logarithm: it is a hash.
var second = ristretto.Group.HashToElement([]byte("g"), []byte(contextGenerator))

// Ciphertext is a secret, encapsulated for a Key and a label. It is public.
type Ciphertext struct {
	U     ristretto.Point `cbor:"1,keyasint"` // g^r
	V     ristretto.Point `cbor:"2,keyasint"` // ḡ^r
	Proof ristretto.Proof `cbor:"3,keyasint"` // that both have the same exponent
}

// Partial is a holder's part in opening one ciphertext. Threshold of them give the secret, and say nothing about other ciphertexts or the holders' shares.
type Partial struct {
	Holder uint32          `cbor:"1,keyasint"`
	Point  ristretto.Point `cbor:"2,keyasint"` // u^(x_i)
	Proof  ristretto.Proof `cbor:"3,keyasint"` // that its exponent is that of the holder's verification key
}

// PartialError says whose partial is wrong.
type PartialError struct {
	Holder uint32
	Reason string
}

// Error implements error.
func (e *PartialError) Error() string {
	return fmt.Sprintf("%v: partial decryption of holder %d: %s", coco.ErrVerify, e.Holder, e.Reason)
}

// Unwrap returns coco.ErrVerify.
func (e *PartialError) Unwrap() error { return coco.ErrVerify }

// Encapsulate makes a new secret and its ciphertext for a label.
func (k *Key) Encapsulate(label []byte) (keys.Secret, Ciphertext, error) {
	g := ristretto.Group
	r := g.RandomNonZeroScalar(rand.Reader)
	u, v := g.NewElement().MulGen(r), g.NewElement().Mul(second, r)
	c := Ciphertext{U: ristretto.Encode(u), V: ristretto.Encode(v), Proof: k.context(label).Equality(r, ristretto.Pair{Base: g.Generator(), Power: u}, ristretto.Pair{Base: second, Power: v})}
	return derive(&c, k.digest(label), g.NewElement().Mul(k.commitment[0], r)), c, nil
}

// Verify checks that a ciphertext was made for this key and a label by someone who knew its secret. The error is coco.ErrVerify.
func (k *Key) Verify(c *Ciphertext, label []byte) error {
	_, err := k.Open(c, label)
	return err
}

// Decrypt makes a holder's partial of a ciphertext. The errors are those of Open and Opening.Partial.
func (k *Key) Decrypt(s Share, c *Ciphertext, label []byte) (Partial, error) {
	o, err := k.Open(c, label)
	if err != nil {
		return Partial{}, err
	}
	return o.Partial(s)
}

// Combine returns a ciphertext's secret, given the partials of enough holders. Every partial is checked. One that is wrong does not
// count, and faults has a *PartialError that names its holder, also if there are enough others. A holder counts
// once. The error is coco.ErrVerify if the ciphertext is wrong, and coco.ErrInvalid if there are not enough partials.
func (k *Key) Combine(c *Ciphertext, label []byte, partials []Partial) (_ keys.Secret, faults []error, err error) {
	o, err := k.Open(c, label)
	if err != nil {
		return keys.Secret{}, nil, err
	}
	for _, p := range partials {
		if err := o.Add(p); err != nil {
			faults = append(faults, err)
		}
	}
	secret, err := o.Secret()
	return secret, faults, err
}

// derive makes the secret from h^r:
//
//	HKDF-SHA256(h^r, no salt, "coco tdh2 secret v1" ‖ 0x00 ‖ SHA-256(h ‖ label) ‖ the ciphertext, 32 bytes)
func derive(c *Ciphertext, d coco.Digest, shared group.Element) keys.Secret {
	point := ristretto.Encode(shared)
	defer clear(point[:])
	return erase.HKDF(point[:], nil, contextSecret+"\x00"+string(c.append(d[:])))
}

// append appends a ciphertext's bytes: 128, whatever its contents.
func (c *Ciphertext) append(b []byte) []byte {
	b = append(b, c.U[:]...)
	b = append(b, c.V[:]...)
	return append(b, c.Proof[:]...)
}

// digest binds a ciphertext and its secret to a key and a label: SHA-256(h ‖ label). All points have one size.
func (k *Key) digest(label []byte) coco.Digest {
	h := k.Public()
	return sha256.Sum256(append(h[:], label...))
}

// context is that of a ciphertext's proof.
func (k *Key) context(label []byte) ristretto.Context {
	return ristretto.Context{Name: contextCiphertext, Digest: k.digest(label)}
}
