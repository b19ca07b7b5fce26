package dcap

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	_ "embed" // Intel's root
	"encoding/pem"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
)

//go:embed intel_sgx_root_ca.pem
var intelRoot []byte

// IntelRoot is the certificate that all of Intel's statements about SGX and TDX lead to: CN "Intel SGX Root CA", valid until the end of 2049.
// It MUST NOT be changed.
var IntelRoot = sync.OnceValue(func() *x509.Certificate {
	block, _ := pem.Decode(intelRoot)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err) // it is part of the program
	}
	return c
})

// Names of Intel's certificates. A certificate does what its name says, and nothing else: PCK certificates and those that
// sign collateral have one root.
const (
	namePCK       = "Intel SGX PCK Certificate"
	namePlatform  = "Intel SGX PCK Platform CA"
	nameProcessor = "Intel SGX PCK Processor CA"
	nameTCB       = "Intel SGX TCB Signing"
)

// trust is what a verification believes: a root, collateral that it checks as it uses it, and a time. It collects when the first of
// what it used expires.
type trust struct {
	root    *x509.Certificate
	set     *collateral.Set
	now     time.Time
	expires time.Time
	// unrevoked is false once a certificate was used whose issuer has no CRL in the set.
	unrevoked bool
	// lists are the CRLs of each issuer that it has signed. Each signature is checked once, however many certificates there are: both may
	// come from whoever made the evidence.
	lists map[*x509.Certificate][]collateral.Item
}

func newTrust(set *collateral.Set, root *x509.Certificate, now time.Time) *trust {
	return &trust{root: root, set: set, now: now, unrevoked: true, lists: make(map[*x509.Certificate][]collateral.Item)}
}

// uses notes that the verification rests on what is valid for this time.
func (t *trust) uses(until time.Time) {
	if t.expires.IsZero() || until.Before(t.expires) {
		t.expires = until
	}
}

// check checks that issuer signed a certificate, that it has begun to be valid, and that it is not revoked. That it has ended is for the
// caller to decide, by what uses has collected.
func (t *trust) check(c, issuer *x509.Certificate) error {
	name := c.Subject.CommonName
	switch key, ok := c.PublicKey.(*ecdsa.PublicKey); {
	case !bytes.Equal(c.RawIssuer, issuer.RawSubject):
		return fmt.Errorf("%w: certificate %q is issued by %q: expected %q", attest.ErrQuote, name, c.Issuer.CommonName, issuer.Subject.CommonName)
	case !ok || key.Curve != elliptic.P256():
		return fmt.Errorf("%w: certificate %q: expected an ECDSA key over P-256", attest.ErrQuote, name)
	case len(c.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("%w: certificate %q has critical extensions that are unknown: %v", attest.ErrQuote, name, c.UnhandledCriticalExtensions)
	case t.now.Before(c.NotBefore):
		return fmt.Errorf("%w: certificate %q is valid from %s on: now is %s", attest.ErrQuote, name, c.NotBefore.Format(time.RFC3339), t.now.Format(time.RFC3339))
	}
	if err := c.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%w: certificate %q is not signed by %q: %w", attest.ErrQuote, name, issuer.Subject.CommonName, err)
	}
	t.uses(c.NotAfter)
	return t.checkRevoked(c, issuer)
}

// checkRevoked holds a certificate against the CRLs of its issuer. It counts as revoked if any of them lists it: a host that
// hands out an old list beside a newer one wins nothing.
func (t *trust) checkRevoked(c, issuer *x509.Certificate) error {
	var until time.Time
	for _, it := range t.crls(issuer) {
		if slices.ContainsFunc(it.CRL.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(c.SerialNumber) == 0 }) {
			return fmt.Errorf("%w: certificate %q with serial number %x is revoked by %q", attest.ErrQuote, c.Subject.CommonName, c.SerialNumber, issuer.Subject.CommonName)
		}
		if it.Until.After(until) {
			until = it.Until
		}
	}
	if until.IsZero() {
		t.unrevoked = false
		return nil
	}
	t.uses(until)
	return nil
}

// crls are the CRLs of an issuer whose certificate is checked.
func (t *trust) crls(issuer *x509.Certificate) []collateral.Item {
	lists, ok := t.lists[issuer]
	if !ok {
		for _, it := range t.set.Of(collateral.CRL) {
			if bytes.Equal(it.CRL.RawIssuer, issuer.RawSubject) && !t.now.Before(it.From) && !it.Until.IsZero() && it.CRL.CheckSignatureFrom(issuer) == nil {
				lists = append(lists, it)
			}
		}
		t.lists[issuer] = lists
	}
	return lists
}

// pck finds and checks the chain of a quote, from the PCK certificate up to the root. Certificates of CAs may also be in the collateral.
func (t *trust) pck(q *Quote) (*x509.Certificate, PCK, error) {
	leaf, p, err := q.pck()
	if err != nil {
		return nil, PCK{}, err
	}
	failed := error(nil)
	for _, ca := range slices.Concat(q.Chain, t.set.Certificates()) {
		if name := ca.Subject.CommonName; (name != namePlatform && name != nameProcessor) || !bytes.Equal(ca.RawSubject, leaf.RawIssuer) {
			continue
		}
		attempt := *t
		if failed = attempt.check(ca, t.root); failed == nil {
			failed = attempt.check(leaf, ca)
		}
		if failed == nil {
			*t = attempt
			return leaf, p, nil
		}
	}
	if failed != nil {
		return nil, PCK{}, failed
	}
	return nil, PCK{}, fmt.Errorf("%w: PCK certificate: its issuer, %q, is neither in the quote nor in the collateral, or is no CA of PCK certificates", attest.ErrQuote, leaf.Issuer.CommonName)
}

// A signer is a certificate that signs statements, with what the verification rests on if it is used.
type signer struct {
	key   *ecdsa.PublicKey
	trust trust
}

// signers are the certificates of the collateral that sign Intel's statements. The error says why there is none.
func (t *trust) signers() ([]signer, error) {
	var ss []signer
	failed := fmt.Errorf("%w: the collateral has no certificate %q", attest.ErrQuote, nameTCB)
	for _, c := range t.set.Certificates() {
		if c.Subject.CommonName != nameTCB || c.IsCA {
			continue
		}
		s := signer{trust: *t}
		if err := s.trust.check(c, t.root); err != nil {
			failed = err
			continue
		}
		s.key = c.PublicKey.(*ecdsa.PublicKey)
		ss = append(ss, s)
	}
	if len(ss) == 0 {
		return nil, failed
	}
	// A certificate that was renewed has the key of the one before.
	slices.SortStableFunc(ss, func(a, b signer) int { return b.trust.expires.Compare(a.trust.expires) })
	return ss, nil
}

// statement finds among items the one to go by, and checks that Intel has signed it. Those that have not expired are before those that have, then those of
// the higher number of the TCB evaluation, then the newer ones.
func (t *trust) statement(about string, items []collateral.Item, evaluation func(collateral.Item) uint32) (it collateral.Item, err error) {
	if len(items) == 0 {
		return it, fmt.Errorf("%w: the collateral has no %s: let the host fetch it (`coco attest collateral fetch`)", attest.ErrQuote, about)
	}
	expired := func(it collateral.Item) int {
		if t.now.After(it.Until) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(items, func(a, b collateral.Item) int {
		return cmp.Or(expired(a)-expired(b), cmp.Compare(evaluation(b), evaluation(a)), b.From.Compare(a.From))
	})
	signers, err := t.signers()
	if err != nil {
		return it, fmt.Errorf("%s: %w", about, err)
	}
	err = fmt.Errorf("%w: %s is not signed by %q", attest.ErrQuote, about, nameTCB)
	for _, it := range items {
		if t.now.Before(it.From) {
			err = fmt.Errorf("%w: %s is valid from %s on: now is %s", attest.ErrQuote, about, it.From.Format(time.RFC3339), t.now.Format(time.RFC3339))
			continue
		}
		for _, s := range signers {
			if verify(s.key, signed(it).Body, signed(it).Signature) {
				t.uses(s.trust.expires)
				t.uses(it.Until)
				t.unrevoked = t.unrevoked && s.trust.unrevoked
				return it, nil
			}
		}
	}
	return it, err
}

func signed(it collateral.Item) collateral.Signed {
	if it.TCBInfo != nil {
		return it.TCBInfo.Signed
	}
	return it.QEIdentity.Signed
}
