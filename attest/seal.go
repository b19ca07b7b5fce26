package attest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
)

// What is sealed begins with these bytes, and a salt.
const (
	sealedMagic = "coco sealed\x00\x01"
	saltSize    = 32
)

// Sealer is the part of a machine's TEE that seals; see host.Sealer.
type Sealer interface {
	// SealingKey returns the 32 bytes of the key for a purpose, which only the same code on the same machine is given again. The slice is the caller's.
	SealingKey(ctx context.Context, purpose string) ([]byte, error)
}

// ErrSealed: what was sealed does not open. It was sealed by other code, on another machine or for another purpose, or it was altered.
var ErrSealed = fmt.Errorf("%w: sealed to other code or another machine, or altered", coco.ErrVerify)

// Seal encrypts and authenticates a secret so that only the same code on the same machine opens it, for the same purpose and context. The purpose is
// a constant of the program; the context is not secret, and whoever opens MUST know it. It hides neither the size nor that there is
// something, and an older sealed secret opens as well as the newest one: the host may show either.
//
//	sealed = "coco sealed" ‖ 0 ‖ 1 ‖ salt (32 random bytes) ‖ AES-256-GCM(key, nonce zero, secret, associated data = context)
//	key    = HKDF-SHA-256(the device's sealing key for the purpose, salt, info "coco sealed state")
func Seal(ctx context.Context, device Sealer, purpose string, context, secret []byte) ([]byte, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // it never fails
	aead, err := sealing(ctx, device, purpose, salt)
	if err != nil {
		return nil, err
	}
	sealed := slices.Concat([]byte(sealedMagic), salt)
	return aead.Seal(sealed, make([]byte, aead.NonceSize()), secret, context), nil
}

// Unseal opens what Seal made. The error is ErrSealed if it does not open.
func Unseal(ctx context.Context, device Sealer, purpose string, context, sealed []byte) ([]byte, error) {
	head := len(sealedMagic)
	if len(sealed) < head+saltSize || string(sealed[:head]) != sealedMagic {
		return nil, fmt.Errorf("%w: %d bytes that do not begin as what this program seals", ErrSealed, len(sealed))
	}
	aead, err := sealing(ctx, device, purpose, sealed[head:head+saltSize])
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, make([]byte, aead.NonceSize()), sealed[head+saltSize:], context)
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

// sealing returns the cipher that seals once.
func sealing(ctx context.Context, device Sealer, purpose string, salt []byte) (cipher.AEAD, error) {
	root, err := device.SealingKey(ctx, purpose)
	if err != nil {
		return nil, fmt.Errorf("the sealing key of this machine: %w", err)
	}
	key, err := hkdf.Key(sha256.New, root, salt, "coco sealed state", 32)
	clear(root)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
