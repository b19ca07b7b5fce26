// Package sgx reads evidence of Intel SGX enclaves, such as those of Gramine: DCAP quotes of version 3, 4 or 5.
//
// The measurement is "sgx:" and MRENCLAVE in 64 hexadecimal digits, so the code manifest names enclaves one by one. Evidence is the quote
// alone, or with its collateral (package collateral). What was checked of it, package dcap says.
//
// Its policy is a JSON object with optional fields:
//
//	mrsigner               list of signers (MRSIGNER, 64 hexadecimal digits): one of them must have signed the enclave
//	isv_prod_id            the signer's product number (ISVPRODID)
//	minimum_isv_svn        lowest security version (ISVSVN) of the enclave
//	attributes             16 bytes in hexadecimal digits: what the attributes (flags and XFRM) must be …
//	attributes_mask        … where the mask has ones. Both or neither.
//
// and those of dcap.Policy:
//
//	tcb_status             list of statuses that are accepted: by default ["UpToDate"]
//	accept_advisories      list of open advisories that are accepted: by default none
//	minimum_tcb_evaluation lowest tcbEvaluationDataNumber of the collateral
//	fmspc                  list of families of processors that are accepted (FMSPC, 12 hexadecimal digits): by default all
//	collateral_grace_days  days for which expired collateral still counts, 0 to 30: by default 0
//	without_crl            true accepts collateral that lacks a CRL
//
// Whatever the policy, an enclave must be initialised, in 64-bit mode, and without the keys to provision a platform and to launch
// enclaves, unless attributes_mask has ones there and attributes say otherwise.
//
// Trust: either
package sgx

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
)

// Platform is the name of this platform in evidence and measurements.
const Platform = "sgx"

// Flags of an enclave's attributes, in their first byte (Intel SDM, volume 3D, ATTRIBUTES).
const (
	flagInit         = 0x01
	flagDebug        = 0x02
	flagMode64       = 0x04
	flagProvisionKey = 0x10
	flagLaunchKey    = 0x20 // EINITTOKEN_KEY
)

// Measure returns the measurement of an enclave.
func Measure(mrenclave [32]byte) coco.Measurement {
	return coco.Measurement(Platform + ":" + hex.EncodeToString(mrenclave[:]))
}

// Verifier reads SGX quotes. Its zero value trusts Intel, and knows no collateral but what evidence carries.
type Verifier struct {
	// Collateral is used beside what the evidence carries.
	Collateral collateral.Source
	// Root is the root CA: Intel's if it is nil.
	Root *x509.Certificate
}

var _ attest.Verifier = Verifier{}

// Platform implements attest.Verifier.
func (Verifier) Platform() string { return Platform }

// Verify implements attest.Verifier.
func (v Verifier) Verify(evidence []byte, now time.Time) (attest.Claims, error) {
	q, tcb, err := dcap.VerifyEvidence(evidence, v.Collateral, v.Root, now)
	if err != nil {
		return attest.Claims{}, err
	}
	if q.SGX == nil {
		return attest.Claims{}, fmt.Errorf("%w: it is a quote of TDX, in evidence of platform %q", attest.ErrQuote, Platform)
	}
	r := q.SGX
	return attest.Claims{
		Measurement: Measure(r.MRENCLAVE), ReportData: r.ReportData, Debug: r.Attributes[0]&flagDebug != 0, Advisories: tcb.Advisories,
		Own: Claims{Report: *r, TCB: tcb},
	}, nil
}

// ValidatePolicy implements attest.Verifier.
func (Verifier) ValidatePolicy(policy []byte) error {
	_, err := decodePolicy(policy)
	return err
}

// Claims are the claims of this platform alone.
type Claims struct {
	Report dcap.SGXReport
	TCB    dcap.TCB
}

type policy struct {
	MRSigner       []string `json:"mrsigner,omitempty"`
	ProdID         *uint16  `json:"isv_prod_id,omitempty"`
	MinimumSVN     uint16   `json:"minimum_isv_svn,omitempty"`
	Attributes     string   `json:"attributes,omitempty"`
	AttributesMask string   `json:"attributes_mask,omitempty"`
	dcap.Policy
}

func decodePolicy(b []byte) (policy, error) {
	var p policy
	if err := attest.DecodePolicy(Platform, b, &p); err != nil {
		return p, err
	}
	if err := dcap.CheckValues(p.MRSigner, len(dcap.SGXReport{}.MRSIGNER)); err != nil {
		return p, fmt.Errorf("%w: policy of platform %q: mrsigner: %w", coco.ErrInvalid, Platform, err)
	}
	if _, err := p.rule(); err != nil {
		return p, fmt.Errorf("policy of platform %q: %w", Platform, err)
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("policy of platform %q: %w", Platform, err)
	}
	return p, nil
}

// rule is what attributes must be: the driver's own rule, below that of the policy.
func (p policy) rule() (dcap.Rule, error) {
	want := [16]byte{flagInit | flagMode64}
	mask := [16]byte{flagInit | flagMode64 | flagProvisionKey | flagLaunchKey}
	return dcap.Rule{Want: want[:], Mask: mask[:]}.With(p.Attributes, p.AttributesMask)
}

// Satisfy implements attest.Own.
func (c Claims) Satisfy(b []byte) error {
	p, err := decodePolicy(b)
	if err != nil {
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	}
	rule, _ := p.rule() // decodePolicy has checked it
	switch {
	case !rule.Matches(c.Report.Attributes[:]):
		return fmt.Errorf("%w: enclave with attributes %x, expected %x under the mask %x", attest.ErrPolicy, c.Report.Attributes, rule.Want, rule.Mask)
	case !dcap.Listed(p.MRSigner, c.Report.MRSIGNER[:]):
		return fmt.Errorf("%w: enclave signed by %x, expected one of %v", attest.ErrPolicy, c.Report.MRSIGNER, p.MRSigner)
	case p.ProdID != nil && *p.ProdID != c.Report.ISVProdID:
		return fmt.Errorf("%w: enclave with product number %d, expected %d", attest.ErrPolicy, c.Report.ISVProdID, *p.ProdID)
	case c.Report.ISVSVN < p.MinimumSVN:
		return fmt.Errorf("%w: enclave with security version %d, expected %d at least", attest.ErrTCB, c.Report.ISVSVN, p.MinimumSVN)
	}
	return p.Policy.Satisfy(c.TCB)
}
