package aci_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/veraison/go-cose"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/aci"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/attest/snp/snptest"
)

func encode(t testing.TB, e aci.Evidence) []byte {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var recorded = time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC) // after the signer's certificate has ended, as is usual

func recordedEvidence(t testing.TB) aci.Evidence {
	t.Helper()
	vcek, _ := pem.Decode(attesttest.Sample(t, "azure/uvm/uvm_host_amd_certificate.pem"))
	text, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(attesttest.Sample(t, "azure/uvm/uvm_security_policy.base64"))))
	if err != nil {
		t.Fatal(err)
	}
	return aci.Evidence{
		SNP:         append(attesttest.Sample(t, "azure/uvm/snp_report.bin"), snp.Table(snp.VCEK, vcek.Bytes)...),
		Endorsement: attesttest.Sample(t, "azure/uvm/body.uvm_reference_info.bin"), Text: text,
	}
}

const microsoft = "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2"

func TestRecordedContainerGroupVerifies(t *testing.T) {
	claims, err := aci.Verifier{}.Verify(encode(t, recordedEvidence(t)), recorded)
	if err != nil {
		t.Fatal(err)
	}
	if want := coco.Measurement("snp-aci:cadd74f71ebb8fbf9782baab649612520f3c416bc5ce9ac768808ddc8d9b031c"); claims.Measurement != want {
		t.Errorf("measurement %s", claims.Measurement)
	}
	own := claims.Own.(aci.Claims)
	if own.UVM.Issuer != microsoft || own.UVM.Feed != "ContainerPlat-AMD-UVM" || own.UVM.SVN != 22 || !strings.HasPrefix(own.Text, "package policy") {
		t.Errorf("%+v", own.UVM)
	}
	good := `{"endorsements": [{"issuer": "` + microsoft + `", "feed": "ContainerPlat-AMD-UVM", "minimum_svn": 22}],
		"minimum_tcb": {"milan": {"bootloader": 3, "tee": 0, "snp": 8, "microcode": 115}}, "allow_missing_crl": true}`
	if err := claims.Satisfy([]byte(good)); err != nil {
		t.Error(err)
	}
	attesttest.Refused(t, claims.Satisfy([]byte(strings.Replace(good, "22}", "23}", 1))), attest.ErrTCB, "version 22")
	attesttest.Refused(t, claims.Satisfy([]byte(strings.Replace(good, "-UVM", "-XYZ", 1))), attest.ErrPolicy, "does not list issuer")
	attesttest.Refused(t, claims.Satisfy([]byte(strings.Replace(good, "I__i", "J__i", 1))), attest.ErrPolicy, "does not list issuer")
	attesttest.Refused(t, claims.Satisfy([]byte(strings.Replace(good, "115", "116", 1))), attest.ErrTCB, "microcode")
	attesttest.Refused(t, claims.Satisfy(nil), attest.ErrPolicy, "endorsements")
	if demand, err := own.Demand(); err != nil || claims.Satisfy(demand) != nil {
		t.Errorf("the claims do not satisfy what they demand: %s, %v, %v", demand, err, claims.Satisfy(demand))
	}
}

func TestRecordedContainerGroupIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, words string
		now         time.Time
		change      func(*aci.Evidence)
	}{
		{"another security policy", "not the one whose digest", recorded, func(e *aci.Evidence) { e.Text = append(e.Text, '\n') }},
		{"a bit of the report", "not signed by the key", recorded, func(e *aci.Evidence) { e.SNP[0xc0] ^= 1 }},
		{"a bit of the endorsement's signature", "verification", recorded, func(e *aci.Evidence) { e.Endorsement[len(e.Endorsement)-1] ^= 1 }},
		{"a bit of the endorsed measurement", "verification", recorded, func(e *aci.Evidence) {
			e.Endorsement = bytes.Replace(e.Endorsement, []byte("51068107cdc7"), []byte("51068107cdc8"), 1)
		}},
		{"another issuer", "", recorded, func(e *aci.Evidence) {
			e.Endorsement = bytes.Replace(e.Endorsement, []byte("I__iuL25"), []byte("J__iuL25"), 1)
		}},
		{"no endorsement", "endorsement", recorded, func(e *aci.Evidence) { e.Endorsement = nil }},
		{"before it was signed", "in the future", time.Date(2023, 1, 20, 0, 0, 0, 0, time.UTC), func(*aci.Evidence) {}},
		{"after the processor's certificate", "expired", recorded.AddDate(10, 0, 0), func(*aci.Evidence) {}},
		{"another group's report", "of chip", recorded, func(e *aci.Evidence) { copy(e.SNP, attesttest.Sample(t, "snp/snp_test-report.bin")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := recordedEvidence(t)
			c.change(&e)
			_, err := aci.Verifier{}.Verify(encode(t, e), c.now)
			attesttest.Refused(t, err, attest.ErrQuote, c.words)
		})
	}
}

// issuer signs endorsements of the test's own.
type issuer struct {
	key   *rsa.PrivateKey
	chain [][]byte // leaf first
	root  []byte
}

var usage = asn1.ObjectIdentifier{1, 2, 3, 4, 5}

func newIssuer(t testing.TB, leaf func(*x509.Certificate)) issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var parent *x509.Certificate
	var is issuer
	for i, name := range []string{"root", "middle", "signer"} {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name, Organization: []string{"A & B"}},
			NotBefore: snptest.Now.AddDate(-1, 0, 0), NotAfter: snptest.Now.AddDate(1, 0, 0), BasicConstraintsValid: true,
			IsCA: i < 2, KeyUsage: x509.KeyUsageCertSign, EmailAddresses: nil,
		}
		if i == 2 {
			c.KeyUsage, c.UnknownExtKeyUsage = x509.KeyUsageDigitalSignature, []asn1.ObjectIdentifier{usage}
			c.EmailAddresses, c.DNSNames = []string{"a@example.com"}, []string{"example.com"}
			if leaf != nil {
				leaf(c)
			}
		}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		is.chain = append([][]byte{der}, is.chain...)
		if i == 0 {
			is.root = der
		}
	}
	is.key = key
	return is
}

func (is issuer) did(predicates string) string {
	digest := sha256.Sum256(is.root)
	return "did:x509:0:sha256:" + base64.RawURLEncoding.EncodeToString(digest[:]) + predicates
}

const demands = "::eku:1.2.3.4.5"

func (is issuer) endorse(t testing.TB, did, payload string, change func(cose.ProtectedHeader)) []byte {
	t.Helper()
	signer, err := cose.NewSigner(cose.AlgorithmPS384, is.key)
	if err != nil {
		t.Fatal(err)
	}
	var chain []any
	for _, c := range is.chain {
		chain = append(chain, c)
	}
	m := cose.NewSign1Message()
	m.Headers.Protected = cose.ProtectedHeader{
		cose.HeaderLabelAlgorithm: cose.AlgorithmPS384, cose.HeaderLabelX5Chain: chain,
		"iss": did, "feed": "feed", "signingtime": snptest.Now.Add(-time.Hour),
	}
	if change != nil {
		change(m.Headers.Protected)
	}
	m.Payload = []byte(payload)
	if err := m.Sign(rand.Reader, nil, signer); err != nil {
		t.Fatal(err)
	}
	b, err := m.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func payload(measurement [48]byte, svn string) string {
	return fmt.Sprintf(`{"x-ms-sevsnpvm-guestsvn": %s, "x-ms-sevsnpvm-launchmeasurement": "%x"}`, svn, measurement)
}

func TestContainerGroup(t *testing.T) {
	a := snptest.New(t, snp.Genoa)
	m := a.Machine(t, snp.TCB{Bootloader: 4, SNP: 24, Microcode: 219})
	v := aci.Verifier{Roots: a.Roots()}
	is, ms := newIssuer(t, nil), [48]byte{9}
	text := []byte("package policy")
	evidence := func(endorsement []byte) []byte {
		r := snptest.Report{Measurement: ms, HostData: sha256.Sum256(text), ReportData: attest.ReportData("test", []byte("key"), []byte("nonce"))}
		return encode(t, aci.Evidence{SNP: m.Quote(t, r), Endorsement: endorsement, Text: text})
	}
	for _, svn := range []string{`"7"`, `7`} {
		claims, err := v.Verify(evidence(is.endorse(t, is.did(demands), payload(ms, svn), nil)), snptest.Now)
		if err != nil {
			t.Fatal(err)
		}
		if claims.Own.(aci.Claims).UVM.SVN != 7 {
			t.Errorf("%+v", claims.Own)
		}
		if err := attest.Check(claims, "test", []byte("key"), []byte("nonce"), []coco.Measurement{aci.Measurement(sha256.Sum256(text))}); err != nil {
			t.Error(err)
		}
	}
	for did, words := range map[string]string{
		"::eku:1.2.3.4.5::subject:CN:signer:O:A%20%26%20B": "",
		"::san:email:a%40example.com::san:dns:example.com": "",
		"::eku:1.2.3.4.6":                    "not what the issuer demands",
		"::subject:CN:other":                 "not what the issuer demands",
		"::subject:CN:signer:CN:signer":      "not what the issuer demands",
		"::subject:CN":                       "not what the issuer demands",
		"::san:dns:example.org":              "not what the issuer demands",
		"::fulcio-issuer:example.com":        "expected eku, subject or san",
		"":                                   "demands nothing",
		"::eku:1.2.3.4.5::subject:CN:signer": "",
	} {
		_, err := v.Verify(evidence(is.endorse(t, is.did(did), payload(ms, `"7"`), nil)), snptest.Now)
		if words == "" && err != nil {
			t.Errorf("%s: %v", did, err)
		} else if words != "" {
			attesttest.Refused(t, err, attest.ErrQuote, words)
		}
	}
	other := newIssuer(t, nil)
	good := payload(ms, `"7"`)
	for _, c := range []struct {
		name, words string
		endorsement []byte
	}{
		{"another authority", "has the digest", is.endorse(t, other.did(demands), good, nil)},
		{"another measurement", "the endorsement is of a UVM", is.endorse(t, is.did(demands), payload([48]byte{1}, `"7"`), nil)},
		{"an authority that certifies nothing", "no part of its signer's chain", is.endorse(t, other.did(demands), good, func(h cose.ProtectedHeader) {
			h[cose.HeaderLabelX5Chain] = []any{is.chain[0], is.chain[1], other.root, is.chain[2]}
		})},
		{"no chain", "x5chain", is.endorse(t, is.did(demands), good, func(h cose.ProtectedHeader) { delete(h, cose.HeaderLabelX5Chain) })},
		{"a chain of one", "x5chain", is.endorse(t, is.did(demands), good, func(h cose.ProtectedHeader) { h[cose.HeaderLabelX5Chain] = []any{is.chain[0]} })},
		{"another's chain", "verification", is.endorse(t, other.did(demands), good, func(h cose.ProtectedHeader) {
			h[cose.HeaderLabelX5Chain] = []any{other.chain[0], other.chain[1], other.chain[2]}
		})},
		{"no issuer", "iss", is.endorse(t, is.did(demands), good, func(h cose.ProtectedHeader) { delete(h, "iss") })},
		{"signed before the certificate", "not yet valid", is.endorse(t, is.did(demands), good, func(h cose.ProtectedHeader) { h["signingtime"] = snptest.Now.AddDate(-2, 0, 0) })},
		{"no version", "guestsvn", is.endorse(t, is.did(demands), payload(ms, `"x"`), nil)},
		{"a negative version", "guestsvn", is.endorse(t, is.did(demands), payload(ms, `-1`), nil)},
		{"half a measurement", "launchmeasurement", is.endorse(t, is.did(demands), strings.Replace(good, "09", "", 1), nil)},
		{"no JSON", "payload", is.endorse(t, is.did(demands), "text", nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := v.Verify(evidence(c.endorsement), snptest.Now)
			attesttest.Refused(t, err, attest.ErrQuote, c.words)
		})
	}
	agreeing := newIssuer(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })
	_, err := v.Verify(evidence(agreeing.endorse(t, agreeing.did(demands), good, nil)), snptest.Now)
	attesttest.Refused(t, err, attest.ErrQuote, "not for signatures")
}

func TestPoliciesWithoutMeaningAreRefused(t *testing.T) {
	for policy, words := range map[string]string{
		`{"host_data": ["` + hex.EncodeToString(make([]byte, 32)) + `"]}`: "host_data",
		`{"endorsements": [{"issuer": "me", "feed": "x"}]}`:               "endorsements[0]",
		`{"endorsements": [{"issuer": "` + microsoft + `"}]}`:             "endorsements[0]",
		`{"endorsement": []}`: "endorsement",
		`{"vmpl": 9}`:         "vmpl",
	} {
		attesttest.Refused(t, aci.Verifier{}.ValidatePolicy([]byte(policy)), coco.ErrInvalid, words)
		attesttest.Refused(t, aci.Claims{}.Satisfy([]byte(policy)), attest.ErrPolicy, words)
	}
	if err := (aci.Verifier{}).ValidatePolicy([]byte(`{"endorsements": [{"issuer": "` + microsoft + `", "feed": "x"}]}`)); err != nil {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	a := snptest.New(f, snp.Milan)
	m := a.Fixed(f, snp.TCB{Bootloader: 4})
	is := newIssuer(f, nil)
	quote := m.Quote(f, snptest.Report{})
	good := is.endorse(f, is.did(demands), payload([48]byte{}, "1"), nil)
	f.Add(quote, good)
	f.Add(quote, []byte{0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40})
	v := aci.Verifier{Roots: a.Roots()}
	f.Fuzz(func(t *testing.T, quote, endorsement []byte) {
		b, err := aci.Evidence{SNP: quote, Endorsement: endorsement}.Encode()
		if err != nil {
			t.Skip()
		}
		if _, err := v.Verify(b, snptest.Now); err != nil && !errors.Is(err, attest.ErrQuote) {
			t.Errorf("an error of another kind: %v", err)
		}
		if _, err := v.Verify(endorsement, snptest.Now); err != nil && !errors.Is(err, attest.ErrQuote) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
