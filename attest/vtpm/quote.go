package vtpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"

	"github.com/cocoframework/coco/attest"
)

// Quote is what a TPM signs about its platform configuration registers (PCRs), and the registers themselves, of which it signs a digest only.
type Quote struct {
	Message   []byte   `cbor:"2,keyasint"` // TPMS_ATTEST
	Signature []byte   `cbor:"3,keyasint"` // TPMT_SIGNATURE
	PCRs      [][]byte `cbor:"4,keyasint"` // of the bank SHA-256, in the order of their numbers
}

// Boot is what a verified quote says.
type Boot struct {
	ReportData [attest.ReportDataSize]byte
	// PCRs has the value of each register that was quoted.
	PCRs map[int][32]byte
	// Resets counts the TPM's starts, Restarts its wakings since. Firmware is its vendor's version.
	Resets, Restarts uint32
	Firmware         uint64
}

const (
	maxMessage   = 1 << 10
	maxSignature = 1 << 10
	maxPCRs      = 24
	minRSA       = 2048
	maxRSA       = 4096
)

// verify checks the quote under the attestation key. The nonce, which is at most attest.ReportDataSize bytes, becomes the report data, with zeros behind it.
func (q Quote) verify(key crypto.PublicKey) (Boot, error) {
	if len(q.Message) > maxMessage || len(q.Signature) > maxSignature || len(q.PCRs) > maxPCRs {
		return Boot{}, fmt.Errorf("a quote of %d bytes, signature of %d bytes and %d registers: expected at most %d, %d and %d",
			len(q.Message), len(q.Signature), len(q.PCRs), maxMessage, maxSignature, maxPCRs)
	}
	hash, err := checkSignature(key, q.Message, q.Signature)
	if err != nil {
		return Boot{}, err
	}
	a, err := tpm2.Unmarshal[tpm2.TPMSAttest](q.Message)
	if err != nil {
		return Boot{}, fmt.Errorf("quote: %w", err)
	}
	if !bytes.Equal(tpm2.Marshal(a), q.Message) {
		return Boot{}, errors.New("quote: bytes that are no TPMS_ATTEST")
	}
	if a.Type != tpm2.TPMSTAttestQuote {
		return Boot{}, fmt.Errorf("the key has signed a statement of type %#x: expected a quote", a.Type)
	}
	info, err := a.Attested.Quote()
	if err != nil {
		return Boot{}, fmt.Errorf("quote: %w", err)
	}
	b := Boot{Resets: a.ClockInfo.ResetCount, Restarts: a.ClockInfo.RestartCount, Firmware: a.FirmwareVersion}
	if n := len(a.ExtraData.Buffer); n > len(b.ReportData) {
		return Boot{}, fmt.Errorf("quote: nonce of %d bytes: expected at most %d", n, len(b.ReportData))
	}
	copy(b.ReportData[:], a.ExtraData.Buffer)
	if b.PCRs, err = q.registers(info.PCRSelect.PCRSelections); err != nil {
		return Boot{}, err
	}
	h := hash.New()
	for _, v := range q.PCRs {
		h.Write(v)
	}
	if subtle.ConstantTimeCompare(h.Sum(nil), info.PCRDigest.Buffer) != 1 {
		return Boot{}, errors.New("the registers are not those of which the quote has the digest")
	}
	return b, nil
}

// registers tells which value is of which register.
func (q Quote) registers(selections []tpm2.TPMSPCRSelection) (map[int][32]byte, error) {
	if len(selections) != 1 || selections[0].Hash != tpm2.TPMAlgSHA256 {
		return nil, errors.New("quote: expected registers of the bank SHA-256, and of no other")
	}
	pcrs, next := map[int][32]byte{}, 0
	for i := range 8 * len(selections[0].PCRSelect) {
		if selections[0].PCRSelect[i/8]>>(i%8)&1 == 0 {
			continue
		}
		if i >= maxPCRs || next >= len(q.PCRs) || len(q.PCRs[next]) != 32 {
			return nil, fmt.Errorf("quote: no value of 32 bytes of register %d", i)
		}
		pcrs[i] = [32]byte(q.PCRs[next])
		next++
	}
	if next != len(q.PCRs) {
		return nil, fmt.Errorf("quote: %d values of %d registers", len(q.PCRs), next)
	}
	return pcrs, nil
}

// checkSignature checks a TPMT_SIGNATURE, and returns its hash function.
func checkSignature(key crypto.PublicKey, message, signature []byte) (crypto.Hash, error) {
	s, err := tpm2.Unmarshal[tpm2.TPMTSignature](signature)
	if err != nil {
		return 0, fmt.Errorf("signature of the quote: %w", err)
	}
	if !bytes.Equal(tpm2.Marshal(s), signature) {
		return 0, errors.New("signature of the quote: bytes that are no TPMT_SIGNATURE")
	}
	bad := errors.New("the quote is not signed by the attestation key")
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return 0, fmt.Errorf("attestation key of %d bits: expected %d to %d", n, minRSA, maxRSA)
		}
		var sig *tpm2.TPMSSignatureRSA
		switch s.SigAlg {
		case tpm2.TPMAlgRSASSA:
			sig, err = s.Signature.RSASSA()
		case tpm2.TPMAlgRSAPSS:
			sig, err = s.Signature.RSAPSS()
		default:
			return 0, bad
		}
		if err != nil {
			return 0, fmt.Errorf("signature of the quote: %w", err)
		}
		hash, err := hashOf(sig.Hash)
		if err != nil {
			return 0, err
		}
		if s.SigAlg == tpm2.TPMAlgRSASSA {
			err = rsa.VerifyPKCS1v15(k, hash, sum(hash, message), sig.Sig.Buffer)
		} else {
			err = rsa.VerifyPSS(k, hash, sum(hash, message), sig.Sig.Buffer, nil)
		}
		if err != nil {
			return 0, bad
		}
		return hash, nil
	case *ecdsa.PublicKey:
		if s.SigAlg != tpm2.TPMAlgECDSA {
			return 0, bad
		}
		sig, err := s.Signature.ECDSA()
		if err != nil {
			return 0, fmt.Errorf("signature of the quote: %w", err)
		}
		hash, err := hashOf(sig.Hash)
		if err != nil {
			return 0, err
		}
		r, v := new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer)
		if !ecdsa.Verify(k, sum(hash, message), r, v) {
			return 0, bad
		}
		return hash, nil
	}
	return 0, fmt.Errorf("attestation key of type %T: expected RSA or ECDSA", key)
}

func sum(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

func hashOf(alg tpm2.TPMIAlgHash) (crypto.Hash, error) {
	switch alg {
	case tpm2.TPMAlgSHA256:
		return crypto.SHA256, nil
	case tpm2.TPMAlgSHA384:
		return crypto.SHA384, nil
	case tpm2.TPMAlgSHA512:
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("hash function %#x: expected SHA-256, SHA-384 or SHA-512", alg)
}
