// Package snp reads evidence of AMD SEV-SNP: confidential virtual machines on EPYC processors of the lines Milan, Genoa and Turin.
//
// The secure processor measures the memory with which a guest is launched, and signs a report about it with a key of its
// own. AMD certifies that key, for one chip (VCEK) or for a cloud provider's chips (VLEK), and for one version of the firmware: a chip with
// older firmware has another key.
//
//	ARK ── certifies ──▶ ASK  ── certifies ──▶ VCEK ┐
//	 │                                              ├── signs ──▶ report: measurement, report data, TCB, guest policy, VMPL
//	 └──── certifies ──▶ ASVK ── certifies ──▶ VLEK ┘
//
// A quote is the report, ReportSize bytes, followed by the certificate table in which the host hands out the endorsement key's certificate
// (may be empty): what Linux's configfs-tsm gives as outblob and auxblob. Evidence may also be such a quote with its collateral (package
// collateral). From collateral come the endorsement key's certificate if the table has none, and the lists of revoked
// certificates. Certificates above the endorsement key are AMD's, and part of the program.
//
// Nothing here reaches the network or a clock: what a report is worth follows from evidence, collateral and the time that are given. Reports, roots and
// signatures are read by Google's library for SEV-SNP. Certificates of endorsement keys and certificate tables are read here, because the library refuses
// Turin's certificates (it has neither their FMC nor their short chip names); so is the policy, because its errors must say whether newer firmware would do.
//
// The measurement is "snp:" and the 96 hexadecimal digits of the launch digest. The policy is described at Policy.
//
// Trust: either
package snp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-sev-guest/verify"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
)

// Platform is the name of this platform in evidence and measurements.
const Platform = "snp"

// MaxQuote is the longest quote in bytes: a report and a certificate table.
const MaxQuote = ReportSize + maxInside

// Measurement names a launch digest.
func Measurement(digest [48]byte) coco.Measurement {
	return coco.Measurement(Platform + ":" + hex.EncodeToString(digest[:]))
}

// Verifier reads evidence of this platform. Its zero value trusts AMD's roots and knows no collateral but what evidence carries.
type Verifier struct {
	Collateral collateral.Source // may be nil
	Roots      Roots             // AMD's if nil
}

var _ attest.Verifier = Verifier{}

// Platform implements attest.Verifier.
func (Verifier) Platform() string { return Platform }

// Verify implements attest.Verifier.
func (v Verifier) Verify(evidence []byte, now time.Time) (attest.Claims, error) {
	quote, c, err := Open(evidence, v.Collateral)
	if err != nil {
		return attest.Claims{}, fmt.Errorf("%w: %s: %w", attest.ErrQuote, Platform, err)
	}
	claims, err := v.Roots.OrAMD().Verify(quote, c, now)
	if err != nil {
		return attest.Claims{}, err
	}
	return attest.Claims{
		Platform: Platform, Measurement: Measurement(claims.Report.Measurement), ReportData: claims.Report.ReportData,
		Debug: claims.Report.Policy.Debug, Own: claims,
	}, nil
}

// Open takes evidence apart, and adds what a source has to the collateral that the evidence carries.
func Open(evidence []byte, source collateral.Source) (quote []byte, c *collateral.Set, err error) {
	if quote, c, err = collateral.Split(evidence); err != nil || source == nil {
		return quote, c, err
	}
	c, err = collateral.Merge(c, source())
	return quote, c, err
}

// ValidatePolicy implements attest.Verifier.
func (Verifier) ValidatePolicy(policy []byte) error {
	_, err := DecodePolicy(Platform, policy)
	return err
}

// Verify checks a quote: that one of the roots stands for the key that signed the report, at the time given, and that no list revokes the key. The
// error wraps attest.ErrQuote.
func (rs Roots) Verify(quote []byte, c *collateral.Set, now time.Time) (Claims, error) {
	claims, err := rs.verify(quote, c, now)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %s: %w", attest.ErrQuote, Platform, err)
	}
	return claims, nil
}

func (rs Roots) verify(quote []byte, c *collateral.Set, now time.Time) (Claims, error) {
	if now.IsZero() {
		return Claims{}, errors.New("no time is given at which certificates must be valid")
	}
	if len(quote) < ReportSize || len(quote) > MaxQuote {
		return Claims{}, fmt.Errorf("quote of %d bytes: expected %d to %d", len(quote), ReportSize, MaxQuote)
	}
	raw, table := quote[:ReportSize], quote[ReportSize:]
	report, err := ParseReport(raw)
	if err != nil {
		return Claims{}, err
	}
	key, err := endorsementOf(report, table, c)
	if err != nil {
		return Claims{}, err
	}
	product := report.Product
	if product == "" {
		product = key.product
	}
	root, err := rs.of(product, report.Signer)
	if err != nil {
		return Claims{}, err
	}
	if err := root.verify(key, now); err != nil {
		return Claims{}, err
	}
	revocation, err := root.checkRevoked(key, c, now)
	if err != nil {
		return Claims{}, err
	}
	if err := verify.SnpReportSignature(raw, key.cert); err != nil {
		return Claims{}, fmt.Errorf("the report is not signed by the key of its %s certificate: %w", key.signer, err)
	}
	report.Product = product
	return Claims{Report: report, Chip: key.chip, Provider: key.csp, Until: key.cert.NotAfter, Revocation: revocation}, nil
}

func (rs Roots) of(p Product, s Signer) (Root, error) {
	for _, r := range rs {
		if r.Product == p && r.Signer == s {
			return r, nil
		}
	}
	return Root{}, fmt.Errorf("no root for the %s of product %q", s, p)
}

// endorsementOf finds the certificate of the key that signed a report: in the host's table, else in the collateral. It is
// of the report's chip and of its reported TCB; nothing of it is verified.
func endorsementOf(r Report, table []byte, c *collateral.Set) (endorsement, error) {
	der, err := tableCertificate(table, r.Signer)
	if err != nil {
		return endorsement{}, err
	}
	if der != nil {
		e, err := parseEndorsement(der)
		if err != nil {
			return endorsement{}, err
		}
		return e, e.belongs(r)
	}
	mismatch := errors.New("the collateral has none either")
	for _, item := range c.Of(collateral.Certificate) {
		e, err := parseEndorsement(item.Raw)
		if err != nil {
			continue // a certificate of something else
		}
		if err = e.belongs(r); err == nil {
			return e, nil
		}
		mismatch = err
	}
	return endorsement{}, fmt.Errorf("no %s certificate comes with the quote, and %w; get it for chip %x at TCB %v (%s)", r.Signer, mismatch, r.ChipID[:8], r.Reported, "`coco attest collateral fetch` gets it for a report")
}

// belongs checks that a certificate speaks of the chip and the firmware of a report.
func (e endorsement) belongs(r Report) error {
	switch {
	case e.signer != r.Signer:
		return fmt.Errorf("a %s has signed the report, but the certificate is a %s's", r.Signer, e.signer)
	case !e.ofChip(r):
		return fmt.Errorf("the certificate is of chip %x, the report of chip %x", e.chip, r.ChipID)
	case e.tcb != r.Reported:
		return fmt.Errorf("the certificate is for the TCB {%v}, the report says {%v}", e.tcb, r.Reported)
	case r.Product == "" && e.product == Turin:
		return errors.New("a report of version 2 cannot be Turin's")
	}
	return nil
}
