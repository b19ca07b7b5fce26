package chain

import (
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter"
)

// A leader that loses its view and leads again while the worker computes a root begins with a trie of its own:
// what the trie of the chain before holds was rolled back.
func TestNoHeaderCarriesARootOfAChainThatWasRolledBack(t *testing.T) {
	for range 3 {
		c := newTestChain(t, 1, nil)
		a := newAuditor(c)
		nonce := uint64(0)
		next := func(n int) {
			calls := make([]*adapter.Call, n)
			for i := range calls {
				to := common.BytesToAddress(binary.BigEndian.AppendUint64([]byte{7}, nonce))
				calls[i] = c.call(types.MustSignNewTx(c.keys[0], c.Signer(), &types.LegacyTx{Nonce: nonce, To: &to, Gas: 21000, Value: common.Big1, GasPrice: new(big.Int)}))
				nonce++
			}
			included_(t, c.execute(calls...), n)
		}
		next(1)
		c.awaitRoot(1)
		next(800)                    // the worker begins with the root of this block,
		next(1)                      // this one waits behind it,
		c.Rollback(c.store.Newest()) // the node loses its view
		next(1)                      // and leads again.
		c.awaitRoot(c.Head().Number())
		next(1)
		a.follow(c) // checks every root
	}
}
