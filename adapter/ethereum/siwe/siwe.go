// Package siwe reads messages of Sign-In with Ethereum (ERC-4361), by the grammar of that specification and nothing beside it.
//
// A message is a text that a wallet shows and signs (ERC-191, version 0x45). What a wallet shows must be what a node has understood,
// so the text of a message that was read is the text that Message.Text makes of it, byte for byte.
//
// The package says what a message holds. Whether the domain, the chain and the times are those that a node expects is its caller's to check.
//
// Trust: either
package siwe

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/signature"
)

// MaxBytes is how long a message may be.
const MaxBytes = 4096

// Message is a message. Each field is the text that stands in it; an optional one that is absent is empty, or nil.
type Message struct {
	Scheme    string // of the page's origin; empty for https
	Domain    string // an authority (RFC 3986, section 3.2)
	Address   common.Address
	Statement *string // an empty one may be there, too
	URI       string
	ChainID   string // decimal digits
	Nonce     string
	IssuedAt  string // these three are a date-time (RFC 3339)
	Expires   string
	NotBefore string
	RequestID *string
	Resources []string // URIs; nil if the list is absent
}

const (
	wants  = " wants you to sign in with your Ethereum account:"
	prefix = "\x19Ethereum Signed Message:\n"
)

// Text returns the text that is signed.
func (m *Message) Text() string {
	var b strings.Builder
	if m.Scheme != "" {
		b.WriteString(m.Scheme + "://")
	}
	b.WriteString(m.Domain + wants + "\n" + m.Address.Hex() + "\n\n")
	if m.Statement != nil {
		b.WriteString(*m.Statement + "\n")
	}
	fmt.Fprintf(&b, "\nURI: %s\nVersion: 1\nChain ID: %s\nNonce: %s\nIssued At: %s", m.URI, m.ChainID, m.Nonce, m.IssuedAt)
	if m.Expires != "" {
		b.WriteString("\nExpiration Time: " + m.Expires)
	}
	if m.NotBefore != "" {
		b.WriteString("\nNot Before: " + m.NotBefore)
	}
	if m.RequestID != nil {
		b.WriteString("\nRequest ID: " + *m.RequestID)
	}
	if m.Resources != nil {
		b.WriteString("\nResources:")
	}
	for _, r := range m.Resources {
		b.WriteString("\n- " + r)
	}
	return b.String()
}

// reader takes lines of a message.
type reader struct {
	lines []string
	err   error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: sign-in message (ERC-4361): %s", coco.ErrInvalid, fmt.Sprintf(format, args...))
	}
}

// next returns the next line; "" at the end.
func (r *reader) next() string {
	if len(r.lines) == 0 {
		return ""
	}
	line := r.lines[0]
	r.lines = r.lines[1:]
	return line
}

// field returns what follows a name. A field that is optional may be absent.
func (r *reader) field(name string, optional bool, ok func(string) bool) (value string, found bool) {
	if len(r.lines) > 0 {
		value, found = strings.CutPrefix(r.lines[0], name+": ")
	}
	switch {
	case !found && optional:
		return "", false
	case !found:
		r.fail("expected a line that begins with %q", name+": ")
		return "", false
	}
	r.next()
	if !ok(value) {
		r.fail("%s: found %.80q", name, value)
	}
	return value, true
}

// Parse reads a message. The error is coco.ErrInvalid.
func Parse(text string) (*Message, error) {
	m, r := &Message{}, &reader{}
	if len(text) > MaxBytes {
		r.fail("%d bytes, expected at most %d", len(text), MaxBytes)
		return nil, r.err
	}
	r.lines = strings.Split(text, "\n")
	m.head(r)
	m.URI, _ = r.field("URI", false, isURI)
	r.field("Version", false, func(s string) bool { return s == "1" })
	m.ChainID, _ = r.field("Chain ID", false, func(s string) bool { return s != "" && all(s, isDigit) })
	m.Nonce, _ = r.field("Nonce", false, func(s string) bool { return len(s) >= 8 && all(s, isAlphanumeric) })
	m.IssuedAt, _ = r.field("Issued At", false, isTime)
	m.Expires, _ = r.field("Expiration Time", true, isTime)
	m.NotBefore, _ = r.field("Not Before", true, isTime)
	if id, ok := r.field("Request ID", true, func(s string) bool { return escaped(s, isPchar) }); ok {
		m.RequestID = &id
	}
	if len(r.lines) > 0 && r.lines[0] == "Resources:" {
		r.next()
		m.Resources = []string{}
		for len(r.lines) > 0 {
			uri, ok := strings.CutPrefix(r.next(), "- ")
			if !ok || !isURI(uri) {
				r.fail("Resources: expected lines of \"- \" and a URI")
			}
			m.Resources = append(m.Resources, uri)
		}
	}
	if len(r.lines) > 0 {
		r.fail("found %.80q, which stands nowhere in the grammar, or not there", r.lines[0])
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

// head reads up to the line of the URI.
func (m *Message) head(r *reader) {
	first, ok := strings.CutSuffix(r.next(), wants)
	if !ok {
		r.fail("the first line does not end with %q", wants[1:])
	}
	if scheme, rest, found := strings.Cut(first, "://"); found {
		if !isScheme(scheme) {
			r.fail("scheme %.80q", scheme)
		}
		m.Scheme, first = scheme, rest
	}
	if m.Domain = first; !isAuthority(first) || first == "" {
		r.fail("domain %.80q: expected an authority (RFC 3986, section 3.2)", first)
	}
	// Of an account with a key, the specification has the form with a checksum (ERC-55).
	address := r.next()
	if m.Address = common.HexToAddress(address); !common.IsHexAddress(address) || m.Address.Hex() != address {
		r.fail("address %.80q: expected 0x and 40 hexadecimal digits with the checksum of ERC-55", address)
	}
	if r.next() != "" || len(r.lines) == 0 {
		r.fail("expected an empty line after the address")
	}
	// Without a statement one empty line follows. With one it is its line and an empty one, and it may be empty itself.
	if len(r.lines) > 1 && (r.lines[0] != "" || r.lines[1] == "") {
		statement := r.next()
		if m.Statement = &statement; !all(statement, func(c byte) bool { return isReserved(c) || isUnreserved(c) || c == ' ' }) {
			r.fail("statement: expected what RFC 3986 calls reserved and unreserved, and spaces")
		}
	}
	if r.next() != "" {
		r.fail("expected an empty line before the URI")
	}
}

// Hash returns what is signed of a text (ERC-191, version 0x45).
func Hash(text string) common.Hash {
	return crypto.Keccak256Hash([]byte(prefix + strconv.Itoa(len(text)) + text))
}

// Signer returns the address that has signed a text. A signature has 65 bytes: r, s of the lower half, and v of 27 or 28. The error is coco.ErrInvalid.
func Signer(text string, sig []byte) (common.Address, error) {
	return signature.Signer("sign-in", Hash(text), sig)
}

// Time reads a date-time of a message that was read, in milliseconds since 1970, rounded down. Times before 1970 are 0.
func Time(text string) uint64 {
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	if err != nil || t.UnixMilli() < 0 {
		return 0
	}
	return uint64(t.UnixMilli())
}
