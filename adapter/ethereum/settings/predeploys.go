package settings

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

// multicall3 is the code of Multicall3 (github.com/mds1/multicall, MIT) that the library viem carries for chains without it.
//
//go:embed multicall3.hex
var multicall3 string

// predeploys are contracts that tools expect at the same address on every chain, by the names of the setting predeploys.
var predeploys = map[string]struct{ address, code string }{
	// The proxy of github.com/Arachnid/deterministic-deployment-proxy: salt ‖ initialisation code -> CREATE2. Elsewhere it is
	// deployed by a transaction that was signed without a chain id.
	"create2-deployer": {"0x4e59b44847b379578588920cA78FbF26c0B4956C", "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"},
	"multicall3":       {"0xcA11bde05977b3631167028862bE2a173976CA11", strings.TrimSpace(multicall3)},
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
		if !given[strings.ToLower(p.address[2:])] {
			alloc[p.address] = json.RawMessage(`{"code":"` + p.code + `","nonce":1}`)
		}
	}
	var err error
	all["alloc"], err = json.Marshal(alloc)
	return err
}

// Predeployed returns the code of the contracts that the setting predeploys knows. None of them keeps state.
func Predeployed() (codes [][]byte) {
	for _, name := range slices.Sorted(maps.Keys(predeploys)) {
		codes = append(codes, hexutil.MustDecode(predeploys[name].code))
	}
	return codes
}
