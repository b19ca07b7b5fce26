package settings

import (
	"encoding/json"
	"fmt"
)

// Notice says who sees what, to everybody who uses the network.
func (s *Settings) Notice() string {
	if s.Closed() {
		return "CLOSED: a caller sees its own Ethereum transactions and accounts, and what contracts admit."
	}
	return "OPEN: every caller sees all Ethereum transactions and contracts."
}

// Bounds of what the settings about access hold.
const (
	maxAuditors    = 64
	maxAuditorName = 256
)

// names are lists of names of organisations.
type names struct{}

// Check implements setting.Values.
func (names) Check(value []byte) error {
	var list []string
	if json.Unmarshal(value, &list) != nil || list == nil || len(list) > maxAuditors {
		return fmt.Errorf("expected a list of at most %d names of organisations, found %s", maxAuditors, clip(value))
	}
	for _, name := range list {
		if name == "" || len(name) > maxAuditorName {
			return fmt.Errorf("expected names of 1 to %d bytes, found %q", maxAuditorName, clip([]byte(name)))
		}
	}
	return nil
}

func (names) String() string { return "a list of names" }

// Ends implements setting.Values.
func (names) Ends() []string { return []string{`[]`, `["auditor"]`} }
