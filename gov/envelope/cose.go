package envelope

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/cocoframework/coco/canon"
)

// sign1Tag begins a COSE_Sign1_Tagged: CBOR tag 18 (RFC 9052, section 4.2).
const sign1Tag = 0xd2

// sign1 is COSE_Sign1 without its tag.
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte   // a header, encoded
	Unprotected struct{} // an empty map
	Payload     []byte
	Signature   []byte // empty while it is missing
}

// header is the protected header.
type header struct {
	Algorithm   int64     `cbor:"1,keyasint"`
	ContentType string    `cbor:"3,keyasint"`
	X5Chain     canon.Raw `cbor:"33,keyasint"` // see encodeChain
}

// read takes an envelope apart, whether it is signed or not yet.
func read(raw []byte) (*sign1, *Signed, error) {
	e, h, chain, err := take(raw)
	if err != nil {
		return nil, nil, err
	}
	s := &Signed{Raw: bytes.Clone(raw), Chain: chain}
	return e, s, s.payload(h.ContentType, e.Payload)
}

// take is read for an envelope of any content type.
func take(raw []byte) (*sign1, *header, []*x509.Certificate, error) {
	if len(raw) > MaxBytes {
		return nil, nil, nil, fmt.Errorf("%d bytes, expected at most %d", len(raw), MaxBytes)
	}
	if len(raw) == 0 || raw[0] != sign1Tag {
		return nil, nil, nil, errors.New("expected a COSE_Sign1 with its tag, 18")
	}
	var e sign1
	if err := decode(raw[1:], &e); err != nil {
		return nil, nil, nil, fmt.Errorf("COSE_Sign1: %w", err)
	}
	var h header
	if err := decode(e.Protected, &h); err != nil {
		return nil, nil, nil, fmt.Errorf("protected header: %w", err)
	}
	chain, err := decodeChain(h.X5Chain)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("x5chain: %w", err)
	}
	k, err := keyOf(chain[0])
	if err != nil {
		return nil, nil, nil, err
	}
	if int64(k.algorithm) != h.Algorithm {
		return nil, nil, nil, fmt.Errorf("algorithm %d, expected %d (%v), which belongs to the key of its first certificate", h.Algorithm, k.algorithm, k.algorithm)
	}
	return &e, &h, chain, nil
}

func (s *Signed) payload(contentType string, payload []byte) error {
	var st Statement
	switch contentType {
	case ProposalType:
		s.Proposal = new(Proposal)
		if err := decode(payload, s.Proposal); err != nil {
			return fmt.Errorf("proposal: %w", err)
		}
		st = *s.Proposal
	case BallotType:
		s.Ballot = new(Ballot)
		if err := decode(payload, s.Ballot); err != nil {
			return fmt.Errorf("ballot: %w", err)
		}
		st = *s.Ballot
	default:
		return fmt.Errorf("content type %q, expected %q or %q", contentType, ProposalType, BallotType)
	}
	return st.check()
}

// bytes returns the envelope.
func (e *sign1) bytes() ([]byte, error) {
	b, err := canon.Marshal(e)
	if err != nil {
		return nil, err
	}
	if len(b)+1 > MaxBytes {
		return nil, fmt.Errorf("%d bytes, expected at most %d", len(b)+1, MaxBytes)
	}
	return append([]byte{sign1Tag}, b...), nil
}

// toBeSigned returns the bytes that the signature is over: Sig_structure of RFC 9052, section 4.4.
func (e *sign1) toBeSigned() []byte {
	tbs, err := canon.Marshal(struct {
		_         struct{} `cbor:",toarray"`
		Context   string
		Protected []byte
		External  []byte
		Payload   []byte
	}{Context: "Signature1", Protected: e.Protected, External: []byte{}, Payload: e.Payload})
	if err != nil {
		panic(err) // strings and bytes always encode
	}
	return tbs
}

// encodeChain returns x5chain: a byte string for one certificate, an array of them for more
// (RFC 9360, section 2).
func encodeChain(chain [][]byte) (canon.Raw, error) {
	if len(chain) == 1 {
		return canon.Marshal(chain[0])
	}
	return canon.Marshal(chain)
}

func decodeChain(raw canon.Raw) ([]*x509.Certificate, error) {
	var chain [][]byte
	if err := decode(raw, &chain); err != nil {
		var one []byte
		if err1 := decode(raw, &one); err1 != nil {
			return nil, fmt.Errorf("expected a byte string or an array of them: %w", err)
		}
		chain = [][]byte{one}
	} else if len(chain) == 1 {
		return nil, errors.New("an array of one certificate, expected a byte string")
	}
	return parseChain(chain)
}

func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("%d certificates, expected 1 to %d", len(chain), maxChain)
	}
	var certs []*x509.Certificate
	for i, der := range chain {
		if len(der) > maxCertificate {
			return nil, fmt.Errorf("certificate %d has %d bytes, expected at most %d", i+1, len(der), maxCertificate)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is not X.509 in DER form: %w", i+1, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
