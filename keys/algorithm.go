package keys

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
)

// Algorithm is what a member's encryption key is for.
type Algorithm string

const (
	// XWing is ML-KEM-768 and X25519 together (draft-connolly-cfrg-xwing-kem; MLKEM768-X25519 of draft-ietf-hpke-pq): what is
	// encrypted to it is safe while one of both is.
	XWing Algorithm = "X-Wing"
	// X25519 is of RFC 7748. It falls with discrete logarithms.
	X25519 Algorithm = "X25519"
)

// PublicKeySize is the number of bytes of a public encryption key for X25519, and XWingPublicKeySize for X-Wing. No two algorithms have
// the same, so the bytes of a key tell its algorithm.
const (
	PublicKeySize      = 32
	XWingPublicKeySize = 1184 + PublicKeySize // ML-KEM-768's first
)

// XWingOverhead is by how many bytes what is encrypted to an X-Wing key by HPKE is longer: the encapsulated key and the tag.
const XWingOverhead = 1088 + PublicKeySize + tagSize // ML-KEM-768's ciphertext first

const (
	xwingSeedSize = 32
	tagSize       = 16 // of AES-256-GCM
)

// idXWing names X-Wing's keys in PKCS #8 and PKIX (draft-connolly-cfrg-xwing-kem, section 8).
var idXWing = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62253, 25722}

// AlgorithmOf returns what a public encryption key is for. The error is coco.ErrInvalid if its size is none's.
func AlgorithmOf(public []byte) (Algorithm, error) {
	switch len(public) {
	case PublicKeySize:
		return X25519, nil
	case XWingPublicKeySize:
		return XWing, nil
	}
	return "", fmt.Errorf("%w: public encryption key: expected %d bytes (%s) or %d (%s), found %d", coco.ErrInvalid, XWingPublicKeySize, XWing, PublicKeySize, X25519, len(public))
}

// Fingerprint returns what people compare of a public encryption key: that of the SHA-256 of its bytes.
func Fingerprint(public []byte) string { return coco.Digest(sha256.Sum256(public)).Fingerprint() }

// kem returns the algorithm's key encapsulation.
func (a Algorithm) kem() (hpke.KEM, error) {
	switch a {
	case X25519:
		return hpke.DHKEM(ecdh.X25519()), nil
	case XWing:
		return hpke.MLKEM768X25519(), nil
	}
	return nil, fmt.Errorf("%w: encryption key for %q: expected %s or %s", coco.ErrInvalid, string(a), XWing, X25519)
}

// SealTo encrypts a plain text to a public encryption key by HPKE (RFC 9180: base mode, HKDF-SHA256, AES-256-GCM, no associated data; the
// key encapsulation is DHKEM of X25519 with HKDF-SHA256, or X-Wing, as the key is). It returns the encapsulated key and the ciphertext, one
// after the other, SealedSize bytes. The info binds the box to its purpose: MemberKey.Open needs the same. The error is
// coco.ErrInvalid if nothing can be encrypted to the key; see CheckPublicKey.
func SealTo(public, info, plain []byte) ([]byte, error) {
	to, err := publicKey(public)
	if err != nil {
		return nil, err
	}
	box, err := hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
	if err != nil {
		return nil, fmt.Errorf("encrypting to a member: %w", err)
	}
	return box, nil
}

// SealedSize returns how many bytes SealTo makes of so many, for a public encryption key. The error is coco.ErrInvalid if the key's size is no
// algorithm's.
func SealedSize(public []byte, plain int) (int, error) {
	a, err := AlgorithmOf(public)
	if a == XWing {
		return XWingOverhead + plain, nil
	}
	return PublicKeySize + tagSize + plain, err
}

// MarshalPublicKey returns a public key as a PKIX PEM block, the form of `openssl pkey -pubout`.
func MarshalPublicKey(public []byte) ([]byte, error) {
	if err := CheckPublicKey(public); err != nil {
		return nil, err
	}
	der, err := marshalPublic(public)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: %w", coco.ErrInvalid, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

// ParsePublicKey reads the PEM form of a public key and returns its bytes, which CheckPublicKey accepts.
func ParsePublicKey(data []byte) ([]byte, error) {
	der, err := onlyBlock(data, publicBlock)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: %w", coco.ErrInvalid, err)
	}
	public, err := parsePublic(der)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: %w", coco.ErrInvalid, err)
	}
	return public, CheckPublicKey(public)
}

// CheckPublicKey says whether shares can be encrypted to a public key: bytes of an algorithm's size whose X25519 part is no point
// of small order, and whose ML-KEM part is encoded as FIPS 203, section 7.2, demands.
func CheckPublicKey(public []byte) error {
	_, err := publicKey(public)
	return err
}

func publicKey(public []byte) (hpke.PublicKey, error) {
	a, err := AlgorithmOf(public)
	if err != nil {
		return nil, err
	}
	kem, err := a.kem()
	if err != nil {
		return nil, err
	}
	key, err := kem.NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: public encryption key: it is no key for %s: %w", coco.ErrInvalid, a, err)
	}
	// A point of small order gives every sender the same shared secret, zero. A constitution is read many times for each change, and
	// comparing costs less than an exchange.
	u := [PublicKeySize]byte(public[len(public)-PublicKeySize:])
	u[PublicKeySize-1] &= 0x7f // RFC 7748, section 5: the last bit does not count
	if slices.Contains(smallOrder, string(u[:])) {
		return nil, fmt.Errorf("%w: public encryption key: it is a point of small order, which protects nothing", coco.ErrInvalid)
	}
	return key, nil
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

// publicInfo is a SubjectPublicKeyInfo of RFC 5280, and privateInfo a OneAsymmetricKey of RFC 5958 without attributes. X-Wing's have no
// parameters, and the key's bytes have no ASN.1 wrapping of their own.
type (
	publicInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	privateInfo struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
)

func marshalPublic(public []byte) ([]byte, error) {
	if len(public) == XWingPublicKeySize {
		return asn1.Marshal(publicInfo{pkix.AlgorithmIdentifier{Algorithm: idXWing}, asn1.BitString{Bytes: public, BitLength: 8 * len(public)}})
	}
	key, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(key)
}

// kindOf says in words what kind of key was found where an encryption key was expected.
func kindOf(key any) string {
	switch key.(type) {
	case *ecdsa.PrivateKey, *ecdsa.PublicKey:
		return "an ECDSA key, which signs"
	case ed25519.PrivateKey, ed25519.PublicKey:
		return "an Ed25519 key, which signs"
	case *rsa.PrivateKey, *rsa.PublicKey:
		return "an RSA key"
	case *ecdh.PrivateKey, *ecdh.PublicKey:
		return "a key for another curve"
	}
	return "another kind of key"
}

func parsePublic(der []byte) ([]byte, error) {
	var info publicInfo
	if rest, err := asn1.Unmarshal(der, &info); err == nil && info.Algorithm.Algorithm.Equal(idXWing) {
		if len(rest) > 0 || len(info.Algorithm.Parameters.FullBytes) > 0 || info.Key.BitLength != 8*XWingPublicKeySize {
			return nil, fmt.Errorf("expected %d bits for %s without parameters, found %d", 8*XWingPublicKeySize, XWing, info.Key.BitLength)
		}
		return info.Key.Bytes, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdh.PublicKey)
	if !ok || key.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("expected %s or %s, found %s", XWing, X25519, kindOf(parsed))
	}
	return key.Bytes(), nil
}

// marshalPrivate returns the PKCS #8 form of a private key's bytes.
func (a Algorithm) marshalPrivate(raw []byte) ([]byte, error) {
	if a == XWing {
		return asn1.Marshal(privateInfo{Algorithm: pkix.AlgorithmIdentifier{Algorithm: idXWing}, Key: raw})
	}
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// parseXWingPrivate returns the seed in a PKCS #8 key, if the key says that it is X-Wing's.
func parseXWingPrivate(der []byte) (seed []byte, ok bool, err error) {
	var info privateInfo
	rest, err := asn1.Unmarshal(der, &info)
	if err != nil || !info.Algorithm.Algorithm.Equal(idXWing) {
		return nil, false, nil
	}
	if len(rest) > 0 || info.Version > 1 || len(info.Algorithm.Parameters.FullBytes) > 0 || len(info.Key) != xwingSeedSize {
		return nil, true, fmt.Errorf("expected a seed of %d bytes for %s without parameters, found %d bytes", xwingSeedSize, XWing, len(info.Key))
	}
	return info.Key, true, nil
}
