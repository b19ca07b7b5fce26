package members

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/succession"
)

// A certificate that the network issued is renewed by a transaction: in its new form it stands for the same
// key and name and begins when the old one did, so that it vouches for all that was signed under the old
// one, and it ends later.

// RenewNode replaces a trusted node's certificate in its record. State and Since stay.
func RenewNode(tx *store.Tx, id coco.NodeID, certificate []byte) error {
	rec, err := table.Node(tx, id)
	if err != nil {
		return err
	}
	if rec.State != table.Trusted {
		return fmt.Errorf("%w: node %s is %s: its certificate is not renewed", coco.ErrDenied, id.Short(), rec.State)
	}
	service, err := table.ServiceCertificate(tx)
	if err != nil {
		return err
	}
	old := rec.Certificate
	rec.Certificate = bytes.Clone(certificate)
	if err := CheckRenewedNode(service, old, &rec); err != nil {
		return err
	}
	return table.PutNode(tx, rec)
}

// CheckRenewedNode checks the certificate of a record that had another one before.
func CheckRenewedNode(service, old []byte, rec *table.NodeRecord) error {
	if err := CheckEndorsed(service, rec); err != nil {
		return err
	}
	return checkRenewal(old, rec.Certificate)
}

// RenewService replaces the service's certificate by a later one of the same key.
func RenewService(tx *store.Tx, certificate []byte) error {
	old, err := table.ServiceCertificate(tx)
	if err != nil {
		return err
	}
	if err := CheckRenewedService(old, certificate); err != nil {
		return err
	}
	tx.Put(table.ServiceTable, []byte(table.CertificateKey), bytes.Clone(certificate))
	return nil
}

// CheckRenewedService checks a service's certificate that replaces an old one. The error is coco.ErrInvalid.
func CheckRenewedService(old, renewed []byte) error {
	if _, err := ParseService(renewed); err != nil {
		return err
	}
	return checkRenewal(old, renewed)
}

func checkRenewal(old, renewed []byte) error {
	was, err := x509.ParseCertificate(old)
	if err != nil {
		return fmt.Errorf("%w: the certificate to be renewed: not X.509: %w", coco.ErrCorrupt, err)
	}
	is, err := x509.ParseCertificate(renewed)
	if err != nil {
		return fmt.Errorf("%w: renewed certificate: not X.509: %w", coco.ErrInvalid, err)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: renewed certificate of %q: %s", coco.ErrInvalid, was.Subject, fmt.Sprintf(format, args...))
	}
	switch {
	case !bytes.Equal(was.RawSubjectPublicKeyInfo, is.RawSubjectPublicKeyInfo):
		return fail("it is of another key")
	case !bytes.Equal(was.RawSubject, is.RawSubject):
		return fail("it names %q", is.Subject)
	case was.IsCA != is.IsCA || !slices.Equal(was.DNSNames, is.DNSNames) || len(was.IPAddresses) != len(is.IPAddresses):
		return fail("it is for other addresses or another purpose")
	case !is.NotBefore.Equal(was.NotBefore):
		return fail("it begins on %s, expected %s, as before", is.NotBefore.UTC().Format(time.RFC3339), was.NotBefore.UTC().Format(time.RFC3339))
	case !sameExtension(was, is):
		return fail("it says something else about the service that it follows")
	case !is.NotAfter.After(was.NotAfter):
		return fail("it ends on %s, expected later than %s", is.NotAfter.UTC().Format(time.RFC3339), was.NotAfter.UTC().Format(time.RFC3339))
	}
	for i, ip := range was.IPAddresses {
		if !ip.Equal(is.IPAddresses[i]) {
			return fail("it is for address %s, expected %s", is.IPAddresses[i], ip)
		}
	}
	return nil
}

// sameExtension reports whether two certificates say the same about the service before.
func sameExtension(was, is *x509.Certificate) bool {
	a, x := succession.ExtensionOf(was)
	b, y := succession.ExtensionOf(is)
	return x == y && bytes.Equal(a.Value, b.Value)
}

// SameNetwork reports whether two certificates are of one service.
func SameNetwork(a, b []byte) bool {
	x, err1 := table.NetworkID(a)
	y, err2 := table.NetworkID(b)
	return err1 == nil && err2 == nil && x == y
}
