package gov

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/store"
)

// A certificate that the network issued is renewed by a transaction: in its new form it stands for the same
// key and name and begins when the old one did, so that it vouches for all that was signed under the old
// one, and it ends later.

// RenewNode replaces a trusted node's certificate in its record. State and Since stay.
func RenewNode(tx *store.Tx, id coco.NodeID, certificate []byte) error {
	rec, err := Node(tx, id)
	if err != nil {
		return err
	}
	if rec.State != Trusted {
		return fmt.Errorf("%w: node %s is %s: its certificate is not renewed", coco.ErrDenied, id.Short(), rec.State)
	}
	service, err := ServiceCertificate(tx)
	if err != nil {
		return err
	}
	old := rec.Certificate
	rec.Certificate = bytes.Clone(certificate)
	if err := checkRenewedNode(service, old, &rec); err != nil {
		return err
	}
	return putNode(tx, rec)
}

// checkRenewedNode checks the certificate of a record that had another one before.
func checkRenewedNode(service, old []byte, rec *NodeRecord) error {
	if err := checkEndorsed(service, rec); err != nil {
		return err
	}
	return checkRenewal(old, rec.Certificate)
}

// RenewService replaces the service's certificate by a later one of the same key.
func RenewService(tx *store.Tx, certificate []byte) error {
	old, err := ServiceCertificate(tx)
	if err != nil {
		return err
	}
	if err := checkRenewedService(old, certificate); err != nil {
		return err
	}
	tx.Put(ServiceTable, []byte(certificateKey), bytes.Clone(certificate))
	return nil
}

func checkRenewedService(old, renewed []byte) error {
	if _, err := parseService(renewed); err != nil {
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

// renewed follows a renewal of a node's certificate; ok is false if the row says something else.
func (a *Auditor) renewed(rec NodeRecord, w store.Write) (ok bool, err error) {
	old, known := a.nodes[rec.ID]
	if !known || old.State != Trusted || rec.State != Trusted {
		return false, nil
	}
	before := old.Certificate
	old.Certificate = rec.Certificate
	expected, err := canon.Marshal(old)
	if err != nil || !bytes.Equal(expected, w.Value) || !bytes.Equal(w.Key, rec.ID[:]) {
		return false, err
	}
	if err := checkRenewedNode(a.service, before, &rec); err != nil {
		return false, err
	}
	a.nodes[rec.ID] = rec
	return true, nil
}

// applyService follows a renewal of the service's certificate.
func (a *Auditor) applyService(rows []store.Write) error {
	for _, w := range rows {
		if string(w.Key) != certificateKey {
			return fmt.Errorf("an unknown row %q of %s", w.Key, ServiceTable)
		}
		if err := checkRenewedService(a.service, w.Value); err != nil {
			return err
		}
		a.service = bytes.Clone(w.Value)
	}
	return nil
}

// sameNetwork reports whether two certificates are of one service.
func sameNetwork(a, b []byte) bool {
	x, err1 := NetworkID(a)
	y, err2 := NetworkID(b)
	return err1 == nil && err2 == nil && x == y
}

// ActorCertificate is one that the constitution lists.
type ActorCertificate struct {
	Actor       coco.ActorID
	Name        string
	Role        coco.Role
	Certificate *x509.Certificate
}

// Certificates returns the certificates of all members and participants. They MUST NOT be modified.
func (c *Constitution) Certificates() []ActorCertificate {
	var out []ActorCertificate
	for _, a := range c.completed().actors {
		out = append(out, ActorCertificate{a.id, a.name, a.role, a.cert})
	}
	return out
}
