package members

import (
	"crypto/x509"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
)

// ParseService checks the form of a service's certificate: it issues the nodes' ones.
func ParseService(der []byte) (*x509.Certificate, error) {
	if len(der) == 0 || len(der) > table.MaxServiceBytes {
		return nil, fmt.Errorf("%w: service certificate: %d bytes, expected 1 to %d", coco.ErrInvalid, len(der), table.MaxServiceBytes)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: service certificate: not X.509: %w", coco.ErrInvalid, err)
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return nil, fmt.Errorf("%w: service certificate: it does not issue itself: %w", coco.ErrInvalid, err)
	}
	return cert, nil
}
