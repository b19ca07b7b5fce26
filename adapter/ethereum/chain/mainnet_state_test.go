package chain

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core"
	gethstate "github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"
)

// gethRoot is the root of the state that unmodified go-ethereum comes to by a block of the mainnet, from those accounts that the file has. Nothing is paid for the
// block itself: that is not what a network executes that is pinned to it.
func gethRoot(t *testing.T, b *mainnetBlock, alloc types.GenesisAlloc, signer types.Signer) common.Hash {
	database := gethstate.NewDatabaseForTesting()
	s, err := gethstate.New(types.EmptyRootHash, database)
	must(t, err)
	for addr, a := range alloc {
		s.CreateAccount(addr)
		if a.Balance != nil {
			s.AddBalance(addr, uint256.MustFromBig(a.Balance), 0)
		}
		s.SetNonce(addr, a.Nonce, 0)
		s.SetCode(addr, a.Code, 0)
		for k, v := range a.Storage {
			s.SetState(addr, k, v)
		}
	}
	root, err := s.Commit(params.Rules{}, 0)
	must(t, err)
	s, err = gethstate.New(root, database)
	must(t, err)

	h, config := &b.Block.Header, params.MainnetChainConfig
	block := vm.BlockContext{
		CanTransfer: core.CanTransfer, Transfer: core.Transfer, Coinbase: h.Coinbase, GasLimit: h.GasLimit, BlockNumber: h.Number, Time: h.Time,
		Difficulty: h.Difficulty, BaseFee: h.BaseFee,
		GetHash: func(n uint64) common.Hash {
			if n+1 == h.Number.Uint64() {
				return h.ParentHash
			}
			return b.BlockHashes[new(big.Int).SetUint64(n).String()]
		},
	}
	if h.Difficulty.Sign() == 0 {
		block.Random = &h.MixDigest
	}
	if h.ExcessBlobGas != nil {
		block.BlobBaseFee = eip4844.CalcBlobFee(config, h)
	}
	evm := vm.NewEVM(block, s, config, vm.Config{})
	if h.ParentBeaconRoot != nil {
		core.ProcessBeaconBlockRoot(*h.ParentBeaconRoot, evm, nil)
	}
	gas := core.NewGasPool(h.GasLimit)
	for i, tx := range b.Block.Transactions {
		msg, err := core.TransactionToMessage(tx, signer, h.BaseFee)
		must(t, err)
		s.SetTxContext(tx.Hash(), i, 0)
		_, _, err = core.ApplyTransactionWithEVM(t.Context(), msg, gas, s, h.Number, b.Block.Hash, h.Time, tx, evm)
		must(t, err)
	}
	root, err = s.Commit(config.Rules(h.Number, h.Difficulty.Sign() == 0, h.Time), h.Number.Uint64())
	must(t, err)
	return root
}
