package dcap

import (
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
)

// Policy is the part of a policy that SGX and TDX share: what TCB is good enough. A platform's driver embeds it. Its zero value accepts what is
// UpToDate, without an open advisory, by collateral that has not expired, with CRLs of all issuers.
type Policy struct {
	// Status are the statuses that are accepted; only UpToDate if there are none. Revoked cannot be accepted.
	Status []collateral.Status `json:"tcb_status,omitempty"`
	// Advisories are the open advisories that are accepted. All others are refused.
	Advisories []string `json:"accept_advisories,omitempty"`
	// Evaluation is the lowest tcbEvaluationDataNumber that the collateral may have. It keeps a host from handing out
	// collateral that has not expired and is older than a TCB recovery.
	Evaluation uint32 `json:"minimum_tcb_evaluation,omitempty"`
	// FMSPC are the families of processors that are accepted, in hexadecimal digits; any if there are none.
	FMSPC []string `json:"fmspc,omitempty"`
	// Grace is for how many days expired collateral still counts, at most MaxGrace.
	Grace int `json:"collateral_grace_days,omitempty"`
	// WithoutCRL accepts certificates whose issuer's CRL is not in the collateral.
	WithoutCRL bool `json:"without_crl,omitempty"`
}

const maxGraceDays = int(MaxGrace / (24 * time.Hour))

// Validate says whether the policy means something. The error names the field and wraps coco.ErrInvalid.
func (p Policy) Validate() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("%w: %s: %w", coco.ErrInvalid, field, fmt.Errorf(format, args...))
	}
	for _, s := range p.Status {
		if s == collateral.Revoked || !slices.Contains(collateral.Statuses, s) {
			return bad("tcb_status", "found %q, expected one of %v", s, collateral.Statuses[:len(collateral.Statuses)-1])
		}
	}
	if err := CheckValues(p.FMSPC, len(PCK{}.FMSPC)); err != nil {
		return bad("fmspc", "%w", err)
	}
	if p.Grace < 0 || p.Grace > maxGraceDays {
		return bad("collateral_grace_days", "found %d, expected 0 to %d", p.Grace, maxGraceDays)
	}
	return nil
}

// Satisfy decides whether a TCB is good enough for a valid policy. The error wraps attest.ErrTCB if newer firmware, a newer enclave or newer collateral would
// do, attest.ErrPolicy otherwise.
func (p Policy) Satisfy(t TCB) error {
	status := p.Status
	if len(status) == 0 {
		status = []collateral.Status{collateral.UpToDate}
	}
	refused := slices.DeleteFunc(slices.Clone(t.Advisories), func(id string) bool { return slices.Contains(p.Advisories, id) })
	switch {
	case !Listed(p.FMSPC, t.FMSPC[:]):
		return fmt.Errorf("%w: processor of family (FMSPC) %x, expected one of %v", attest.ErrPolicy, t.FMSPC, p.FMSPC)
	case !t.Revocation && !p.WithoutCRL:
		return fmt.Errorf("%w: the collateral lacks a CRL: whether a certificate is revoked is not known", attest.ErrPolicy)
	case t.Expired > time.Duration(p.Grace)*24*time.Hour:
		return fmt.Errorf("%w: the collateral expired at %s, %s before the verification; the policy gives %d days of grace", attest.ErrTCB, t.Expires.Format(time.RFC3339), t.Expired, p.Grace)
	case t.Evaluation < p.Evaluation:
		return fmt.Errorf("%w: the collateral is of TCB evaluation %d, expected %d at least", attest.ErrTCB, t.Evaluation, p.Evaluation)
	case !slices.Contains(status, t.Status):
		return fmt.Errorf("%w: TCB status %s (advisories %v), expected one of %v", attest.ErrTCB, t.Status, t.Advisories, status)
	case len(refused) > 0:
		return fmt.Errorf("%w: open advisories %v", attest.ErrTCB, refused)
	}
	return nil
}
