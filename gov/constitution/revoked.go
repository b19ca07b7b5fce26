package constitution

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/reason"
)

// MaxRevoked bounds the certificates that are revoked, of all organisations together: none leaves the list. An organisation that comes near it
// replaces its own certificate.
const MaxRevoked = 4096

// Revocation names a certificate for Since2.Revoked: the SHA-256 of what its issuer has signed (TBSCertificate, RFC 5280, section
// 4.1). That of the whole certificate would not do: who holds an ECDSA signature can make another one that verifies.
func Revocation(cert *x509.Certificate) coco.Digest { return sha256.Sum256(cert.RawTBSCertificate) }

// checkRevoked checks Since2.Revoked, which is in any order.
func (c *Constitution) checkRevoked() error {
	switch sorted := slices.SortedFunc(slices.Values(c.Revoked), compareDigests); {
	case len(sorted) == 0:
		return nil
	case c.Rules < 2:
		return tooNew("revoked", 2, c.Rules)
	case len(sorted) > MaxRevoked:
		return invalid("revoked", reason.TooMany, "expected at most %d certificates, found %d", MaxRevoked, len(sorted))
	case len(slices.Compact(sorted)) < len(c.Revoked):
		return invalid("revoked", reason.Duplicate, "a certificate is listed twice")
	}
	return nil
}

func compareDigests(a, b coco.Digest) int { return bytes.Compare(a[:], b[:]) }

// revoked returns the error that one of a client's certificates is revoked. The organisations' own are not: they are listed or not.
func (c *Constitution) revoked(certs []*x509.Certificate) error {
	if len(c.Revoked) == 0 {
		return nil
	}
	for _, cert := range certs {
		if slices.Contains(c.Revoked, Revocation(cert)) {
			return fmt.Errorf("%q (issued by %q) was revoked: its organisation issues another one", cert.Subject, cert.Issuer)
		}
	}
	return nil
}
