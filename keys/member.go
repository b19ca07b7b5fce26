package keys

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
)

// PublicKeySize is the number of bytes of a member's public encryption key: X25519, as in RFC 7748.
const PublicKeySize = 32

const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// MemberKey is a member's private encryption key. It opens the member's shares, so it belongs to
// the member's safe and never to a node. It never prints.
type MemberKey struct{ key *ecdh.PrivateKey }

// GenerateMemberKey makes a new key.
func GenerateMemberKey() (*MemberKey, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("member encryption key: %w", err)
	}
	return &MemberKey{key}, nil
}

// Public returns the public key's 32 bytes.
func (k *MemberKey) Public() []byte { return k.key.PublicKey().Bytes() }

// PEM returns the private key as a PKCS #8 block, the form that `openssl genpkey -algorithm x25519`
// writes.
func (k *MemberKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, fmt.Errorf("member encryption key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// String returns a placeholder.
func (*MemberKey) String() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (*MemberKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a placeholder.
func (*MemberKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns a placeholder.
func (*MemberKey) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

func (k *MemberKey) hpke() (hpke.PrivateKey, error) { return hpke.NewDHKEMPrivateKey(k.key) }

// ParseMemberKey reads the PEM form of a private key.
func ParseMemberKey(data []byte) (*MemberKey, error) {
	der, err := onlyBlock(data, privateBlock)
	if err != nil {
		return nil, fmt.Errorf("%w: member encryption key: %w", coco.ErrInvalid, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The parser's words may quote its input.
		return nil, fmt.Errorf("%w: member encryption key: expected an X25519 key in PKCS #8 form", coco.ErrInvalid)
	}
	key, ok := parsed.(*ecdh.PrivateKey)
	if !ok || key.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("%w: member encryption key: expected X25519, found %T", coco.ErrInvalid, parsed)
	}
	return &MemberKey{key}, nil
}

// MarshalPublicKey returns a public key as a PKIX PEM block, the form of `openssl pkey -pubout`.
func MarshalPublicKey(public []byte) ([]byte, error) {
	key, err := publicKey(public)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: %w", coco.ErrInvalid, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

// ParsePublicKey reads the PEM form of a public key and returns its 32 bytes.
func ParsePublicKey(data []byte) ([]byte, error) {
	der, err := onlyBlock(data, publicBlock)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: %w", coco.ErrInvalid, err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: %w", coco.ErrInvalid, err)
	}
	key, ok := parsed.(*ecdh.PublicKey)
	if !ok || key.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("%w: public encryption key: expected X25519, found %T", coco.ErrInvalid, parsed)
	}
	if err := CheckPublicKey(key.Bytes()); err != nil {
		return nil, err
	}
	return key.Bytes(), nil
}

// CheckPublicKey says whether shares can be encrypted to a public key: 32 bytes that name no point
// of small order.
func CheckPublicKey(public []byte) error {
	_, err := publicKey(public)
	return err
}

// smallOrder are the u-coordinates of X25519 whose order divides the cofactor, on the curve or on its twist, and their forms that are not
// reduced: 0, 1, the two of order 8, and p-1, p and p+1 (Bernstein, "Curve25519: new Diffie-Hellman speed records", 2006).
var smallOrder = []string{
	strings.Repeat("\x00", 32),
	"\x01" + strings.Repeat("\x00", 31),
	"\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00",
	"\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57",
	"\xec" + strings.Repeat("\xff", 30) + "\x7f",
	"\xed" + strings.Repeat("\xff", 30) + "\x7f",
	"\xee" + strings.Repeat("\xff", 30) + "\x7f",
}

func publicKey(public []byte) (*ecdh.PublicKey, error) {
	key, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: expected %d bytes of X25519, found %d", coco.ErrInvalid, PublicKeySize, len(public))
	}
	// A point of small order gives every sender the same shared secret, zero. A constitution is read many times for each change, and
	// comparing costs less than an exchange.
	u := [PublicKeySize]byte(public)
	u[PublicKeySize-1] &= 0x7f // RFC 7748, section 5: the last bit does not count
	if slices.Contains(smallOrder, string(u[:])) {
		return nil, fmt.Errorf("%w: public encryption key: it is a point of small order, which protects nothing", coco.ErrInvalid)
	}
	return key, nil
}

// onlyBlock returns the bytes of the one PEM block that data must be.
func onlyBlock(data []byte, kind string) ([]byte, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("expected a PEM block %q, found none", kind)
	}
	if block.Type != kind {
		return nil, fmt.Errorf("expected a PEM block %q, found %q", kind, block.Type)
	}
	for _, c := range rest {
		if c != '\n' && c != '\r' && c != ' ' && c != '\t' {
			return nil, fmt.Errorf("expected one PEM block, found %d bytes after it", len(rest))
		}
	}
	return block.Bytes, nil
}
