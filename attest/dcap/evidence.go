package dcap

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
)

// VerifyEvidence takes evidence apart and verifies its quote, by the collateral that it carries and by that of a source, which may be nil. A root
// that is nil stands for Intel's. The error wraps attest.ErrQuote.
func VerifyEvidence(evidence []byte, source collateral.Source, root *x509.Certificate, now time.Time) (*Quote, TCB, error) {
	q, set, err := Open(evidence, source)
	if err != nil {
		return nil, TCB{}, err
	}
	tcb, err := Verify(q, set, cmp.Or(root, IntelRoot()), now)
	return q, tcb, err
}

// Open takes evidence apart: its quote, parsed, and all collateral that there is. Nothing is verified. The error wraps attest.ErrQuote.
func Open(evidence []byte, source collateral.Source) (*Quote, *collateral.Set, error) {
	raw, set, err := collateral.Split(evidence)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", attest.ErrQuote, err)
	}
	if source != nil {
		if set, err = collateral.Merge(set, source()); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", attest.ErrQuote, err)
		}
	}
	q, err := Parse(raw)
	return q, set, err
}

// Needed chooses from collateral what a verifier needs for a quote, so that evidence carries no more: the certificates that sign statements, the CRLs of its issuers,
// the TCB infos of the processor's family and the identities of its quoting enclave. Of a quote without a PCK certificate it is nothing.
func Needed(q *Quote, set *collateral.Set) *collateral.Set {
	_, pck, err := q.pck()
	if err != nil {
		return nil
	}
	issuers := make(map[string]bool)
	for _, c := range q.Chain {
		issuers[string(c.RawIssuer)] = true
	}
	return set.Filter(func(it collateral.Item) bool {
		switch it.Kind {
		case collateral.Certificate:
			return it.Certificate.Subject.CommonName == nameTCB
		case collateral.CRL:
			return issuers[string(it.CRL.RawIssuer)]
		case collateral.TCBInfo:
			return q.judgedBy(it.TCBInfo, pck)
		case collateral.QEIdentity:
			return it.QEIdentity.ID == q.qeID()
		default:
			return false
		}
	})
}

// Pick is Needed for evidence as a device gives it out. Of what is no quote it is everything.
func Pick(quote []byte, set *collateral.Set) *collateral.Set {
	q, err := Parse(quote)
	if err != nil {
		return set
	}
	return Needed(q, set)
}

// Processor says of which processor a quote says that it is, for those who look for its collateral, and whether its PCK certificate is of the Platform CA (else of
// the Processor CA). Nothing is verified. The error wraps attest.ErrQuote.
func (q *Quote) Processor() (p PCK, platformCA bool, err error) {
	c, p, err := q.pck()
	return p, err == nil && c.Issuer.CommonName == namePlatform, err
}

// pck finds the certificate of the quote's processor, and what it says. It is not checked. The error wraps attest.ErrQuote.
func (q *Quote) pck() (*x509.Certificate, PCK, error) {
	i := slices.IndexFunc(q.Chain, func(c *x509.Certificate) bool { return c.Subject.CommonName == namePCK })
	if i < 0 {
		return nil, PCK{}, fmt.Errorf("%w: the quote carries no certificate with the name %q", attest.ErrQuote, namePCK)
	}
	p, err := parsePCK(q.Chain[i])
	if err != nil {
		return nil, PCK{}, fmt.Errorf("%w: PCK certificate: %w", attest.ErrQuote, err)
	}
	return q.Chain[i], p, nil
}

// tcbID is the ID of the TCB infos that are about quotes of this kind.
func (q *Quote) tcbID() string {
	if q.TD != nil {
		return collateral.TDX
	}
	return collateral.SGX
}

// qeID is the ID of the quoting enclave that makes quotes of this kind.
func (q *Quote) qeID() string {
	if q.TD != nil {
		return collateral.TDQE
	}
	return collateral.QE
}

// judgedBy says whether a TCB info is about the family of the quote's processor.
func (q *Quote) judgedBy(info *collateral.IntelTCB, pck PCK) bool {
	return info.ID == q.tcbID() && info.FMSPC == pck.FMSPC && info.PCEID == pck.PCEID
}
