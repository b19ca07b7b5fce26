package dcap_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
	"github.com/cocoframework/coco/attest/dcap/dcaptest"
)

var made = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// place is a vendor, one of its machines, a report, and the time: everything that a fault can be in.
type place struct {
	*dcaptest.Vendor
	m   *dcaptest.Machine
	sgx dcap.SGXReport
	td  dcap.TDReport
	now time.Time
}

// verify makes a quote of the version and verifies it; the TEE is SGX or, for tdx, a TD.
func (p *place) verify(tdx bool) (dcap.TCB, error) {
	var b []byte
	if tdx {
		b = p.m.TDX(p.td)
	} else {
		b = p.m.SGX(p.sgx)
	}
	q, err := dcap.Parse(b)
	if err != nil {
		return dcap.TCB{}, err
	}
	return dcap.Verify(q, p.Collateral(), p.Root.Certificate, p.now)
}

func newPlace(t *testing.T, version uint16, tdx bool) *place {
	t.Helper()
	v := dcaptest.New(t, made)
	p := &place{Vendor: v, m: v.Machine(version), now: made.AddDate(0, 0, 10), sgx: dcap.SGXReport{Attributes: [16]byte{5}}, td: dcap.TDReport{Attributes: [8]byte{3: 0x10}}}
	p.td.TCBSVN = [16]byte{6, 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}
	if tdx {
		p.m.QE.ISVProdID = 2
	}
	return p
}

func TestQuotesOfAllVersionsVerify(t *testing.T) {
	for _, c := range []struct {
		version uint16
		tdx     bool
	}{{3, false}, {4, false}, {5, false}, {4, true}, {5, true}} {
		p := newPlace(t, c.version, c.tdx)
		tcb, err := p.verify(c.tdx)
		if err != nil || tcb.Status != collateral.UpToDate || len(tcb.Advisories) > 0 || !tcb.Revocation || tcb.Evaluation != 17 || !tcb.SMT || !tcb.Expires.Equal(made.AddDate(0, 0, 30)) {
			t.Errorf("version %d, TDX %t: found %+v, %v", c.version, c.tdx, tcb, err)
		}
		if err := (dcap.Policy{}).Satisfy(tcb); err != nil {
			t.Errorf("version %d, TDX %t: %v", c.version, c.tdx, err)
		}
	}
}

func TestStatusIsTheWorstOfProcessorEnclaveAndModule(t *testing.T) {
	for name, c := range map[string]struct {
		change     func(*place)
		status     collateral.Status
		advisories string
	}{
		"processor":              {func(p *place) { p.m.SVN[3] = 6 }, collateral.SWHardeningNeeded, "INTEL-SA-00615"},
		"one component decides":  {func(p *place) { p.m.SVN[15] = 5 }, collateral.OutOfDate, "INTEL-SA-00586 INTEL-SA-00615"},
		"PCE":                    {func(p *place) { p.m.PCESVN = 11 }, collateral.OutOfDate, "INTEL-SA-00586 INTEL-SA-00615"},
		"quoting enclave":        {func(p *place) { p.m.QE.ISVSVN = 7 }, collateral.OutOfDate, "INTEL-SA-00615"},
		"TDX component":          {func(p *place) { p.td.TCBSVN[2] = 4 }, collateral.SWHardeningNeeded, "INTEL-SA-00615"},
		"module":                 {func(p *place) { p.td.TCBSVN[0] = 3 }, collateral.OutOfDate, "INTEL-SA-01036"},
		"module and enclave":     {func(p *place) { p.td.TCBSVN[0], p.m.QE.ISVSVN = 2, 6 }, collateral.OutOfDate, "INTEL-SA-00615 INTEL-SA-01036"},
		"module of version 0":    {func(p *place) { p.td.TCBSVN[0], p.td.TCBSVN[1] = 4, 0 }, collateral.SWHardeningNeeded, "INTEL-SA-00615"},
		"configuration":          {func(p *place) { p.TDX.Levels[0].Status = collateral.ConfigurationNeeded }, collateral.ConfigurationNeeded, ""},
		"configured, old module": {func(p *place) { p.TDX.Levels[0].Status, p.td.TCBSVN[0] = collateral.ConfigurationNeeded, 2 }, collateral.OutOfDateConfigurationNeeded, "INTEL-SA-01036"},
	} {
		p := newPlace(t, 4, true)
		c.change(p)
		tcb, err := p.verify(true)
		if err != nil || tcb.Status != c.status || strings.Join(tcb.Advisories, " ") != c.advisories {
			t.Errorf("%s: found %s %v, %v, expected %s %s", name, tcb.Status, tcb.Advisories, err, c.status, c.advisories)
		}
		if err := (dcap.Policy{}).Satisfy(tcb); !errors.Is(err, attest.ErrTCB) {
			t.Errorf("%s satisfies the defaults: %v", name, err)
		}
	}
}

func TestEachFaultIsRefusedForItsReason(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*place)
		want   string
	}{
		"revoked PCK certificate": {func(p *place) {
			_, _ = p.verify(true) // makes the certificate
			p.PCKCRL.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: p.m.PCK.Certificate.SerialNumber, RevocationTime: made}}
		}, `certificate "Intel SGX PCK Certificate" with serial number 4 is revoked`},
		"revoked CA": {func(p *place) {
			p.RootCRL.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: p.PCKCA.Certificate.SerialNumber, RevocationTime: made}}
		}, `certificate "Intel SGX PCK Platform CA" with serial number 2 is revoked`},
		"revoked signer of collateral": {func(p *place) {
			p.RootCRL.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: p.Signer.Certificate.SerialNumber, RevocationTime: made}}
		}, `certificate "Intel SGX TCB Signing" with serial number 3 is revoked`},
		"revoked TCB":           {func(p *place) { p.m.SVN[0] = 1 }, "Intel has revoked this TCB"},
		"revoked QE":            {func(p *place) { p.m.QE.ISVSVN = 1 }, "Intel has revoked this TCB"},
		"unsupported TCB":       {func(p *place) { p.m.SVN[0] = 0 }, "the TCB info has no level"},
		"unsupported QE":        {func(p *place) { p.m.QE.ISVSVN = 0 }, "the quoting enclave has SVN 0"},
		"unsupported module":    {func(p *place) { p.td.TCBSVN[0] = 1 }, "TDX module of version 1 has SVN 1"},
		"unknown module":        {func(p *place) { p.td.TCBSVN[1] = 2 }, "knows no TDX module of version 2"},
		"module of others":      {func(p *place) { p.td.MRSIGNERSEAM[0] = 1 }, "are none of Intel's"},
		"module in debug mode":  {func(p *place) { p.td.SEAMAttributes[0] = 1 }, "are none of Intel's"},
		"another FMSPC":         {func(p *place) { p.m.FMSPC[0] = 1 }, "no TCB info of TDX for FMSPC 01606A000001"},
		"QE of others":          {func(p *place) { p.m.QE.MRSIGNER[0] ^= 1 }, "the quoting enclave is not Intel's TD_QE: signer"},
		"QE of SGX":             {func(p *place) { p.m.QE.ISVProdID = 1 }, "the quoting enclave is not Intel's TD_QE: product 1"},
		"QE in debug mode":      {func(p *place) { p.m.QE.Attributes[0] |= 2 }, "the quoting enclave is not Intel's TD_QE: attributes"},
		"QE with exceptions":    {func(p *place) { p.m.QE.MiscSelect[0] = 1 }, "the quoting enclave is not Intel's TD_QE: MISCSELECT"},
		"wrong attestation key": {func(p *place) { p.m.QuoteWith = p.Signer.Key }, "the report is not signed by the attestation key"},
		"wrong PCK":             {func(p *place) { p.m.ReportWith = p.Signer.Key }, "the QE report is not signed by the PCK certificate's key"},
		"wrong root": {func(p *place) {
			p.Root = p.Authority("Intel SGX Root CA", true, nil)
		}, `certificate "Intel SGX PCK Platform CA" is not signed by "Intel SGX Root CA"`},
		"PCK CA of others": {func(p *place) {
			root := p.Authority("Intel SGX Root CA", true, nil)
			ca := p.Authority("Intel SGX PCK Platform CA", true, &root)
			p.m.CA, p.m.Chain = ca, []dcaptest.Authority{ca, root}
		}, `certificate "Intel SGX PCK Platform CA" is not signed by "Intel SGX Root CA"`},
		"PCK issued by a signer of collateral": {func(p *place) {
			p.m.CA, p.m.Chain = p.Signer, []dcaptest.Authority{p.Signer, p.Root}
		}, `its issuer, "Intel SGX TCB Signing", is neither in the quote nor in the collateral, or is no CA of PCK certificates`},
		"PCK of no CA": {func(p *place) {
			ca := p.Authority("Intel SGX PCK Platform CA", false, &p.Root)
			p.m.CA, p.m.Chain = ca, []dcaptest.Authority{ca}
		}, `certificate "Intel SGX PCK Certificate" is not signed by "Intel SGX PCK Platform CA"`},
		"no chain":        {func(p *place) { p.m.Chain = nil }, "is neither in the quote nor in the collateral"},
		"signed by a PCK": {func(p *place) { _, _ = p.verify(true); p.SignCollateralWith = p.m.PCK }, "is not signed by"},
		"collateral by a CA": {func(p *place) {
			a := p.Authority("Intel SGX TCB Signing", true, &p.Root)
			p.SignCollateralWith, p.SignerOfCertificates = &a, &a
		}, `the collateral has no certificate "Intel SGX TCB Signing"`},
		"collateral by another name": {func(p *place) {
			a := p.Authority("Intel SGX PCK Processor CA", false, &p.Root)
			p.SignCollateralWith, p.SignerOfCertificates = &a, &a
		}, `the collateral has no certificate "Intel SGX TCB Signing"`},
		"collateral of others": {func(p *place) {
			root := p.Authority("Intel SGX Root CA", true, nil)
			a := p.Authority("Intel SGX TCB Signing", false, &root)
			p.SignCollateralWith, p.SignerOfCertificates = &a, &a
		}, `certificate "Intel SGX TCB Signing" is not signed by "Intel SGX Root CA"`},
		"collateral of tomorrow":  {func(p *place) { p.TDX.IssueDate = p.now.Add(time.Hour).Format(time.RFC3339) }, "TCB info of TDX for FMSPC 00606A000001 and PCE-ID 0000 is valid from"},
		"certificate of tomorrow": {func(p *place) { p.now = made.Add(-time.Hour) }, "is valid from"},
		"expired long ago":        {func(p *place) { p.now = made.AddDate(0, 0, 61) }, "its collateral expired at"},
	} {
		p := newPlace(t, 4, true)
		c.change(p)
		if _, err := p.verify(true); !errors.Is(err, attest.ErrQuote) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected %q", name, err, c.want)
		}
	}
}

func TestWithoutCRLsTheDefaultsRefuse(t *testing.T) {
	p := newPlace(t, 3, false)
	p.WithoutCRLs = true
	tcb, err := p.verify(false)
	if err != nil || tcb.Revocation {
		t.Fatalf("found %+v, %v", tcb, err)
	}
	if err := (dcap.Policy{}).Satisfy(tcb); !errors.Is(err, attest.ErrPolicy) || errors.Is(err, attest.ErrTCB) {
		t.Errorf("found %v", err)
	}
	if err := (dcap.Policy{WithoutCRL: true}).Satisfy(tcb); err != nil {
		t.Error(err)
	}
}

func TestRevocationInAnOlderListCounts(t *testing.T) {
	p := newPlace(t, 3, false)
	q, err := dcap.Parse(p.m.SGX(p.sgx))
	if err != nil {
		t.Fatal(err)
	}
	older := *p.PCKCRL
	older.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: p.m.PCK.Certificate.SerialNumber, RevocationTime: made}}
	newer := p.Collateral()
	p.PCKCRL = &older
	both, err := collateral.Merge(newer, p.Collateral())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dcap.Verify(q, newer, p.Root.Certificate, p.now); err != nil {
		t.Error(err)
	}
	if _, err := dcap.Verify(q, both, p.Root.Certificate, p.now); err == nil || !strings.Contains(err.Error(), "is revoked") {
		t.Errorf("found %v", err)
	}
}

func TestNewestCollateralDecides(t *testing.T) {
	p := newPlace(t, 3, false)
	q, err := dcap.Parse(p.m.SGX(p.sgx))
	if err != nil {
		t.Fatal(err)
	}
	older := p.Collateral()
	p.SGX.Evaluation, p.SGX.Levels = 18, slices.Clone(p.SGX.Levels)
	p.SGX.Levels[0].TCB = map[string]any{"sgxtcbcomponents": dcaptest.Components(8), "pcesvn": 13} // a TCB recovery
	both, err := collateral.Merge(older, p.Collateral())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set    *collateral.Set
		now    time.Time
		status collateral.Status
	}{
		{older, p.now, collateral.UpToDate},
		{both, p.now, collateral.SWHardeningNeeded},
		{both, made.AddDate(0, 0, 40), collateral.SWHardeningNeeded}, // both have expired
	} {
		tcb, err := dcap.Verify(q, c.set, p.Root.Certificate, c.now)
		if err != nil || tcb.Status != c.status {
			t.Errorf("found %s, %v, expected %s", tcb.Status, err, c.status)
		}
	}
	// Evidence carries what it needs of it, and no more.
	p.SGX.FMSPC = "00906ed50000"
	other, err := collateral.Merge(both, p.Collateral())
	if err != nil {
		t.Fatal(err)
	}
	needed := dcap.Needed(q, other)
	if len(needed.Of(collateral.TCBInfo)) != 2 || len(needed.Items()) >= len(other.Items()) {
		t.Errorf("found %v", needed.Items())
	}
	if tcb, err := dcap.Verify(q, needed, p.Root.Certificate, p.now); err != nil || tcb.Status != collateral.SWHardeningNeeded || !tcb.Revocation {
		t.Errorf("found %+v, %v", tcb, err)
	}
}

func TestMalformedQuotesAreRefused(t *testing.T) {
	p := newPlace(t, 4, true)
	whole := p.m.TDX(p.td)
	change := func(at int, b ...byte) []byte {
		c := slices.Clone(whole)
		copy(c[at:], b)
		return c
	}
	five := newPlace(t, 5, true)
	for name, b := range map[string][]byte{
		"empty": {}, "version 2": change(0, 2), "version 6": change(0, 6), "TDX in version 3": change(0, 3), "RSA key": change(2, 3), "TEE type": change(4, 0x80), "vendor": change(12, 0),
		"huge signature data": change(632, 0xff, 0xff, 0xff, 0xff), "short signature data": change(632, 10, 0, 0, 0), "huge certification data": change(632+4+128+2, 0xff, 0xff, 0xff, 0xff),
		"bytes follow": append(slices.Clone(whole), 1), "no PEM": change(len(whole)-1000, make([]byte, 1000)...),
		"another report": func() []byte { b := five.m.TDX(five.td); b[48] = 2; return b }(),
		"SGX in TDX":     func() []byte { b := five.m.TDX(five.td); b[48] = 1; return b }(),
	} {
		if _, err := dcap.Parse(b); !errors.Is(err, attest.ErrQuote) {
			t.Errorf("%s: found %v", name, err)
		}
	}
	for n := 0; n < len(whole)-30; n += 17 {
		if _, err := dcap.Parse(whole[:n]); !errors.Is(err, attest.ErrQuote) {
			t.Fatalf("cut at %d: found %v", n, err)
		}
	}
	if _, err := dcap.Parse(append(slices.Clone(whole), 0, 0, 0)); err != nil {
		t.Errorf("zero bytes after it: %v", err)
	}
	p.m.Certification = 2
	if _, err := dcap.Parse(p.m.TDX(p.td)); err == nil || !strings.Contains(err.Error(), "PCCS") {
		t.Errorf("found %v", err)
	}
}

func TestPoliciesAreValidated(t *testing.T) {
	for _, p := range []dcap.Policy{{}, {Status: []collateral.Status{collateral.OutOfDate}}, {FMSPC: []string{"00606A000001"}}, {Grace: 30}} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []dcap.Policy{{Status: []collateral.Status{collateral.Revoked}}, {Status: []collateral.Status{"Fine"}}, {FMSPC: []string{"0060"}}, {Grace: 31}, {Grace: -1}} {
		if err := p.Validate(); err == nil {
			t.Errorf("%+v is valid", p)
		}
	}
}

func FuzzVerify(f *testing.F) {
	// The seeds are made anew for every run: a fuzz test wants a vendor whose root it knows.
	v := dcaptest.New(f, made)
	set := v.Collateral()
	for _, version := range []uint16{3, 4, 5} {
		f.Add(v.Machine(version).SGX(dcap.SGXReport{}))
	}
	m := v.Machine(4)
	m.QE.ISVProdID = 2
	f.Add(m.TDX(dcap.TDReport{TCBSVN: [16]byte{6, 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := dcap.Parse(b)
		if err == nil {
			_, err = dcap.Verify(q, set, v.Root.Certificate, made.AddDate(0, 0, 1))
		}
		if err != nil && !errors.Is(err, attest.ErrQuote) {
			t.Errorf("error of no kind: %v", err)
		}
	})
}

func TestDevicesPickWhatAVerifierNeeds(t *testing.T) {
	p := newPlace(t, 3, false)
	quote := p.m.SGX(p.sgx)
	all := p.Collateral()
	picked := dcap.Pick(quote, all)
	if n := len(picked.Items()); n == 0 || n >= len(all.Items()) {
		t.Errorf("picked %d of %d items", n, len(all.Items()))
	}
	evidence, err := collateral.Bundle(quote, picked)
	if err != nil {
		t.Fatal(err)
	}
	if _, tcb, err := dcap.VerifyEvidence(evidence, nil, p.Root.Certificate, p.now); err != nil || tcb.Status != collateral.UpToDate || !tcb.Revocation {
		t.Errorf("found %+v, %v", tcb, err)
	}
	if n := len(dcap.Pick([]byte("no quote"), all).Items()); n != len(all.Items()) {
		t.Errorf("of what is no quote it picked %d items", n)
	}
}
