package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/keyfile"
)

// Owner signs for the organisation that runs a node. It lives in the node's process, outside of
// what a TEE would protect; a real owner keeps this key elsewhere.
type Owner struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // from cert to the organisation's, which the constitution lists
}

// LoadOwner reads the certificate and key by which an organisation signs for a node. The organisation's own
// certificate is the file's only one, or follows the one that it issued.
func LoadOwner(certFile, keyFile string, read keyfile.Reader) (*Owner, error) {
	pair, err := LoadPair(certFile, keyFile, read)
	if err != nil {
		return nil, fmt.Errorf("%w: owner's certificate and key: %w", coco.ErrInvalid, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s: expected an ECDSA key, found %T", coco.ErrInvalid, keyFile, pair.PrivateKey)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, certFile, err)
	}
	return &Owner{cert, key, pair.Certificate}, nil
}

// Certificates returns the certificate of the key that signs, followed by its issuers up to the
// organisation's. In a sandbox the two are one.
func (o *Owner) Certificates() [][]byte { return o.chain }

// Sign signs the bytes that bind a node to its owner.
func (o *Owner) Sign(_ context.Context, tuple []byte) ([]byte, error) {
	digest := sha256.Sum256(tuple)
	return ecdsa.SignASN1(rand.Reader, o.key, digest[:])
}

// String keeps the key out of logs.
func (o *Owner) String() string { return "owner " + o.cert.Subject.String() }
