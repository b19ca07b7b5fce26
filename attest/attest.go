// Package attest defines what attestation evidence is, what it claims, and what it is bound to. The
// platforms' own formats are read by drivers, one package each, behind the Verifier interface.
//
// Evidence proves that some code runs in some TEE; alone it proves nothing about the peer of a
// connection. A key is bound to it through the report data, 64 bytes that the TEE signs along: this
// package computes them, outside the drivers and alike for all of them, from the purpose, the
// key and a nonce of the verifier. Evidence is read in three steps:
//
//	Evidence ── Verifiers.Verify ──▶ Claims        genuine, by the driver of its platform
//	Claims.Satisfy(policy)                         good enough, by the platform's own rules
//	Check(claims, purpose, key, nonce, allowed)    the code, the key and the nonce that were asked for
//
// How good is good enough cannot be said in one number for all platforms: SEV-SNP has a TCB of
// four or five components, a VMPL and a guest policy, TDX and SGX have a TCB status per FMSPC with
// advisories. So a constitution carries one policy per platform, a JSON object that only the
// platform's driver understands, and the claims carry a part that only the driver understands.
//
// Trust: either
package attest

import (
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
)

// Claims are what verified evidence says.
type Claims struct {
	// Platform is the driver that has verified the evidence. Verifiers.Verify sets it.
	Platform string
	// Measurement names the code.
	Measurement coco.Measurement
	// ReportData is what the code had the TEE sign along.
	ReportData [ReportDataSize]byte
	// Debug says that the TEE's owner can look into it.
	Debug bool
	// Insecure says that the platform protects nothing, such as the virtual one.
	Insecure bool
	// Advisories are the vendor's open security advisories for this TEE.
	Advisories []string
	// Own are the claims that only this platform makes, such as its TCB. A driver MUST set them.
	Own Own
}

// Own are the claims that only one platform makes, in a type of its driver.
type Own interface {
	// Satisfy decodes a policy of this platform and decides whether these claims satisfy it. The
	// object {} stands for the driver's defaults, which MUST be safe. The error MUST wrap ErrTCB if a newer
	// TEE would do, ErrPolicy otherwise; a policy that ValidatePolicy refuses is never satisfied.
	// What Debug and Insecure say is the constitution's to decide, not a policy's.
	Satisfy(policy []byte) error
}

// Satisfy decides whether claims satisfy their platform's policy; see Own. No policy is the policy {}.
func (c Claims) Satisfy(policy []byte) error {
	if c.Own == nil {
		return fmt.Errorf("%w: the claims hold nothing of platform %q to be judged by", ErrPolicy, c.Platform)
	}
	if len(policy) == 0 {
		policy = []byte("{}")
	}
	return c.Own.Satisfy(policy)
}

// Verifier is the driver of one platform.
type Verifier interface {
	// Platform is the kind of evidence, as in Evidence.Platform.
	Platform() string
	// Verify checks that a quote is genuine, and valid at the time given. It MUST be bounded in
	// time and memory for any input, and its error MUST wrap ErrQuote.
	Verify(quote []byte, now time.Time) (Claims, error)
	// ValidatePolicy says whether a policy means something to this platform. Its error names the
	// field and wraps coco.ErrInvalid. DecodePolicy does what is common to all platforms.
	ValidatePolicy(policy []byte) error
}

// Verifiers are the platforms that a node can read.
type Verifiers []Verifier

// Verify checks evidence with the verifier of its platform.
func (vs Verifiers) Verify(ev Evidence, now time.Time) (Claims, error) {
	if err := ev.validate(); err != nil {
		return Claims{}, err
	}
	v, err := vs.of(ev.Platform)
	if err != nil {
		return Claims{}, err
	}
	claims, err := v.Verify(ev.Quote, now)
	if err != nil {
		return Claims{}, err
	}
	claims.Platform = ev.Platform
	if p := claims.Measurement.Platform(); p != ev.Platform {
		return Claims{}, fmt.Errorf("%w: evidence of platform %q carries a measurement of platform %q", ErrQuote, ev.Platform, p)
	}
	return claims, nil
}

// ValidatePolicy says whether a platform's policy means something to its driver. The error is ErrPlatform
// if this program has none, and coco.ErrInvalid if it does not.
func (vs Verifiers) ValidatePolicy(platform string, policy []byte) error {
	v, err := vs.of(platform)
	if err != nil {
		return err
	}
	if len(policy) == 0 {
		return nil
	}
	return v.ValidatePolicy(policy)
}

func (vs Verifiers) of(platform string) (Verifier, error) {
	i := slices.IndexFunc(vs, func(v Verifier) bool { return v.Platform() == platform })
	if i < 0 {
		return nil, fmt.Errorf("%w: no driver for platform %q; this program has %v", ErrPlatform, platform, vs.platforms())
	}
	return vs[i], nil
}

func (vs Verifiers) platforms() []string {
	names := make([]string, len(vs))
	for i, v := range vs {
		names[i] = v.Platform()
	}
	return names
}

// The reasons to refuse evidence. All of them are coco.ErrVerify.
var (
	// ErrPlatform: no verifier for this kind of evidence.
	ErrPlatform = fmt.Errorf("%w: unknown TEE platform", coco.ErrVerify)
	// ErrQuote: the quote is malformed, not genuine, or not valid now.
	ErrQuote = fmt.Errorf("%w: bad quote", coco.ErrVerify)
	// ErrInsecure: the platform protects nothing.
	ErrInsecure = fmt.Errorf("%w: simulated TEE", coco.ErrVerify)
	// ErrDebug: the TEE runs in debug mode.
	ErrDebug = fmt.Errorf("%w: TEE in debug mode", coco.ErrVerify)
	// ErrPolicy: the TEE is not what the constitution asks of its platform.
	ErrPolicy = fmt.Errorf("%w: TEE does not satisfy the policy of its platform", coco.ErrVerify)
	// ErrTCB: it would be with newer firmware or microcode.
	ErrTCB = fmt.Errorf("%w: it is too old", ErrPolicy)
	// ErrMeasurement: the code is not one of those allowed.
	ErrMeasurement = fmt.Errorf("%w: code not allowed", coco.ErrVerify)
	// ErrBinding: the evidence was made for another key, nonce or purpose.
	ErrBinding = fmt.Errorf("%w: evidence not bound", coco.ErrVerify)
)
