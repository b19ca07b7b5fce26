package genesis

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/localnet"
)

// The accounts with which Hardhat and Foundry's anvil begin, as their documentation lists them.
func TestDefaultAccountsOfHardhatAndFoundryAreFunded(t *testing.T) {
	accounts, err := makeAccounts(10)
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
