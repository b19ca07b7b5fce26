// Package vtpm reads evidence that ends in a TPM's quote. A TPM keeps registers (PCRs) into which firmware, boot loader and kernel write what they load, before they
// run it, and signs them together with a nonce.
//
// There are two platforms:
//
//	snp-vtpm   An Azure confidential VM. The TPM is software below the guest, in memory that the processor protects. The
//	           processor's report covers the paravisor, and through its report data the key of that TPM:
//
//	           VCEK ── signs ──▶ SNP report ── report data = digest of ──▶ claims ── name ──▶ attestation key ── signs ──▶ quote
//
//	tpm        A TPM beside a processor. Measured boot, NO MEMORY CONFIDENTIALITY: the machine's owner can read all that the node
//	           holds. Its claims say Insecure, so that only networks which say the same accept it. What it proves is which code was booted, as far as
//	           nobody has touched the machine.
//
// The measurement is that of the whole boot: "snp-vtpm:" or "tpm:" and the hexadecimal digits of Measurement. The report data are the quote's nonce, of which
// the last 32 bytes are zero: a TPM signs no 64.
//
// An attestation key of a plain TPM counts if the policy lists its name, which a challenge brings to light (NewChallenge): a quote alone does not show that
// its key is in a TPM at all.
//
// Evidence is deterministic CBOR, which may carry collateral (package collateral):
//
//	snp-vtpm   {1: HCL report, 2: TPMS_ATTEST, 3: TPMT_SIGNATURE, 4: [registers], 5: certificate table of the SNP report, may be empty}
//	tpm        {1: TPMT_PUBLIC of the attestation key, 2: TPMS_ATTEST, 3: TPMT_SIGNATURE, 4: [registers]}
//
// Trust: either
package vtpm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/canon"
)

// The names of the platforms.
const (
	PlatformSNP = "snp-vtpm"
	PlatformTPM = "tpm"
)

// Measured are the registers that make up the measurement, all of which must be quoted: firmware (0), its drivers (2), what it boots (4), the state of Secure Boot
// (7), GRUB's commands and files (8, 9), and the parts of a unified kernel image (11, 12, 13). Left out are those that differ from one machine to another of
// the same code (1, 3, 5, 6, 14), and those that change while it runs (10, 15 and above).
func Measured() []int { return []int{0, 2, 4, 7, 8, 9, 11, 12, 13} }

// Measurement is the SHA-256 of "coco measured boot" ‖ 0 ‖ platform ‖ 0 ‖ len(launch) u32be ‖ launch ‖ for each register of Measured its number u32be ‖ its value.
// The launch digest of a plain TPM is empty.
func Measurement(platform string, launch []byte, pcrs map[int][32]byte) (coco.Measurement, error) {
	b := append([]byte("coco measured boot\x00"), platform...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(launch)))
	b = append(b, launch...)
	for _, i := range Measured() {
		v, ok := pcrs[i]
		if !ok {
			return "", fmt.Errorf("the quote lacks register %d: expected %v at least", i, Measured())
		}
		b = binary.BigEndian.AppendUint32(b, uint32(i))
		b = append(b, v[:]...)
	}
	digest := sha256.Sum256(b)
	return coco.Measurement(platform + ":" + hex.EncodeToString(digest[:])), nil
}

// SNPEvidence is evidence of the platform snp-vtpm.
type SNPEvidence struct {
	HCL []byte `cbor:"1,keyasint"`
	Quote
	Table []byte `cbor:"5,keyasint"`
}

// TPMEvidence is evidence of the platform tpm.
type TPMEvidence struct {
	Key []byte `cbor:"1,keyasint"`
	Quote
}

// Encode returns the evidence's bytes.
func (e SNPEvidence) Encode() ([]byte, error) { return canon.Marshal(e) }

// Encode returns the evidence's bytes.
func (e TPMEvidence) Encode() ([]byte, error) { return canon.Marshal(e) }

// limits fit the longest evidence.
var limits = canon.Limits{Bytes: snp.MaxQuote + maxHCL + maxMessage + maxSignature + 64*maxPCRs, Depth: 4, Elements: 64, Pairs: 16}

// SNP reads evidence of the platform snp-vtpm. Its zero value trusts AMD's roots and knows no collateral but what evidence carries.
type SNP struct {
	Collateral collateral.Source // may be nil
	Roots      snp.Roots         // AMD's if nil
}

// TPM reads evidence of the platform tpm.
type TPM struct{}

var (
	_ attest.Verifier = SNP{}
	_ attest.Verifier = TPM{}
)

// Platform implements attest.Verifier.
func (SNP) Platform() string { return PlatformSNP }

// Platform implements attest.Verifier.
func (TPM) Platform() string { return PlatformTPM }

// Verify implements attest.Verifier.
func (v SNP) Verify(evidence []byte, now time.Time) (attest.Claims, error) {
	claims, err := v.verify(evidence, now)
	if err != nil {
		return attest.Claims{}, fmt.Errorf("%w: %s: %w", attest.ErrQuote, PlatformSNP, err)
	}
	return claims, nil
}

func (v SNP) verify(evidence []byte, now time.Time) (attest.Claims, error) {
	raw, c, err := snp.Open(evidence, v.Collateral)
	if err != nil {
		return attest.Claims{}, err
	}
	var e SNPEvidence
	if err := canon.Unmarshal(raw, &e, limits); err != nil {
		return attest.Claims{}, err
	}
	h, err := parseHCL(e.HCL)
	if err != nil {
		return attest.Claims{}, err
	}
	own, err := v.Roots.OrAMD().Verify(append(append([]byte{}, h.report...), e.Table...), c, now)
	if err != nil {
		return attest.Claims{}, err
	}
	if !h.covered(own.Report.ReportData) {
		return attest.Claims{}, errors.New("the processor's report does not cover the paravisor's claims")
	}
	machine, err := h.machine()
	if err != nil {
		return attest.Claims{}, err
	}
	boot, err := e.Quote.verify(machine.key)
	if err != nil {
		return attest.Claims{}, err
	}
	m, err := Measurement(PlatformSNP, own.Report.Measurement[:], boot.PCRs)
	if err != nil {
		return attest.Claims{}, err
	}
	return attest.Claims{
		Platform: PlatformSNP, Measurement: m, ReportData: boot.ReportData, Debug: own.Report.Policy.Debug,
		Own: SNPClaims{SNP: own, Machine: machine, Boot: boot},
	}, nil
}

// Verify implements attest.Verifier. A TPM's quotes do not age: freshness comes from the nonce.
func (TPM) Verify(evidence []byte, now time.Time) (attest.Claims, error) {
	claims, err := verifyTPM(evidence)
	if err != nil {
		return attest.Claims{}, fmt.Errorf("%w: %s: %w", attest.ErrQuote, PlatformTPM, err)
	}
	return claims, nil
}

func verifyTPM(evidence []byte) (attest.Claims, error) {
	raw, _, err := snp.Open(evidence, nil)
	if err != nil {
		return attest.Claims{}, err
	}
	var e TPMEvidence
	if err := canon.Unmarshal(raw, &e, limits); err != nil {
		return attest.Claims{}, err
	}
	key, name, err := attestationKey(e.Key)
	if err != nil {
		return attest.Claims{}, err
	}
	boot, err := e.Quote.verify(key)
	if err != nil {
		return attest.Claims{}, err
	}
	m, err := Measurement(PlatformTPM, nil, boot.PCRs)
	if err != nil {
		return attest.Claims{}, err
	}
	return attest.Claims{
		Platform: PlatformTPM, Measurement: m, ReportData: boot.ReportData, Insecure: true,
		Own: TPMClaims{Key: hex.EncodeToString(name), Boot: boot},
	}, nil
}
