package keys

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/cocoframework/coco"
)

const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// MemberKey is a member's private encryption key, of any Algorithm. It opens the member's shares, so it belongs to
// the member's safe and never to a node. It never prints.
type MemberKey struct {
	algorithm Algorithm
	key       hpke.PrivateKey
}

// GenerateMemberKey makes a new key for X-Wing, which is what members have unless something keeps them from it; see NewMemberKey.
func GenerateMemberKey() (*MemberKey, error) { return NewMemberKey(XWing) }

// NewMemberKey makes a new key of an algorithm.
func NewMemberKey(a Algorithm) (*MemberKey, error) {
	kem, err := a.kem()
	if err != nil {
		return nil, err
	}
	key, err := kem.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("member encryption key: %w", err)
	}
	return &MemberKey{a, key}, nil
}

// XWingKey returns the X-Wing key that comes from a seed (draft-connolly-cfrg-xwing-kem, section 5.2).
func XWingKey(seed Secret) (*MemberKey, error) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("X-Wing key: %w", err)
	}
	return &MemberKey{XWing, key}, nil
}

// Algorithm returns what the key is for.
func (k *MemberKey) Algorithm() Algorithm { return k.algorithm }

// Public returns the public key's bytes, as many as its algorithm's PublicKeySize.
func (k *MemberKey) Public() []byte { return k.key.PublicKey().Bytes() }

// Open decrypts what SealTo encrypted to the key for the same info. The error is coco.ErrVerify if it was altered, or is for another key or
// info.
func (k *MemberKey) Open(info, box []byte) ([]byte, error) {
	plain, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, box)
	if err != nil {
		return nil, fmt.Errorf("%w: a box of %d bytes does not decrypt: it was altered, or is for another key or purpose", coco.ErrVerify, len(box))
	}
	return plain, nil
}

// PEM returns the private key as a PKCS #8 block. For X25519 it is the form that `openssl genpkey -algorithm x25519`
// writes, for X-Wing that of draft-connolly-cfrg-xwing-kem, section 5.8: the seed, without an ASN.1 wrapping of its own.
func (k *MemberKey) PEM() ([]byte, error) {
	raw, err := k.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("member encryption key: %w", err)
	}
	der, err := k.algorithm.marshalPrivate(raw)
	if err != nil {
		return nil, fmt.Errorf("member encryption key: %w", err)
	}
	defer clear(der)
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

// ParseMemberKey reads the PEM form of a private key.
func ParseMemberKey(data []byte) (*MemberKey, error) {
	der, err := onlyBlock(data, privateBlock)
	if err != nil {
		return nil, fmt.Errorf("%w: member encryption key: %w", coco.ErrInvalid, err)
	}
	defer clear(der)
	if seed, ok, err := parseXWingPrivate(der); ok {
		if err != nil {
			return nil, fmt.Errorf("%w: member encryption key: %w", coco.ErrInvalid, err)
		}
		key, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
		if err != nil {
			return nil, fmt.Errorf("%w: member encryption key: expected a seed of %d bytes for X-Wing, found %d", coco.ErrInvalid, xwingSeedSize, len(seed))
		}
		return &MemberKey{XWing, key}, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The parser's words may quote its input.
		return nil, fmt.Errorf("%w: member encryption key: expected a key for X-Wing or X25519 in PKCS #8 form", coco.ErrInvalid)
	}
	key, ok := parsed.(*ecdh.PrivateKey)
	if !ok || key.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("%w: member encryption key: expected X-Wing or X25519, found %s: name the member's encryption key, as encryption.key", coco.ErrInvalid, kindOf(parsed))
	}
	private, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: member encryption key: %w", coco.ErrInvalid, err)
	}
	return &MemberKey{X25519, private}, nil
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
