package tdx_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
	"github.com/cocoframework/coco/attest/dcap/dcaptest"
	"github.com/cocoframework/coco/attest/tdx"
)

var made = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func td() dcap.TDReport {
	return dcap.TDReport{
		TCBSVN: [16]byte{6, 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}, Attributes: [8]byte{3: 0x10}, MRTD: [48]byte{1}, RTMR: [4][48]byte{{2}, {3}, {4}, {5}},
		ReportData: attest.ReportData("join", []byte("key"), []byte("nonce")),
	}
}

func machine(v *dcaptest.Vendor, version uint16) *dcaptest.Machine {
	m := v.Machine(version)
	m.QE.ISVProdID = 2
	return m
}

func TestEvidenceIsCheckedFromItsSignatureToItsBinding(t *testing.T) {
	v := dcaptest.New(t, made)
	allowed := []coco.Measurement{tdx.Measure(td().MRTD, td().RTMR)}
	check := func(version uint16, r dcap.TDReport, key, nonce string) error {
		evidence, err := collateral.Bundle(machine(v, version).TDX(r), v.Collateral())
		if err != nil {
			t.Fatal(err)
		}
		claims, err := attest.Verifiers{tdx.Verifier{Root: v.Root.Certificate}}.Verify(attest.Evidence{Platform: "tdx", Quote: evidence}, made.AddDate(0, 0, 1))
		if err != nil {
			return err
		}
		if err := claims.Satisfy(nil); err != nil {
			return err
		}
		return attest.Check(claims, "join", []byte(key), []byte(nonce), allowed)
	}
	changed := func(change func(*dcap.TDReport)) dcap.TDReport {
		r := td()
		change(&r)
		return r
	}
	cases := map[string]struct{ err, want error }{
		"version 4":     {check(4, td(), "key", "nonce"), nil},
		"version 5":     {check(5, td(), "key", "nonce"), nil},
		"another nonce": {check(4, td(), "key", "other"), attest.ErrBinding},
		"another key":   {check(4, td(), "other", "nonce"), attest.ErrBinding},
		"other MRTD":    {check(4, changed(func(r *dcap.TDReport) { r.MRTD[47] = 1 }), "key", "nonce"), attest.ErrMeasurement},
		"debug":         {check(4, changed(func(r *dcap.TDReport) { r.Attributes[0] = 1 }), "key", "nonce"), attest.ErrDebug},
		"reserved TUD":  {check(4, changed(func(r *dcap.TDReport) { r.Attributes[0] = 0x80 }), "key", "nonce"), attest.ErrDebug},
		"migration TD":  {check(5, changed(func(r *dcap.TDReport) { r.MRSERVICETD[0] = 1 }), "key", "nonce"), attest.ErrPolicy},
	}
	for i := range 4 {
		cases["other RTMR"+string(rune('0'+i))] = struct{ err, want error }{check(4, changed(func(r *dcap.TDReport) { r.RTMR[i][47] = 1 }), "key", "nonce"), attest.ErrMeasurement}
	}
	for name, c := range cases {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: found %v, expected %v", name, c.err, c.want)
		}
	}
}

func TestMeasurementHasOneForm(t *testing.T) {
	// Computed with another implementation of SHA-384.
	if found, want := tdx.Measure([48]byte{1}, [4][48]byte{{2}, {3}, {4}, {5}}), coco.Measurement("tdx:e522e20ff232be46cfb27de54eae1458a0b7a022146fcb39ef1a48270645a6edb0241161c8f7e733f0ac3328f802e588"); found != want {
		t.Errorf("found %s, expected %s", found, want)
	}
}

func TestPolicyDecidesOnTDsAndTheirTCB(t *testing.T) {
	v := dcaptest.New(t, made)
	verifier := tdx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}
	claims := func(change func(*dcap.TDReport)) attest.Claims {
		r := td()
		change(&r)
		c, err := verifier.Verify(machine(v, 5).TDX(r), made.AddDate(0, 0, 1))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	same := func(*dcap.TDReport) {}
	attributes := func(b ...byte) func(*dcap.TDReport) {
		return func(r *dcap.TDReport) { r.Attributes = [8]byte(b) }
	}
	older := func(r *dcap.TDReport) { r.TCBSVN[0] = 2 }
	register := func(b byte) string {
		return `["` + string("0123456789"[b/16]) + string("0123456789"[b%16]) + strings.Repeat("0", 94) + `"]`
	}
	for _, c := range []struct {
		change func(*dcap.TDReport)
		policy string
		want   error
	}{
		{same, `{}`, nil},
		{same, `{"mrtd":` + register(1) + `,"rtmr0":` + register(2) + `,"rtmr1":` + register(3) + `,"rtmr2":` + register(4) + `,"rtmr3":` + register(5) + `,"mrconfigid":` + register(0) + `,"mrowner":` + register(0) + `,"mrownerconfig":` + register(0) + `,"mrseam":` + register(0) + `}`, nil},
		{same, `{"mrtd":` + register(2) + `}`, attest.ErrPolicy},
		{same, `{"rtmr0":` + register(1) + `}`, attest.ErrPolicy},
		{same, `{"rtmr3":` + register(1) + `}`, attest.ErrPolicy},
		{same, `{"mrowner":` + register(1) + `}`, attest.ErrPolicy},
		{same, `{"mrseam":` + register(1) + `}`, attest.ErrPolicy},
		{same, `{"fmspc":["00606A000002"]}`, attest.ErrPolicy},
		{same, `{"minimum_tcb_evaluation":18}`, attest.ErrTCB},
		{func(r *dcap.TDReport) { r.MRSERVICETD[0] = 1 }, `{}`, attest.ErrPolicy},
		{func(r *dcap.TDReport) { r.MRSERVICETD[0] = 1 }, `{"service_td":` + register(1) + `}`, nil},
		{older, `{}`, attest.ErrTCB},
		{older, `{"tcb_status":["OutOfDate"]}`, attest.ErrTCB},
		{older, `{"tcb_status":["OutOfDate"],"accept_advisories":["INTEL-SA-01036"]}`, nil},
		{attributes(0, 0, 0, 0, 0, 0, 0, 0), `{}`, attest.ErrPolicy},       // SEPT_VE_DISABLE is missing
		{attributes(0, 0, 0, 0x30, 0, 0, 0, 0), `{}`, attest.ErrPolicy},    // migratable
		{attributes(0, 0, 0, 0x10, 0, 0, 0, 0x80), `{}`, attest.ErrPolicy}, // performance counters
		{attributes(0, 1, 0, 0x10, 0, 0, 0, 0), `{}`, attest.ErrPolicy},    // reserved
		{attributes(0, 0, 0, 0xd0, 0, 0, 0, 0), `{}`, nil},                 // PKS and key locker
		{attributes(0, 0, 0, 0x30, 0, 0, 0, 0), `{"attributes":"0000003000000000","attributes_mask":"000000ff00000000"}`, nil},
		{same, `{"attributes":"0000003000000000","attributes_mask":"000000ff00000000"}`, attest.ErrPolicy},
	} {
		found := claims(c.change)
		err := found.Satisfy([]byte(c.policy))
		if !errors.Is(err, c.want) || c.want == attest.ErrPolicy && errors.Is(err, attest.ErrTCB) {
			t.Errorf("%s: found %v, expected %v", c.policy, err, c.want)
		}
		if err := verifier.ValidatePolicy([]byte(c.policy)); err != nil {
			t.Error(err)
		}
		attesttest.CheckDraft(t, verifier, found)
	}
	for _, bad := range []string{`[]`, `{"mrsigner":["00"]}`, `{"mrtd":["00"]}`, `{"service_td":["xx"]}`, `{"attributes_mask":"00"}`, `{"tcb_status":["Fine"]}`} {
		if err := verifier.ValidatePolicy([]byte(bad)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: found %v", bad, err)
		}
		if err := claims(same).Satisfy([]byte(bad)); !errors.Is(err, attest.ErrPolicy) {
			t.Errorf("%s: satisfied: %v", bad, err)
		}
	}
}

func TestEnclavesAreNoTDs(t *testing.T) {
	v := dcaptest.New(t, made)
	if _, err := (tdx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}).Verify(v.Machine(4).SGX(dcap.SGXReport{Attributes: [16]byte{5}}), made.AddDate(0, 0, 1)); err == nil || !strings.Contains(err.Error(), "it is a quote of SGX") {
		t.Errorf("found %v", err)
	}
}

func TestRecordedTDSatisfiesTheDefaults(t *testing.T) {
	evidence, err := collateral.Bundle(attesttest.Sample(t, "tdx/tdx_quote"), attesttest.Collateral(t, attesttest.Sample(t, "tdx/tdx_quote_collateral.json")))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2025, 6, 25, 0, 0, 0, 0, time.UTC)
	claims, err := tdx.Verifier{}.Verify(evidence, now)
	if err != nil || claims.Debug || len(claims.Advisories) > 0 || len(claims.Measurement) != 4+96 {
		t.Fatalf("found %+v, %v", claims, err)
	}
	if err := claims.Satisfy(nil); err != nil {
		t.Error(err)
	}
	if late, err := (tdx.Verifier{}).Verify(evidence, now.AddDate(0, 1, 0)); err != nil || !errors.Is(late.Satisfy(nil), attest.ErrTCB) {
		t.Errorf("with expired collateral: %v", err)
	}
	damaged := slices.Clone(evidence)
	damaged[500] ^= 1
	if _, err := (tdx.Verifier{}).Verify(damaged, now); !errors.Is(err, attest.ErrQuote) {
		t.Errorf("damaged: %v", err)
	}
}

// There is no collateral of the recorded debug TD's processor. So that it is refused for the debug attribute and for nothing else, its
// report is quoted again by a machine of the test.
func TestRecordedDebugTDIsRefusedForThat(t *testing.T) {
	q, err := dcap.Parse(attesttest.Sample(t, "tdx/debug_quote_v4.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.CheckSignatures(nil, dcap.IntelRoot(), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Error(err)
	}
	v := dcaptest.New(t, made)
	r := *q.TD
	r.TCBSVN = td().TCBSVN
	claims, err := tdx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}.Verify(machine(v, 4).TDX(r), made.AddDate(0, 0, 1))
	if err != nil || !claims.Debug {
		t.Fatalf("debug %t, %v", claims.Debug, err)
	}
	if err := attest.Check(claims, "join", nil, nil, []coco.Measurement{claims.Measurement}); !errors.Is(err, attest.ErrDebug) {
		t.Errorf("found %v", err)
	}
}
