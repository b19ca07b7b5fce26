package vtpm_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/attest/snp/snptest"
	"github.com/cocoframework/coco/attest/vtpm"
)

// recordedQuote is a quote as the tool that recorded it writes it.
type recordedQuote struct {
	Signature string   `json:"signature"`
	Message   string   `json:"message"`
	PCRs      []string `json:"pcrs"`
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (r recordedQuote) quote(t testing.TB) vtpm.Quote {
	t.Helper()
	q := vtpm.Quote{Message: unhex(t, r.Message), Signature: rsassa(unhex(t, r.Signature))}
	for _, p := range r.PCRs {
		q.PCRs = append(q.PCRs, unhex(t, p))
	}
	return q
}

// rsassa makes a TPMT_SIGNATURE of a signature by RSASSA with SHA-256.
func rsassa(sig []byte) []byte {
	return tpm2.Marshal(tpm2.TPMTSignature{
		SigAlg:    tpm2.TPMAlgRSASSA,
		Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgRSASSA, &tpm2.TPMSSignatureRSA{Hash: tpm2.TPMAlgSHA256, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: sig}}),
	})
}

// recordedEvidence are the two machines that were recorded, each whole or assembled from its files.
func recordedEvidence(t testing.TB) vtpm.SNPEvidence {
	t.Helper()
	var e struct {
		HCL   string        `json:"hcl_report"`
		Quote recordedQuote `json:"tpm_quote"`
		VCEK  string        `json:"vcek"`
	}
	if err := json.Unmarshal(attesttest.Sample(t, "azure/az-snp-vtpm_evidence-v1.json"), &e); err != nil {
		t.Fatal(err)
	}
	decode := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		if err != nil {
			b, err = base64.StdEncoding.DecodeString(s)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return vtpm.SNPEvidence{HCL: decode(e.HCL), Quote: e.Quote.quote(t), Table: snp.Table(snp.VCEK, decode(e.VCEK))}
}

func olderEvidence(t testing.TB) vtpm.SNPEvidence {
	t.Helper()
	var q recordedQuote
	if err := json.Unmarshal(attesttest.Sample(t, "azure/az-snp-vtpm_tpm-quote-v1.json"), &q); err != nil {
		t.Fatal(err)
	}
	vcek, _ := pem.Decode(attesttest.Sample(t, "azure/az-snp-vtpm_vcek.pem"))
	return vtpm.SNPEvidence{HCL: attesttest.Sample(t, "azure/az-snp-vtpm_hcl-report.bin"), Quote: q.quote(t), Table: snp.Table(snp.VCEK, vcek.Bytes)}
}

func encode(t testing.TB, e interface{ Encode() ([]byte, error) }) []byte {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	recorded = time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)
	older    = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
)

func TestRecordedConfidentialVMVerifies(t *testing.T) {
	claims, err := vtpm.SNP{}.Verify(encode(t, recordedEvidence(t)), recorded)
	if err != nil {
		t.Fatal(err)
	}
	own := claims.Own.(vtpm.SNPClaims)
	if !bytes.HasPrefix(claims.ReportData[:], []byte("challenge\x00")) || claims.Debug || claims.Insecure || len(own.Boot.PCRs) != 24 {
		t.Errorf("%+v", claims)
	}
	if tcb := (snp.TCB{Bootloader: 4, SNP: 24, Microcode: 219}); own.SNP.Report.Reported != tcb || own.SNP.Report.Product != snp.Milan {
		t.Errorf("%+v", own.SNP)
	}
	good := `{"minimum_tcb": {"milan": {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}}, "allow_missing_crl": true, "allow_insecure_boot": true}`
	if err := claims.Satisfy([]byte(good)); err != nil {
		t.Error(err)
	}
	attesttest.Refused(t, claims.Satisfy([]byte(strings.Replace(good, "219", "220", 1))), attest.ErrTCB, "microcode 219")
	if demand, err := own.Demand(); err != nil || claims.Satisfy(demand) != nil {
		t.Errorf("the claims do not satisfy what they demand: %s, %v, %v", demand, err, claims.Satisfy(demand))
	}
	err = claims.Satisfy([]byte(strings.Replace(good, `, "allow_insecure_boot": true`, "", 1)))
	if own.Machine.SecureBoot != (err == nil) {
		t.Errorf("Secure Boot is %v, %v", own.Machine.SecureBoot, err)
	}
}

func TestQuoteOfAnotherMachineIsRefused(t *testing.T) {
	other := olderEvidence(t)
	if _, err := (vtpm.SNP{}).Verify(encode(t, other), older); err != nil {
		t.Errorf("the other machine: %v", err)
	}
	mixed := recordedEvidence(t)
	mixed.Quote = other.Quote
	_, err := vtpm.SNP{}.Verify(encode(t, mixed), recorded)
	attesttest.Refused(t, err, attest.ErrQuote, "not signed by the attestation key")
}

func TestRecordedConfidentialVMIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, words string
		change      func(*vtpm.SNPEvidence)
	}{
		{"a claim of the paravisor", "does not cover", func(e *vtpm.SNPEvidence) { e.HCL[1300] ^= 1 }},
		{"the processor's report", "not signed by the key", func(e *vtpm.SNPEvidence) { e.HCL[32+0x90] ^= 1 }},
		{"the nonce", "not signed by the attestation key", func(e *vtpm.SNPEvidence) {
			e.Message = bytes.Replace(e.Message, []byte("challenge"), []byte("challengf"), 1)
		}},
		{"a register", "registers are not those", func(e *vtpm.SNPEvidence) { e.PCRs[4][0] ^= 1 }},
		{"a register less", "no value", func(e *vtpm.SNPEvidence) { e.PCRs = e.PCRs[:23] }},
		{"another chip's certificate", "of chip", func(e *vtpm.SNPEvidence) { e.Table = olderEvidence(t).Table }},
		{"no certificate", "no vcek certificate", func(e *vtpm.SNPEvidence) { e.Table = nil }},
		{"another kind of report", "kind 4", func(e *vtpm.SNPEvidence) { e.HCL[12] = 4 }},
		{"no HCL report", "HCLA", func(e *vtpm.SNPEvidence) { e.HCL[0] = 0 }},
		{"half an HCL report", "HCL report of 700 bytes", func(e *vtpm.SNPEvidence) { e.HCL = e.HCL[:700] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := recordedEvidence(t)
			c.change(&e)
			_, err := vtpm.SNP{}.Verify(encode(t, e), recorded)
			attesttest.Refused(t, err, attest.ErrQuote, c.words)
		})
	}
	_, err := vtpm.SNP{}.Verify(encode(t, recordedEvidence(t)), recorded.AddDate(10, 0, 0))
	attesttest.Refused(t, err, attest.ErrQuote, "expired")
}

// cloud is a confidential VM of the test's own.
type cloud struct {
	authority *snptest.Authority
	machine   *snptest.Machine
	key       *rsa.PrivateKey
}

var tcb = snp.TCB{Bootloader: 4, SNP: 24, Microcode: 219}

func newCloud(t testing.TB) cloud {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a := snptest.New(t, snp.Milan)
	return cloud{a, a.Fixed(t, tcb), key}
}

func (c cloud) evidence(t testing.TB, r snptest.Report, vm string, nonce []byte) vtpm.SNPEvidence {
	t.Helper()
	n := base64.RawURLEncoding.EncodeToString(c.key.N.Bytes())
	claims := fmt.Appendf(nil, `{"keys":[{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":%q}],"vm-configuration":%s,"user-data":""}`, n, vm)
	digest := sha256.Sum256(claims)
	copy(r.ReportData[:], digest[:])
	le := binary.LittleEndian
	b := append([]byte("HCLA"), make([]byte, 28)...)
	le.PutUint32(b[4:], 1)
	le.PutUint32(b[12:], 2)
	b = append(b, c.machine.Report(t, r)...)
	for _, v := range []int{20 + len(claims), 1, 2, 1, len(claims)} {
		b = le.AppendUint32(b, uint32(v))
	}
	return vtpm.SNPEvidence{HCL: append(b, claims...), Quote: sign(t, c.key, nonce, tpm2.TPMSTAttestQuote, 24), Table: snp.Table(c.machine.Signer, c.machine.Certificate)}
}

// sign makes a quote of the first registers, of which each holds its number.
func sign(t testing.TB, key *rsa.PrivateKey, nonce []byte, kind tpm2.TPMISTAttest, registers int) vtpm.Quote {
	t.Helper()
	var q vtpm.Quote
	h := sha256.New()
	selected := make([]byte, 3)
	for i := range registers {
		v := make([]byte, 32)
		v[0] = byte(i)
		q.PCRs = append(q.PCRs, v)
		h.Write(v)
		selected[i/8] |= 1 << (i % 8)
	}
	a := tpm2.TPMSAttest{Magic: tpm2.TPMGeneratedValue, Type: kind, ExtraData: tpm2.TPM2BData{Buffer: nonce}}
	if kind == tpm2.TPMSTAttestQuote {
		a.Attested = tpm2.NewTPMUAttest(kind, &tpm2.TPMSQuoteInfo{
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: selected}}},
			PCRDigest: tpm2.TPM2BDigest{Buffer: h.Sum(nil)},
		})
	} else {
		a.Attested = tpm2.NewTPMUAttest(kind, &tpm2.TPMSTimeAttestInfo{})
	}
	q.Message = tpm2.Marshal(a)
	digest := sha256.Sum256(q.Message)
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	q.Signature = rsassa(sig)
	return q
}

const plainVM = `{"console-enabled":false,"secure-boot":true,"tpm-enabled":true,"vmUniqueId":"X"}`

func TestConfidentialVM(t *testing.T) {
	c := newCloud(t)
	v := vtpm.SNP{Roots: c.authority.Roots()}
	data := attest.ReportData("test", []byte("key"), []byte("nonce"))
	launch := snptest.Report{Measurement: [48]byte{7}}
	claims, err := v.Verify(encode(t, c.evidence(t, launch, plainVM, data[:32])), snptest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := attest.Check(claims, "test", []byte("key"), []byte("nonce"), []coco.Measurement{claims.Measurement}); err != nil {
		t.Error(err)
	}
	attesttest.Refused(t, attest.Check(claims, "test", []byte("other"), []byte("nonce"), []coco.Measurement{claims.Measurement}), attest.ErrBinding, "")
	attesttest.Refused(t, attest.Check(claims, "test", []byte("key"), []byte("later"), []coco.Measurement{claims.Measurement}), attest.ErrBinding, "")

	measured := map[coco.Measurement]bool{claims.Measurement: true}
	for what, e := range map[string]vtpm.SNPEvidence{
		"another paravisor": c.evidence(t, snptest.Report{Measurement: [48]byte{8}}, plainVM, data[:32]),
	} {
		other, err := v.Verify(encode(t, e), snptest.Now)
		if err != nil || measured[other.Measurement] {
			t.Errorf("%s has measurement %s, %v", what, other.Measurement, err)
		}
	}
	debug, err := v.Verify(encode(t, c.evidence(t, snptest.Report{Debug: true}, plainVM, data[:32])), snptest.Now)
	if err != nil || !debug.Debug {
		t.Errorf("debug: %+v, %v", debug, err)
	}

	few := c.evidence(t, launch, plainVM, data[:32])
	few.Quote = sign(t, c.key, data[:32], tpm2.TPMSTAttestQuote, 8)
	_, err = v.Verify(encode(t, few), snptest.Now)
	attesttest.Refused(t, err, attest.ErrQuote, "lacks register 8")
	few.Quote = sign(t, c.key, data[:32], tpm2.TPMSTAttestTime, 0)
	_, err = v.Verify(encode(t, few), snptest.Now)
	attesttest.Refused(t, err, attest.ErrQuote, "expected a quote")
	_, err = v.Verify(encode(t, c.evidence(t, launch, plainVM, make([]byte, 65))), snptest.Now)
	attesttest.Refused(t, err, attest.ErrQuote, "nonce of 65 bytes")
	two := c.evidence(t, launch, plainVM+`,"keys":[]`, data[:32])
	_, err = v.Verify(encode(t, two), snptest.Now)
	attesttest.Refused(t, err, attest.ErrQuote, "no attestation key")
	stranger := newCloud(t)
	mixed := c.evidence(t, launch, plainVM, data[:32])
	mixed.Quote = stranger.evidence(t, launch, plainVM, data[:32]).Quote
	_, err = v.Verify(encode(t, mixed), snptest.Now)
	attesttest.Refused(t, err, attest.ErrQuote, "not signed by the attestation key")
}

func TestPolicyOfConfidentialVM(t *testing.T) {
	c := newCloud(t)
	v := vtpm.SNP{Roots: c.authority.Roots()}
	zero := strings.Repeat("0", 64)
	base := `"minimum_tcb": {"milan": {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}}, "allow_missing_crl": true`
	for _, p := range []struct {
		vm, policy, words string
		kind              error
	}{
		{plainVM, base, "", nil},
		{plainVM, base + `, "vmpl": 1`, "VMPL 0, expected 1", attest.ErrPolicy},
		{plainVM, strings.Replace(base, "24", "25", 1), "snp 24", attest.ErrTCB},
		{plainVM, base + `, "pcrs": {"0": ["` + zero + `"]}`, "", nil},
		{plainVM, base + `, "pcrs": {"4": ["` + zero + `"]}`, "register 4", attest.ErrPolicy},
		{strings.Replace(plainVM, `"secure-boot":true`, `"secure-boot":false`, 1), base, "Secure Boot", attest.ErrPolicy},
		{strings.Replace(plainVM, `"secure-boot":true`, `"secure-boot":false`, 1), base + `, "allow_insecure_boot": true`, "", nil},
		{strings.Replace(plainVM, `"console-enabled":false`, `"console-enabled":true`, 1), base + `, "forbid_console": true`, "console", attest.ErrPolicy},
	} {
		claims, err := v.Verify(encode(t, c.evidence(t, snptest.Report{}, p.vm, nil)), snptest.Now)
		if err != nil {
			t.Fatal(err)
		}
		pol := []byte("{" + p.policy + "}")
		if err := v.ValidatePolicy(pol); err != nil {
			t.Error(err)
		}
		err = claims.Satisfy(pol)
		if p.kind == nil && err != nil {
			t.Errorf("%s: %v", pol, err)
		} else if p.kind != nil {
			attesttest.Refused(t, err, p.kind, p.words)
		}
	}
	for policy, words := range map[string]string{
		`{"pcrs": {"24": ["` + zero + `"]}}`:       "pcrs.24",
		`{"pcrs": {"04": ["` + zero + `"]}}`:       "pcrs.04",
		`{"pcrs": {"4": []}}`:                      "pcrs.4",
		`{"pcrs": {"4": ["xy"]}}`:                  "pcrs.4",
		`{"minimum_tcb": {"rome": {}}}`:            "rome",
		`{"secure_boot": true}`:                    "secure_boot",
		`{"minimum_tcb": {"milan": {"snp": 300}}}`: "snp",
	} {
		attesttest.Refused(t, v.ValidatePolicy([]byte(policy)), coco.ErrInvalid, words)
		attesttest.Refused(t, vtpm.SNPClaims{}.Satisfy([]byte(policy)), attest.ErrPolicy, words)
	}
	attesttest.Refused(t, vtpm.TPM{}.ValidatePolicy([]byte(`{"attestation_keys": ["00"]}`)), coco.ErrInvalid, "attestation_keys[0]")
}

func FuzzVerify(f *testing.F) {
	c := newCloud(f)
	good := c.evidence(f, snptest.Report{}, plainVM, []byte("nonce"))
	f.Add(encode(f, good))
	f.Add(encode(f, vtpm.TPMEvidence{Key: []byte{0}, Quote: good.Quote}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []attest.Verifier{vtpm.SNP{Roots: c.authority.Roots()}, vtpm.TPM{}} {
			if _, err := v.Verify(b, snptest.Now); err != nil && !errors.Is(err, attest.ErrQuote) {
				t.Errorf("an error of another kind: %v", err)
			}
		}
	})
}

// FuzzParts reaches the readers behind the first signature.
func FuzzParts(f *testing.F) {
	c := newCloud(f)
	good := c.evidence(f, snptest.Report{}, plainVM, []byte("nonce"))
	f.Add(good.Message, good.Signature, good.HCL)
	f.Fuzz(func(t *testing.T, message, signature, hcl []byte) {
		vtpm.Parts(c.key.Public(), message, signature, hcl)
	})
}
