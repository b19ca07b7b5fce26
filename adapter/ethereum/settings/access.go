package settings

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
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

// credentialNames are what a caller may show: package caller has them, and package rows their numbers.
var credentialNames = []string{"certificate", "token", "session", "message"}

// Admits says why no call is sent that a credential authenticates, and that its sender has not signed; nil if it is. The error is coco.ErrDenied.
func (s *Settings) Admits(credential string) error {
	switch {
	case s.Pin != nil || s.Development:
		return fmt.Errorf("%w: a network that is pinned or in development mode has no calls that a credential authenticates", coco.ErrDenied)
	case !slices.Contains(s.AuthenticatedCalls, credential):
		return fmt.Errorf("%w: this network's constitution admits no calls without a signature of callers with the credential %q: members may, by the setting adapters.ethereum.authenticated_calls", coco.ErrDenied, credential)
	}
	return nil
}

// credentials are lists of kinds of credentials.
type credentials struct{}

// Check implements setting.Values.
func (credentials) Check(value []byte) error {
	var list []string
	if json.Unmarshal(value, &list) != nil || list == nil {
		return fmt.Errorf("expected a list of %s, found %s", strings.Join(credentialNames, ", "), clip(value))
	}
	for i, name := range list {
		if !slices.Contains(credentialNames, name) || slices.Contains(list[:i], name) {
			return fmt.Errorf("expected each of %s at most once, found %q", strings.Join(credentialNames, ", "), clip([]byte(name)))
		}
	}
	return nil
}

func (credentials) String() string {
	return "a list of `" + strings.Join(credentialNames, "`, `") + "`"
}

// Ends implements setting.Values.
func (credentials) Ends() []string {
	return []string{`[]`, `["` + strings.Join(credentialNames, `","`) + `"]`}
}
