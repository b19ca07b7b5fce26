package settings

import (
	"encoding/hex"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// Imported names the files that block 0 was made of. The accounts themselves are in alloc: it says where they come from, so that whoever has the files can compare.
type Imported struct {
	Genesis   string       `json:"genesis"`              // SHA-256 of the genesis.json, in hexadecimal
	State     string       `json:"state,omitempty"`      // SHA-256 of the dump, in hexadecimal; "" if there was none
	StateRoot *common.Hash `json:"state_root,omitempty"` // that the dump names; nil if there was none
}

func (i *Imported) validate() error {
	if i == nil {
		return nil
	}
	for name, text := range map[string]string{"genesis": i.Genesis, "state": i.State} {
		if b, err := hex.DecodeString(text); (name == "genesis" || text != "") && (err != nil || len(b) != 32) {
			return fmt.Errorf("imported.%s: expected a SHA-256 in hexadecimal, found %q", name, clip([]byte(text)))
		}
	}
	if (i.State == "") != (i.StateRoot == nil) {
		return fmt.Errorf("imported: expected state and state_root together, or neither")
	}
	return nil
}
