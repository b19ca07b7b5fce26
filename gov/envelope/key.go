package envelope

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/veraison/go-cose"
)

// key is a public key and the one algorithm that is used with it.
type key struct {
	algorithm cose.Algorithm
	verifier  cose.Verifier
	order     *big.Int // of the curve, for ECDSA; nil otherwise
}

// keyOf returns the key of a certificate. The curve decides the hash, as RFC 9053, section 2.1
// recommends: ES256 for P-256 and ES384 for P-384.
func keyOf(cert *x509.Certificate) (key, error) {
	var k key
	switch pub := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			k.algorithm = cose.AlgorithmES256
		case elliptic.P384():
			k.algorithm = cose.AlgorithmES384
		default:
			return key{}, fmt.Errorf("the certificate of %q has a key on curve %s, expected P-256 or P-384, or an Ed25519 key", cert.Subject, pub.Params().Name)
		}
		k.order = pub.Params().N
	case ed25519.PublicKey:
		k.algorithm = cose.AlgorithmEdDSA
	default:
		return key{}, fmt.Errorf("the certificate of %q has a key of type %s, expected ECDSA on P-256 or P-384, or Ed25519", cert.Subject, cert.PublicKeyAlgorithm)
	}
	var err error
	if k.verifier, err = cose.NewVerifier(k.algorithm, cert.PublicKey); err != nil {
		return key{}, fmt.Errorf("the key of %q: %w", cert.Subject, err)
	}
	return k, nil
}

func (k key) hash() string {
	switch k.algorithm {
	case cose.AlgorithmES256:
		return "ECDSA over the SHA-256 of the bytes"
	case cose.AlgorithmES384:
		return "ECDSA over the SHA-384 of the bytes"
	}
	return "Ed25519 over the bytes themselves"
}

// size is how many bytes one of the numbers of an ECDSA signature has.
func (k key) size() int { return (k.order.BitLen() + 7) / 8 }

// verify checks a signature in the form of COSE. With (r, s), (r, n−s) is an ECDSA signature of the
// same bytes, and anybody can make it: only the one with the smaller s counts, or there would be
// two envelopes, with two IDs, for what was signed once.
func (k key) verify(tbs, sig []byte) error {
	if err := k.verifier.Verify(tbs, sig); err != nil {
		return errors.New("the signature is not by the key of its first certificate, or not over this statement")
	}
	if k.order != nil && k.high(new(big.Int).SetBytes(sig[k.size():])) {
		return errors.New("the signature's s is more than half the order of the curve; expected the smaller of the two forms (s or n-s)")
	}
	return nil
}

func (k key) high(s *big.Int) bool {
	return new(big.Int).Lsh(s, 1).Cmp(k.order) > 0
}

// form brings a signature, however the signer wrote it, into the one form that is accepted: for
// ECDSA r ‖ s of fixed length with the smaller s, given as ASN.1 or as r ‖ s.
func (k key) form(tbs, sig []byte) ([]byte, error) {
	forms := [][]byte{sig}
	if k.order != nil {
		forms = nil
		var rs struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(sig, &rs); err == nil && len(rest) == 0 {
			forms = append(forms, k.join(rs.R, rs.S))
		}
		// What is read as ASN.1 may be r ‖ s by chance: the verification tells.
		if n := k.size(); len(sig) == 2*n {
			forms = append(forms, k.join(new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])))
		}
	}
	for _, raw := range forms {
		if raw != nil && k.verify(tbs, raw) == nil {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("a signature of %d bytes that the key of the first certificate did not make over these bytes: expected %s", len(sig), k.hash())
}

// join returns r ‖ s with the smaller s, or nil if the numbers are out of range.
func (k key) join(r, s *big.Int) []byte {
	for _, x := range []*big.Int{r, s} {
		if x.Sign() <= 0 || x.Cmp(k.order) >= 0 {
			return nil
		}
	}
	if k.high(s) {
		s = new(big.Int).Sub(k.order, s)
	}
	raw := make([]byte, 2*k.size())
	r.FillBytes(raw[:k.size()])
	s.FillBytes(raw[k.size():])
	return raw
}
