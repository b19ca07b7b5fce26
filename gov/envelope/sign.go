package envelope

import (
	"context"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// Signer is a member's key, wherever it lives.
type Signer interface {
	// Certificates returns the chain from the signing certificate on, in DER form.
	Certificates() [][]byte
	// Sign signs tbs with the key of the first certificate: ECDSA over its SHA-256 (P-256) or its
	// SHA-384 (P-384), in ASN.1 form or as r ‖ s, or Ed25519 over tbs itself.
	Sign(ctx context.Context, tbs []byte) ([]byte, error)
}

// SignProposal returns the envelope of a proposal.
func SignProposal(ctx context.Context, signer Signer, p Proposal) ([]byte, error) {
	return sign(ctx, signer, p)
}

// SignBallot returns the envelope of a ballot.
func SignBallot(ctx context.Context, signer Signer, b Ballot) ([]byte, error) {
	return sign(ctx, signer, b)
}

func sign(ctx context.Context, signer Signer, st Statement) ([]byte, error) {
	tbs, unfinished, err := Prepare(signer.Certificates(), st)
	if err != nil {
		return nil, err
	}
	sig, err := signer.Sign(ctx, tbs)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return Finish(unfinished, sig)
}

// Prepare returns the bytes that the key of the chain's first certificate has to sign, and the
// envelope that waits for the signature: together with Finish it signs with a key that never meets
// the network. The chain is in DER form.
func Prepare(chain [][]byte, st Statement) (tbs, unfinished []byte, err error) {
	e, err := prepare(chain, st)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: statement: %w", coco.ErrInvalid, err)
	}
	if unfinished, err = e.bytes(); err == nil {
		_, _, err = read(unfinished) // what cannot be opened must not be signed
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: statement: %w", coco.ErrInvalid, err)
	}
	return e.toBeSigned(), unfinished, nil
}

func prepare(chain [][]byte, st Statement) (*sign1, error) {
	if err := st.check(); err != nil {
		return nil, err
	}
	certs, err := parseChain(chain)
	if err != nil {
		return nil, err
	}
	k, err := keyOf(certs[0])
	if err != nil {
		return nil, err
	}
	x5chain, err := encodeChain(chain)
	if err != nil {
		return nil, err
	}
	e := &sign1{Signature: []byte{}}
	if e.Protected, err = canon.Marshal(header{int64(k.algorithm), st.contentType(), x5chain}); err != nil {
		return nil, err
	}
	if e.Payload, err = canon.Marshal(st); err != nil {
		return nil, err
	}
	return e, nil
}

// Unfinished shows what an envelope that waits for its signature says, and the bytes to be signed.
// The holder of the key should derive them in this way, from the statement that was read, rather than sign
// bytes that came with it.
func Unfinished(unfinished []byte) (s *Signed, tbs []byte, err error) {
	e, s, err := readUnfinished(unfinished)
	if err != nil {
		return nil, nil, err
	}
	return s, e.toBeSigned(), nil
}

func readUnfinished(unfinished []byte) (*sign1, *Signed, error) {
	e, s, err := read(unfinished)
	if err == nil && len(e.Signature) != 0 {
		err = errors.New("it is signed already")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: unfinished envelope: %w", coco.ErrInvalid, err)
	}
	return e, s, nil
}

// Finish puts the signature into an envelope that Prepare made, in any form that Signer.Sign may
// return, and checks it.
func Finish(unfinished, signature []byte) ([]byte, error) {
	e, s, err := readUnfinished(unfinished)
	if err != nil {
		return nil, err
	}
	k, err := keyOf(s.Chain[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	if e.Signature, err = k.form(e.toBeSigned(), signature); err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrVerify, err)
	}
	raw, err := e.bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: envelope: %w", coco.ErrInvalid, err)
	}
	return raw, nil
}
