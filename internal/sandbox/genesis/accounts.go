package genesis

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common/hexutil"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/internal/localnet"
)

// accountCount is how many funded accounts a network has.
const accountCount = 10

// makeAccounts makes fresh accounts. Well-known development keys would be convenient and are
// therefore watched by thieves: funds sent to them on any real network are gone.
func makeAccounts() ([]localnet.Account, error) {
	accounts := make([]localnet.Account, accountCount)
	for i := range accounts {
		key, err := ethcrypto.GenerateKey()
		if err != nil {
			return nil, fmt.Errorf("account key: %w", err)
		}
		accounts[i] = localnet.Account{
			Address: ethcrypto.PubkeyToAddress(key.PublicKey).Hex(),
			Key:     hexutil.Encode(ethcrypto.FromECDSA(key)),
		}
	}
	return accounts, nil
}

// makeChainID draws a chain id that is no public network's: those registered are far below, and
// tools hold chain ids in 32-bit signed numbers or compute 2·id+36 with them.
func makeChainID() (uint64, error) {
	const low, high = 1 << 29, 1<<30 - 64
	n, err := rand.Int(rand.Reader, big.NewInt(high-low))
	if err != nil {
		return 0, fmt.Errorf("chain id: %w", err)
	}
	return low + n.Uint64(), nil
}
