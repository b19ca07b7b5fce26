// Package succession is how a service follows another one: when members recover a network, it gets a service with a new key, and the certificate of the new one
// says whom it follows.
//
//	first service ◀── names, from transaction 7.1733 on ── second service ◀── names … ── third service
//
// The statement is an extension of the new certificate. The old key has signed it, and so has the new one, which signs its own certificate. So who knows the old
// service can accept the new one, and who knows the new service alone can verify what was signed under the old one, up to the last transaction that was recovered.
//
// A network keeps its id for ever: it is that of its first service ([ID]).
//
// Trust: either
package succession

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// Extension is the extension's identifier. It lies below the enterprise number for documentation (RFC 5612). The one that is free for all, 2.25 followed by a UUID, has an arc of 128 bits,
// which crypto/x509 refuses to parse (TestNoCertificateHasAUUIDAsAnIdentifier). Certificates with this one are in ledgers: whatever comes later, it is read for ever.
var Extension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}

// context begins what the old key signs.
const context = "coco service succession"

// Bounds: a network is recovered so often at most. Each certificate holds those before it, so it grows with them.
const (
	MaxServices = 16
	maxBytes    = 32 << 10
)

// Succession is what a service's certificate says of the service before it.
type Succession struct {
	Old  []byte      `cbor:"1,keyasint"` // its certificate, DER
	View uint64      `cbor:"2,keyasint"` // of the last transaction that was recovered
	Last uint64      `cbor:"3,keyasint"` // its seqno
	Root coco.Digest `cbor:"4,keyasint"` // of the Merkle tree up to it
	// Signature is the old key's, ECDSA with SHA-256 over context ‖ 0x00 ‖ CBOR of {1, 2, 3, 4, 6: the new public key (PKIX DER)}.
	Signature []byte `cbor:"5,keyasint"`
}

// statement is what the old key signs.
type statement struct {
	Old  []byte      `cbor:"1,keyasint"`
	View uint64      `cbor:"2,keyasint"`
	Last uint64      `cbor:"3,keyasint"`
	Root coco.Digest `cbor:"4,keyasint"`
	New  []byte      `cbor:"6,keyasint"`
}

func (s *Succession) signed(public []byte) ([]byte, error) {
	b, err := canon.Marshal(statement{s.Old, s.View, s.Last, s.Root, public})
	if err != nil {
		return nil, fmt.Errorf("succession: %w", err)
	}
	digest := sha256.Sum256(append(append([]byte(context), 0), b...))
	return digest[:], nil
}

// TxID returns the last transaction that was recovered.
func (s *Succession) TxID() coco.TxID { return coco.TxID{View: s.View, Seqno: s.Last} }

// New makes the extension by which a service with a public key (PKIX DER) follows the one of a certificate, whose private key signs.
func New(old *x509.Certificate, key crypto.Signer, public []byte, last coco.TxID, root coco.Digest) (pkix.Extension, error) {
	s := Succession{Old: old.Raw, View: last.View, Last: last.Seqno, Root: root}
	digest, err := s.signed(public)
	if err != nil {
		return pkix.Extension{}, err
	}
	if s.Signature, err = key.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
		return pkix.Extension{}, fmt.Errorf("succession: %w", err)
	}
	value, err := canon.Marshal(s)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("succession: %w", err)
	}
	return pkix.Extension{Id: Extension, Value: value}, nil
}

// ExtensionOf returns a certificate's extension, as it is; ok is false if it has none.
func ExtensionOf(cert *x509.Certificate) (e pkix.Extension, ok bool) {
	for _, e := range cert.Extensions {
		if e.Id.Equal(Extension) {
			return e, true
		}
	}
	return e, false
}

// Follows returns what a service's certificate says of the service before it, and that one's certificate; nil if it is the first. The
// error is coco.ErrVerify if the old key has not signed it, or the certificate is not the new key's own.
func Follows(cert *x509.Certificate) (*Succession, *x509.Certificate, error) {
	e, ok := ExtensionOf(cert)
	if !ok {
		return nil, nil, nil
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: service certificate %q: the service that it follows: %w", coco.ErrVerify, cert.Subject, fmt.Errorf(format, args...))
	}
	s := new(Succession)
	if err := canon.Unmarshal(e.Value, s, canon.Limits{Bytes: maxBytes}); err != nil {
		return nil, nil, fail("%w", err)
	}
	old, err := x509.ParseCertificate(s.Old)
	if err != nil {
		return nil, nil, fail("%w", err)
	}
	key, ok := old.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, nil, fail("its key is %T, expected ECDSA", old.PublicKey)
	}
	digest, err := s.signed(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, nil, fail("%w", err)
	}
	if !ecdsa.VerifyASN1(key, digest, s.Signature) {
		return nil, nil, fail("its key has not signed for this one")
	}
	if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		return nil, nil, fail("the certificate is not signed by its own key: %w", err)
	}
	return s, old, nil
}

// Service is one of the services of a network.
type Service struct {
	Certificate *x509.Certificate
	// Until is the last transaction that was recovered from its time; zero for the service of now.
	Until coco.TxID
}

// Chain returns the services of a network, given the certificate of one: that one first, then the one that it follows, and so on. The error is that of Follows.
func Chain(cert *x509.Certificate) ([]Service, error) {
	out := []Service{{Certificate: cert}}
	for {
		s, old, err := Follows(cert)
		if err != nil {
			return nil, err
		}
		if s == nil {
			return out, nil
		}
		if len(out) == MaxServices {
			return nil, fmt.Errorf("%w: service certificate %q: it follows more than %d services", coco.ErrVerify, out[0].Certificate.Subject, MaxServices-1)
		}
		out = append(out, Service{old, s.TxID()})
		cert = old
	}
}

// ID names a network for ever, given any of its services' certificates: the SHA-256 of the public key (SubjectPublicKeyInfo, DER) of its first service.
func ID(cert *x509.Certificate) (coco.Digest, error) {
	if _, follows := ExtensionOf(cert); !follows {
		return sha256.Sum256(cert.RawSubjectPublicKeyInfo), nil
	}
	chain, err := Chain(cert)
	if err != nil {
		return coco.Digest{}, err
	}
	return sha256.Sum256(chain[len(chain)-1].Certificate.RawSubjectPublicKeyInfo), nil
}

// Leads reports whether a service is, or follows, the one of an old certificate.
func Leads(old, cert *x509.Certificate) (bool, error) {
	chain, err := Chain(cert)
	if err != nil {
		return false, err
	}
	for _, s := range chain {
		if bytes.Equal(s.Certificate.RawSubjectPublicKeyInfo, old.RawSubjectPublicKeyInfo) {
			return true, nil
		}
	}
	return false, nil
}
