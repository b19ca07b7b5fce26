package table

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// NetworkID names a network for ever: the SHA-256 of its service's public key (SubjectPublicKeyInfo, DER),
// given any of the service's certificates. The constitution changes and certificates are renewed; the key
// stays. It is the audience of what members sign.
func NetworkID(serviceCertificate []byte) (coco.Digest, error) {
	cert, err := x509.ParseCertificate(serviceCertificate)
	if err != nil {
		return coco.Digest{}, fmt.Errorf("%w: service certificate: not X.509: %w", coco.ErrInvalid, err)
	}
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo), nil
}

// Audience returns what statements for this network carry: its NetworkID.
func Audience(r store.Reader) (coco.Digest, error) {
	service, err := ServiceCertificate(r)
	if err != nil {
		return coco.Digest{}, err
	}
	return NetworkID(service)
}
