package snp_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/validate"
	"github.com/google/go-sev-guest/verify"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/attest/snp/snptest"
)

// recorded is a time at which the samples' certificates were valid.
var recorded = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func TestRecordedReportVerifies(t *testing.T) {
	report, vcek := attesttest.Sample(t, "snp/snp_test-report.bin"), attesttest.Sample(t, "snp/snp_test-vcek.der")
	for name, v := range map[string]struct {
		verifier snp.Verifier
		quote    []byte
	}{
		"certificate in the table":      {snp.Verifier{}, append(bytes.Clone(report), snp.Table(snp.VCEK, vcek)...)},
		"certificate in the collateral": {snp.Verifier{Collateral: func() *collateral.Set { return attesttest.Collateral(t, vcek) }}, report},
	} {
		claims, err := v.verifier.Verify(v.quote, recorded)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := coco.Measurement("snp:a1f3930413247bb38cfc171579ea3c12d5fe4901f0c792f63fd75d98f1ef827c23500644e0e692e6be917f9050d3d38c"); claims.Measurement != want {
			t.Errorf("measurement %s", claims.Measurement)
		}
		own := claims.Own.(snp.Claims)
		if tcb := (snp.TCB{Bootloader: 3, SNP: 8, Microcode: 0x73}); own.Report.Reported != tcb || own.Report.Product != snp.Milan || own.Report.Signer != snp.VCEK || claims.Debug || claims.Insecure {
			t.Errorf("claims %+v", claims)
		}
		if got := hex.EncodeToString(claims.ReportData[:4]); got != "ec6c52d7" {
			t.Errorf("report data %s", got)
		}
		attesttest.Refused(t, claims.Satisfy(nil), attest.ErrPolicy, "minimum_tcb")
		good := `{"minimum_tcb": {"milan": {"bootloader": 3, "tee": 0, "snp": 8, "microcode": 115}}, "allow_missing_crl": true, "allow_provisional_firmware": true}`
		attesttest.Refused(t, claims.Satisfy([]byte(strings.Replace(good, `"allow_missing_crl": true, `, "", 1))), attest.ErrPolicy, "no list of revoked")
		attesttest.Refused(t, claims.Satisfy([]byte(strings.Replace(good, "115", "116", 1))), attest.ErrTCB, "microcode 115")
		attesttest.Refused(t, claims.Satisfy([]byte(strings.Replace(good, `, "allow_provisional_firmware": true`, "", 1))), attest.ErrPolicy, "allow_provisional_firmware")
		if err := claims.Satisfy([]byte(good)); err != nil {
			t.Error(err)
		}
	}
}

func TestRecordedReportIsRefused(t *testing.T) {
	report, vcek := attesttest.Sample(t, "snp/snp_test-report.bin"), attesttest.Sample(t, "snp/snp_test-vcek.der")
	with := func(der []byte) []byte { return append(bytes.Clone(report), snp.Table(snp.VCEK, der)...) }
	altered := with(vcek)
	altered[0x90] ^= 1
	other := attesttest.Sample(t, "azure/az-snp-vtpm_vcek.pem")
	set := attesttest.Collateral(t, other)
	for _, c := range []struct {
		name, words string
		quote       []byte
		now         time.Time
	}{
		{"a certificate with a changed signature (legacy)", "", with(attesttest.Sample(t, "snp/snp_test-vcek-invalid-legacy.der")), recorded},
		{"a certificate with a changed signature (new)", "", with(attesttest.Sample(t, "snp/snp_test-vcek-invalid-new.der")), recorded},
		{"another chip's certificate", "of chip", with(set.Certificates()[0].Raw), recorded},
		{"no certificate", "no vcek certificate comes with the quote", report, recorded},
		{"before the certificate", "not yet valid", with(vcek), recorded.AddDate(-4, 0, 0)},
		{"after the certificate", "expired", with(vcek), recorded.AddDate(20, 0, 0)},
		{"no time", "no time is given", with(vcek), time.Time{}},
		{"another measurement", "not signed by the key", altered, recorded},
		{"half a report", "expected 1184", report[:700], recorded},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := snp.Verifier{}.Verify(c.quote, c.now)
			attesttest.Refused(t, err, attest.ErrQuote, c.words)
		})
	}
}

// The library comes to the same conclusion on what it can read.
func TestTheLibraryAgrees(t *testing.T) {
	report := attesttest.Sample(t, "snp/snp_test-report.bin")
	for _, name := range []string{"snp/snp_test-vcek.der", "snp/snp_test-vcek-invalid-legacy.der", "snp/snp_test-vcek-invalid-new.der"} {
		der := attesttest.Sample(t, name)
		p, err := abi.ReportToProto(report)
		if err != nil {
			t.Fatal(err)
		}
		evidence := &spb.Attestation{Report: p, CertificateChain: &spb.CertificateChain{VcekCert: der}}
		theirs := verify.SnpAttestation(evidence, &verify.Options{DisableCertFetching: true, Now: recorded})
		_, ours := snp.Verifier{}.Verify(append(bytes.Clone(report), snp.Table(snp.VCEK, der)...), recorded)
		if (theirs == nil) != (ours == nil) {
			t.Errorf("%s: the library says %v, this package %v", name, theirs, ours)
		}
		if theirs != nil {
			continue
		}
		for _, permit := range []bool{false, true} {
			theirs := validate.SnpAttestation(evidence, &validate.Options{
				GuestPolicy: abi.SnpPolicy{SMT: true}, PermitProvisionalFirmware: permit,
			})
			claims, err := snp.AMD().Verify(append(bytes.Clone(report), snp.Table(snp.VCEK, der)...), nil, recorded)
			if err != nil {
				t.Fatal(err)
			}
			zero := snp.TCB{}
			ours := snp.Policy{AllowMissingCRL: true, AllowProvisionalFirmware: permit, MinimumTCB: map[snp.Product]snp.MinimumTCB{snp.Milan: zero.Minimum(snp.Milan)}}.Check(claims)
			if (theirs == nil) != (ours == nil) {
				t.Errorf("provisional firmware allowed: %v: the library says %v, this package %v", permit, theirs, ours)
			}
		}
	}
}

// noNetwork fails a test that asks the network for something.
type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("asked the network for %s", r.URL)
	return nil, errors.New("no network")
}

func TestNoNetworkIsAsked(t *testing.T) {
	before := http.DefaultTransport
	http.DefaultTransport = noNetwork{t}
	defer func() { http.DefaultTransport = before }()
	a := snptest.New(t, snp.Milan)
	m := a.Machine(t, tcb)
	v := snp.Verifier{Roots: a.Roots()}
	if _, err := v.Verify(m.Quote(t, snptest.Report{}), snptest.Now); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(m.Report(t, snptest.Report{}), snptest.Now); err == nil {
		t.Error("a report without a certificate was accepted")
	}
	if _, err := (snp.Verifier{}).Verify(m.Quote(t, snptest.Report{}), snptest.Now); err == nil {
		t.Error("a report that AMD's roots know nothing of was accepted")
	}
}

var tcb = snp.TCB{Bootloader: 4, TEE: 1, SNP: 24, Microcode: 219}

func tcbOf(p snp.Product) snp.TCB {
	t := tcb
	if p == snp.Turin {
		t.FMC = 2
	}
	return t
}

// policy demands what a machine has.
func policy(t *testing.T, p snp.Product, change func(*snp.Policy)) []byte {
	t.Helper()
	pol := snp.Policy{MinimumTCB: map[snp.Product]snp.MinimumTCB{p: tcbOf(p).Minimum(p)}}
	if change != nil {
		change(&pol)
	}
	b, err := json.Marshal(pol)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEachProductAndKeyVerifies(t *testing.T) {
	for _, product := range []snp.Product{snp.Milan, snp.Genoa, snp.Turin} {
		a := snptest.New(t, product)
		v := snp.Verifier{Roots: a.Roots(), Collateral: func() *collateral.Set {
			return attesttest.Collateral(t, a.CRL(t, snptest.Now.Add(-time.Hour), snptest.Now.Add(time.Hour)))
		}}
		for _, m := range []*snptest.Machine{a.Machine(t, tcbOf(product)), a.Cloud(t, tcbOf(product), "some cloud")} {
			claims, err := v.Verify(m.Quote(t, snptest.Report{Measurement: [48]byte{1}, ReportData: [64]byte{2}}), snptest.Now)
			if err != nil {
				t.Errorf("%s, %s: %v", product, m.Signer, err)
				continue
			}
			own := claims.Own.(snp.Claims)
			if own.Report.Product != product || own.Report.Reported != m.TCB || own.Report.Signer != m.Signer || !own.Revocation.Current {
				t.Errorf("%s, %s: %+v", product, m.Signer, own)
			}
			var vlek []string
			if m.Signer == snp.VLEK {
				attesttest.Refused(t, claims.Satisfy(policy(t, product, nil)), attest.ErrPolicy, `VLEK of "some cloud"`)
				vlek = []string{"some cloud"}
			}
			if err := claims.Satisfy(policy(t, product, func(p *snp.Policy) { p.VLEK = vlek })); err != nil {
				t.Errorf("%s, %s: %v", product, m.Signer, err)
			}
			masked, err := v.Verify(m.Quote(t, snptest.Report{Masked: true}), snptest.Now)
			if err != nil || !bytes.Equal(masked.Own.(snp.Claims).Chip, m.Chip) {
				t.Errorf("%s, %s: with a masked chip: %+v, %v", product, m.Signer, masked, err)
			}
		}
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	a, b := snptest.New(t, snp.Milan), snptest.Stranger(t, snp.Milan)
	m, older, stranger := a.Machine(t, tcb), a.Machine(t, snp.TCB{Bootloader: 3}), b.Machine(t, tcb)
	cloud := a.Cloud(t, tcb, "cloud")
	good := snptest.Report{}
	with := func(report, der []byte) []byte { return append(bytes.Clone(report), snp.Table(snp.VCEK, der)...) }
	flip := func(at int) []byte { q := m.Quote(t, good); q[at] ^= 1; return q }
	long := append(m.Quote(t, good), make([]byte, 70<<10)...)
	for _, c := range []struct {
		name, words string
		quote       []byte
	}{
		{"another authority", "not AMD's for milan", stranger.Quote(t, good)},
		{"an older machine's certificate", "of chip", with(m.Report(t, good), older.Certificate)},
		{"a VLEK's certificate for a VCEK", "a vcek has signed", with(m.Report(t, good), cloud.Certificate)},
		{"a bit of the report data", "not signed by the key", flip(0x50)},
		{"a bit of the signature", "not signed by the key", flip(0x2a0)},
		{"a zero signature", "not signed by the key", m.Quote(t, snptest.Report{Signature: &[64]byte{}})},
		{"a bit of the reported TCB", "for the TCB", flip(0x180)},
		{"version 1", "version", m.Quote(t, snptest.Report{Version: 1})},
		{"a version that is to come", "version", m.Quote(t, snptest.Report{Version: 99})},
		{"a table without an end", "row of zeros", append(m.Report(t, good), bytes.Repeat([]byte{1, 0, 0, 0}, 4)...)},
		{"a table that points outside", "but the table has", func() []byte { q := m.Quote(t, good); copy(q[1184+16:], "\xff\xff\xff\xff\xff\xff\xff\xff"); return q }()},
		{"a long table", "expected 1184", long},
		{"a policy with an unknown bit", "policy", m.Quote(t, snptest.Report{Policy: 1 << 40})},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := snp.Verifier{Roots: a.Roots()}.Verify(c.quote, snptest.Now)
			attesttest.Refused(t, err, attest.ErrQuote, c.words)
			if !errors.Is(err, coco.ErrVerify) {
				t.Error("not coco.ErrVerify")
			}
		})
	}
}

func TestRevokedAndOutdated(t *testing.T) {
	a, other := snptest.New(t, snp.Genoa), snptest.Stranger(t, snp.Genoa)
	m := a.Machine(t, tcb)
	now := snptest.Now
	verify := func(files ...[]byte) (attest.Claims, error) {
		quote, err := collateral.Bundle(m.Quote(t, snptest.Report{}), attesttest.Collateral(t, files...))
		if err != nil {
			t.Fatal(err)
		}
		return snp.Verifier{Roots: a.Roots()}.Verify(quote, now)
	}
	fresh, old := a.CRL(t, now.Add(-time.Hour), now.Add(time.Hour)), a.CRL(t, now.Add(-48*time.Hour), now.Add(-time.Hour))
	for _, c := range []struct {
		name, words string
		files       [][]byte
	}{
		{"revoked", "has revoked the certificate of SEV-genoa", [][]byte{a.CRL(t, now.Add(-time.Hour), now.Add(time.Hour), snp.VCEK)}},
		{"revoked by a list that is out of date", "has revoked the certificate of SEV-genoa", [][]byte{fresh, a.CRL(t, now.Add(-48*time.Hour), now.Add(-time.Hour), snp.VCEK)}},
		{"a list of the future", "in the future", [][]byte{a.CRL(t, now.Add(time.Hour), now.Add(2*time.Hour))}},
		{"a list that another has signed", "revoked", [][]byte{other.CRL(t, now.Add(-time.Hour), now.Add(time.Hour))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := verify(c.files...)
			attesttest.Refused(t, err, attest.ErrQuote, c.words)
		})
	}
	claims, err := verify(a.CRL(t, now.Add(-time.Hour), now.Add(time.Hour), snp.VLEK), old)
	if err != nil {
		t.Fatalf("a list that revokes VLEKs' issuer: %v", err)
	}
	if err := claims.Satisfy(policy(t, snp.Genoa, nil)); err != nil {
		t.Error(err)
	}
	if claims, err = verify(old); err != nil {
		t.Fatal(err)
	}
	attesttest.Refused(t, claims.Satisfy(policy(t, snp.Genoa, nil)), attest.ErrPolicy, "was to be replaced at")
	if err := claims.Satisfy(policy(t, snp.Genoa, func(p *snp.Policy) { p.AllowMissingCRL = true })); err != nil {
		t.Error(err)
	}
}

func TestPolicy(t *testing.T) {
	a := snptest.New(t, snp.Milan)
	m := a.Machine(t, tcb)
	crl := attesttest.Collateral(t, a.CRL(t, snptest.Now.Add(-time.Hour), snptest.Now.Add(time.Hour)))
	lower := func(change func(*snp.TCB)) *snp.TCB { l := tcb; change(&l); return &l }
	type change = func(*snp.Policy)
	for _, c := range []struct {
		name, words string
		kind        error // none: satisfied
		report      snptest.Report
		policy      change
	}{
		{name: "as demanded"},
		{"another VMPL", "VMPL 2, expected 0", attest.ErrPolicy, snptest.Report{VMPL: 2}, nil},
		{"the VMPL of a guest below a module", "", nil, snptest.Report{VMPL: 2}, func(p *snp.Policy) { p.VMPL = 2 }},
		{"migration", "migration agent", attest.ErrPolicy, snptest.Report{Migration: true}, nil},
		{"migration that is allowed", "", nil, snptest.Report{Migration: true}, func(p *snp.Policy) { p.AllowMigration = true }},
		{"a sibling thread", "forbid_smt", attest.ErrPolicy, snptest.Report{}, func(p *snp.Policy) { p.ForbidSMT = true }},
		{"no sibling thread", "", nil, snptest.Report{NoSMT: true}, func(p *snp.Policy) { p.ForbidSMT = true }},
		{"two sockets", "socket", attest.ErrPolicy, snptest.Report{}, func(p *snp.Policy) { p.RequireSingleSocket = true }},
		{"one socket", "", nil, snptest.Report{Policy: 1 << 20}, func(p *snp.Policy) { p.RequireSingleSocket = true }},
		{"ciphertext", "ciphertext", attest.ErrPolicy, snptest.Report{Policy: 1 << 24}, func(p *snp.Policy) { p.RequireCiphertextHiding = true }},
		{"hidden ciphertext", "", nil, snptest.Report{Policy: 1 << 24, Platform: 1 << 4}, func(p *snp.Policy) { p.RequireCiphertextHiding = true }},
		{"aliases", "aliases", attest.ErrPolicy, snptest.Report{}, func(p *snp.Policy) { p.RequireAliasCheck = true }},
		{"no aliases", "", nil, snptest.Report{Platform: 1 << 5}, func(p *snp.Policy) { p.RequireAliasCheck = true }},
		{"no line for the product", "no line for milan", attest.ErrPolicy, snptest.Report{}, func(p *snp.Policy) { p.MinimumTCB = nil }},
		{"newer microcode", "microcode 219, expected 220", attest.ErrTCB, snptest.Report{}, func(p *snp.Policy) {
			p.MinimumTCB[snp.Milan] = lower(func(t *snp.TCB) { t.Microcode++ }).Minimum(snp.Milan)
		}},
		{"newer bootloader", "bootloader 4, expected 5", attest.ErrTCB, snptest.Report{}, func(p *snp.Policy) {
			p.MinimumTCB[snp.Milan] = lower(func(t *snp.TCB) { t.Bootloader++ }).Minimum(snp.Milan)
		}},
		{"launched by older firmware", "launch TCB has snp 23", attest.ErrTCB, snptest.Report{Launch: lower(func(t *snp.TCB) { t.SNP-- })}, nil},
		{"committed to older firmware", "committed TCB has snp 23", attest.ErrTCB, snptest.Report{Committed: lower(func(t *snp.TCB) { t.SNP-- })}, nil},
		{"may go back", "may go back", attest.ErrPolicy, snptest.Report{Committed: lower(func(t *snp.TCB) { t.SNP-- })}, func(p *snp.Policy) {
			p.MinimumTCB[snp.Milan] = lower(func(t *snp.TCB) { t.SNP = 1 }).Minimum(snp.Milan)
		}},
		{"an older guest", "its guest has version 0", attest.ErrTCB, snptest.Report{}, func(p *snp.Policy) { p.MinimumGuestSVN = 1 }},
		{"another chip", "chips does not list", attest.ErrPolicy, snptest.Report{}, func(p *snp.Policy) { p.Chips = []string{strings.Repeat("0", 128)} }},
		{"this chip", "", nil, snptest.Report{}, func(p *snp.Policy) { p.Chips = []string{hex.EncodeToString(m.Chip)} }},
		{"other host data", "host_data does not list", attest.ErrPolicy, snptest.Report{HostData: [32]byte{1}}, func(p *snp.Policy) { p.HostData = []string{strings.Repeat("0", 64)} }},
		{"another id key", "id_keys does not list", attest.ErrPolicy, snptest.Report{}, func(p *snp.Policy) { p.IDKeys = []string{strings.Repeat("1", 96)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims, err := a.Roots().Verify(m.Quote(t, c.report), crl, snptest.Now)
			if err != nil {
				t.Fatal(err)
			}
			pol := policy(t, snp.Milan, c.policy)
			if err := (snp.Verifier{}).ValidatePolicy(pol); err != nil {
				t.Fatal(err)
			}
			err = claims.Satisfy(pol)
			switch {
			case c.kind == nil && err != nil:
				t.Error(err)
			case c.kind != nil:
				attesttest.Refused(t, err, c.kind, c.words)
				if c.kind == attest.ErrPolicy && errors.Is(err, attest.ErrTCB) {
					t.Error("says that newer firmware would do")
				}
			}
		})
	}
}

func TestAMDsRootsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range snp.AMD() {
		seen[string(r.Product)+" "+string(r.Signer)] = true
		for _, c := range []struct{ child, parent *x509.Certificate }{{r.Root, r.Root}, {r.Issuer, r.Root}} {
			if err := c.child.CheckSignatureFrom(c.parent); err != nil {
				t.Errorf("%s, %s: %s: %v", r.Product, r.Signer, c.child.Subject.CommonName, err)
			}
		}
		if !strings.EqualFold(r.Root.Subject.CommonName, "ARK-"+string(r.Product)) {
			t.Errorf("%s has root %s", r.Product, r.Root.Subject.CommonName)
		}
		if vlek := strings.Contains(r.Issuer.Subject.CommonName, "VLEK"); vlek != (r.Signer == snp.VLEK) {
			t.Errorf("%s, %s: issuer %s", r.Product, r.Signer, r.Issuer.Subject.CommonName)
		}
	}
	if len(seen) != 6 {
		t.Errorf("found %v", seen)
	}
}

func TestClaimsSatisfyWhatTheyDemand(t *testing.T) {
	older := tcb
	older.SNP--
	for _, product := range []snp.Product{snp.Milan, snp.Turin} {
		a := snptest.New(t, product)
		for _, m := range []*snptest.Machine{a.Machine(t, tcbOf(product)), a.Cloud(t, tcbOf(product), "cloud")} {
			for _, r := range []snptest.Report{{}, {VMPL: 2, Migration: true}, {Committed: &older, Launch: &older}} {
				claims, err := a.Roots().Verify(m.Quote(t, r), nil, snptest.Now)
				if err != nil {
					t.Fatal(err)
				}
				policy, err := claims.Demand()
				if err != nil {
					t.Fatal(err)
				}
				if err := claims.Satisfy(policy); err != nil {
					t.Errorf("%s: %v", policy, err)
				}
				if len(claims.Explain()) < 8 {
					t.Errorf("explained by %v", claims.Explain())
				}
			}
		}
	}
}

func TestDebugIsAClaim(t *testing.T) {
	a := snptest.New(t, snp.Milan)
	claims, err := snp.Verifier{Roots: a.Roots()}.Verify(a.Machine(t, tcb).Quote(t, snptest.Report{Debug: true}), snptest.Now)
	if err != nil || !claims.Debug {
		t.Fatalf("%+v, %v", claims, err)
	}
	err = attest.Check(claims, "", nil, nil, []coco.Measurement{claims.Measurement})
	attesttest.Refused(t, err, attest.ErrDebug, "debug")
}

func TestPoliciesWithoutMeaningAreRefused(t *testing.T) {
	full := `{"bootloader": 1, "tee": 1, "snp": 1, "microcode": 1}`
	for _, c := range []struct{ policy, words string }{
		{`{"minimum": 1}`, "minimum"},
		{`{"minimum_tcb": {"milan": {"bootloader": 1, "tee": 1, "snp": 1}}}`, "minimum_tcb.milan"},
		{`{"minimum_tcb": {"milan": {"fmc": 1, "bootloader": 1, "tee": 1, "snp": 1, "microcode": 1}}}`, "fmc"},
		{`{"minimum_tcb": {"turin": ` + full + `}}`, "minimum_tcb.turin"},
		{`{"minimum_tcb": {"rome": ` + full + `}}`, "rome"},
		{`{"minimum_tcb": {"milan": {"bootloader": 256}}}`, "bootloader"},
		{`{"vmpl": 4}`, "vmpl"},
		{`{"vlek": [""]}`, "vlek"},
		{`{"chips": ["AA"]}`, "chips[0]"},
		{`{"host_data": ["00"]}`, "host_data[0]"},
		{`{"id_keys": ["` + strings.Repeat("Z", 96) + `"]}`, "id_keys[0]"},
		{`[]`, "object"},
	} {
		err := snp.Verifier{}.ValidatePolicy([]byte(c.policy))
		attesttest.Refused(t, err, coco.ErrInvalid, c.words)
		if err := (snp.Claims{}).Satisfy([]byte(c.policy)); !errors.Is(err, attest.ErrPolicy) {
			t.Errorf("%s: satisfied: %v", c.policy, err)
		}
	}
	if err := (snp.Verifier{}).ValidatePolicy([]byte(`{"minimum_tcb": {"milan": ` + full + `}}`)); err != nil {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	a := snptest.New(f, snp.Milan)
	m := a.Fixed(f, tcb)
	good := m.Quote(f, snptest.Report{})
	f.Add(good)
	f.Add(good[:snp.ReportSize])
	bundle, err := collateral.Bundle(good, attesttest.Collateral(f, a.CRL(f, snptest.Now.Add(-time.Hour), snptest.Now.Add(time.Hour))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bundle)
	v := snp.Verifier{Roots: a.Roots()}
	f.Fuzz(func(t *testing.T, quote []byte) {
		claims, err := v.Verify(quote, snptest.Now)
		if err != nil {
			if !errors.Is(err, attest.ErrQuote) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		// What verifies says what was signed, however it is wrapped.
		if inner, _, err := collateral.Split(quote); err != nil || !bytes.Equal(inner[:0x2a0], good[:0x2a0]) {
			t.Errorf("accepted a report that was not signed: %+v", claims)
		}
	})
}
