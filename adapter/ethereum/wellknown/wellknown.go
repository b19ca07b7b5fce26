// Package wellknown is the accounts with which tests begin everywhere: those of the phrase that Hardhat, Foundry and Ganache have. Everybody
// knows their keys, by definition, so nothing here is a secret.
//
// Trust: either
package wellknown

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Mnemonic is the phrase (BIP-39, without a password) of the accounts: account i has the path m/44'/60'/0'/0/i.
const Mnemonic = "test test test test test test test test test test test junk"

// Path is the path of an account's key, less its last number, which counts the accounts from 0.
const Path = "m/44'/60'/0'/0"

// Count is how many accounts the nodes of Hardhat begin with.
const Count = 20

// Account is one of them.
type Account struct {
	Address common.Address
	Key     *ecdsa.PrivateKey
}

// Accounts derives the first n accounts.
func Accounts(n int) ([]Account, error) {
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
	accounts := make([]Account, n)
	for i := range accounts {
		child, err := parent.child(uint32(i))
		if err != nil {
			return nil, err
		}
		key, err := crypto.ToECDSA(child.key[:])
		if err != nil {
			return nil, fmt.Errorf("account key: %w", err)
		}
		accounts[i] = Account{crypto.PubkeyToAddress(key.PublicKey), key}
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
		key, err := crypto.ToECDSA(k.key[:])
		if err != nil {
			return extendedKey{}, fmt.Errorf("account key: %w", err)
		}
		data = crypto.CompressPubkey(&key.PublicKey)
	}
	c := splitKey(k.chain[:], binary.BigEndian.AppendUint32(data, number))
	order := crypto.S256().Params().N
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
