// Package grant hands what reads chosen epochs of a ledger to an auditor, by the parts of a threshold of a committee's seats.
//
//	who leads     New(committee, of)                ──▶ Sealing: a key pair whose private part a threshold of seats opens; nobody keeps it
//	who leads     keys.GrantEpoch(Sealing.Public)   ──▶ for each epoch a box: what reads its batches, and nothing else
//	each seat     Part(package, the auditor's key)  ──▶ its part in opening the sealing, encrypted to the auditor
//	the auditor   Open(its key, the seats' parts)   ──▶ the private key, which opens the boxes, and whose part is wrong
//
// All of it but the keys is public, and stands on the ledger. Everybody can check that a sealing was made for this grant, committee and auditor, and that boxes and parts have
// the sizes of some. Whether a part is right, the auditor can tell and nobody else: its proof, and the commitment to its share, are checked when parts are combined.
//
// The seats do not open the sealed epoch itself, because an epoch's secret opens more than the epoch's batches: the snapshots of the whole state that were written in
// it, and by format 1 the epochs before. A box has batch.Reading alone.
//
// Trust: enclave
package grant

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/internal/erase"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// Strings that keep what is hashed and encrypted for one purpose from being taken for another.
const (
	labelGrant  = "coco grant v1"
	contextKey  = "coco grant key v1"
	contextPart = "coco grant part v1"
)

// partSize is the plain text of a part: point ‖ proof ‖ share.
const partSize = ristretto.PointSize + ristretto.ProofSize + keys.SecretSize

// MaxSealing bounds an encoded Sealing, in bytes: for each of keys.MaxMembers seats it has less than 1,300.
const MaxSealing = 2 << 20

// BoxSize is the number of bytes of an epoch's box.
const BoxSize = len(batch.Reading{}) + keys.XWingOverhead

// Of is the grant that something is sealed for, and the committee that it is sealed to.
type Of struct {
	Network   coco.Digest // SHA-256 of the first service's public key
	Grant     uint64      // its number
	Committee uint64      // its number
	Key       uint64      // the version of its key
	To        []byte      // the auditor's public encryption key
}

// bytes is a context ‖ 0x00 ‖ network ‖ grant u64 ‖ committee u64 ‖ version of the key u64 ‖ SHA-256(the auditor's key).
func (o Of) bytes(context string) []byte {
	b := append(append([]byte(context), 0), o.Network[:]...)
	b = binary.BigEndian.AppendUint64(b, o.Grant)
	b = binary.BigEndian.AppendUint64(b, o.Committee)
	b = binary.BigEndian.AppendUint64(b, o.Key)
	to := sha256.Sum256(o.To)
	return append(b, to[:]...)
}

// Sealing is the key pair of a grant, whose private part a threshold of seats opens.
type Sealing struct {
	Sealed committee.Sealed `cbor:"1,keyasint"` // the secret that the private part comes from
	Public []byte           `cbor:"2,keyasint"` // X-Wing: what epochs' boxes are encrypted to
}

// New makes the key pair of a grant. It keeps nothing of the private part.
func New(c *committee.Committee, of Of) (*Sealing, error) {
	secret, sealed, err := c.Seal(of.bytes(labelGrant))
	if err != nil {
		return nil, err
	}
	defer clear(secret[:])
	private, err := privateOf(secret, of)
	if err != nil {
		return nil, err
	}
	return &Sealing{Sealed: *sealed, Public: private.Public()}, nil
}

// Check says whether a sealing has the right shape, and was made for this grant and committee. The error is coco.ErrVerify.
func (s *Sealing) Check(c *committee.Committee, of Of) error {
	if err := committee.CheckEncryption(s.Public); err != nil {
		return fmt.Errorf("%w: grant %d: its key: %w", coco.ErrVerify, of.Grant, err)
	}
	return c.Check(&s.Sealed, of.bytes(labelGrant))
}

// info is what a part is bound to: a context ‖ 0x00 ‖ network ‖ grant u64 ‖ committee u64 ‖ version of the key u64 ‖ SHA-256(the auditor's key) ‖ seat u32 ‖ the u of the sealed
// secret.
func (s *Sealing) info(of Of, seat uint32) []byte {
	b := binary.BigEndian.AppendUint32(of.bytes(contextPart), seat)
	return append(b, s.Sealed.Ciphertext.U[:]...)
}

// Part makes a seat's part in opening the sealing, and encrypts it to the auditor. The errors are those of committee.Committee.Open and keys.SealTo.
func (s *Sealing) Part(c *committee.Committee, of Of, p *committee.Package) ([]byte, error) {
	part, err := c.Open(p, &s.Sealed, of.bytes(labelGrant))
	if err != nil {
		return nil, err
	}
	defer clear(part.Share[:])
	plain := slices.Concat(part.Partial.Point[:], part.Partial.Proof[:], part.Share[:])
	defer clear(plain)
	return keys.SealTo(of.To, s.info(of, part.Partial.Holder), plain)
}

// CheckPart says whether an encrypted part has the size of one. The error is coco.ErrInvalid.
func CheckPart(of Of, box []byte) error {
	size, err := keys.SealedSize(of.To, partSize)
	if err != nil {
		return err
	}
	if len(box) != size {
		return fmt.Errorf("%w: grant %d: a part for the auditor has %d bytes, expected %d", coco.ErrInvalid, of.Grant, len(box), size)
	}
	return nil
}

// CheckBox says whether an epoch's box has the size of one. The error is coco.ErrInvalid.
func CheckBox(of Of, epoch uint64, box []byte) error {
	if len(box) != BoxSize {
		return fmt.Errorf("%w: grant %d: the box of epoch %d has %d bytes, expected %d", coco.ErrInvalid, of.Grant, epoch, len(box), BoxSize)
	}
	return nil
}

// Open returns the private key of a grant, which opens its epochs' boxes (keys.MemberKey.OpenGrant), given the auditor's key and the seats' parts. A part that is wrong does not count:
// faults has a *committee.PartError that names its actor, also if there are enough others. The error is coco.ErrVerify if the key is not the grant's or the sealing is wrong, and
// coco.ErrInvalid if too few parts are right.
func (s *Sealing) Open(c *committee.Committee, of Of, key *keys.MemberKey, boxes map[uint32][]byte) (_ *keys.MemberKey, faults []error, err error) {
	if !slices.Equal(key.Public(), of.To) {
		return nil, nil, fmt.Errorf("%w: grant %d is for the key with the fingerprint %s, found %s", coco.ErrVerify, of.Grant, keys.Fingerprint(of.To), keys.Fingerprint(key.Public()))
	}
	var parts []committee.Part
	defer func() {
		for i := range parts {
			clear(parts[i].Share[:])
		}
	}()
	for i, seat := range c.Seats() {
		number := uint32(i + 1)
		box, ok := boxes[number]
		if !ok {
			continue
		}
		part, err := s.openPart(of, key, number, box)
		if err != nil {
			faults = append(faults, &committee.PartError{Seat: number, Actor: seat.Actor, Reason: "it does not decrypt: it was altered, or made for another grant, seat or key"})
			continue
		}
		parts = append(parts, part)
	}
	secret, wrong, err := c.Combine(&s.Sealed, of.bytes(labelGrant), parts)
	if faults = append(faults, wrong...); err != nil {
		return nil, faults, fmt.Errorf("grant %d: %w", of.Grant, err)
	}
	defer clear(secret[:])
	private, err := privateOf(secret, of)
	if err != nil {
		return nil, faults, err
	}
	if !slices.Equal(private.Public(), s.Public) {
		return nil, faults, fmt.Errorf("%w: grant %d: its secret gives another key than it names: the node that sealed it was dishonest", coco.ErrVerify, of.Grant)
	}
	return private, faults, nil
}

func (s *Sealing) openPart(of Of, key *keys.MemberKey, seat uint32, box []byte) (part committee.Part, err error) {
	plain, err := key.Open(s.info(of, seat), box)
	if err != nil {
		return part, err
	}
	defer clear(plain)
	if len(plain) != partSize {
		return part, fmt.Errorf("%w: a part of %d bytes, expected %d", coco.ErrVerify, len(plain), partSize)
	}
	proof, share := plain[ristretto.PointSize:], plain[ristretto.PointSize+ristretto.ProofSize:]
	return committee.Part{
		Partial: tdh2.Partial{Holder: seat, Point: ristretto.Point(plain[:ristretto.PointSize]), Proof: ristretto.Proof(proof[:ristretto.ProofSize])},
		Share:   keys.Secret(share),
	}, nil
}

// privateOf derives a grant's private key from its secret, the seed of an X-Wing key:
//
//	HKDF-SHA256(secret, no salt, "coco grant key v1" ‖ 0x00 ‖ …, 32 bytes), where … is as in the label
func privateOf(secret keys.Secret, of Of) (*keys.MemberKey, error) {
	seed := erase.HKDF(secret[:], nil, string(of.bytes(contextKey)))
	defer clear(seed[:])
	return keys.XWingKey(seed)
}

// Marshal encodes a sealing for the ledger.
func (s *Sealing) Marshal() ([]byte, error) { return canon.Marshal(s) }

// Parse decodes what Marshal made. Whether it is right, Check says. The error is coco.ErrCorrupt.
func Parse(b []byte) (*Sealing, error) {
	s := new(Sealing)
	if err := canon.Unmarshal(b, s, canon.Limits{Bytes: MaxSealing, Elements: keys.MaxMembers, Pairs: 8}); err != nil {
		return nil, fmt.Errorf("%w: sealing of a grant: %w", coco.ErrCorrupt, err)
	}
	return s, nil
}
