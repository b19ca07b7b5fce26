package table

import (
	"crypto/x509"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/succession"
)

// NetworkID names a network for ever: the SHA-256 of its first service's public key (SubjectPublicKeyInfo, DER),
// given any of its services' certificates. The constitution changes, certificates are renewed, and a recovery gives it a service that follows the one before. It
// is the audience of what members sign.
func NetworkID(serviceCertificate []byte) (coco.Digest, error) {
	cert, err := x509.ParseCertificate(serviceCertificate)
	if err != nil {
		return coco.Digest{}, fmt.Errorf("%w: service certificate: not X.509: %w", coco.ErrInvalid, err)
	}
	return succession.ID(cert)
}

// Audience returns what statements for this network carry: its NetworkID.
func Audience(r store.Reader) (coco.Digest, error) {
	service, err := ServiceCertificate(r)
	if err != nil {
		return coco.Digest{}, err
	}
	return NetworkID(service)
}
