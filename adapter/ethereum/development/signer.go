package development

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// Signer also knows transactions that nobody has signed: their signature says who sends them (Unsigned). In a network that is not in development mode
// such a signature is one like any other, of some address of which nobody has the key.
type Signer struct{ types.Signer }

// mark is s of the signature of a transaction that nobody has signed: no signer gets it, as nobody knows what hashes to it.
var mark = new(big.Int).Rsh(new(big.Int).SetBytes(crypto.Keccak256([]byte("coco: sent for an impersonated address"))), 1)

// Unsigned returns a transaction as an address sends it that is impersonated.
func Unsigned(tx *types.Transaction, from common.Address, signer types.Signer) (*types.Transaction, error) {
	sig := make([]byte, crypto.SignatureLength)
	copy(sig[12:32], from[:])
	mark.FillBytes(sig[32:64])
	return tx.WithSignature(signer, sig)
}

// IsUnsigned returns the sender of a transaction that nobody has signed.
func IsUnsigned(tx *types.Transaction) (from common.Address, is bool) {
	_, r, s := tx.RawSignatureValues()
	if s == nil || s.Cmp(mark) != 0 || r.BitLen() > 8*common.AddressLength {
		return from, false
	}
	return common.BigToAddress(r), true
}

// Sender implements types.Signer.
func (s Signer) Sender(tx *types.Transaction) (common.Address, error) {
	if from, is := IsUnsigned(tx); is {
		return from, nil
	}
	return s.Signer.Sender(tx)
}
