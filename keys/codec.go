package keys

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// maxSealed bounds the encoding of an epoch: MaxMembers shares take less than two thirds of it.
const maxSealed = 1 << 22

// Share is one member's part of an epoch's secret, in the clear. It is as secret as the epoch once
// threshold of them are in one hand. The test vectors have it in CBOR.
type Share struct {
	Epoch uint64       `cbor:"1,keyasint"`
	Actor coco.ActorID `cbor:"2,keyasint"`
	Value Secret       `cbor:"3,keyasint"` // a scalar of Ristretto255, little-endian
}

// ShareError says whose share is wrong.
type ShareError struct {
	Epoch  uint64
	Actor  coco.ActorID
	Reason string
}

// Error implements error.
func (e *ShareError) Error() string {
	return fmt.Sprintf("%v: epoch %d: share of actor %s: %s", coco.ErrVerify, e.Epoch, e.Actor.Short(), e.Reason)
}

// Unwrap returns coco.ErrVerify.
func (e *ShareError) Unwrap() error { return coco.ErrVerify }

// Marshal encodes the epoch for the ledger.
func (e *SealedEpoch) Marshal() ([]byte, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	return canon.Marshal(e)
}

// ParseSealedEpoch decodes what SealedEpoch.Marshal made and checks it.
func ParseSealedEpoch(b []byte) (*SealedEpoch, error) {
	e := new(SealedEpoch)
	if err := canon.Unmarshal(b, e, canon.Limits{Bytes: maxSealed, Elements: MaxMembers, Pairs: 16}); err != nil {
		return nil, fmt.Errorf("%w: sealed epoch: %w", coco.ErrCorrupt, err)
	}
	if err := e.Check(); err != nil {
		return nil, err
	}
	if _, err := e.elements(); err != nil {
		return nil, err
	}
	return e, nil
}

// Check says whether the epoch has the right shape: as many shares as its threshold at least, in
// order, each of the right sizes. Whether a share decrypts, only its member can tell.
func (e *SealedEpoch) Check() error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%w: sealed epoch %d: %s", coco.ErrCorrupt, e.Epoch, fmt.Sprintf(format, args...))
	}
	switch {
	case e.Version != 1:
		return fault("format version %d, expected 1", e.Version)
	case len(e.Shares) == 0 || len(e.Shares) > MaxMembers:
		return fault("%d shares, expected 1 to %d", len(e.Shares), MaxMembers)
	case len(e.Commitment) == 0 || len(e.Commitment) > len(e.Shares):
		return fault("a threshold of %d, expected 1 to %d", len(e.Commitment), len(e.Shares))
	}
	for i, b := range e.Commitment {
		if len(b) != elementSize {
			return fault("commitment %d has %d bytes, expected %d", i, len(b), elementSize)
		}
	}
	for i := range e.Shares {
		s := &e.Shares[i]
		if size, err := SealedSize(s.Key, scalarSize); err != nil || len(s.Box) != size {
			return fault("share %d: a key of %d and a box of %d bytes, expected %d and %d for %s, or %d and %d for %s", i, len(s.Key), len(s.Box),
				XWingPublicKeySize, XWingOverhead+scalarSize, XWing, PublicKeySize, PublicKeySize+tagSize+scalarSize, X25519)
		}
		if i > 0 && bytes.Compare(e.Shares[i-1].Actor[:], s.Actor[:]) >= 0 {
			return fault("share %d: shares are not in order of their actors", i)
		}
	}
	return nil
}
