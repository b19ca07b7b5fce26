package settings

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

// codes are the codes of contracts in hexadecimal: Multicall3 (github.com/mds1/multicall, MIT), the entry points of ERC-4337 with the contracts that they create
// (github.com/eth-infinitism/account-abstraction, releases 0.6 and 0.7: their packages say MIT, their sources GPL-3.0), and the registry of ERC-1820 (CC0). They are data that a
// constitution may name; nothing of Coco is compiled with them.
//
//go:embed predeploys/*.hex
var codes embed.FS

// predeploy is a contract that tools expect at the same address on every chain.
type predeploy struct {
	accounts []deployed
	state    bool // it keeps state
}

// deployed is an account of a predeploy as it is on Ethereum's mainnet right after it was deployed.
type deployed struct {
	address string
	code    string // a file of codes without its ending, or 0x and hexadecimal digits
	nonce   uint64
	storage map[string]string
}

// proxy is the code of github.com/Arachnid/deterministic-deployment-proxy: salt ‖ initialisation code -> CREATE2.
const proxy = "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"

// guard is what OpenZeppelin's ReentrancyGuard writes when an entry point is deployed.
var guard = map[string]string{"0x2": "0x1"}

// predeploys are by the names of the setting predeploys. An entry point creates its sender creator when it is deployed.
var predeploys = map[string]predeploy{
	// Elsewhere it is deployed by a transaction that was signed without a chain id.
	"create2-deployer": {accounts: []deployed{{address: "0x4e59b44847b379578588920cA78FbF26c0B4956C", code: proxy, nonce: 1}}},
	// Elsewhere Safe's key deploys the same code, by a transaction for the chain.
	"safe-singleton-factory": {accounts: []deployed{{address: "0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7", code: proxy, nonce: 1}}},
	"multicall3":             {accounts: []deployed{{address: "0xcA11bde05977b3631167028862bE2a173976CA11", code: "multicall3", nonce: 1}}},
	"erc1820-registry":       {state: true, accounts: []deployed{{address: "0x1820a4B7618BdE71Dce8cdc73aAB6C95905faD24", code: "erc1820-registry", nonce: 1}}},
	"entrypoint-v0.6": {state: true, accounts: []deployed{
		{address: "0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789", code: "entrypoint-v0.6", nonce: 2, storage: guard},
		{address: "0x7fc98430eAEdbb6070B35B39D798725049088348", code: "sendercreator-v0.6", nonce: 1},
	}},
	"entrypoint-v0.7": {state: true, accounts: []deployed{
		{address: "0x0000000071727De22E5E9d8BAf0edAc6f37da032", code: "entrypoint-v0.7", nonce: 2, storage: guard},
		{address: "0xEFC2c1444eBCC4Db75e7613d20C6a62fF67A167C", code: "sendercreator-v0.7", nonce: 1},
	}},
}

// hex is the account's code, 0x and hexadecimal digits.
func (d *deployed) hex() string {
	if strings.HasPrefix(d.code, "0x") {
		return d.code
	}
	text, err := codes.ReadFile("predeploys/" + d.code + ".hex")
	if err != nil {
		panic(err) // it is a part of the program
	}
	return "0x" + strings.TrimPrefix(strings.TrimSpace(string(text)), "0x")
}

// expandPredeploys replaces the setting predeploys of a page by accounts of alloc, so that what is stored is their code and
// no name whose meaning a later program could change. An account that the page gives itself stays.
func expandPredeploys(all map[string]json.RawMessage) error {
	raw := all["predeploys"]
	if raw == nil {
		return nil
	}
	delete(all, "predeploys")
	var names []string
	if err := json.Unmarshal(raw, &names); err != nil {
		return fmt.Errorf("predeploys: expected a list of names: %w", err)
	}
	alloc := map[string]json.RawMessage{}
	if all["alloc"] != nil {
		var err error
		if alloc, err = object(all["alloc"]); err != nil {
			return fmt.Errorf("alloc: %w", err)
		}
	}
	given := map[string]bool{}
	for address := range alloc {
		given[strings.ToLower(strings.TrimPrefix(address, "0x"))] = true
	}
	for _, name := range names {
		p, ok := predeploys[name]
		if !ok {
			return fmt.Errorf("predeploys: expected some of %v, found %q", slices.Sorted(maps.Keys(predeploys)), name)
		}
		for _, d := range p.accounts {
			if given[strings.ToLower(d.address[2:])] {
				continue
			}
			account := map[string]any{"code": d.hex(), "nonce": d.nonce}
			if d.storage != nil {
				account["storage"] = d.storage
			}
			enc, err := json.Marshal(account)
			if err != nil {
				return err
			}
			alloc[d.address] = enc
		}
	}
	var err error
	all["alloc"], err = json.Marshal(alloc)
	return err
}

// before is a code of Multicall3 that was compiled without optimisation: networks of earlier builds have it in block 0.
var before = deployed{code: "multicall3-before"}

// Predeployed returns the code of the contracts that the setting predeploys knows, or knew, and that keep no state.
func Predeployed() (codes [][]byte) {
	codes = append(codes, hexutil.MustDecode(before.hex()))
	for _, name := range slices.Sorted(maps.Keys(predeploys)) {
		if p := predeploys[name]; !p.state {
			for i := range p.accounts {
				codes = append(codes, hexutil.MustDecode(p.accounts[i].hex()))
			}
		}
	}
	return codes
}
