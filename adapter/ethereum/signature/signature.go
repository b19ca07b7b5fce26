// Package signature tells which address has signed something that a wallet shows: typed data (EIP-712) or a text (EIP-191).
//
// Trust: either
package signature

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
)

// ErrNobody is the kind of an error that says that no key has made a signature of this form for this hash, or that it is the second one that anybody makes of one.
var ErrNobody = errors.New("the signature is none of this message")

// Signer returns the address whose key has signed a hash. A signature has 65 bytes: r, s of the lower half, and v of 27 or 28. So nobody makes a second one of
// a signature without the key. The error is coco.ErrInvalid; what names the signed thing in it.
func Signer(what string, hash common.Hash, signature []byte) (common.Address, error) {
	if len(signature) != crypto.SignatureLength || signature[64] != 27 && signature[64] != 28 {
		return common.Address{}, fmt.Errorf("%w: %s: signature of %d bytes: expected 65, the last of them 27 or 28", coco.ErrInvalid, what, len(signature))
	}
	sig := append(append([]byte{}, signature[:64]...), signature[64]-27)
	key, err := crypto.SigToPub(hash[:], sig)
	if err != nil || !crypto.VerifySignature(crypto.FromECDSAPub(key), hash[:], sig[:64]) {
		return common.Address{}, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, what, ErrNobody)
	}
	return crypto.PubkeyToAddress(*key), nil
}
