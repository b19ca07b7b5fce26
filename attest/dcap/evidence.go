package dcap

import (
	"cmp"
	"crypto/x509"
	"fmt"
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
	var pck PCK
	err := error(nil)
	for _, c := range q.Chain {
		if c.Subject.CommonName == namePCK {
			pck, err = parsePCK(c)
			break
		}
	}
	if err != nil {
		return nil
	}
	id, qe := collateral.SGX, collateral.QE
	if q.TD != nil {
		id, qe = collateral.TDX, collateral.TDQE
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
			return it.TCBInfo.ID == id && it.TCBInfo.FMSPC == pck.FMSPC && it.TCBInfo.PCEID == pck.PCEID
		case collateral.QEIdentity:
			return it.QEIdentity.ID == qe
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
	for _, c := range q.Chain {
		if c.Subject.CommonName == namePCK {
			if p, err = parsePCK(c); err != nil {
				err = fmt.Errorf("%w: PCK certificate: %w", attest.ErrQuote, err)
			}
			return p, c.Issuer.CommonName == namePlatform, err
		}
	}
	return p, false, fmt.Errorf("%w: the quote carries no certificate with the name %q", attest.ErrQuote, namePCK)
}
