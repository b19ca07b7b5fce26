// Package committee seals secrets to the holders of a shared key, so that a threshold of them opens them together.
//
// A Committee is what one key generation made (package dkg): a key whose shares its seats hold, one an actor, and for each seat a public key of its own. What a
// seat holds in secret is its Package: a share of the key, and the private part of the seat's own key. It lives in the enclave that acts for the seat, and, encrypted to its
// actor, on the ledger.
//
//	anyone          Seal(label)                 ──▶ secret, Sealed
//	a seat          Open(package, sealed)       ──▶ Part, in confidence for who combines
//	who combines    Combine(sealed, parts)      ──▶ secret, and whose part is wrong
//
// The secret comes from two, and is safe while one of them is:
//
//   - one encapsulated by package tdh2. Opening it needs the shares of a threshold of seats, gives none of them away, and each part is proven.
//   - one split by Shamir's scheme, each share encrypted to its seat by HPKE with X-Wing (ML-KEM-768 and X25519). It does not rest on discrete
//     logarithms, so what is recorded today does not fall with them. A hash commits to each share, so a wrong one is found and named;
//     Feldman's commitments would rest on discrete logarithms again.
//
// Whoever seals is trusted to split honestly: a dishonest one can only make what it sealed impossible to open.
//
// Trust: enclave
package committee

import (
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cloudflare/circl/secretsharing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/erase"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// Strings that keep what is hashed for one purpose from being taken for another.
const (
	contextBox    = "coco committee box v1"
	contextShare  = "coco committee share v1"
	contextSecret = "coco committee secret v1"
)

// Sizes in bytes.
const (
	EncryptionSize = keys.XWingPublicKeySize              // a seat's public key
	boxSize        = keys.SecretSize + keys.XWingOverhead // an encrypted scalar
)

// Seat is an actor's place in a committee.
type Seat struct {
	Actor      coco.ActorID
	Encryption []byte // X-Wing public key, EncryptionSize bytes
}

// Committee is who can open what is sealed to it. It does not change, and is safe for concurrent use.
type Committee struct {
	key   *tdh2.Key
	seats []Seat
	to    []hpke.PublicKey
}

// New returns a committee. The holder of the key with number i sits on the i-th seat. The error is coco.ErrInvalid.
func New(key *tdh2.Key, seats []Seat) (*Committee, error) {
	if len(seats) != int(key.Holders()) {
		return nil, fmt.Errorf("%w: committee: expected a seat for each of %d holders, found %d", coco.ErrInvalid, key.Holders(), len(seats))
	}
	c := &Committee{key: key, seats: seats, to: make([]hpke.PublicKey, len(seats))}
	for i, s := range seats {
		var err error
		if c.to[i], err = hpke.MLKEM768X25519().NewPublicKey(s.Encryption); err != nil {
			return nil, fmt.Errorf("%w: committee: the seat of actor %s has no X-Wing key: %w", coco.ErrInvalid, s.Actor.Short(), err)
		}
	}
	return c, nil
}

// FromCommitment is New for the key that has a commitment and a holder for each seat; see tdh2.NewKey.
func FromCommitment(commitment []ristretto.Point, seats []Seat) (*Committee, error) {
	key, err := tdh2.NewKey(commitment, uint32(len(seats)))
	if err != nil {
		return nil, err
	}
	return New(key, seats)
}

// ToCombine returns a committee that checks and combines parts, for whoever has not the seats' own keys: nothing can be sealed to it. Its actors are those of the seats, in order. The error is
// that of FromCommitment.
func ToCombine(commitment []ristretto.Point, actors []coco.ActorID) (*Committee, error) {
	key, err := tdh2.NewKey(commitment, uint32(len(actors)))
	if err != nil {
		return nil, err
	}
	c := &Committee{key: key}
	for _, actor := range actors {
		c.seats = append(c.seats, Seat{Actor: actor})
	}
	return c, nil
}

// Threshold returns how many seats open what is sealed.
func (c *Committee) Threshold() int { return c.key.Threshold() }

// Seats returns who sits in the committee. The caller must not change them.
func (c *Committee) Seats() []Seat { return c.seats }

// Key returns the committee's key.
func (c *Committee) Key() *tdh2.Key { return c.key }

// Package is what a seat holds in secret. It never prints.
type Package struct {
	Share      tdh2.Share  `cbor:"1,keyasint"`
	Decryption keys.Secret `cbor:"2,keyasint"` // seed of the X-Wing key, as in draft-connolly-cfrg-xwing-kem
}

// NewDecryption makes a seat's own key, and returns its two parts.
func NewDecryption() (decryption keys.Secret, encryption []byte, err error) {
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return keys.Secret{}, nil, fmt.Errorf("committee: %w", err)
	}
	seed, err := k.Bytes()
	if err != nil {
		return keys.Secret{}, nil, fmt.Errorf("committee: %w", err)
	}
	defer clear(seed)
	return keys.Secret(seed), k.PublicKey().Bytes(), nil
}

// decryption returns a seat's own key, given its private part, and its public part.
func decryption(seed keys.Secret) (hpke.PrivateKey, []byte, error) {
	k, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: committee: %w", coco.ErrInvalid, err)
	}
	return k, k.PublicKey().Bytes(), nil
}

// CheckEncryption says whether bytes are a seat's public key. The error is coco.ErrInvalid.
func CheckEncryption(encryption []byte) error {
	if _, err := hpke.MLKEM768X25519().NewPublicKey(encryption); err != nil {
		return fmt.Errorf("%w: expected an X-Wing key of %d bytes: %w", coco.ErrInvalid, EncryptionSize, err)
	}
	return nil
}

// Sealed is a secret that is sealed to a committee. It is public.
type Sealed struct {
	Ciphertext tdh2.Ciphertext `cbor:"1,keyasint"`
	Boxes      [][]byte        `cbor:"2,keyasint"` // of the seats in order: encapsulated key ‖ encrypted share
	Shares     []coco.Digest   `cbor:"3,keyasint"` // commitments to the shares in the boxes
}

// Part is a seat's part in opening what is sealed. It is secret: whoever has those of a threshold of seats has the secret.
type Part struct {
	Partial tdh2.Partial `cbor:"1,keyasint"`
	Share   keys.Secret  `cbor:"2,keyasint"` // what the seat's box holds
}

// PartError says whose part is wrong.
type PartError struct {
	Seat   uint32 // from 1 on; 0 if the part names none
	Actor  coco.ActorID
	Reason string
}

// Error implements error.
func (e *PartError) Error() string {
	return fmt.Sprintf("%v: the part of actor %s: %s", coco.ErrVerify, e.Actor.Short(), e.Reason)
}

// Unwrap returns coco.ErrVerify.
func (e *PartError) Unwrap() error { return coco.ErrVerify }

// Seal makes a new secret and seals it to the committee for a label.
func (c *Committee) Seal(label []byte) (keys.Secret, *Sealed, error) {
	if len(c.to) != len(c.seats) {
		return keys.Secret{}, nil, fmt.Errorf("%w: committee: the seats' own keys are not known, so nothing can be sealed to them", coco.ErrInvalid)
	}
	first, ciphertext, err := c.key.Encapsulate(label)
	if err != nil {
		return keys.Secret{}, nil, err
	}
	s := &Sealed{Ciphertext: ciphertext}
	second := ristretto.Group.RandomNonZeroScalar(rand.Reader)
	sharing := secretsharing.New(rand.Reader, uint(c.Threshold()-1), second)
	bound := c.bound(&ciphertext, label)
	for i := range c.seats {
		seat := uint32(i + 1)
		share := ristretto.SecretOf(sharing.ShareWithID(ristretto.At(seat)).Value)
		box, err := hpke.Seal(c.to[i], hpke.HKDFSHA256(), hpke.AES256GCM(), info(contextBox, bound, seat), share[:])
		if err != nil {
			return keys.Secret{}, nil, fmt.Errorf("committee: %w", err)
		}
		s.Boxes = append(s.Boxes, box)
		s.Shares = append(s.Shares, commitment(bound, seat, share))
		clear(share[:])
	}
	return derive(bound, first, ristretto.SecretOf(second)), s, nil
}

// Check says whether what is sealed has the right shape and was made for this committee and label. Whether a box opens, only its seat can tell. The error is
// coco.ErrVerify.
func (c *Committee) Check(s *Sealed, label []byte) error {
	_, err := c.opening(s, label)
	return err
}

// opening returns the ciphertext of what is sealed, checked.
func (c *Committee) opening(s *Sealed, label []byte) (*tdh2.Opening, error) {
	if len(s.Boxes) != len(c.seats) || len(s.Shares) != len(c.seats) {
		return nil, fmt.Errorf("%w: sealed secret: expected %d boxes and commitments, found %d and %d", coco.ErrVerify, len(c.seats), len(s.Boxes), len(s.Shares))
	}
	for i, b := range s.Boxes {
		if len(b) != boxSize {
			return nil, fmt.Errorf("%w: sealed secret: box %d has %d bytes, expected %d", coco.ErrVerify, i+1, len(b), boxSize)
		}
	}
	return c.key.Open(&s.Ciphertext, label)
}

// Open makes a seat's part. The error is coco.ErrVerify if what is sealed is not of this committee and label, and coco.ErrInvalid if the package is of no seat of it.
func (c *Committee) Open(p *Package, s *Sealed, label []byte) (Part, error) {
	opening, err := c.opening(s, label)
	if err != nil {
		return Part{}, err
	}
	partial, err := opening.Partial(p.Share)
	if err != nil {
		return Part{}, err
	}
	seat, bound := p.Share.Holder, c.bound(&s.Ciphertext, label)
	private, err := hpke.MLKEM768X25519().NewPrivateKey(p.Decryption[:])
	if err != nil {
		return Part{}, fmt.Errorf("%w: package of seat %d: %w", coco.ErrInvalid, seat, err)
	}
	share, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info(contextBox, bound, seat), s.Boxes[seat-1])
	if err != nil || len(share) != keys.SecretSize {
		return Part{}, fmt.Errorf("%w: the box of seat %d does not open: it was altered, or the package has another key", coco.ErrVerify, seat)
	}
	defer clear(share)
	part := Part{Partial: partial, Share: keys.Secret(share)}
	if commitment(bound, seat, part.Share) != s.Shares[seat-1] {
		return Part{}, fmt.Errorf("%w: the box of seat %d holds another share than was committed to", coco.ErrVerify, seat)
	}
	return part, nil
}

// CheckPart says whether a seat's part is right, without knowing any other. The error is coco.ErrVerify: if what is sealed is of this committee and label, a *PartError that
// names the seat's actor.
func (c *Committee) CheckPart(s *Sealed, label []byte, p Part) error {
	opening, err := c.opening(s, label)
	if err != nil {
		return err
	}
	_, err = c.check(s, opening, c.bound(&s.Ciphertext, label), p)
	return err
}

// Combine returns what is sealed, given the parts of enough seats. Every part is checked. One that is wrong does not count, and faults has a *PartError that names its
// actor, also if there are enough others. A seat counts once. The error is coco.ErrVerify if what is sealed is not of this committee
// and label, and coco.ErrInvalid if there are not enough parts.
func (c *Committee) Combine(s *Sealed, label []byte, parts []Part) (secret keys.Secret, faults []error, err error) {
	erase.Do(func() { secret, faults, err = c.combine(s, label, parts) })
	return secret, faults, err
}

func (c *Committee) combine(s *Sealed, label []byte, parts []Part) (_ keys.Secret, faults []error, err error) {
	opening, err := c.opening(s, label)
	if err != nil {
		return keys.Secret{}, nil, err
	}
	bound := c.bound(&s.Ciphertext, label)
	var shares []secretsharing.Share
	seen := map[uint32]bool{}
	for _, p := range parts {
		seat := p.Partial.Holder
		if seen[seat] || len(shares) == c.Threshold() {
			continue // of a seat that counts already, or more than are needed
		}
		value, err := c.check(s, opening, bound, p)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		seen[seat] = true
		shares = append(shares, value)
	}
	if len(shares) < c.Threshold() {
		return keys.Secret{}, faults, fmt.Errorf("%w: expected the parts of %d actors, found %d that are right: ask more actors for theirs",
			coco.ErrInvalid, c.Threshold(), len(shares))
	}
	first, err := opening.Secret()
	if err != nil {
		return keys.Secret{}, faults, err
	}
	second, err := secretsharing.Recover(uint(c.Threshold()-1), shares)
	if err != nil {
		return keys.Secret{}, faults, fmt.Errorf("%w: committee: %w", coco.ErrInvalid, err)
	}
	return derive(bound, first, ristretto.SecretOf(second)), faults, nil
}

// check checks a part, adds its partial to the opening, and returns its share.
func (c *Committee) check(s *Sealed, opening *tdh2.Opening, bound coco.Digest, p Part) (secretsharing.Share, error) {
	seat := p.Partial.Holder
	if seat < 1 || int(seat) > len(c.seats) {
		return secretsharing.Share{}, &PartError{Reason: fmt.Sprintf("it is of seat %d, expected 1 to %d", seat, len(c.seats))}
	}
	fault := func(reason string) error { return &PartError{Seat: seat, Actor: c.seats[seat-1].Actor, Reason: reason} }
	value, err := ristretto.ParseScalar(p.Share[:])
	if err != nil || commitment(bound, seat, p.Share) != s.Shares[seat-1] {
		return secretsharing.Share{}, fault("its share is not what was committed to")
	}
	if err := opening.Add(p.Partial); err != nil {
		return secretsharing.Share{}, fault("its partial decryption is wrong")
	}
	return secretsharing.Share{ID: ristretto.At(seat), Value: value}, nil
}

// bound names one sealing: SHA-256(h ‖ SHA-256(label) ‖ the ciphertext's u).
func (c *Committee) bound(ciphertext *tdh2.Ciphertext, label []byte) coco.Digest {
	h, l := c.key.Public(), sha256.Sum256(label)
	return sha256.Sum256(append(append(h[:], l[:]...), ciphertext.U[:]...))
}

// info is what a box is bound to: context ‖ 0x00 ‖ bound ‖ seat u32.
func info(context string, bound coco.Digest, seat uint32) []byte {
	b := append(append([]byte(context), 0), bound[:]...)
	return binary.BigEndian.AppendUint32(b, seat)
}

// commitment hides a share, which is random, and binds its dealer to it: SHA-256(context ‖ 0x00 ‖ bound ‖ seat u32 ‖ share).
func commitment(bound coco.Digest, seat uint32, share keys.Secret) coco.Digest {
	return sha256.Sum256(append(info(contextShare, bound, seat), share[:]...))
}

// derive makes the secret of both, and wipes them: HKDF-SHA256(first ‖ second, no salt, "coco committee secret v1" ‖ 0x00 ‖ bound, 32 bytes).
func derive(bound coco.Digest, first, second keys.Secret) keys.Secret {
	both := append(first[:], second[:]...)
	clear(first[:])
	clear(second[:])
	defer clear(both)
	return erase.HKDF(both, nil, contextSecret+"\x00"+string(bound[:]))
}

// Format writes a placeholder, whatever the verb.
func (*Package) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[package of a seat]") }

// Format writes a placeholder, whatever the verb.
func (Part) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[part of a seat]") }
