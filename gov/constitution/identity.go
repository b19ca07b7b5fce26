package constitution

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
)

// Identify says who a client is: the certificate that it authenticated with, followed by those
// that lead to its organisation's, as in a TLS handshake. The organisation's own certificate
// identifies it too. If a certificate leads to several organisations, because one certifies
// another, the nearest one counts, and of several the one with
// the smallest id. The error is coco.ErrDenied.
//
// It checks the certificates' validity at the time given, and their signatures: call it once a
// connection. The caller MUST have seen proof that the client holds the first certificate's key.
func Identify(c *Constitution, certs []*x509.Certificate, now time.Time) (coco.Caller, error) {
	return c.client(certs, now, now)
}

// IdentifyOfficer is Identify for a client that brings statements. Its certificates are judged as Signer judges those of the statements.
func IdentifyOfficer(c *Constitution, certs []*x509.Certificate, now time.Time) (coco.Caller, error) {
	return c.client(certs, now, c.AsOf(now))
}

func (c *Constitution) client(certs []*x509.Certificate, now, asOf time.Time) (coco.Caller, error) {
	a, err := c.identify(certs, now, asOf, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return coco.Caller{}, fmt.Errorf("%w: client certificate: %w", coco.ErrDenied, err)
	}
	return coco.Caller{Actor: a.id, Name: a.name, Role: a.role}, nil
}

// Signer returns whose certificate signed something, as Identify does, and whether it is the organisation's own. The
// certificate need not be for TLS. Each certificate counts that is valid now or was at AsOf: when the organisations' have ended, those that they
// have issued since are as good as those before.
func (c *Constitution) Signer(certs []*x509.Certificate, now time.Time) (who coco.Caller, organisation bool, err error) {
	a, err := c.identify(certs, now, c.AsOf(now), x509.ExtKeyUsageAny)
	if err != nil {
		return coco.Caller{}, false, err
	}
	return coco.Caller{Actor: a.id, Name: a.name, Role: a.role}, bytes.Equal(certs[0].Raw, a.cert.Raw), nil
}

// identify returns whose a certificate is. Each certificate must be valid now, or as of an earlier time.
func (c *Constitution) identify(certs []*x509.Certificate, now, asOf time.Time, usage x509.ExtKeyUsage) (actor, error) {
	if len(certs) == 0 {
		return actor{}, errors.New("none given")
	}
	if len(certs) > MaxChain {
		return actor{}, fmt.Errorf("%d given, expected at most %d", len(certs), MaxChain)
	}
	leaf, done := certs[0], c.completed()
	for _, a := range done.actors {
		if !bytes.Equal(a.cert.Raw, leaf.Raw) {
			continue
		}
		if !valid(a.cert, now) && !valid(a.cert, asOf) {
			return actor{}, fmt.Errorf("the certificate of %q is valid from %s to %s only, and it is %s", a.name,
				stamp(a.cert.NotBefore), stamp(a.cert.NotAfter), stamp(now))
		}
		return a, nil
	}
	if err := c.revoked(certs); err != nil {
		return actor{}, err
	}
	between, roots := x509.NewCertPool(), done.roots
	for _, cert := range certs[1:] {
		between.AddCert(stillValid(cert, now, asOf))
	}
	if asOf.Before(now) {
		roots = x509.NewCertPool()
		for _, a := range done.actors {
			roots.AddCert(stillValid(a.cert, now, asOf))
		}
	}
	chains, err := stillValid(leaf, now, asOf).Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		unknown, ok := errors.AsType[x509.UnknownAuthorityError](err)
		return actor{}, &StrangerError{
			Unissued: ok && unknown.Cert != nil && valid(leaf, now),
			text:     fmt.Sprintf("%q (issued by %q) belongs to no member or participant: %s", leaf.Subject, leaf.Issuer, unfit(leaf, now, err)),
		}
	}
	return nearest(done.actors, chains), nil
}

// StrangerError is a certificate that leads to no organisation of the constitution.
type StrangerError struct {
	Unissued bool // no organisation in force has issued it, for all that is known
	text     string
}

func (e *StrangerError) Error() string { return e.text }

// stillValid returns a certificate that was valid as of an earlier time as one that is valid now. Package x509 judges all of a chain at one time.
func stillValid(cert *x509.Certificate, now, asOf time.Time) *x509.Certificate {
	if valid(cert, now) || !valid(cert, asOf) {
		return cert
	}
	still := *cert
	still.NotAfter = now
	return &still
}

// unfit says in words why a certificate does not lead to an organisation.
func unfit(leaf *x509.Certificate, now time.Time, err error) string {
	var invalid x509.CertificateInvalidError
	unknown, known := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		return fmt.Sprintf("it is valid from %s to %s only, and it is %s: ask the organisation for a new one", stamp(leaf.NotBefore), stamp(leaf.NotAfter), stamp(now))
	case known && unknown.Cert != nil:
		return "no organisation of the constitution in force has issued it: it is of an organisation that was removed or has replaced its certificate, or of another network; " +
			"if an authority stands between, its certificate must be in the same file"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		at := "a certificate between it and the organisation, or the organisation's own,"
		if c := invalid.Cert; c != nil {
			at = fmt.Sprintf("the certificate %q above it, which is valid from %s to %s,", c.Subject, stamp(c.NotBefore), stamp(c.NotAfter))
		}
		return at + " is not valid at " + stamp(now)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "it is not made for connections: expected the extended key usage \"client authentication\""
	}
	return err.Error()
}

// nearest returns the actor at the end of the shortest chain. Of chains of one length, that of the smallest id counts:
// the order in which package x509 finds them is not part of what nodes agree on.
func nearest(actors []actor, chains [][]*x509.Certificate) actor {
	var found actor
	least := 0
	for _, chain := range chains {
		root := chain[len(chain)-1]
		i := slices.IndexFunc(actors, func(a actor) bool { return bytes.Equal(a.cert.Raw, root.Raw) }) // all roots are actors'
		if n := len(chain); least == 0 || n < least || n == least && bytes.Compare(actors[i].id[:], found.id[:]) < 0 {
			found, least = actors[i], n
		}
	}
	return found
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
