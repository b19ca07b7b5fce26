package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"

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

func publicKey(public []byte) (*ecdh.PublicKey, error) {
	key, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: expected %d bytes of X25519, found %d", coco.ErrInvalid, PublicKeySize, len(public))
	}
	// A point of small order gives every sender the same shared secret, zero. The exchange with any
	// private key finds it.
	probe, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		return nil, fmt.Errorf("public encryption key: %w", err)
	}
	if _, err := probe.ECDH(key); err != nil {
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
