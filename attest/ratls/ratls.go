// Package ratls reads and makes evidence in X.509 certificates, in the two forms that others know (RA-TLS: remote attestation by the certificates of TLS).
//
//	CCC   "Interoperable RA-TLS" of the Confidential Computing Consortium, which Gramine and Intel's SGX SDK write: extension 2.23.133.5.4.9
//	      (tcg-dice-conceptual-message-wrapper) with the CBOR item 60000([quote, claims]). The quote's report data are SHA-256(claims) and zeros. The claims are
//	      a map with "pubkey-hash", the CBOR array [algorithm, hash of the certificate's SubjectPublicKeyInfo] as a byte string, and perhaps "nonce".
//	CMW   IETF's Conceptual Message Wrapper (RFC 9999): extension 1.3.6.1.5.5.7.1.35 (id-pe-cmw) with a record [type, value, indicator], a tag or a collection of
//	      them, in CBOR or JSON. The type says what the value is and how it is bound to the certificate.
//
// In a CMW Coco writes the type MediaType, whose value is attest.Evidence in CBOR with the report data of attest.ReportData for Purpose, the certificate's key and no nonce.
//
// A certificate with evidence proves that its key is in a TEE. It does not prove when: whoever verifies it decides by the collateral, by a nonce of his own, or
// by the protocol around it, how old a quote may be.
//
// Trust: either
package ratls

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
)

// Form is one of the two forms.
type Form string

// The forms.
const (
	CCC Form = "CCC RA-TLS"
	CMW Form = "IETF CMW"
)

// OIDs of the extensions.
var (
	OIDTagged = asn1.ObjectIdentifier{2, 23, 133, 5, 4, 9}
	OIDCMW    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 35}
)

// MediaType is the type of Coco's evidence in a CMW, and Purpose what its report data is bound for.
const (
	MediaType = "application/vnd.coco.evidence+cbor"
	Purpose   = "coco certificate"
)

// Message is one piece of evidence of a certificate, read and not verified.
type Message struct {
	Form Form
	// Label is the path of a message in a CMW collection.
	Label string
	// Type is the media type of a CMW's value, or the number of its CoAP content format.
	Type string
	// Value is the quote (CCC), or what a CMW holds.
	Value []byte

	// Of CCC alone: the claims as they are hashed, and what they say.
	Claims    []byte
	Algorithm uint64 // 1 SHA-256, 7 SHA-384, 8 SHA-512 (IANA, Named Information Hash Algorithm Registry)
	KeyHash   []byte
	Nonce     []byte // nil if there is none
}

// Bounds.
const (
	maxExtension = attest.MaxQuote + 4<<10
	maxClaims    = 4 << 10
	maxMessages  = 16
	maxDepth     = 4
	maxType      = 256
)

// Read returns all evidence of a certificate: none if it has no extension of these forms. The error wraps attest.ErrQuote.
func Read(c *x509.Certificate) ([]Message, error) {
	var all []Message
	for _, e := range c.Extensions {
		var (
			ms  []Message
			err error
		)
		switch {
		case len(e.Value) > maxExtension:
			continue // none of these forms is longer
		case e.Id.Equal(OIDTagged):
			ms, err = readTagged(e.Value)
		case e.Id.Equal(OIDCMW):
			ms, err = readCMW(e.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: certificate extension %v: %w", attest.ErrQuote, e.Id, err)
		}
		if all = append(all, ms...); len(all) > maxMessages {
			return nil, fmt.Errorf("%w: certificate with more than %d pieces of evidence", attest.ErrQuote, maxMessages)
		}
	}
	return all, nil
}

// Evidence returns what a verifier of this program reads, and the report data that it must find for a certificate. The error wraps attest.ErrQuote for a claim about another key,
// attest.ErrPlatform for evidence that is not known.
func (m Message) Evidence(c *x509.Certificate) (ev attest.Evidence, want [attest.ReportDataSize]byte, err error) {
	if m.Form == CMW {
		if m.Type != MediaType {
			return ev, want, fmt.Errorf("%w: evidence of type %q: expected %q", attest.ErrPlatform, m.Type, MediaType)
		}
		if ev, err = attest.DecodeEvidence(m.Value); err != nil {
			return ev, want, fmt.Errorf("%w: %w", attest.ErrQuote, err)
		}
		return ev, attest.ReportData(Purpose, c.RawSubjectPublicKeyInfo, nil), nil
	}
	hash, err := hashOf(m.Algorithm, c.RawSubjectPublicKeyInfo)
	if err != nil {
		return ev, want, err
	}
	if subtle.ConstantTimeCompare(hash, m.KeyHash) != 1 {
		return ev, want, fmt.Errorf("%w: the claims are about another key than the certificate's", attest.ErrBinding)
	}
	digest := sha256.Sum256(m.Claims)
	copy(want[:], digest[:])
	platform, err := intel(m.Value)
	return attest.Evidence{Platform: platform, Quote: m.Value}, want, err
}

// Verify verifies the evidence of a certificate and that it is bound to its key. It takes the first message that one of the verifiers can read, and returns it beside the claims; the
// certificate's own signature and dates are the caller's to check. What the claims are worth is for attest.Claims.Satisfy and the caller's list of code to say. Without evidence the
// error wraps coco.ErrNotFound; otherwise it wraps one of the reasons of package attest.
func Verify(c *x509.Certificate, vs attest.Verifiers, now time.Time) (attest.Claims, Message, error) {
	ms, err := Read(c)
	if err != nil {
		return attest.Claims{}, Message{}, err
	}
	failed := fmt.Errorf("%w: the certificate carries no evidence (extension %v or %v)", coco.ErrNotFound, OIDTagged, OIDCMW)
	for _, m := range ms {
		ev, want, err := m.Evidence(c)
		var claims attest.Claims
		if err == nil {
			claims, err = vs.Verify(ev, now)
		}
		if errors.Is(err, attest.ErrPlatform) {
			failed = err
			continue
		}
		if err == nil && subtle.ConstantTimeCompare(claims.ReportData[:], want[:]) != 1 {
			err = fmt.Errorf("%w: the evidence is not about this certificate's key: expected report data %x, found %x", attest.ErrBinding, want[:8], claims.ReportData[:8])
		}
		return claims, m, err
	}
	return attest.Claims{}, Message{}, failed
}

// intel says which platform a DCAP quote is of, by the TEE type in its header.
func intel(quote []byte) (string, error) {
	if len(quote) >= 8 {
		switch binary.LittleEndian.Uint32(quote[4:]) {
		case 0:
			return "sgx", nil
		case 0x81:
			return "tdx", nil
		}
	}
	return "", fmt.Errorf("%w: the tag says a quote of Intel's, and its header has no TEE type of SGX or TDX", attest.ErrPlatform)
}

func hashOf(algorithm uint64, b []byte) ([]byte, error) {
	switch algorithm {
	case 1:
		h := sha256.Sum256(b)
		return h[:], nil
	case 7:
		h := sha512.Sum384(b)
		return h[:], nil
	case 8:
		h := sha512.Sum512(b)
		return h[:], nil
	default:
		return nil, fmt.Errorf("%w: hash algorithm %d: expected 1 (SHA-256), 7 (SHA-384) or 8 (SHA-512)", attest.ErrQuote, algorithm)
	}
}
