// Package attest says what attestation evidence is, what it claims, and what it is bound to. The
// platforms' own formats are read by drivers, one package each, behind the Verifier interface.
//
// Evidence proves that some code runs in some TEE; alone it proves nothing about who one talks
// to. A key is bound to it through the report data, 64 bytes that the TEE signs along: this
// package computes them, outside the drivers and alike for all of them, from the purpose, the
// key and a nonce chosen by whoever asks. Read evidence in two steps: Verifiers.Verify checks that
// it is genuine and returns its claims, and Check that these are the claims that were asked for.
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
	// Measurement names the code.
	Measurement coco.Measurement
	// ReportData is what the code had the TEE sign along.
	ReportData [ReportDataSize]byte
	// Debug says that the TEE's owner can look into it.
	Debug bool
	// SecurityVersion is that of the platform's firmware and microcode, in its own numbers; 0 if it
	// has none.
	SecurityVersion uint64
	// Insecure says that the platform protects nothing, such as the virtual one.
	Insecure bool
	// Advisories are the vendor's open security advisories for this TEE.
	Advisories []string
}

// Verifier reads the evidence of one platform.
type Verifier interface {
	// Platform is the kind of evidence, as in Evidence.Platform.
	Platform() string
	// Verify checks that a quote is genuine, and valid at the time given. It MUST be bounded in
	// time and memory for any input, and its error MUST wrap ErrQuote.
	Verify(quote []byte, now time.Time) (Claims, error)
}

// Verifiers are the platforms that a node can read.
type Verifiers []Verifier

// Verify checks evidence with the verifier of its platform.
func (vs Verifiers) Verify(ev Evidence, now time.Time) (Claims, error) {
	if err := ev.validate(); err != nil {
		return Claims{}, err
	}
	i := slices.IndexFunc(vs, func(v Verifier) bool { return v.Platform() == ev.Platform })
	if i < 0 {
		return Claims{}, fmt.Errorf("%w: evidence is of platform %q; this program reads %v", ErrPlatform, ev.Platform, vs.platforms())
	}
	claims, err := vs[i].Verify(ev.Quote, now)
	if err != nil {
		return Claims{}, err
	}
	if p := claims.Measurement.Platform(); p != ev.Platform {
		return Claims{}, fmt.Errorf("%w: evidence of platform %q carries a measurement of platform %q", ErrQuote, ev.Platform, p)
	}
	return claims, nil
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
	// ErrDebug: the TEE runs in debug mode.
	ErrDebug = fmt.Errorf("%w: TEE in debug mode", coco.ErrVerify)
	// ErrMeasurement: the code is not one of those allowed.
	ErrMeasurement = fmt.Errorf("%w: code not allowed", coco.ErrVerify)
	// ErrBinding: the evidence was made for another key, nonce or purpose.
	ErrBinding = fmt.Errorf("%w: evidence not bound", coco.ErrVerify)
)
