package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/erase"
)

// MaxMembers is how many shares an epoch may have.
const MaxMembers = 1024

const (
	scalarSize  = 32
	elementSize = 32

	secretContext = "coco epoch secret"
	shareContext  = "coco key share"
)

// Recipient is a member that gets a share.
type Recipient struct {
	Actor coco.ActorID
	Key   []byte // public encryption key
}

// SealedEpoch is an epoch's secret, shared and encrypted. It is public. Its CBOR form (Marshal) is
// deterministic.
type SealedEpoch struct {
	Version uint64 `cbor:"1,keyasint"` // of the format; 1
	Epoch   uint64 `cbor:"2,keyasint"`
	// Commitment holds the generator times each coefficient of the polynomial, as encoded elements
	// of Ristretto255. There are as many as shares needed.
	Commitment [][]byte `cbor:"3,keyasint"`
	// Shares are in order of their actors. The share at position i is the polynomial's value at i+1.
	Shares []SealedShare `cbor:"4,keyasint"`
	// Previous holds the secrets of earlier epochs, sealed under this one's; see SealPrevious.
	Previous []byte `cbor:"5,keyasint,omitempty"`
}

// SealedShare is one member's share, encrypted to its key by SealTo. The info parameter is
//
//	"coco key share" ‖ 0x00 ‖ epoch u64be ‖ position u32be ‖ actor ‖ SHA-256(commitment)
//
// so a share can be moved to no other place.
type SealedShare struct {
	Actor coco.ActorID `cbor:"1,keyasint"`
	Key   []byte       `cbor:"2,keyasint"` // public encryption key that Box is encrypted to
	Box   []byte       `cbor:"3,keyasint"` // encapsulated key ‖ ciphertext of the scalar
}

// Threshold returns how many shares give the secret back.
func (e *SealedEpoch) Threshold() int { return len(e.Commitment) }

// NewEpoch makes the secret of an epoch and shares it among the recipients; any threshold of them can
// get it back. Every recipient has its own actor and key.
func NewEpoch(epoch uint64, recipients []Recipient, threshold int) (Secret, *SealedEpoch, error) {
	if len(recipients) == 0 || len(recipients) > MaxMembers {
		return Secret{}, nil, fmt.Errorf("%w: epoch %d: expected 1 to %d recipients, found %d", coco.ErrInvalid, epoch, MaxMembers, len(recipients))
	}
	if threshold < 1 || threshold > len(recipients) {
		return Secret{}, nil, fmt.Errorf("%w: epoch %d: expected a threshold of 1 to %d, found %d", coco.ErrInvalid, epoch, len(recipients), threshold)
	}
	recipients = slices.SortedFunc(slices.Values(recipients), func(a, b Recipient) int { return bytes.Compare(a.Actor[:], b.Actor[:]) })

	g := group.Ristretto255
	scalar := g.RandomNonZeroScalar(rand.Reader)
	sharing := secretsharing.New(rand.Reader, uint(threshold-1), scalar)
	sealed := &SealedEpoch{Version: 1, Epoch: epoch}
	for _, element := range sharing.CommitSecret() {
		b, err := element.MarshalBinary()
		if err != nil {
			return Secret{}, nil, fmt.Errorf("epoch %d: commitment: %w", epoch, err)
		}
		sealed.Commitment = append(sealed.Commitment, b)
	}
	digest := sealed.commitmentDigest()
	for i, r := range recipients {
		if i > 0 && r.Actor == recipients[i-1].Actor {
			return Secret{}, nil, fmt.Errorf("%w: epoch %d: actor %s is a recipient twice", coco.ErrInvalid, epoch, r.Actor.Short())
		}
		value, err := sharing.ShareWithID(position(i)).Value.MarshalBinary()
		if err != nil {
			return Secret{}, nil, fmt.Errorf("epoch %d: share: %w", epoch, err)
		}
		box, err := SealTo(r.Key, shareInfo(epoch, i, r.Actor, digest), value)
		clear(value)
		if err != nil {
			return Secret{}, nil, fmt.Errorf("epoch %d: actor %s: %w", epoch, r.Actor.Short(), err)
		}
		sealed.Shares = append(sealed.Shares, SealedShare{Actor: r.Actor, Key: bytes.Clone(r.Key), Box: box})
	}
	secret, err := derive(epoch, scalar)
	return secret, sealed, err
}

// ActorOf returns the member whose share is encrypted to a public key.
func (e *SealedEpoch) ActorOf(public []byte) (coco.ActorID, bool) {
	for i := range e.Shares {
		if bytes.Equal(e.Shares[i].Key, public) {
			return e.Shares[i].Actor, true
		}
	}
	return coco.ActorID{}, false
}

// OpenShare decrypts a member's share and checks it against the commitment.
func (e *SealedEpoch) OpenShare(actor coco.ActorID, key *MemberKey) (Share, error) {
	if err := e.Check(); err != nil {
		return Share{}, err
	}
	i := e.position(actor)
	if i < 0 {
		return Share{}, fmt.Errorf("%w: epoch %d holds no share of actor %s", coco.ErrNotFound, e.Epoch, actor.Short())
	}
	s := &e.Shares[i]
	if public := key.Public(); !bytes.Equal(public, s.Key) {
		return Share{}, fmt.Errorf("%w: epoch %d: the share of actor %s is encrypted to key %x…, found key %x…: use the key that the constitution lists",
			coco.ErrInvalid, e.Epoch, actor.Short(), s.Key[:4], public[:4])
	}
	value, err := key.Open(shareInfo(e.Epoch, i, actor, e.commitmentDigest()), s.Box)
	if err != nil {
		return Share{}, &ShareError{e.Epoch, actor, "it does not decrypt: it was altered or moved"}
	}
	defer clear(value)
	share := Share{Epoch: e.Epoch, Actor: actor}
	if len(value) != len(share.Value) {
		return Share{}, &ShareError{e.Epoch, actor, "it is no scalar"}
	}
	copy(share.Value[:], value)
	if err := e.Verify(share); err != nil {
		return Share{}, err
	}
	return share, nil
}

// Verify checks a share against the commitment, without knowing any other share. The error is a
// *ShareError if the share is not what was dealt to its actor.
func (e *SealedEpoch) Verify(s Share) error {
	commitment, err := e.elements()
	if err != nil {
		return err
	}
	_, err = e.verify(s, commitment)
	return err
}

// Combine returns the secret of an epoch, given the shares of enough members. Every share given is checked. One that is wrong does not
// count, and faults has a *ShareError that names its member, also if there are enough others. A share given twice
// counts once. The error is coco.ErrInvalid if there are not enough.
func Combine(e *SealedEpoch, shares []Share) (_ Secret, faults []error, err error) {
	if err := e.Check(); err != nil {
		return Secret{}, nil, err
	}
	commitment, err := e.elements()
	if err != nil {
		return Secret{}, nil, err
	}
	var points []secretsharing.Share
	seen := map[coco.ActorID]bool{}
	for _, s := range shares {
		point, err := e.verify(s, commitment)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if !seen[s.Actor] {
			seen[s.Actor] = true
			points = append(points, point)
		}
	}
	if len(points) < e.Threshold() {
		return Secret{}, faults, fmt.Errorf("%w: epoch %d: expected shares of %d members, found %d that are right: ask more members for theirs",
			coco.ErrInvalid, e.Epoch, e.Threshold(), len(points))
	}
	scalar, err := secretsharing.Recover(uint(e.Threshold()-1), points)
	if err != nil {
		return Secret{}, faults, fmt.Errorf("%w: epoch %d: %w", coco.ErrInvalid, e.Epoch, err)
	}
	if !group.Ristretto255.NewElement().MulGen(scalar).IsEqual(commitment[0]) {
		return Secret{}, faults, fmt.Errorf("%w: epoch %d: the combined secret does not match its commitment", coco.ErrVerify, e.Epoch)
	}
	secret, err := derive(e.Epoch, scalar)
	return secret, faults, err
}

func (e *SealedEpoch) verify(s Share, commitment []group.Element) (secretsharing.Share, error) {
	if s.Epoch != e.Epoch {
		return secretsharing.Share{}, &ShareError{e.Epoch, s.Actor, fmt.Sprintf("it is of epoch %d", s.Epoch)}
	}
	i := e.position(s.Actor)
	if i < 0 {
		return secretsharing.Share{}, &ShareError{e.Epoch, s.Actor, "the epoch has no share for this actor"}
	}
	value := group.Ristretto255.NewScalar()
	if err := value.UnmarshalBinary(s.Value[:]); err != nil {
		return secretsharing.Share{}, &ShareError{e.Epoch, s.Actor, "it is no scalar"}
	}
	point := secretsharing.Share{ID: position(i), Value: value}
	if !secretsharing.Verify(uint(e.Threshold()-1), point, commitment) {
		return secretsharing.Share{}, &ShareError{e.Epoch, s.Actor, "it does not match the epoch's commitment"}
	}
	return point, nil
}

// position returns where an actor's share is, or -1.
func (e *SealedEpoch) position(actor coco.ActorID) int {
	return slices.IndexFunc(e.Shares, func(s SealedShare) bool { return s.Actor == actor })
}

// position is where the polynomial is evaluated for the share at position i: at 0 it is the secret.
func position(i int) group.Scalar { return group.Ristretto255.NewScalar().SetUint64(uint64(i + 1)) }

func (e *SealedEpoch) commitmentDigest() [sha256.Size]byte {
	return sha256.Sum256(bytes.Join(e.Commitment, nil)) // every element has the same size
}

// elements decodes the commitment.
func (e *SealedEpoch) elements() ([]group.Element, error) {
	out := make([]group.Element, len(e.Commitment))
	for i, b := range e.Commitment {
		if len(b) != elementSize {
			return nil, fmt.Errorf("%w: epoch %d: commitment %d has %d bytes, expected %d", coco.ErrCorrupt, e.Epoch, i, len(b), elementSize)
		}
		out[i] = group.Ristretto255.NewElement()
		if err := out[i].UnmarshalBinary(b); err != nil || out[i].IsIdentity() {
			return nil, fmt.Errorf("%w: epoch %d: commitment %d is no element of the group", coco.ErrCorrupt, e.Epoch, i)
		}
	}
	return out, nil
}

func shareInfo(epoch uint64, i int, actor coco.ActorID, commitment [sha256.Size]byte) []byte {
	info := append([]byte(shareContext), 0)
	info = binary.BigEndian.AppendUint64(info, epoch)
	info = binary.BigEndian.AppendUint32(info, uint32(i))
	info = append(info, actor[:]...)
	return append(info, commitment[:]...)
}

// derive turns the shared scalar into the epoch's secret:
// HKDF-SHA256(scalar, no salt, "coco epoch secret" ‖ 0x00 ‖ epoch u64be).
func derive(epoch uint64, scalar group.Scalar) (Secret, error) {
	b, err := scalar.MarshalBinary()
	if err != nil {
		return Secret{}, fmt.Errorf("epoch %d: %w", epoch, err)
	}
	defer clear(b)
	info := binary.BigEndian.AppendUint64(append([]byte(secretContext), 0), epoch)
	return erase.HKDF(b, nil, string(info)), nil
}
