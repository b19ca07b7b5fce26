// Package keys makes the secret of an epoch and shares it among the members.
//
// An epoch is a stretch of the ledger whose private parts are sealed under keys derived from one
// Secret. The secret comes from a random scalar of the Ristretto255 group, which NewEpoch splits
// by Shamir's scheme: any threshold of the members' shares gives the secret back, fewer say
// nothing about it. Every share is encrypted to its member's encryption key (SealTo: HPKE, RFC 9180, with X-Wing or X25519), and
// the SealedEpoch, which holds them, is public: it goes into the ledger. It also holds Feldman's
// commitments to the polynomial, so a share is checked without knowing any other one, and a wrong
// share names its sender.
//
// A member opens its share with OpenShare and its MemberKey; Combine takes the shares of enough
// members and returns the secret, and says whose share is wrong. Package keys/recovery brings them together.
//
// A Ring holds the secrets that a node knows. Package keys/rotation decides when a new epoch begins.
//
// All randomness comes from crypto/rand.
//
// Trust: enclave
package keys

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// SecretSize is the number of bytes of a Secret.
const SecretSize = 32

// Secret is what an epoch's keys are derived from. It never prints: formatting it, logging it and
// encoding it as text or JSON give a placeholder. Take the bytes by slicing, s[:], and only for
// deriving a key or handing the secret to a node over an attested channel. (Package fmt does not ask
// the methods of unexported fields: a struct that keeps a Secret in one MUST NOT be printed.)
type Secret [SecretSize]byte

const redacted = "[secret]"

// String returns a placeholder.
func (Secret) String() string { return redacted }

// GoString returns a placeholder.
func (Secret) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb. Loggers end up here or in MarshalText.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns a placeholder.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Equal compares in constant time.
func (s Secret) Equal(other Secret) bool { return subtle.ConstantTimeCompare(s[:], other[:]) == 1 }

// SecretBytes is a secret of any length, such as an encoded private key. It never prints; see
// Secret.
type SecretBytes []byte

// String returns a placeholder.
func (SecretBytes) String() string { return redacted }

// GoString returns a placeholder.
func (SecretBytes) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (SecretBytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a placeholder.
func (SecretBytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns a placeholder.
func (SecretBytes) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
