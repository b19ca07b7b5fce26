package vtpm

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
)

// maxPublic bounds a TPMT_PUBLIC.
const maxPublic = 1 << 10

// attestationKey reads the public part (TPMT_PUBLIC) of a key that signs nothing but what its TPM says. Its name is the digest of that part.
func attestationKey(public []byte) (key crypto.PublicKey, name []byte, err error) {
	pub, err := parsePublic(public)
	if err != nil {
		return nil, nil, fmt.Errorf("attestation key: %w", err)
	}
	a := pub.ObjectAttributes
	if !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin || !a.Restricted || !a.SignEncrypt || a.Decrypt {
		return nil, nil, errors.New("attestation key: expected a restricted signing key that was made in its TPM and cannot leave it")
	}
	if key, err = tpm2.Pub(*pub); err != nil {
		return nil, nil, fmt.Errorf("attestation key: %w", err)
	}
	n, err := tpm2.ObjectName(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("attestation key: %w", err)
	}
	return key, n.Buffer, nil
}

func parsePublic(public []byte) (*tpm2.TPMTPublic, error) {
	if len(public) > maxPublic {
		return nil, fmt.Errorf("public part of %d bytes: expected at most %d", len(public), maxPublic)
	}
	pub, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tpm2.Marshal(pub), public) {
		return nil, errors.New("bytes that are no TPMT_PUBLIC")
	}
	if pub.NameAlg != tpm2.TPMAlgSHA256 && pub.NameAlg != tpm2.TPMAlgSHA384 {
		return nil, fmt.Errorf("its name has hash function %#x: expected SHA-256 or SHA-384", pub.NameAlg)
	}
	return pub, nil
}

// KeyName is the name of an attestation key as policies list it, in hexadecimal digits. The error wraps coco.ErrInvalid.
func KeyName(public []byte) (string, error) {
	_, name, err := attestationKey(public)
	if err != nil {
		return "", fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	return hex.EncodeToString(name), nil
}

// Challenge is the way to learn that an attestation key is in the TPM whose endorsement key (EK) one knows: a secret is encrypted so that only that TPM can open
// it, and only while it holds a key of that name (TPM 2.0 library, part 1, "Credential Protection"). Blob and Seed are for TPM2_ActivateCredential.
type Challenge struct{ Blob, Seed []byte }

// Secret is what the challenger keeps: the value that a challenge holds, and the name of the key that it is about. Whoever has it can answer without a TPM.
type Secret struct {
	Key   string
	Value []byte
}

// NewChallenge makes a challenge for an endorsement key and an attestation key, each a TPMT_PUBLIC. Whose the endorsement key is, CheckEndorsement says. The error wraps coco.ErrInvalid.
func NewChallenge(random io.Reader, endorsement, attestation []byte) (Challenge, Secret, error) {
	fail := func(err error) (Challenge, Secret, error) {
		return Challenge{}, Secret{}, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	ek, err := parsePublic(endorsement)
	if err != nil {
		return fail(fmt.Errorf("endorsement key: %w", err))
	}
	if a := ek.ObjectAttributes; !a.FixedTPM || !a.Restricted || !a.Decrypt || a.SignEncrypt {
		return fail(errors.New("endorsement key: expected a restricted decryption key that cannot leave its TPM"))
	}
	_, name, err := attestationKey(attestation)
	if err != nil {
		return fail(err)
	}
	to, err := tpm2.ImportEncapsulationKey(ek)
	if err != nil {
		return fail(fmt.Errorf("endorsement key: %w", err))
	}
	s := Secret{Key: hex.EncodeToString(name), Value: make([]byte, 32)}
	if _, err := io.ReadFull(random, s.Value); err != nil {
		return Challenge{}, Secret{}, err
	}
	var c Challenge
	c.Blob, c.Seed, err = tpm2.CreateCredential(random, to, name, s.Value)
	return c, s, err
}

// Check checks what a TPM has opened: then the key is in it. The error wraps attest.ErrQuote.
func (s Secret) Check(answer []byte) error {
	if len(s.Value) != 32 || subtle.ConstantTimeCompare(answer, s.Value) != 1 {
		return fmt.Errorf("%w: %s: the TPM has not opened the challenge: the attestation key is not in it, or another TPM has answered", attest.ErrQuote, PlatformTPM)
	}
	return nil
}

// sanExtension is critical in certificates of endorsement keys and names the TPM's model, which Go does not read.
var (
	sanExtension = asn1.ObjectIdentifier{2, 5, 29, 17}
	ekUsage      = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
)

// CheckEndorsement checks that a TPM's vendor has certified an endorsement key (TPMT_PUBLIC): TCG EK Credential Profile. Without issuers above it the certificate
// must be below a root directly. The error wraps attest.ErrQuote.
func CheckEndorsement(endorsement []byte, cert *x509.Certificate, issuers, roots []*x509.Certificate, now time.Time) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: certificate of the endorsement key: %s", attest.ErrQuote, PlatformTPM, fmt.Sprintf(format, args...))
	}
	pub, err := parsePublic(endorsement)
	if err != nil {
		return refuse("%v", err)
	}
	key, err := tpm2.Pub(*pub)
	if err != nil {
		return refuse("%v", err)
	}
	if certified, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !certified.Equal(key) {
		return refuse("it is of another key")
	}
	usage := false
	for _, u := range cert.UnknownExtKeyUsage {
		usage = usage || u.Equal(ekUsage)
	}
	if !usage {
		return refuse("it is not for an endorsement key (extended key usage %v)", ekUsage)
	}
	if now.IsZero() {
		return refuse("no time is given at which it must be valid")
	}
	leaf := *cert
	leaf.UnhandledCriticalExtensions = nil
	for _, id := range cert.UnhandledCriticalExtensions {
		if !id.Equal(sanExtension) {
			leaf.UnhandledCriticalExtensions = append(leaf.UnhandledCriticalExtensions, id)
		}
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, c := range roots {
		opts.Roots.AddCert(c)
	}
	for _, c := range issuers {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return refuse("%v", err)
	}
	return nil
}
