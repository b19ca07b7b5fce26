package reexecute

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// mark is s of a transaction that its sender has not signed: the network has authenticated the call otherwise, and r ends with the sender (ADR 32).
var mark = new(big.Int).Rsh(new(big.Int).SetBytes(crypto.Keccak256([]byte("coco: a call that its channel authenticates"))), 1)

// given is a signer that knows a transaction's sender, and that go-ethereum does not ask again: types.Sender keeps what the first signer has told, if that one
// says that it equals the one at hand.
type given struct {
	types.Signer
	from common.Address
}

// Sender implements types.Signer.
func (g given) Sender(*types.Transaction) (common.Address, error) { return g.from, nil }

// Equal implements types.Signer.
func (given) Equal(types.Signer) bool { return true }

// sent has go-ethereum execute such transactions as messages of the senders that they name.
func sent(txs types.Transactions) {
	for _, tx := range txs {
		if _, r, s := tx.RawSignatureValues(); s != nil && s.Cmp(mark) == 0 {
			_, _ = types.Sender(given{types.HomesteadSigner{}, common.BigToAddress(r)}, tx) // it cannot fail
		}
	}
}
