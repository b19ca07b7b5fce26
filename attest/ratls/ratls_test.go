package ratls_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/dcap"
	"github.com/cocoframework/coco/attest/dcap/dcaptest"
	"github.com/cocoframework/coco/attest/ratls"
	"github.com/cocoframework/coco/attest/sgx"
	"github.com/cocoframework/coco/attest/tdx"
	"github.com/cocoframework/coco/attest/virtual"
)

var made = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func key(t testing.TB) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return k, spki
}

func certificate(t testing.TB, k *ecdsa.PrivateKey, extensions ...pkix.Extension) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, NotBefore: made, NotAfter: made.AddDate(1, 0, 0), ExtraExtensions: extensions}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificatesCarryEvidenceOfEnclavesAndTDs(t *testing.T) {
	v := dcaptest.New(t, made)
	vs := attest.Verifiers{sgx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}, tdx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}}
	quote := map[string]func(data [64]byte) []byte{
		"sgx": func(data [64]byte) []byte {
			return v.Machine(3).SGX(dcap.SGXReport{Attributes: [16]byte{5}, ReportData: data})
		},
		"tdx": func(data [64]byte) []byte {
			m := v.Machine(4)
			m.QE.ISVProdID = 2
			return m.TDX(dcap.TDReport{TCBSVN: [16]byte{6, 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}, Attributes: [8]byte{3: 0x10}, ReportData: data})
		},
	}
	for platform, make := range quote {
		k, spki := key(t)
		claims, data := ratls.Claims(spki, []byte("nonce"))
		tagged := ratls.TaggedExtension(make(data), claims)
		wrapped, err := ratls.CMWExtension(attest.Evidence{Platform: platform, Quote: make(attest.ReportData(ratls.Purpose, spki, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for form, extension := range map[ratls.Form]pkix.Extension{ratls.CCC: tagged, ratls.CMW: wrapped} {
			found, m, err := ratls.Verify(certificate(t, k, extension), vs, made.AddDate(0, 0, 1))
			if err != nil || found.Platform != platform || m.Form != form || form == ratls.CCC && string(m.Nonce) != "nonce" {
				t.Errorf("%s, %s: found %s, %+v, %v", platform, form, found.Platform, m, err)
			}
			if err := found.Satisfy(nil); err != nil {
				t.Errorf("%s, %s: %v", platform, form, err)
			}
			other, _ := key(t)
			if _, _, err := ratls.Verify(certificate(t, other, extension), vs, made.AddDate(0, 0, 1)); !errors.Is(err, attest.ErrBinding) {
				t.Errorf("%s, %s: in the certificate of another key: %v", platform, form, err)
			}
		}
		// Claims that were changed, to be about another key.
		other, otherKey := key(t)
		forged, _ := ratls.Claims(otherKey, []byte("nonce"))
		if _, _, err := ratls.Verify(certificate(t, other, ratls.TaggedExtension(make(data), forged)), vs, made.AddDate(0, 0, 1)); !errors.Is(err, attest.ErrBinding) {
			t.Errorf("%s: other claims: %v", platform, err)
		}
		// Evidence that no verifier knows is passed over.
		unknown := cmw(t, "\x83"+"\x61x"+"\x41y"+"\x04")
		if _, m, err := ratls.Verify(certificate(t, k, unknown, tagged), vs, made.AddDate(0, 0, 1)); err != nil || m.Form != ratls.CCC {
			t.Errorf("%s, beside another: %+v, %v", platform, m, err)
		}
	}
}

func TestCertificateWithoutKnownEvidenceIsRefused(t *testing.T) {
	k, spki := key(t)
	vs := attest.Verifiers{virtual.Verifier{}}
	if _, _, err := ratls.Verify(certificate(t, k), vs, made); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
	if _, _, err := ratls.Verify(certificate(t, k, cmw(t, "\x82\x61x\x41y")), vs, made); !errors.Is(err, attest.ErrPlatform) {
		t.Errorf("unknown type: %v", err)
	}
	claims, _ := ratls.Claims(spki, nil)
	if _, _, err := ratls.Verify(certificate(t, k, ratls.TaggedExtension([]byte{3, 0, 2, 0, 9, 0, 0, 0}, claims)), vs, made); !errors.Is(err, attest.ErrPlatform) {
		t.Errorf("unknown TEE: %v", err)
	}
	if _, _, err := ratls.Verify(certificate(t, k, ratls.TaggedExtension([]byte{3, 0, 2, 0, 0, 0, 0, 0}, claims)), vs, made); !errors.Is(err, attest.ErrPlatform) {
		t.Errorf("platform without a verifier: %v", err)
	}
}

func cmw(t testing.TB, cbor string) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal([]byte(cbor))
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: ratls.OIDCMW, Value: der}
}

func cmwJSON(text string) pkix.Extension {
	der, _ := asn1.MarshalWithParams(text, "utf8")
	return pkix.Extension{Id: ratls.OIDCMW, Value: der}
}

func TestWrappersOfAllFormsAreRead(t *testing.T) {
	k, _ := key(t)
	tagged := func(b string) pkix.Extension { return pkix.Extension{Id: ratls.OIDTagged, Value: []byte(b)} }
	for name, c := range map[string]struct {
		extension pkix.Extension
		want      string
	}{
		"record":          {cmw(t, "\x82\x61x\x41y"), ":x=y"},
		"with indicator":  {cmw(t, "\x83\x61x\x41y\x04"), ":x=y"},
		"no evidence":     {cmw(t, "\x83\x61x\x41y\x03"), ""},
		"content format":  {cmw(t, "\x82\x19\x75\x31\x41y"), ":30001=y"},
		"tag":             {cmw(t, "\xda\x63\x74\x76\xa7\x41y"), ":30001=y"}, // TN(30001) = 1668576935, the example of the RFC
		"collection":      {cmw(t, "\xa3\x01\x82\x61x\x41y\x61a\xa1\x61b\x82\x61v\x41w\x68__cmwc_t\x61u"), "/1:x=y /a/b:v=w"},
		"JSON":            {cmwJSON(`["x","eQ"]`), ":x=y"},
		"JSON indicator":  {cmwJSON(`["x","eQ",6]`), ":x=y"},
		"JSON results":    {cmwJSON(`["x","eQ",8]`), ""},
		"JSON objects":    {cmwJSON(`{"__cmwc_t":"u","b":["x","eQ"],"a":{"c":["v","dw"]}}`), "/a/c:v=w /b:x=y"},
		"under TCG's OID": {tagged("\x82\x61x\x41y"), ":x=y"},
	} {
		ms, err := ratls.Read(certificate(t, k, c.extension))
		var found []string
		for _, m := range ms {
			found = append(found, m.Label+":"+m.Type+"="+string(m.Value))
		}
		if got := strings.Join(found, " "); err != nil || got != c.want {
			t.Errorf("%s: found %s, %v, expected %s", name, got, err, c.want)
		}
	}
}

func TestMalformedEvidenceIsRefused(t *testing.T) {
	k, spki := key(t)
	claims, _ := ratls.Claims(spki, nil)
	good := ratls.TaggedExtension([]byte{3}, claims).Value
	tagged := func(b []byte) pkix.Extension { return pkix.Extension{Id: ratls.OIDTagged, Value: b} }
	withClaims := func(text string) pkix.Extension { return ratls.TaggedExtension([]byte{3}, []byte(text)) }
	many := strings.Repeat("\x61a\x82\x61x\x41y", 24)
	for name, extension := range map[string]pkix.Extension{
		"empty": tagged(nil), "cut": tagged(good[:len(good)-1]), "longer": tagged(append(bytes.Clone(good), 0)), "one item": tagged([]byte{0xd9, 0xea, 0x60, 0x81, 0x41, 3}),
		"three items": tagged([]byte{0xd9, 0xea, 0x60, 0x83, 0x41, 3, 0x41, 3, 0x41, 3}), "huge length": tagged([]byte{0xd9, 0xea, 0x60, 0x82, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"no claims": withClaims("\xa0"), "no map": withClaims("\x80"), "long claims": withClaims(strings.Repeat("x", 5000)), "many claims": withClaims("\xb8\xff"),
		"claim twice": withClaims("\xa2\x65nonce\x41x\x65nonce\x41x"), "text claim": withClaims("\xa1\x65nonce\x61x"), "hash of one": withClaims("\xa1\x6bpubkey-hash\x42\x81\x01"),
		"hash with more": withClaims("\xa1\x6bpubkey-hash\x45\x82\x01\x41x\x00"), "claims with more": tagged(ratls.TaggedExtension([]byte{3}, append(bytes.Clone(claims), 0)).Value),
		"CMW of others": {Id: ratls.OIDCMW, Value: []byte{2, 1, 1}}, "no DER": {Id: ratls.OIDCMW, Value: []byte{4, 9, 1}}, "record of one": cmw(t, "\x81\x61x"), "record of four": cmw(t, "\x84\x61x\x41y\x04\x04"),
		"unknown tag": cmw(t, "\xc1\x41y"), "tag of text": cmw(t, "\xda\x63\x74\x76\xa7\x61y"), "empty collection": cmw(t, "\xa0"), "deep": cmw(t, strings.Repeat("\xa1\x61a", 2000)+"\x82\x61x\x41y"),
		"many": cmw(t, "\xb8\x18"+many), "JSON text": cmwJSON(`"x"`), "JSON padding": cmwJSON(`["x","eQ=="]`), "JSON record of one": cmwJSON(`["x"]`), "JSON empty": cmwJSON(`{}`),
		"JSON deep": cmwJSON(strings.Repeat(`{"a":`, 2000) + `["x","eQ"]` + strings.Repeat(`}`, 2000)),
	} {
		if ms, err := ratls.Read(certificate(t, k, extension)); !errors.Is(err, attest.ErrQuote) {
			t.Errorf("%s: found %v, %v", name, ms, err)
		}
	}
	unknown := bytes.Clone(claims)
	unknown[bytes.Index(unknown, []byte{0x82, 1, 0x58})+1] = 2
	ms, err := ratls.Read(certificate(t, k, withClaims(string(unknown))))
	if err != nil || len(ms) != 1 {
		t.Fatalf("found %v, %v", ms, err)
	}
	if _, _, err := ms[0].Evidence(certificate(t, k)); !errors.Is(err, attest.ErrQuote) {
		t.Errorf("unknown hash algorithm: %v", err)
	}
}

func TestCMWHoldsCocosEvidence(t *testing.T) {
	k, spki := key(t)
	code := virtual.Measure([]byte("program"))
	q, err := virtual.NewQuoter(code)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := attest.Quote(t.Context(), q, ratls.Purpose, spki, nil)
	if err != nil {
		t.Fatal(err)
	}
	extension, err := ratls.CMWExtension(ev)
	if err != nil {
		t.Fatal(err)
	}
	claims, m, err := ratls.Verify(certificate(t, k, extension), attest.Verifiers{virtual.Verifier{}}, made)
	if err != nil || claims.Measurement != code || !claims.Insecure || m.Type != ratls.MediaType {
		t.Errorf("found %+v, %+v, %v", claims, m, err)
	}
	// The same by a reader of JSON.
	value, err := ev.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ratls.Verify(certificate(t, k, cmwJSON(`["`+ratls.MediaType+`","`+base64.RawURLEncoding.EncodeToString(value)+`",4]`)), attest.Verifiers{virtual.Verifier{}}, made); err != nil {
		t.Error(err)
	}
	// Evidence for a connection is none for a certificate.
	if ev, err = attest.Quote(t.Context(), q, "join", spki, nil); err != nil {
		t.Fatal(err)
	}
	if extension, err = ratls.CMWExtension(ev); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ratls.Verify(certificate(t, k, extension), attest.Verifiers{virtual.Verifier{}}, made); !errors.Is(err, attest.ErrBinding) {
		t.Errorf("for another purpose: %v", err)
	}
}

func TestRecordedCertificatesOfGramineAndIntelsSDK(t *testing.T) {
	for name, now := range map[string]time.Time{"gramine-cert.pem": time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), "intel-sgxsdk-cert.pem": time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)} {
		block, _ := pem.Decode(attesttest.Sample(t, "ratls/"+name))
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		ms, err := ratls.Read(c)
		if err != nil || len(ms) != 1 || ms[0].Form != ratls.CCC || ms[0].Algorithm != 1 || ms[0].Nonce != nil {
			t.Fatalf("%s: found %+v, %v", name, ms, err)
		}
		ev, want, err := ms[0].Evidence(c)
		if err != nil || ev.Platform != "sgx" {
			t.Fatalf("%s: platform %q, %v", name, ev.Platform, err)
		}
		q, err := dcap.Parse(ev.Quote)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.CheckSignatures(nil, dcap.IntelRoot(), now); err != nil || q.SGX.ReportData != want {
			t.Errorf("%s: found report data %x, %v", name, q.SGX.ReportData[:8], err)
		}
		if q.SGX.Attributes[0]&2 == 0 {
			t.Errorf("%s is no debug enclave: %x", name, q.SGX.Attributes)
		}
		// In the certificate of another key, and with claims that were changed.
		k, spki := key(t)
		if _, _, err := ms[0].Evidence(certificate(t, k)); !errors.Is(err, attest.ErrBinding) {
			t.Errorf("%s: another key: %v", name, err)
		}
		changed := ms[0]
		changed.Claims, _ = ratls.Claims(spki, nil)
		if _, want, _ := changed.Evidence(c); q.SGX.ReportData == want {
			t.Errorf("%s: other claims are bound", name)
		}
		// There is no collateral of these processors, and without it nothing is verified.
		if _, _, err := ratls.Verify(c, attest.Verifiers{sgx.Verifier{}}, now); !errors.Is(err, attest.ErrQuote) || !strings.Contains(err.Error(), "the collateral has no TCB info") {
			t.Errorf("%s: %v", name, err)
		}
		// The claims that we make have the same bytes.
		if own, data := ratls.Claims(c.RawSubjectPublicKeyInfo, nil); !bytes.Equal(own, ms[0].Claims) || data != want {
			t.Errorf("%s: claims %x, ours %x", name, ms[0].Claims, own)
		}
		// So that it is refused for the debug attribute and for nothing else, its report is quoted again by a machine of the test.
		v := dcaptest.New(t, made)
		again := *c
		again.Extensions = []pkix.Extension{ratls.TaggedExtension(v.Machine(3).SGX(*q.SGX), ms[0].Claims)}
		claims, _, err := ratls.Verify(&again, attest.Verifiers{sgx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}}, made.AddDate(0, 0, 1))
		if err != nil || !claims.Debug {
			t.Errorf("%s: debug %t, %v", name, claims.Debug, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	_, spki := key(f)
	claims, _ := ratls.Claims(spki, []byte("nonce"))
	f.Add(ratls.TaggedExtension([]byte{3, 0, 2, 0, 0, 0, 0, 0}, claims).Value, true)
	f.Add(cmw(f, "\xa2\x01\x82\x61x\x41y\x61a\xa1\x61b\x82\x61v\x41w").Value, false)
	f.Add(cmwJSON(`{"a":["x","eQ",4]}`).Value, false)
	c := &x509.Certificate{RawSubjectPublicKeyInfo: spki}
	f.Fuzz(func(t *testing.T, b []byte, tagged bool) {
		id := ratls.OIDCMW
		if tagged {
			id = ratls.OIDTagged
		}
		ms, err := ratls.Read(&x509.Certificate{Extensions: []pkix.Extension{{Id: id, Value: b}}})
		if err != nil && !errors.Is(err, attest.ErrQuote) {
			t.Errorf("error of no kind: %v", err)
		}
		for _, m := range ms {
			if _, _, err := m.Evidence(c); err != nil && !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrCorrupt) {
				t.Errorf("error of no kind: %v", err)
			}
			if m.Form == ratls.CCC && !bytes.Equal(ratls.TaggedExtension(m.Value, m.Claims).Value, b) {
				t.Errorf("%x has a second form", b)
			}
		}
	})
}
