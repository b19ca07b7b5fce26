package envelope

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// SignOther returns an envelope of the same form for what is no statement of governance, by its content type. It MUST NOT be one of a statement's.
func SignOther(ctx context.Context, signer Signer, contentType string, payload []byte) ([]byte, error) {
	if contentType == ProposalType || contentType == BallotType {
		return nil, fmt.Errorf("%w: envelope: %q is a statement's content type", coco.ErrInvalid, contentType)
	}
	chain := signer.Certificates()
	certs, err := parseChain(chain)
	if err != nil {
		return nil, fmt.Errorf("%w: envelope: %w", coco.ErrInvalid, err)
	}
	k, err := keyOf(certs[0])
	if err != nil {
		return nil, fmt.Errorf("%w: envelope: %w", coco.ErrInvalid, err)
	}
	x5chain, err := encodeChain(chain)
	if err != nil {
		return nil, err
	}
	e := &sign1{Payload: payload}
	if e.Protected, err = canon.Marshal(header{int64(k.algorithm), contentType, x5chain}); err != nil {
		return nil, err
	}
	sig, err := signer.Sign(ctx, e.toBeSigned())
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if e.Signature, err = k.form(e.toBeSigned(), sig); err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrVerify, err)
	}
	return e.bytes()
}

// OpenOther opens an envelope of SignOther: its form and its signature are checked, and neither who signed it nor what it says. Errors are those of Open.
func OpenOther(raw []byte, contentType string) (chain []*x509.Certificate, payload []byte, err error) {
	e, h, chain, err := take(raw)
	if err == nil && h.ContentType != contentType {
		err = fmt.Errorf("content type %q, expected %q", h.ContentType, contentType)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: envelope: %w", coco.ErrInvalid, err)
	}
	k, err := keyOf(chain[0])
	if err == nil {
		err = k.verify(e.toBeSigned(), e.Signature)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: envelope: %w", coco.ErrVerify, err)
	}
	return chain, e.Payload, nil
}
