package gov

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
)

// Identify says who a client is: the certificate that it authenticated with, followed by those
// that lead to its organisation's, as in a TLS handshake. The organisation's own certificate
// identifies it too. If a certificate leads to several organisations, because one certifies
// another, the nearest one counts. The error is coco.ErrDenied.
//
// It checks the certificates' validity at the time given, and their signatures: call it once a
// connection. The caller MUST have seen proof that the client holds the first certificate's key.
func Identify(c *Constitution, certs []*x509.Certificate, now time.Time) (coco.Caller, error) {
	a, err := c.identify(certs, now, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return coco.Caller{}, fmt.Errorf("%w: client certificate: %w", coco.ErrDenied, err)
	}
	return coco.Caller{Actor: a.id, Name: a.name, Role: a.role}, nil
}

func (c *Constitution) identify(certs []*x509.Certificate, now time.Time, usage x509.ExtKeyUsage) (actor, error) {
	if len(certs) == 0 {
		return actor{}, errors.New("none given")
	}
	if len(certs) > maxChain {
		return actor{}, fmt.Errorf("%d given, expected at most %d", len(certs), maxChain)
	}
	leaf, done := certs[0], c.completed()
	for _, a := range done.actors {
		if !bytes.Equal(a.cert.Raw, leaf.Raw) {
			continue
		}
		if now.Before(a.cert.NotBefore) || now.After(a.cert.NotAfter) {
			return actor{}, fmt.Errorf("the certificate of %q is valid from %s to %s only, and it is %s", a.name,
				stamp(a.cert.NotBefore), stamp(a.cert.NotAfter), stamp(now))
		}
		return a, nil
	}
	between := x509.NewCertPool()
	for _, cert := range certs[1:] {
		between.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: done.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return actor{}, fmt.Errorf("%q (issued by %q) belongs to no member or participant: %w", leaf.Subject, leaf.Issuer, err)
	}
	shortest := chains[0]
	for _, chain := range chains[1:] {
		if len(chain) < len(shortest) {
			shortest = chain
		}
	}
	root := shortest[len(shortest)-1]
	for _, a := range done.actors {
		if bytes.Equal(a.cert.Raw, root.Raw) {
			return a, nil
		}
	}
	return actor{}, fmt.Errorf("%q belongs to no member or participant", leaf.Subject)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
