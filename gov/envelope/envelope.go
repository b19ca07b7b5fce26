// Package envelope is the form in which members speak: a proposal or a ballot, signed, and kept
// verbatim in the ledger so that anybody can check it later without the network.
//
// An envelope is a tagged COSE_Sign1 (RFC 9052, section 4.2). Its protected header names the
// algorithm, the kind of statement as a content type, and the signer's certificates (x5chain,
// RFC 9360), so that all of it is signed; its unprotected header is empty. The payload is
// deterministic CBOR. The exact form is in docs/formats.md.
//
// There is exactly one envelope for a statement and a signature: unknown fields, other encodings,
// and the second of the two forms that every ECDSA signature has are refused. So only the
// signer can make another envelope of the same statement, and the ID, the SHA-256 of the bytes,
// tells whether a statement has been seen before.
//
// Open checks the form and the signature. Whether the signer is a member, and whether the audience
// and the times are right, is for the caller to decide: package decide does.
//
// Trust: enclave
package envelope

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// Bounds of an envelope.
const (
	MaxBytes       = 256 << 10 // of the whole
	MaxActions     = 256       // in a proposal
	MaxNote        = 4 << 10   // bytes
	NonceBytes     = 16
	maxChain       = 8 // certificates, as constitution.MaxChain
	maxCertificate = 16 << 10
	maxTime        = 1 << 52 // milliseconds; a JSON number carries it exactly
)

// The content types, which say what the payload is.
const (
	ProposalType = "application/coco-proposal+cbor"
	BallotType   = "application/coco-ballot+cbor"
)

// Vote is what a ballot says.
type Vote string

// The votes. Withdraw takes back the whole proposal; only its proposer may say so.
const (
	Yes      Vote = "yes"
	No       Vote = "no"
	Withdraw Vote = "withdraw"
)

// Proposal asks for changes.
type Proposal struct {
	// Audience is the SHA-256 of the first service's public key (SPKI) in DER form: one network, for ever.
	Audience coco.Digest `cbor:"1,keyasint"`
	Time     uint64      `cbor:"2,keyasint"` // of signing, in milliseconds since 1970
	Expires  uint64      `cbor:"3,keyasint"` // when voting ends, later than Time
	Nonce    []byte      `cbor:"4,keyasint"` // NonceBytes random bytes
	Note     string      `cbor:"5,keyasint"` // for people
	// Actions are 1 to MaxActions changes, in deterministic CBOR; what they mean is for package action and package decide.
	Actions []canon.Raw `cbor:"6,keyasint"`
}

// Ballot is a vote about a proposal.
type Ballot struct {
	Audience coco.Digest `cbor:"1,keyasint"` // as a proposal's
	Time     uint64      `cbor:"2,keyasint"`
	Nonce    []byte      `cbor:"3,keyasint"`
	Proposal coco.Digest `cbor:"4,keyasint"` // the ID of the proposal's envelope
	Vote     Vote        `cbor:"5,keyasint"`
}

// Statement is what can be signed: a Proposal or a Ballot, as values.
type Statement interface {
	contentType() string
	check() error
}

// Signed is an envelope that was opened. Exactly one of Proposal and Ballot is set.
type Signed struct {
	Raw []byte      // the envelope
	ID  coco.Digest // SHA-256 of Raw; zero while it has no signature
	// Chain begins with the signer's certificate. Nothing is known about the others: neither that
	// they lead anywhere nor that they are valid.
	Chain    []*x509.Certificate
	Proposal *Proposal
	Ballot   *Ballot
}

// Open checks the form of an envelope, and that the key of its first certificate signed it. It
// does not check who that is, nor any time: a certificate's validity is for the caller to judge.
// The error is coco.ErrInvalid if the form is wrong, coco.ErrVerify if the signature is.
func Open(raw []byte) (*Signed, error) {
	e, s, err := read(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: envelope: %w", coco.ErrInvalid, err)
	}
	k, err := keyOf(s.Chain[0])
	if err == nil {
		err = k.verify(e.toBeSigned(), e.Signature)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: envelope of %q: %w", coco.ErrVerify, s.Chain[0].Subject, err)
	}
	s.ID = sha256.Sum256(s.Raw)
	return s, nil
}

// Audience returns the network that the statement is for.
func (s *Signed) Audience() coco.Digest {
	if s.Proposal != nil {
		return s.Proposal.Audience
	}
	return s.Ballot.Audience
}

// Time returns when the statement says that it was signed, in milliseconds since 1970.
func (s *Signed) Time() uint64 {
	if s.Proposal != nil {
		return s.Proposal.Time
	}
	return s.Ballot.Time
}

func (Proposal) contentType() string { return ProposalType }
func (Ballot) contentType() string   { return BallotType }

func (p Proposal) check() error {
	if err := checkStamp(p.Audience, p.Time, p.Nonce); err != nil {
		return err
	}
	switch {
	case p.Expires <= p.Time || p.Expires >= maxTime:
		return fmt.Errorf("it expires at %d, expected a time after %d, when it was signed (milliseconds since 1970)", p.Expires, p.Time)
	case len(p.Note) > MaxNote:
		return fmt.Errorf("a note of %d bytes, expected at most %d", len(p.Note), MaxNote)
	case len(p.Actions) == 0 || len(p.Actions) > MaxActions:
		return fmt.Errorf("%d actions, expected 1 to %d", len(p.Actions), MaxActions)
	}
	for i, a := range p.Actions {
		if err := checkAction(a); err != nil {
			return fmt.Errorf("action %d: %w", i+1, err)
		}
	}
	return nil
}

func (b Ballot) check() error {
	if err := checkStamp(b.Audience, b.Time, b.Nonce); err != nil {
		return err
	}
	if b.Proposal == (coco.Digest{}) {
		return errors.New("it names no proposal")
	}
	switch b.Vote {
	case Yes, No, Withdraw:
		return nil
	}
	return fmt.Errorf("vote %q, expected %q, %q or %q", b.Vote, Yes, No, Withdraw)
}

func checkStamp(audience coco.Digest, time uint64, nonce []byte) error {
	switch {
	case audience == (coco.Digest{}):
		return errors.New("it names no audience; expected the SHA-256 of the first service's public key (SPKI)")
	case time == 0 || time >= maxTime:
		return fmt.Errorf("signed at %d, expected milliseconds since 1970", time)
	case len(nonce) != NonceBytes:
		return fmt.Errorf("a nonce of %d bytes, expected %d", len(nonce), NonceBytes)
	}
	return nil
}

// checkAction makes sure that an action is a map, in its one encoding.
func checkAction(a canon.Raw) error {
	var v any
	if err := decode(a, &v); err != nil {
		return err
	}
	if _, ok := v.(map[any]any); !ok {
		return errors.New("expected a CBOR map")
	}
	return nil
}

// decode accepts only the bytes that encode makes.
func decode(b []byte, v any) error {
	return canon.Unmarshal(b, v, canon.Limits{Bytes: MaxBytes, Depth: 16, Elements: 4096, Pairs: 1024})
}
