package settings

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// published are the hashes of the codes (EXTCODEHASH) on Ethereum's mainnet.
var published = map[string]string{
	"0x4e59b44847b379578588920cA78FbF26c0B4956C": "0x2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
	"0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7": "0x2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
	"0xcA11bde05977b3631167028862bE2a173976CA11": "0xd5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891",
	"0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789": "0xc93c806e738300b5357ecdc2e971d6438d34d8e4e17b99b758b1f9cac91c8e70",
	"0x7fc98430eAEdbb6070B35B39D798725049088348": "0xae818091eaaf1b6175ee41472359a689f3823d0908a41e2e5c4ad508f2fc04a3",
	"0x0000000071727De22E5E9d8BAf0edAc6f37da032": "0x8db5ff695839d655407cc8490bb7a5d82337a86a6b39c3f0258aa6c3b582fc58",
	"0xEFC2c1444eBCC4Db75e7613d20C6a62fF67A167C": "0x283c9d14378f5f4c4e24045b87d621d48443fa5b4af7dd7180a599b3756a7689",
}

const erc1820 = "0x1820a4B7618BdE71Dce8cdc73aAB6C95905faD24"

func TestPredeployedContractsAreThoseOfTheMainnet(t *testing.T) {
	names := slices.Sorted(maps.Keys(predeploys))
	page, err := json.Marshal(map[string]any{"chain_id": 5, "predeploys": names})
	must(t, err)
	complete, err := Complete(page)
	must(t, err)
	s, err := Parse(complete)
	must(t, err)
	if len(s.Alloc) != len(published)+1 {
		t.Errorf("%d accounts, expected %d", len(s.Alloc), len(published)+1)
	}
	for address, want := range published {
		if found := crypto.Keccak256Hash(s.Alloc[common.HexToAddress(address)].Code).Hex(); found != want {
			t.Errorf("%s: the code has the hash %s, expected %s", address, found, want)
		}
	}
	// What an entry point has created is at the address that follows from its own, with the nonce that this leaves.
	for _, entry := range []string{"0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789", "0x0000000071727De22E5E9d8BAf0edAc6f37da032"} {
		at := common.HexToAddress(entry)
		a := s.Alloc[at]
		if created := crypto.CreateAddress(at, 1); len(s.Alloc[created].Code) == 0 || a.Nonce != 2 || a.Storage[common.HexToHash("0x2")] != common.HexToHash("0x1") {
			t.Errorf("%s: nonce %d, storage %v, and %d bytes of code at %v", entry, a.Nonce, a.Storage, len(s.Alloc[created].Code), created)
		}
	}
}

// The registry of ERC-1820 has an address that the transaction that deploys it on every chain alone can reach, and this transaction holds its code.
func TestTheRegistryIsWhatItsTransactionDeploys(t *testing.T) {
	text, err := os.ReadFile("testdata/erc1820-deployment.hex")
	must(t, err)
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	must(t, err)
	tx := new(types.Transaction)
	must(t, tx.UnmarshalBinary(raw))
	from, err := types.Sender(types.HomesteadSigner{}, tx)
	must(t, err)
	if at := crypto.CreateAddress(from, tx.Nonce()); at.Hex() != erc1820 {
		t.Fatalf("the transaction deploys %v, expected %s", at, erc1820)
	}
	code := predeploys["erc1820-registry"].accounts[0].hex()[2:]
	if !strings.HasSuffix(hex.EncodeToString(tx.Data()), code) {
		t.Error("the registry's code is not what the transaction deploys")
	}
}
