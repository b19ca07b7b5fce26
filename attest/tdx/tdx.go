// Package tdx reads evidence of Intel TDX trust domains (TDs): DCAP quotes of version 4 or 5.
//
// The measurement is "tdx:" and 96 hexadecimal digits:
//
//	SHA-384("coco tdx measurement" ‖ 0 ‖ MRTD ‖ RTMR0 ‖ RTMR1 ‖ RTMR2 ‖ RTMR3)
//
// MRTD is the firmware, RTMR0 its configuration and the machine's tables (so TDs of another number of processors or size of memory may
// differ), RTMR1 and RTMR2 the kernel, its command line and initrd, RTMR3 what runs extends by itself. All are in it because each can change what runs:
// a host that is free in one of them could, for example, have the kernel interpret its ACPI tables. Evidence is the quote alone, or with its
// collateral (package collateral). What was checked of it, package dcap says.
//
// Its policy is a JSON object with optional fields:
//
//	mrtd, rtmr0, rtmr1, rtmr2, rtmr3   lists of values (96 hexadecimal digits), one of which the register must have
//	mrconfigid, mrowner, mrownerconfig the same, of what the TD's owner gave along
//	mrseam                             the same, of the TDX module
//	service_td                         the same, of the service TDs that are bound (MRSERVICETD): by default none may be
//	attributes                         8 bytes in hexadecimal digits: what TDATTRIBUTES must be …
//	attributes_mask                    … where the mask has ones. Both or neither.
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
// Whatever the policy, a TD must have SEPT_VE_DISABLE (so that its host cannot take pages from under its kernel and be answered by an
// exception), must not be migratable nor share performance counters with its host, and all attributes that are reserved must be zero, unless
// attributes_mask has ones there and attributes say otherwise. In the last 7 bits of the first byte every bit means a TD that its host can look into.
//
// Trust: either
package tdx

import (
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
)

// Platform is the name of this platform in evidence and measurements.
const Platform = "tdx"

// TDATTRIBUTES (Intel TDX module ABI, table "ATTRIBUTES"): byte 0 is TUD, "TD under debug", of which bit 0 is DEBUG and the
// others are reserved; bytes 1 to 3 are SEC, bytes 4 to 7 OTHER.
const (
	septVEDisable = 1 << (28 - 24)
	migratable    = 1 << (29 - 24)
	pks           = 1 << (30 - 24)
	keyLocker     = 1 << (31 - 24)
)

// Measure returns the measurement of a TD with these registers.
func Measure(mrtd [48]byte, rtmr [4][48]byte) coco.Measurement {
	h := sha512.New384()
	h.Write([]byte("coco tdx measurement\x00"))
	h.Write(mrtd[:])
	for _, r := range rtmr {
		h.Write(r[:])
	}
	return coco.Measurement(Platform + ":" + hex.EncodeToString(h.Sum(nil)))
}

// Verifier reads TDX quotes. Its zero value trusts Intel, and knows no collateral but what evidence carries.
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
	if q.TD == nil {
		return attest.Claims{}, fmt.Errorf("%w: it is a quote of SGX, in evidence of platform %q", attest.ErrQuote, Platform)
	}
	r := q.TD
	return attest.Claims{
		Measurement: Measure(r.MRTD, r.RTMR), ReportData: r.ReportData, Debug: r.Attributes[0] != 0, Advisories: tcb.Advisories,
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
	Report dcap.TDReport
	TCB    dcap.TCB
}

type policy struct {
	MRTD           []string `json:"mrtd,omitempty"`
	RTMR0          []string `json:"rtmr0,omitempty"`
	RTMR1          []string `json:"rtmr1,omitempty"`
	RTMR2          []string `json:"rtmr2,omitempty"`
	RTMR3          []string `json:"rtmr3,omitempty"`
	MRConfigID     []string `json:"mrconfigid,omitempty"`
	MROwner        []string `json:"mrowner,omitempty"`
	MROwnerConfig  []string `json:"mrownerconfig,omitempty"`
	MRSEAM         []string `json:"mrseam,omitempty"`
	ServiceTD      []string `json:"service_td,omitempty"`
	Attributes     string   `json:"attributes,omitempty"`
	AttributesMask string   `json:"attributes_mask,omitempty"`
	dcap.Policy
}

// register is a field of a policy and the value of the report that it is about.
type register struct {
	name    string
	allowed []string
	found   [48]byte
}

func (p policy) registers(r dcap.TDReport) []register {
	service := p.ServiceTD
	if len(service) == 0 {
		service = []string{strings.Repeat("0", 96)}
	}
	return []register{
		{"mrtd", p.MRTD, r.MRTD},
		{"rtmr0", p.RTMR0, r.RTMR[0]},
		{"rtmr1", p.RTMR1, r.RTMR[1]},
		{"rtmr2", p.RTMR2, r.RTMR[2]},
		{"rtmr3", p.RTMR3, r.RTMR[3]},
		{"mrconfigid", p.MRConfigID, r.MRCONFIGID},
		{"mrowner", p.MROwner, r.MROWNER},
		{"mrownerconfig", p.MROwnerConfig, r.MROWNERCONFIG},
		{"mrseam", p.MRSEAM, r.MRSEAM},
		{"service_td", service, r.MRSERVICETD},
	}
}

func decodePolicy(b []byte) (policy, error) {
	var p policy
	if err := attest.DecodePolicy(Platform, b, &p); err != nil {
		return p, err
	}
	for _, f := range p.registers(dcap.TDReport{}) {
		if err := dcap.CheckValues(f.allowed, len(f.found)); err != nil {
			return p, fmt.Errorf("%w: policy of platform %q: %s: %w", coco.ErrInvalid, Platform, f.name, err)
		}
	}
	if _, err := p.rule(); err != nil {
		return p, fmt.Errorf("policy of platform %q: %w", Platform, err)
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("policy of platform %q: %w", Platform, err)
	}
	return p, nil
}

// rule is what attributes must be: the driver's own rule, below that of the policy. The driver's has nothing of byte 0: it
// is Claims.Debug, which the constitution decides on.
func (p policy) rule() (dcap.Rule, error) {
	want := [8]byte{3: septVEDisable}
	mask := [8]byte{0, 0xff, 0xff, 0xff &^ (pks | keyLocker), 0xff, 0xff, 0xff, 0xff}
	return dcap.Rule{Want: want[:], Mask: mask[:]}.With(p.Attributes, p.AttributesMask)
}

// Satisfy implements attest.Own.
func (c Claims) Satisfy(b []byte) error {
	p, err := decodePolicy(b)
	if err != nil {
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	}
	if rule, _ := p.rule(); !rule.Matches(c.Report.Attributes[:]) { // decodePolicy has checked the rule
		hint := ""
		switch {
		case c.Report.Attributes[3]&migratable != 0 && rule.Mask[3]&migratable != 0 && rule.Want[3]&migratable == 0:
			hint = ": its host may migrate it"
		case c.Report.Attributes[3]&septVEDisable == 0:
			hint = ": SEPT_VE_DISABLE is missing"
		}
		return fmt.Errorf("%w: TD with attributes %x, expected %x under the mask %x%s", attest.ErrPolicy, c.Report.Attributes, rule.Want, rule.Mask, hint)
	}
	for _, f := range p.registers(c.Report) {
		if !dcap.Listed(f.allowed, f.found[:]) {
			return fmt.Errorf("%w: %s is %x, expected one of %v", attest.ErrPolicy, f.name, f.found, f.allowed)
		}
	}
	return p.Policy.Satisfy(c.TCB)
}
