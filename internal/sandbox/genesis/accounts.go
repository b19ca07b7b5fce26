package genesis

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common/hexutil"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/internal/localnet"
)

// accountCount is how many funded accounts a network has.
const accountCount = 10

// Mnemonic is the phrase (BIP-39, without a password) of the funded accounts of a new network: account i has the path
// m/44'/60'/0'/0/i. It is the one that Hardhat, Foundry and Ganache begin with, so that their default accounts hold
// ether here. Everybody knows its keys. A network on this machine is insecure anyway; no other network has them.
const Mnemonic = "test test test test test test test test test test test junk"

// MnemonicPath is the path of an account's key, less its last number, which counts the accounts from 0.
const MnemonicPath = "m/44'/60'/0'/0"

// WellKnown reports whether accounts are those of [Mnemonic]. Networks that earlier versions made have others.
func WellKnown(accounts []localnet.Account) bool {
	known, err := makeAccounts()
	return err == nil && slices.Equal(accounts, known)
}

// makeAccounts derives the accounts of [Mnemonic].
func makeAccounts() ([]localnet.Account, error) {
	parent, err := masterKey(Mnemonic)
	if err != nil {
		return nil, err
	}
	const hardened = 1 << 31
	for _, number := range []uint32{44 | hardened, 60 | hardened, 0 | hardened, 0} {
		if parent, err = parent.child(number); err != nil {
			return nil, err
		}
	}
	accounts := make([]localnet.Account, accountCount)
	for i := range accounts {
		child, err := parent.child(uint32(i))
		if err != nil {
			return nil, err
		}
		key, err := ethcrypto.ToECDSA(child.key[:])
		if err != nil {
			return nil, fmt.Errorf("account key: %w", err)
		}
		accounts[i] = localnet.Account{
			Address: ethcrypto.PubkeyToAddress(key.PublicKey).Hex(),
			Key:     hexutil.Encode(child.key[:]),
		}
	}
	return accounts, nil
}

// extendedKey is an extended private key of BIP-32, without what only its text form has. Only keys that everybody
// knows are derived with it: its arithmetic does not take constant time.
type extendedKey struct{ key, chain [32]byte }

// masterKey derives the master key of a phrase (BIP-39 "From mnemonic to seed", BIP-32 "Master key generation").
func masterKey(mnemonic string) (extendedKey, error) {
	seed, err := pbkdf2.Key(sha512.New, mnemonic, []byte("mnemonic"), 2048, 64)
	if err != nil {
		return extendedKey{}, fmt.Errorf("account key: %w", err)
	}
	return splitKey([]byte("Bitcoin seed"), seed), nil
}

// child derives a child key (BIP-32 "Private parent key → private child key"); one from 2³¹ on is hardened.
func (k extendedKey) child(number uint32) (extendedKey, error) {
	data := append([]byte{0}, k.key[:]...)
	if number < 1<<31 {
		key, err := ethcrypto.ToECDSA(k.key[:])
		if err != nil {
			return extendedKey{}, fmt.Errorf("account key: %w", err)
		}
		data = ethcrypto.CompressPubkey(&key.PublicKey)
	}
	c := splitKey(k.chain[:], binary.BigEndian.AppendUint32(data, number))
	order := ethcrypto.S256().Params().N
	tweak := new(big.Int).SetBytes(c.key[:])
	sum := new(big.Int).Add(tweak, new(big.Int).SetBytes(k.key[:]))
	if sum.Mod(sum, order).Sign() == 0 || tweak.Cmp(order) >= 0 {
		return extendedKey{}, fmt.Errorf("account key: the child %d of this key is invalid", number)
	}
	sum.FillBytes(c.key[:])
	return c, nil
}

// splitKey is the function that BIP-32 calls I, with its halves.
func splitKey(chain, data []byte) (k extendedKey) {
	mac := hmac.New(sha512.New, chain)
	mac.Write(data)
	sum := mac.Sum(nil)
	copy(k.key[:], sum[:32])
	copy(k.chain[:], sum[32:])
	return k
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
