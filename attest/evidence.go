package attest

import (
	"context"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// Bounds of evidence. The largest known quotes, with their certificates and collateral, take
// about 20 KiB.
const (
	MaxPlatform = 32
	MaxQuote    = 128 << 10
)

// Evidence is a quote and the platform that it comes from. As CBOR it is a map with the keys 1
// and 2, as JSON an object whose quote is in base64.
type Evidence struct {
	Platform string `cbor:"1,keyasint" json:"platform"`
	Quote    []byte `cbor:"2,keyasint" json:"quote"`
}

// Quoter is the evidence device: host.Quoter, declared here because clients that verify evidence
// link this package and no part of a server.
type Quoter interface {
	// Platform is the kind of evidence, as in Evidence.Platform.
	Platform() string
	// Quote returns a quote that carries the report data.
	Quote(ctx context.Context, reportData [ReportDataSize]byte) ([]byte, error)
}

// Quote asks the device for evidence that binds a key (PKIX DER) and a nonce for a purpose; see
// ReportData.
func Quote(ctx context.Context, q Quoter, purpose string, key, nonce []byte) (Evidence, error) {
	quote, err := q.Quote(ctx, ReportData(purpose, key, nonce))
	if err != nil {
		return Evidence{}, fmt.Errorf("evidence from the %s device: %w", q.Platform(), err)
	}
	ev := Evidence{Platform: q.Platform(), Quote: quote}
	return ev, ev.validate()
}

// Encode returns the evidence in deterministic CBOR.
func (ev Evidence) Encode() ([]byte, error) {
	if err := ev.validate(); err != nil {
		return nil, err
	}
	return canon.Marshal(ev)
}

// DecodeEvidence reads what Encode wrote, and nothing else: what it accepts encodes to the same
// bytes again.
func DecodeEvidence(b []byte) (Evidence, error) {
	var ev Evidence
	if err := canon.Unmarshal(b, &ev, canon.Limits{Bytes: MaxPlatform + MaxQuote + 16, Depth: 4, Elements: 16, Pairs: 16}); err != nil {
		return Evidence{}, fmt.Errorf("%w: evidence: %w", coco.ErrCorrupt, err)
	}
	return ev, ev.validate()
}

func (ev Evidence) validate() error {
	if n := len(ev.Platform); n == 0 || n > MaxPlatform {
		return fmt.Errorf("%w: evidence: platform name of %d bytes: expected 1 to %d", coco.ErrInvalid, n, MaxPlatform)
	}
	if n := len(ev.Quote); n == 0 || n > MaxQuote {
		return fmt.Errorf("%w: evidence: quote of %d bytes: expected 1 to %d", coco.ErrInvalid, n, MaxQuote)
	}
	return nil
}
