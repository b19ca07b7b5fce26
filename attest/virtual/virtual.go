// Package virtual is the INSECURE software TEE for development and tests. It goes through the
// same evidence, report data and manifest checks as real TEEs, and it protects nothing: its
// quotes are signed by a key that is printed below, so that anyone can claim to run any code.
// Networks accept it only if their constitution says that they are insecure.
//
// A virtual quote is deterministic CBOR, a map of
//
//	1  text         Notice
//	2  bytes (32)   measurement: SHA-256 of the program file
//	3  bytes (64)   report data
//	4  bool         debug
//	5  bytes (64)   Ed25519 signature over Notice ‖ 0 ‖ measurement ‖ report data ‖ debug (0 or 1)
//
// Its policy is a JSON object with one optional field:
//
//	minimum_security_version   an integer; every virtual TEE has security version 0
//
// Trust: either
package virtual

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/host"
)

// Platform is the name of this platform in evidence and measurements.
const Platform = "virtual"

// Notice opens every quote and is part of what is signed.
const Notice = "INSECURE virtual TEE"

// DevelopmentSeed is the seed of the Ed25519 key that signs every virtual quote. It is public on
// purpose, so that a virtual quote cannot pass for a proof.
const DevelopmentSeed = "INSECURE Coco development seed!!"

func developmentKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed([]byte(DevelopmentSeed)) }

// Measure returns the measurement of a program file with these contents.
func Measure(program []byte) coco.Measurement { return measurement(sha256.Sum256(program)) }

func measurement(digest [sha256.Size]byte) coco.Measurement {
	return coco.Measurement(Platform + ":" + hex.EncodeToString(digest[:]))
}

// Quoter is the software evidence device.
type Quoter struct {
	digest [sha256.Size]byte
	debug  bool
}

var _ host.Quoter = Quoter{}

// NewQuoter returns a device for code of the given measurement: Self's for the running program.
func NewQuoter(code coco.Measurement) (Quoter, error) {
	digest, err := hex.DecodeString(strings.TrimPrefix(string(code), Platform+":"))
	if err != nil || len(digest) != sha256.Size || measurement([sha256.Size]byte(digest)) != code {
		return Quoter{}, fmt.Errorf("%w: measurement %q: expected %s: and %d lower-case hexadecimal digits",
			coco.ErrInvalid, code, Platform, 2*sha256.Size)
	}
	return Quoter{digest: [sha256.Size]byte(digest)}, nil
}

// Debug returns the same device with its debug flag set, as a real TEE's owner may set it.
func (q Quoter) Debug() Quoter {
	q.debug = true
	return q
}

// Measurement returns the measurement that the device quotes.
func (q Quoter) Measurement() coco.Measurement { return measurement(q.digest) }

// Platform implements host.Quoter.
func (Quoter) Platform() string { return Platform }

// Quote implements host.Quoter. It is deterministic.
func (q Quoter) Quote(_ context.Context, reportData [host.ReportDataSize]byte) ([]byte, error) {
	e := quote{Notice: Notice, Measurement: q.digest[:], ReportData: reportData[:], Debug: q.debug}
	e.Signature = ed25519.Sign(developmentKey(), e.signed())
	return canon.Marshal(e)
}

// Verifier reads virtual quotes.
type Verifier struct{}

var _ attest.Verifier = Verifier{}

// Platform implements attest.Verifier.
func (Verifier) Platform() string { return Platform }

// Verify implements attest.Verifier. Virtual quotes do not age: freshness comes from the nonce.
func (Verifier) Verify(b []byte, _ time.Time) (attest.Claims, error) {
	var q quote
	if err := canon.Unmarshal(b, &q, canon.Limits{Bytes: maxQuote, Depth: 4, Elements: 16, Pairs: 16}); err != nil {
		return attest.Claims{}, fmt.Errorf("%w: %s: %w", attest.ErrQuote, Notice, err)
	}
	claims := attest.Claims{Debug: q.Debug, Insecure: true, Own: Claims{}}
	if q.Notice != Notice || len(q.Measurement) != sha256.Size || len(q.ReportData) != len(claims.ReportData) {
		return attest.Claims{}, fmt.Errorf("%w: %s: notice or a length is wrong", attest.ErrQuote, Notice)
	}
	if !ed25519.Verify(developmentKey().Public().(ed25519.PublicKey), q.signed(), q.Signature) {
		return attest.Claims{}, fmt.Errorf("%w: %s: signature is not the development key's", attest.ErrQuote, Notice)
	}
	claims.Measurement = measurement([sha256.Size]byte(q.Measurement))
	copy(claims.ReportData[:], q.ReportData)
	return claims, nil
}

// ValidatePolicy implements attest.Verifier.
func (Verifier) ValidatePolicy(policy []byte) error {
	_, err := decodePolicy(policy)
	return err
}

type policy struct {
	MinimumSecurityVersion uint64 `json:"minimum_security_version"`
}

func decodePolicy(b []byte) (policy, error) {
	var p policy
	return p, attest.DecodePolicy(Platform, b, &p)
}

// Claims are the claims of this platform alone.
type Claims struct {
	// SecurityVersion stands for the version of firmware and microcode. There is neither: it is 0 in
	// every quote.
	SecurityVersion uint64
}

// Satisfy implements attest.Own.
func (c Claims) Satisfy(policy []byte) error {
	p, err := decodePolicy(policy)
	if err != nil {
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	}
	if c.SecurityVersion < p.MinimumSecurityVersion {
		return fmt.Errorf("%w: its TEE has security version %d, expected %d at least", attest.ErrTCB, c.SecurityVersion, p.MinimumSecurityVersion)
	}
	return nil
}

// maxQuote is generous: all fields have fixed lengths.
const maxQuote = 512

type quote struct {
	Notice      string `cbor:"1,keyasint"`
	Measurement []byte `cbor:"2,keyasint"`
	ReportData  []byte `cbor:"3,keyasint"`
	Debug       bool   `cbor:"4,keyasint"`
	Signature   []byte `cbor:"5,keyasint"`
}

func (q quote) signed() []byte {
	b := append([]byte(Notice), 0)
	b = append(b, q.Measurement...)
	b = append(b, q.ReportData...)
	if q.Debug {
		return append(b, 1)
	}
	return append(b, 0)
}
