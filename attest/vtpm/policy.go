package vtpm

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/snp"
)

// SNPPolicy is what a constitution demands of the platform snp-vtpm: all that it may demand of SEV-SNP, and of the boot.
type SNPPolicy struct {
	snp.Policy
	Registers
	// AllowInsecureBoot lets in machines whose firmware boots what is not signed. The measurement names what was booted all the same.
	AllowInsecureBoot bool `json:"allow_insecure_boot"`
	// ForbidConsole refuses machines with a serial console. Azure attaches one.
	ForbidConsole bool `json:"forbid_console"`
}

// TPMPolicy is what a constitution demands of the platform tpm. The zero value accepts nothing.
type TPMPolicy struct {
	Registers
	// AttestationKeys are the names of the keys that count, in hexadecimal digits. A challenge shows that a key is in a TPM.
	AttestationKeys []string `json:"attestation_keys"`
}

// Registers demands values of registers beyond the measurement.
type Registers struct {
	// PCRs has, for a register's number, the values that it may have, each 64 hexadecimal digits.
	PCRs map[string][]string `json:"pcrs"`
}

func (r Registers) validate(platform string) error {
	for name, values := range r.PCRs {
		bad := func(what string) error {
			return fmt.Errorf("%w: policy of platform %q: pcrs.%s: %s", coco.ErrInvalid, platform, name, what)
		}
		if n, err := strconv.Atoi(name); err != nil || n < 0 || n >= maxPCRs || strconv.Itoa(n) != name {
			return bad(fmt.Sprintf("expected the number of a register, 0 to %d", maxPCRs-1))
		}
		if len(values) == 0 {
			return bad("expected one value at least")
		}
		for _, v := range values {
			if b, err := hex.DecodeString(v); err != nil || len(b) != 32 || strings.ToLower(v) != v {
				return bad(fmt.Sprintf("expected 64 lower-case hexadecimal digits, found %q", v))
			}
		}
	}
	return nil
}

func (r Registers) check(b Boot) error {
	for n := range maxPCRs {
		values, demanded := r.PCRs[strconv.Itoa(n)]
		if !demanded {
			continue
		}
		v, quoted := b.PCRs[n]
		if !quoted || !slices.Contains(values, hex.EncodeToString(v[:])) {
			return fmt.Errorf("%w: register %d is %x, which pcrs.%d does not list", attest.ErrPolicy, n, v, n)
		}
	}
	return nil
}

func decodeSNP(b []byte) (SNPPolicy, error) {
	var p SNPPolicy
	if err := attest.DecodePolicy(PlatformSNP, b, &p); err != nil {
		return p, err
	}
	if err := p.Validate(PlatformSNP); err != nil {
		return p, err
	}
	return p, p.Registers.validate(PlatformSNP)
}

func decodeTPM(b []byte) (TPMPolicy, error) {
	var p TPMPolicy
	if err := attest.DecodePolicy(PlatformTPM, b, &p); err != nil {
		return p, err
	}
	for i, k := range p.AttestationKeys {
		if b, err := hex.DecodeString(k); err != nil || len(b) != 34 && len(b) != 50 || strings.ToLower(k) != k {
			return p, fmt.Errorf("%w: policy of platform %q: attestation_keys[%d]: expected the name of a key, 68 or 100 lower-case hexadecimal digits, found %q", coco.ErrInvalid, PlatformTPM, i, k)
		}
	}
	return p, p.validate(PlatformTPM)
}

// ValidatePolicy implements attest.Verifier.
func (SNP) ValidatePolicy(policy []byte) error {
	_, err := decodeSNP(policy)
	return err
}

// ValidatePolicy implements attest.Verifier.
func (TPM) ValidatePolicy(policy []byte) error {
	_, err := decodeTPM(policy)
	return err
}

// SNPClaims are the claims of the platform snp-vtpm alone.
type SNPClaims struct {
	SNP     snp.Claims
	Machine Machine
	Boot    Boot
}

// Satisfy implements attest.Own.
func (c SNPClaims) Satisfy(policy []byte) error {
	p, err := decodeSNP(policy)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	case !c.Machine.SecureBoot && !p.AllowInsecureBoot:
		return fmt.Errorf("%w: Secure Boot is off (allow_insecure_boot)", attest.ErrPolicy)
	case c.Machine.Console && p.ForbidConsole:
		return fmt.Errorf("%w: a serial console is attached (forbid_console)", attest.ErrPolicy)
	}
	if err := p.Registers.check(c.Boot); err != nil {
		return err
	}
	return p.Check(c.SNP)
}

// TPMClaims are the claims of the platform tpm alone.
type TPMClaims struct {
	Key  string // the name of the attestation key
	Boot Boot
}

// Satisfy implements attest.Own.
func (c TPMClaims) Satisfy(policy []byte) error {
	p, err := decodeTPM(policy)
	if err != nil {
		return fmt.Errorf("%w: %w", attest.ErrPolicy, err)
	}
	if !slices.Contains(p.AttestationKeys, c.Key) {
		return fmt.Errorf("%w: attestation_keys does not list key %s: challenge its TPM first", attest.ErrPolicy, c.Key)
	}
	return p.check(c.Boot)
}
