package dcap_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
)

func set(t testing.TB, names ...string) *collateral.Set {
	t.Helper()
	var files [][]byte
	for _, n := range names {
		files = append(files, attesttest.Sample(t, n))
	}
	return attesttest.Collateral(t, files...)
}

func parsed(t testing.TB, name string) *dcap.Quote {
	t.Helper()
	q, err := dcap.Parse(attesttest.Sample(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

const sgxFolder = "sgx/tcb_info_v3_fmspc_00606A000000"

var (
	thenSGX = time.Date(2022, 12, 25, 0, 0, 0, 0, time.UTC)
	thenTDX = time.Date(2025, 6, 25, 0, 0, 0, 0, time.UTC)
)

func TestRecordedSGXQuoteVerifies(t *testing.T) {
	s := set(t, sgxFolder+".json", sgxFolder+"_certs.pem", "sgx/qe_identity_v2.json")
	q := parsed(t, "sgx/quote_v3_ecdsa_p256_pck_chain.bin")
	tcb, err := dcap.Verify(q, s, dcap.IntelRoot(), thenSGX)
	if err != nil || q.Version != 3 || q.SGX == nil {
		t.Fatalf("version %d, %v", q.Version, err)
	}
	if tcb.Status != collateral.SWHardeningNeeded || !slices.Equal(tcb.Advisories, []string{"INTEL-SA-00615", "INTEL-SA-00657"}) || tcb.Evaluation != 13 || tcb.Revocation || tcb.SMT ||
		tcb.Expired != 0 || !tcb.Expires.Equal(time.Date(2023, 1, 15, 12, 45, 36, 0, time.UTC)) {
		t.Errorf("found %+v", tcb)
	}
	for policy, want := range map[*dcap.Policy]error{
		{}:                 attest.ErrPolicy, // no CRL was recorded
		{WithoutCRL: true}: attest.ErrTCB,
		{WithoutCRL: true, Status: []collateral.Status{collateral.SWHardeningNeeded}}:                                             attest.ErrTCB,
		{WithoutCRL: true, Status: []collateral.Status{collateral.SWHardeningNeeded}, Advisories: tcb.Advisories}:                 nil,
		{WithoutCRL: true, Status: []collateral.Status{collateral.SWHardeningNeeded}, Advisories: tcb.Advisories, Evaluation: 14}: attest.ErrTCB,
	} {
		if err := policy.Satisfy(tcb); !errors.Is(err, want) {
			t.Errorf("%+v: found %v, expected %v", policy, err, want)
		}
	}
}

func TestRecordedSGXQuoteIsRefused(t *testing.T) {
	q := "sgx/quote_v3_ecdsa_p256_pck_chain.bin"
	info, certs, qe := sgxFolder+".json", sgxFolder+"_certs.pem", "sgx/qe_identity_v2.json"
	for _, c := range []struct {
		name, quote string
		files       []string
		now         time.Time
		want        string
	}{
		{"wrong issuer chain", q, []string{info, sgxFolder + "_certs_bad.pem", qe}, thenSGX, `the collateral has no certificate "Intel SGX TCB Signing"`},
		{"no TCB info", q, []string{certs, qe}, thenSGX, "the collateral has no TCB info of SGX for FMSPC 00606A000000"},
		{"no QE identity", q, []string{info, certs}, thenSGX, "the collateral has no identity of the quoting enclave QE"},
		{"another platform's collateral", q, []string{"tdx/tdx_quote_collateral.json"}, thenTDX, "the collateral has no TCB info of SGX"},
		{"before the collateral", q, []string{info, certs, qe}, thenSGX.AddDate(0, 0, -10), "is valid from 2022-12-19"},
		{"before the certificate", q, []string{info, certs, qe}, thenSGX.AddDate(0, -1, 0), `certificate "Intel SGX PCK Certificate" is valid from 2022-12-05`},
		{"long after the collateral", q, []string{info, certs, qe}, thenSGX.AddDate(0, 3, 0), "its collateral expired at 2023-01-15"},
		{"TDX without collateral of its family", "tdx/debug_quote_v4.bin", []string{"tdx/tdx_quote_collateral.json"}, thenTDX, "no TCB info of TDX for FMSPC 50806F000000"},
	} {
		_, err := dcap.Verify(parsed(t, c.quote), set(t, c.files...), dcap.IntelRoot(), c.now)
		if !errors.Is(err, attest.ErrQuote) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected %q", c.name, err, c.want)
		}
	}
}

func TestRecordedQuoteWithoutItsCertificateIsRefused(t *testing.T) {
	_, err := dcap.Parse(attesttest.Sample(t, "sgx/quote_v3_ecdsa_p256_eppid.bin"))
	if !errors.Is(err, attest.ErrQuote) || !strings.Contains(err.Error(), "certification data of type 3") {
		t.Errorf("found %v", err)
	}
}

func TestRecordedTDXQuoteIsUpToDate(t *testing.T) {
	s := set(t, "tdx/tdx_quote_collateral.json")
	q := parsed(t, "tdx/tdx_quote")
	tcb, err := dcap.Verify(q, s, dcap.IntelRoot(), thenTDX)
	if err != nil || q.Version != 4 || q.TD == nil {
		t.Fatalf("version %d, %v", q.Version, err)
	}
	if tcb.Status != collateral.UpToDate || len(tcb.Advisories) > 0 || tcb.Evaluation != 17 || !tcb.Revocation {
		t.Errorf("found %+v", tcb)
	}
	if err := (dcap.Policy{}).Satisfy(tcb); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	if err := (dcap.Policy{FMSPC: []string{"b0c06f000000"}, Evaluation: 17}).Satisfy(tcb); err != nil {
		t.Error(err)
	}
	// Its collateral expires, and has a grace that the policy gives.
	late, err := dcap.Verify(q, s, dcap.IntelRoot(), tcb.Expires.Add(5*24*time.Hour))
	if err != nil || late.Expired != 5*24*time.Hour {
		t.Fatalf("expired for %s, %v", late.Expired, err)
	}
	for days, want := range map[int]error{0: attest.ErrTCB, 4: attest.ErrTCB, 5: nil} {
		if err := (dcap.Policy{Grace: days}).Satisfy(late); !errors.Is(err, want) {
			t.Errorf("grace of %d days: %v", days, err)
		}
	}
	if _, err := dcap.Verify(q, s, dcap.IntelRoot(), tcb.Expires.Add(dcap.MaxGrace+time.Second)); !errors.Is(err, attest.ErrQuote) {
		t.Errorf("long after: %v", err)
	}
}

func TestRecordedQuotesHoldTheirSignatures(t *testing.T) {
	for name, now := range map[string]time.Time{
		"sgx/debug_quote.bin": time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), "tdx/debug_quote_v4.bin": thenTDX, "tdx/tdx_quote": thenTDX, "sgx/quote_v3_ecdsa_p256_pck_chain.bin": thenSGX,
	} {
		b := attesttest.Sample(t, name)
		q := parsed(t, name)
		if pck, err := q.CheckSignatures(nil, dcap.IntelRoot(), now); err != nil || pck.FMSPC == [6]byte{} {
			t.Errorf("%s: %v, %v", name, pck, err)
		}
		for _, at := range []int{8, 60, 300, len(b) - 4100, len(b) - 3900} { // header, report, QE report and its signature
			damaged := slices.Clone(b)
			damaged[at] ^= 1
			q, err := dcap.Parse(damaged)
			if err == nil {
				_, err = q.CheckSignatures(nil, dcap.IntelRoot(), now)
			}
			if !errors.Is(err, attest.ErrQuote) {
				t.Errorf("%s, byte %d: found %v", name, at, err)
			}
		}
	}
}
