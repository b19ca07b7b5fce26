package committee

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/tdh2"
)

const contextPackage = "coco seat package v1"

// Place is which package a sealed one is: it opens as no other.
type Place struct {
	Of    []byte // the ceremony that made it: the digest of its session, or what DealtOf returns
	Seat  uint32 // from 1 on
	Actor coco.ActorID
}

// DealtOf is Place.Of for a committee that one enclave has dealt: SHA-256 of the first service's public key ‖ the committee's number u64.
func DealtOf(network coco.Digest, number uint64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(network[:]), number)
}

// info is what a sealed package is bound to: "coco seat package v1" ‖ 0x00 ‖ Of ‖ seat u32 ‖ actor.
func (p Place) info() []byte {
	b := append(append([]byte(contextPackage), 0), p.Of...)
	b = binary.BigEndian.AppendUint32(b, p.Seat)
	return append(b, p.Actor[:]...)
}

// SealPackage encrypts a seat's package to its actor's encryption key (keys.SealTo). The plain text is deterministic CBOR. The error is coco.ErrInvalid if the
// package is of another seat, or nothing can be encrypted to the key.
func SealPackage(p *Package, to []byte, at Place) ([]byte, error) {
	if p.Share.Holder != at.Seat {
		return nil, fmt.Errorf("%w: package of seat %d: expected that of seat %d", coco.ErrInvalid, p.Share.Holder, at.Seat)
	}
	plain, err := canon.MarshalSecret(p)
	if err != nil {
		return nil, fmt.Errorf("package of seat %d: %w", at.Seat, err)
	}
	defer clear(plain)
	return keys.SealTo(to, at.info(), plain)
}

// OpenPackage decrypts what SealPackage made. The error is coco.ErrVerify if it was altered, or sealed to another key or for another place. Whether the
// package is the seat's, Committee.Holds says.
func OpenPackage(sealed []byte, key *keys.MemberKey, at Place) (*Package, error) {
	plain, err := key.Open(at.info(), sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: the package of seat %d of actor %s does not open: it was altered, is for another place, or is sealed to another key", coco.ErrVerify, at.Seat, at.Actor.Short())
	}
	defer clear(plain)
	p := new(Package)
	if err := canon.UnmarshalSecret(plain, p, canon.Limits{Bytes: maxPackage}); err != nil {
		return nil, fmt.Errorf("%w: the package of seat %d of actor %s does not decode: %w", coco.ErrVerify, at.Seat, at.Actor.Short(), err)
	}
	if p.Share.Holder != at.Seat {
		return nil, fmt.Errorf("%w: the package of seat %d of actor %s holds the share of seat %d", coco.ErrVerify, at.Seat, at.Actor.Short(), p.Share.Holder)
	}
	return p, nil
}

// maxPackage bounds the encoding of a package.
const maxPackage = 128

// CheckSealedPackage says whether a sealed package has the size of one, for a seat and the encryption key that it is sealed to. Whether it opens, only its actor
// can tell. The error is coco.ErrInvalid.
func CheckSealedPackage(sealed []byte, to []byte, seat uint32) error {
	plain, err := canon.Marshal(Package{Share: tdh2.Share{Holder: seat}})
	if err != nil {
		return fmt.Errorf("package of seat %d: %w", seat, err)
	}
	size, err := keys.SealedSize(to, len(plain))
	if err != nil {
		return err
	}
	if len(sealed) != size {
		return fmt.Errorf("%w: the sealed package of seat %d has %d bytes, expected %d", coco.ErrInvalid, seat, len(sealed), size)
	}
	return nil
}

// Holds says whether a package is that of a seat of the committee: its share, and its own key. The error is coco.ErrInvalid.
func (c *Committee) Holds(p *Package) error {
	if err := c.key.Check(p.Share); err != nil {
		return err
	}
	_, encryption, err := decryption(p.Decryption)
	if err != nil {
		return err
	}
	if !slices.Equal(encryption, c.seats[p.Share.Holder-1].Encryption) {
		return fmt.Errorf("%w: package of seat %d: its own key is not the seat's", coco.ErrInvalid, p.Share.Holder)
	}
	return nil
}

// Deal makes a committee in one place: for a network that has no more than one enclave yet, and for tests. Whoever deals MUST seal the packages to their actors and forget them; it
// can open everything until then. The actors get their seats in the order given.
func Deal(actors []coco.ActorID, threshold int) (*Committee, []*Package, error) {
	key, shares, err := tdh2.Deal(threshold, len(actors))
	if err != nil {
		return nil, nil, err
	}
	seats, packages := make([]Seat, len(actors)), make([]*Package, len(actors))
	for i, actor := range actors {
		decryption, encryption, err := NewDecryption()
		if err != nil {
			return nil, nil, err
		}
		seats[i] = Seat{Actor: actor, Encryption: encryption}
		packages[i] = &Package{Share: shares[i], Decryption: decryption}
	}
	c, err := New(key, seats)
	return c, packages, err
}
