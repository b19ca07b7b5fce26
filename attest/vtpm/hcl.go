package vtpm

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/cocoframework/coco/attest/snp"
)

// An HCL report is what Azure's paravisor (host compatibility layer) keeps in the vTPM: the report that the processor has signed for it, and the claims, of which
// the report data are the digest.
//
//	0     "HCLA", version, size, kind of the report; each 4 bytes, little endian
//	32    the processor's report, 1184 bytes
//	1216  size, version, kind of the report, hash function, size of the claims; each 4 bytes
//	1236  the claims, JSON
const (
	hclHeader  = 32
	hclData    = hclHeader + snp.ReportSize
	hclClaims  = hclData + 20
	maxHCL     = 16 << 10
	kindSNP    = 2
	hashSHA256 = 1
	hashSHA384 = 2
	hashSHA512 = 3
)

// Machine is what the paravisor says of the virtual machine.
type Machine struct {
	SecureBoot bool
	Console    bool   // a serial console is attached
	ID         string // Azure's name of the machine
	key        *rsa.PublicKey
}

type hcl struct {
	report []byte // of the processor
	claims []byte
	digest []byte // what the report data begin with
}

func parseHCL(b []byte) (hcl, error) {
	if len(b) < hclClaims || len(b) > maxHCL {
		return hcl{}, fmt.Errorf("HCL report of %d bytes: expected %d to %d", len(b), hclClaims, maxHCL)
	}
	le := binary.LittleEndian
	if !bytes.Equal(b[:4], []byte("HCLA")) {
		return hcl{}, fmt.Errorf("HCL report: it begins with %q, expected HCLA", b[:4])
	}
	if kind := le.Uint32(b[12:]); kind != kindSNP || le.Uint32(b[hclData+8:]) != kindSNP {
		return hcl{}, fmt.Errorf("HCL report: it holds a processor's report of kind %d, expected %d (SEV-SNP)", kind, kindSNP)
	}
	h := hcl{report: b[hclHeader:hclData]}
	n := uint64(le.Uint32(b[hclData+16:]))
	if n > uint64(len(b)-hclClaims) {
		return hcl{}, fmt.Errorf("HCL report: claims of %d bytes, but %d are left", n, len(b)-hclClaims)
	}
	h.claims = b[hclClaims : hclClaims+int(n)]
	var hash crypto.Hash
	switch kind := le.Uint32(b[hclData+12:]); kind {
	case hashSHA256:
		hash = crypto.SHA256
	case hashSHA384:
		hash = crypto.SHA384
	case hashSHA512:
		hash = crypto.SHA512
	default:
		return hcl{}, fmt.Errorf("HCL report: hash function %d: expected 1 to 3", kind)
	}
	h.digest = sum(hash, h.claims)
	return h, nil
}

// covered reports whether the processor has signed the digest of the claims.
func (h hcl) covered(reportData [64]byte) bool {
	var want [64]byte
	copy(want[:], h.digest)
	return reportData == want
}

// runtime are the claims that are read.
type runtime struct {
	Keys []struct {
		ID       string `json:"kid"`
		Type     string `json:"kty"`
		Exponent string `json:"e"`
		Modulus  string `json:"n"`
	} `json:"keys"`
	VM struct {
		SecureBoot bool   `json:"secure-boot"`
		Console    bool   `json:"console-enabled"`
		ID         string `json:"vmUniqueId"`
	} `json:"vm-configuration"`
}

// machine reads the claims. The one key named HCLAkPub is the attestation key.
func (h hcl) machine() (Machine, error) {
	var r runtime
	if err := json.Unmarshal(h.claims, &r); err != nil {
		return Machine{}, fmt.Errorf("claims of the paravisor: %w", err)
	}
	m := Machine{SecureBoot: r.VM.SecureBoot, Console: r.VM.Console, ID: r.VM.ID}
	for _, k := range r.Keys {
		if k.ID != "HCLAkPub" {
			continue
		}
		if m.key != nil {
			return Machine{}, errors.New("claims of the paravisor: two attestation keys")
		}
		n, err := base64.RawURLEncoding.DecodeString(k.Modulus)
		if err != nil {
			return Machine{}, fmt.Errorf("claims of the paravisor: attestation key: %w", err)
		}
		e, err := base64.RawURLEncoding.DecodeString(k.Exponent)
		if err != nil || len(e) > 4 || k.Type != "RSA" || 8*len(n) > maxRSA {
			return Machine{}, fmt.Errorf("claims of the paravisor: attestation key: expected RSA with %d to %d bits", minRSA, maxRSA)
		}
		m.key = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	if m.key == nil {
		return Machine{}, errors.New("claims of the paravisor: no attestation key HCLAkPub")
	}
	return m, nil
}
