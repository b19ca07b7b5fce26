package genesis

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/adapter/ethereum/wellknown"
	"github.com/cocoframework/coco/internal/localnet"
)

// accountCount is how many funded accounts a network has that is not in development mode.
const accountCount = 10

// WellKnown reports whether accounts are those of package wellknown. Networks that earlier versions made have others.
func WellKnown(accounts []localnet.Account) bool {
	known, err := makeAccounts(len(accounts))
	return err == nil && len(accounts) > 0 && slices.Equal(accounts, known)
}

// makeAccounts derives the accounts with which Hardhat, Foundry and Ganache begin, so that they hold ether here. Everybody knows their keys. A
// network on this machine is insecure anyway; no other network has them.
func makeAccounts(n int) ([]localnet.Account, error) {
	known, err := wellknown.Accounts(n)
	accounts := make([]localnet.Account, len(known))
	for i, a := range known {
		accounts[i] = localnet.Account{Address: a.Address.Hex(), Key: hexutil.Encode(crypto.FromECDSA(a.Key))}
	}
	return accounts, err
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
