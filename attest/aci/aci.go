// Package aci reads evidence of Azure's confidential containers: a group of containers in a utility VM (UVM) on AMD SEV-SNP.
//
// The processor measures the UVM, which is Microsoft's. The UVM starts nothing but what a security policy allows, and refuses to start unless the policy's
// digest is what the host bound to the report as host data. So the policy is what names the code, as far as the UVM is a genuine one. Which UVMs are, Microsoft
// says in endorsements:
//
//	report ── measurement ──▶ endorsement (COSE_Sign1): measurement, version ── signed by ──▶ issuer (did:x509), feed
//	       └─ host data = SHA-256 of ──▶ security policy: images, commands, mounts
//
// The measurement is "snp-aci:" and the hexadecimal digits of the policy's SHA-256. Which issuer, feed and version count is the policy of the platform to
// say; see Policy.
//
// Evidence is deterministic CBOR, which may carry collateral (package collateral):
//
//	{1: SNP report and certificate table, 2: endorsement, 3: security policy, may be empty}
//
// Trust: either
package aci

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/canon"
)

// Platform is the name of this platform in evidence and measurements.
const Platform = "snp-aci"

const (
	maxEndorsement = 64 << 10
	maxText        = 256 << 10
)

// Evidence is what a container knows of its group.
type Evidence struct {
	SNP         []byte `cbor:"1,keyasint"` // report and certificate table
	Endorsement []byte `cbor:"2,keyasint"` // COSE_Sign1
	Text        []byte `cbor:"3,keyasint"` // the security policy, for people who want to read it
}

// Encode returns the evidence's bytes.
func (e Evidence) Encode() ([]byte, error) { return canon.Marshal(e) }

// Measurement names a security policy by its SHA-256.
func Measurement(digest [sha256.Size]byte) coco.Measurement {
	return coco.Measurement(Platform + ":" + hex.EncodeToString(digest[:]))
}

// Verifier reads evidence of this platform. Its zero value trusts AMD's roots and knows no collateral but what evidence carries.
type Verifier struct {
	Collateral collateral.Source // may be nil
	Roots      snp.Roots         // AMD's if nil
}

var _ attest.Verifier = Verifier{}

// Platform implements attest.Verifier.
func (Verifier) Platform() string { return Platform }

// Verify implements attest.Verifier.
func (v Verifier) Verify(evidence []byte, now time.Time) (attest.Claims, error) {
	claims, err := v.verify(evidence, now)
	if err != nil {
		return attest.Claims{}, fmt.Errorf("%w: %s: %w", attest.ErrQuote, Platform, err)
	}
	return claims, nil
}

func (v Verifier) verify(evidence []byte, now time.Time) (attest.Claims, error) {
	raw, c, err := snp.Open(evidence, v.Collateral)
	if err != nil {
		return attest.Claims{}, err
	}
	var e Evidence
	if err := canon.Unmarshal(raw, &e, canon.Limits{Bytes: snp.MaxQuote + maxEndorsement + maxText + 64, Depth: 4, Elements: 16, Pairs: 16}); err != nil {
		return attest.Claims{}, err
	}
	own, err := v.Roots.OrAMD().Verify(e.SNP, c, now)
	if err != nil {
		return attest.Claims{}, err
	}
	endorsed, err := openEndorsement(e.Endorsement, now)
	if err != nil {
		return attest.Claims{}, fmt.Errorf("endorsement of the UVM: %w", err)
	}
	if endorsed.measurement != own.Report.Measurement {
		return attest.Claims{}, fmt.Errorf("the endorsement is of a UVM with measurement %x, the report of one with %x", endorsed.measurement, own.Report.Measurement)
	}
	if len(e.Text) > 0 && sha256.Sum256(e.Text) != own.Report.HostData {
		return attest.Claims{}, errors.New("the security policy is not the one whose digest the report has as host data")
	}
	return attest.Claims{
		Platform: Platform, Measurement: Measurement(own.Report.HostData), ReportData: own.Report.ReportData, Debug: own.Report.Policy.Debug,
		Own: Claims{SNP: own, UVM: endorsed.UVM, Text: string(e.Text)},
	}, nil
}

// UVM is what an endorsement says of a utility VM.
type UVM struct {
	Issuer string // did:x509, resolved
	Feed   string
	SVN    uint64 // the version; a higher one is newer
	Signed time.Time
}

// Policy is what a constitution demands of this platform: all that it may demand of SEV-SNP but host data, which is the measurement, and of the UVM. The zero value
// accepts nothing.
type Policy struct {
	snp.Policy
	// Endorsements are the endorsements that count.
	Endorsements []Endorsement `json:"endorsements"`
}

// Endorsement is whose word counts for which UVMs, and from which version on.
type Endorsement struct {
	Issuer     string `json:"issuer"`
	Feed       string `json:"feed"`
	MinimumSVN uint64 `json:"minimum_svn"`
}

func decodePolicy(b []byte) (Policy, error) {
	var p Policy
	if err := attest.DecodePolicy(Platform, b, &p); err != nil {
		return p, err
	}
	if len(p.HostData) > 0 {
		return p, fmt.Errorf("%w: policy of platform %q: host_data: here it is the measurement; the code manifest lists it", coco.ErrInvalid, Platform)
	}
	for i, e := range p.Endorsements {
		_, err := parseDID(e.Issuer)
		if err == nil && e.Feed == "" {
			err = errors.New("expected a feed")
		}
		if err != nil {
			return p, fmt.Errorf("%w: policy of platform %q: endorsements[%d]: %w", coco.ErrInvalid, Platform, i, err)
		}
	}
	return p, p.Validate(Platform)
}

// ValidatePolicy implements attest.Verifier.
func (Verifier) ValidatePolicy(policy []byte) error {
	_, err := decodePolicy(policy)
	return err
}

// Claims are the claims of this platform alone.
type Claims struct {
	SNP  snp.Claims
	UVM  UVM
	Text string // the security policy, if the evidence has it
}

// Satisfy implements attest.Own.
func (c Claims) Satisfy(policy []byte) error {
	p, err := decodePolicy(policy)
	if err != nil {
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	}
	i := slices.IndexFunc(p.Endorsements, func(e Endorsement) bool { return e.Issuer == c.UVM.Issuer && e.Feed == c.UVM.Feed })
	switch {
	case i < 0:
		return fmt.Errorf("%w: endorsements does not list issuer %s with feed %q", attest.ErrPolicy, c.UVM.Issuer, c.UVM.Feed)
	case c.UVM.SVN < p.Endorsements[i].MinimumSVN:
		return fmt.Errorf("%w: its UVM has version %d, expected %d at least (endorsements[%d].minimum_svn)", attest.ErrTCB, c.UVM.SVN, p.Endorsements[i].MinimumSVN, i)
	}
	return p.Check(c.SNP)
}
