package snp

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-sev-guest/verify/trust"

	"github.com/cocoframework/coco/attest/collateral"
)

// Roots are the authorities that a verifier trusts.
type Roots []Root

// Root is one of AMD's authorities for reports: the key that certifies endorsement keys, and the root that certifies that key.
type Root struct {
	Product Product
	Signer  Signer
	Root    *x509.Certificate // ARK
	Issuer  *x509.Certificate // ASK for VCEKs, ASVK for VLEKs
}

// OrAMD returns the roots that a verifier is given: AMD's if it is given nil.
func (rs Roots) OrAMD() Roots {
	if rs == nil {
		return AMD()
	}
	return rs
}

// AMD returns AMD's roots for Milan, Genoa and Turin, as the library embeds them.
func AMD() Roots { return roots() }

var roots = sync.OnceValue(func() Roots {
	var all Roots
	for _, of := range []struct {
		product Product
		signer  Signer
		pem     []byte
	}{
		{Milan, VCEK, trust.AskArkMilanVcekBytes},
		{Milan, VLEK, trust.AskArkMilanVlekBytes},
		{Genoa, VCEK, trust.AskArkGenoaVcekBytes},
		{Genoa, VLEK, trust.AskArkGenoaVlekBytes},
		{Turin, VCEK, trust.AskArkTurinVcekBytes},
		{Turin, VLEK, trust.AskArkTurinVlekBytes},
	} {
		r := Root{Product: of.product, Signer: of.signer}
		issuer, root, err := kds.ParseProductCertChain(bytes.TrimSpace(of.pem))
		if err == nil {
			r.Issuer, err = x509.ParseCertificate(issuer)
		}
		if err == nil {
			r.Root, err = x509.ParseCertificate(root)
		}
		if err != nil {
			panic(fmt.Sprintf("AMD's certificates for %s and %s, which are part of this program, cannot be read: %v", of.product, of.signer, err))
		}
		all = append(all, r)
	}
	return all
})

// verify checks that the root stands for an endorsement key at a time.
func (r Root) verify(e endorsement, now time.Time) error {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	opts.Roots.AddCert(r.Root)
	opts.Intermediates.AddCert(r.Issuer)
	if _, err := e.cert.Verify(opts); err != nil {
		return fmt.Errorf("the %s certificate is not AMD's for %s at %s: %w", e.signer, r.Product, now.UTC().Format(time.RFC3339), err)
	}
	return nil
}

// Revocation says what is known of revoked certificates. The zero value: nothing.
type Revocation struct {
	// Made and Next are the times of the newest list of the root, and of the one that is to follow it.
	Made, Next time.Time
	// Current says that the next list was not due when the evidence was verified.
	Current bool
}

// maxEntries bounds a list. AMD's have less than ten entries.
const maxEntries = 4096

// checkRevoked checks the certificates below a root against lists. Lists of other roots are ignored; one that claims to be this root's and is not signed
// by it is an error. A list that is out of date still revokes.
func (r Root) checkRevoked(e endorsement, c *collateral.Set, now time.Time) (Revocation, error) {
	var known Revocation
	for _, item := range c.Of(collateral.CRL) {
		list := item.CRL
		if !bytes.Equal(list.RawIssuer, r.Root.RawSubject) {
			continue
		}
		what := "the list of certificates that " + r.Root.Subject.CommonName + " has revoked"
		if err := list.CheckSignatureFrom(r.Root); err != nil {
			return known, fmt.Errorf("%s: %w", what, err)
		}
		if list.ThisUpdate.After(now) {
			return known, fmt.Errorf("%s is of %s, which is in the future", what, list.ThisUpdate.UTC().Format(time.RFC3339))
		}
		if len(list.RevokedCertificateEntries) > maxEntries {
			return known, fmt.Errorf("%s has %d entries: expected at most %d", what, len(list.RevokedCertificateEntries), maxEntries)
		}
		for _, entry := range list.RevokedCertificateEntries {
			for _, cert := range []*x509.Certificate{r.Root, r.Issuer, e.cert} {
				if bytes.Equal(cert.RawIssuer, list.RawIssuer) && cert.SerialNumber.Cmp(entry.SerialNumber) == 0 {
					return known, fmt.Errorf("%s has revoked the certificate of %s at %s",
						r.Root.Subject.CommonName, cert.Subject.CommonName, entry.RevocationTime.UTC().Format(time.RFC3339))
				}
			}
		}
		if list.ThisUpdate.After(known.Made) {
			known = Revocation{Made: list.ThisUpdate, Next: list.NextUpdate, Current: now.Before(list.NextUpdate)}
		}
	}
	return known, nil
}
