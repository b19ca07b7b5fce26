package genesis

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/localnet"
)

// The accounts with which Hardhat and Foundry's anvil begin, as their documentation lists them.
func TestDefaultAccountsOfHardhatAndFoundryAreFunded(t *testing.T) {
	accounts, err := makeAccounts()
	if err != nil {
		t.Fatal(err)
	}
	if len(accounts) != 10 {
		t.Fatalf("%d accounts", len(accounts))
	}
	for i, want := range map[int]localnet.Account{
		0: {Address: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", Key: "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"},
		1: {Address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", Key: "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"},
		9: {Address: "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720", Key: "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"},
	} {
		if accounts[i] != want {
			t.Errorf("account %d is %+v, want %+v", i, accounts[i], want)
		}
	}
	if !WellKnown(accounts) {
		t.Error("the accounts are not recognised")
	}
	accounts[3].Key = accounts[4].Key
	if WellKnown(accounts) || WellKnown(nil) {
		t.Error("other accounts are taken for them")
	}
}

// Test vector 1 of BIP-32: its chains m, m/0' and m/0'/1.
func TestChildKeysAreThoseOfBIP32(t *testing.T) {
	seed, _ := hex.DecodeString("000102030405060708090a0b0c0d0e0f")
	k := splitKey([]byte("Bitcoin seed"), seed)
	check := func(want string) {
		t.Helper()
		if got := hex.EncodeToString(k.key[:]); got != want {
			t.Errorf("key %s, want %s", got, want)
		}
	}
	check("e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35")
	var err error
	if k, err = k.child(1 << 31); err != nil {
		t.Fatal(err)
	}
	check("edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea")
	if k, err = k.child(1); err != nil {
		t.Fatal(err)
	}
	check("3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368")
}

func TestNoConfidentialNetworkHasWellKnownAccounts(t *testing.T) {
	lay := localnet.Layout{Dir: t.TempDir()}
	o := options(t, false)
	o.Constitution = func(c *constitution.Constitution) error { c.Network.Insecure = false; return nil }
	_, err := Make(lay, o)
	if !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a network that is not insecure was made with keys that everybody knows: %v", err)
	}
	if parts, err := Parts(lay); err != nil || len(parts) > 0 {
		t.Errorf("it left %v, %v", parts, err)
	}
}
