package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
)

// maxPolicies is how many contracts members may give a policy.
const maxPolicies = 64

// readPolicies reads the setting policies; nil is a section that does not have it. It does not compile them: a section that is stored is read by later releases, too, and a policy that one of
// them does not know admits nobody.
func readPolicies(in map[string]policy.Text) (map[common.Address]policy.Text, error) {
	if in == nil {
		return nil, nil
	}
	if len(in) > maxPolicies {
		return nil, fmt.Errorf("policies: expected at most %d, found %d", maxPolicies, len(in))
	}
	out := make(map[common.Address]policy.Text, len(in))
	for text, t := range in {
		if !common.IsHexAddress(text) {
			return nil, fmt.Errorf("policies.%s: expected an address", clip([]byte(text)))
		}
		addr := common.HexToAddress(text)
		if _, twice := out[addr]; twice {
			return nil, fmt.Errorf("policies.%v: the address is listed twice", addr)
		}
		out[addr] = t
	}
	return out, nil
}

// MayAttach returns coco.ErrDenied unless deployers may attach policies. A section of an earlier release, which knows no policies, may be that of a network
// that has nodes of that release still.
func (s *Settings) MayAttach() error {
	if s.Policies == nil && !s.Closed() {
		return fmt.Errorf("%w: the network is open by a constitution that knows no policies: every caller sees everything", coco.ErrDenied)
	}
	return nil
}

// policies are policies of contracts, by their addresses.
type policies struct{}

// Check implements setting.Values.
func (policies) Check(value []byte) error {
	var in map[string]policy.Text
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || in == nil {
		return fmt.Errorf(`expected {"0x…": {"policy": "…", "abi": […]}}, found %s`, clip(value))
	}
	all, err := readPolicies(in)
	if err != nil {
		return err
	}
	if err := compile(all); err != nil {
		return fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	return nil
}

// compile checks policies whose author can still correct them. The error names the first address of one that does not compile.
func compile(all map[common.Address]policy.Text) error {
	for _, addr := range slices.SortedFunc(maps.Keys(all), common.Address.Cmp) {
		t := all[addr]
		if t.Policy == "" && len(t.ABI) == 0 {
			continue // the deployer's does not count, and the contract's own rule does not
		}
		if _, err := policy.Compile(t); err != nil {
			return fmt.Errorf("%v: %w", addr, err)
		}
	}
	return nil
}

func (policies) String() string { return "policies, by address" }

// Ends implements setting.Values.
func (policies) Ends() []string {
	return []string{`{}`, `{"0x0000000000000000000000000000000000000001":{"policy":"question == \"code\""}}`}
}
