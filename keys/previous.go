package keys

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/erase"
)

// An epoch carries the secrets of those before it, sealed under its own: the secret of the newest epoch opens all of the
// ledger. Members that came later have no shares of earlier epochs; those that left have none of later ones.
//
//	key   = HKDF-SHA256(secret, no salt, "coco previous epochs" ‖ 0x00 ‖ epoch u64be)
//	plain = (epoch u64be ‖ secret), … in order of the epochs
//	box   = AES-256-GCM(key, nonce 0, plain, associated data: SHA-256(commitment))
//
// The key seals one box only, so that its nonce needs no counting.
//
// It carries the newest of them, Carried at most: each of those opens earlier ones in turn, so the size of an epoch does not
// grow with their number, and an epoch that was announced and never used breaks no chain.

const (
	previousContext = "coco previous epochs"
	previousSize    = 8 + SecretSize
)

// Carried is how many secrets of earlier epochs an epoch carries. Those of programs before this limit carry all.
const Carried = 64

// SealPrevious puts the newest secrets of earlier epochs into a new one, whose own secret is given. It MUST be called once at
// most, before the epoch is announced.
func (e *SealedEpoch) SealPrevious(secret Secret, previous map[uint64]Secret) error {
	var plain []byte
	epochs := slices.Sorted(maps.Keys(previous))
	epochs = slices.DeleteFunc(epochs, func(epoch uint64) bool { return epoch >= e.Epoch })
	for _, epoch := range epochs[max(0, len(epochs)-Carried):] {
		s := previous[epoch]
		plain = append(binary.BigEndian.AppendUint64(plain, epoch), s[:]...)
	}
	defer clear(plain)
	if len(plain) == 0 {
		return nil
	}
	aead := e.previous(secret)
	defer erase.Value(aead)
	digest := e.commitmentDigest()
	e.Previous = aead.Seal(nil, make([]byte, aead.NonceSize()), plain, digest[:])
	return nil
}

// OpenPrevious returns the secrets of earlier epochs that this one carries. The error is coco.ErrVerify if they do not decrypt.
func (e *SealedEpoch) OpenPrevious(secret Secret) (map[uint64]Secret, error) {
	out := map[uint64]Secret{}
	if len(e.Previous) == 0 {
		return out, nil
	}
	aead := e.previous(secret)
	defer erase.Value(aead)
	digest := e.commitmentDigest()
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), e.Previous, digest[:])
	if err != nil {
		return nil, fmt.Errorf("%w: epoch %d: the secrets of the epochs before it do not decrypt", coco.ErrVerify, e.Epoch)
	}
	defer clear(plain)
	if len(plain)%previousSize != 0 {
		return nil, fmt.Errorf("%w: epoch %d: %d bytes of secrets, expected a multiple of %d", coco.ErrCorrupt, e.Epoch, len(plain), previousSize)
	}
	for ; len(plain) > 0; plain = plain[previousSize:] {
		out[binary.BigEndian.Uint64(plain)] = Secret(plain[8:previousSize])
	}
	return out, nil
}

func (e *SealedEpoch) previous(secret Secret) cipher.AEAD {
	info := binary.BigEndian.AppendUint64(append([]byte(previousContext), 0), e.Epoch)
	key := erase.HKDF(secret[:], nil, string(info))
	defer clear(key[:])
	return erase.AEAD(key[:])
}
