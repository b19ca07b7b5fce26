package sgx_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
	"github.com/cocoframework/coco/attest/dcap/dcaptest"
	"github.com/cocoframework/coco/attest/sgx"
)

var made = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func enclave() dcap.SGXReport {
	return dcap.SGXReport{
		Attributes: [16]byte{0x05, 8: 0xe7}, MRENCLAVE: [32]byte{1, 2}, MRSIGNER: [32]byte{3, 4}, ISVProdID: 7, ISVSVN: 9,
		ReportData: attest.ReportData("join", []byte("key"), []byte("nonce")),
	}
}

func TestEvidenceIsCheckedFromItsSignatureToItsBinding(t *testing.T) {
	v := dcaptest.New(t, made)
	allowed := []coco.Measurement{sgx.Measure([32]byte{1, 2})}
	check := func(r dcap.SGXReport, key, nonce string) error {
		evidence, err := collateral.Bundle(v.Machine(3).SGX(r), v.Collateral())
		if err != nil {
			t.Fatal(err)
		}
		claims, err := attest.Verifiers{sgx.Verifier{Root: v.Root.Certificate}}.Verify(attest.Evidence{Platform: "sgx", Quote: evidence}, made.AddDate(0, 0, 1))
		if err != nil {
			return err
		}
		if claims.Insecure {
			t.Error("an enclave counts as insecure")
		}
		if err := claims.Satisfy(nil); err != nil {
			return err
		}
		return attest.Check(claims, "join", []byte(key), []byte(nonce), allowed)
	}
	other, debug := enclave(), enclave()
	other.MRENCLAVE[0] = 9
	debug.Attributes[0] |= 2
	for name, c := range map[string]struct{ err, want error }{
		"good":          {check(enclave(), "key", "nonce"), nil},
		"another nonce": {check(enclave(), "key", "other"), attest.ErrBinding},
		"another key":   {check(enclave(), "other", "nonce"), attest.ErrBinding},
		"other code":    {check(other, "key", "nonce"), attest.ErrMeasurement},
		"debug":         {check(debug, "key", "nonce"), attest.ErrDebug},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: found %v, expected %v", name, c.err, c.want)
		}
	}
}

func TestCollateralComesFromEvidenceOrFolder(t *testing.T) {
	v := dcaptest.New(t, made)
	quote := v.Machine(3).SGX(enclave())
	now := made.AddDate(0, 0, 1)
	alone := sgx.Verifier{Root: v.Root.Certificate}
	if _, err := alone.Verify(quote, now); !errors.Is(err, attest.ErrQuote) || !strings.Contains(err.Error(), "let the host fetch it") {
		t.Errorf("without collateral: %v", err)
	}
	if _, err := (sgx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}).Verify(quote, now); err != nil {
		t.Errorf("with a folder: %v", err)
	}
	if _, err := (sgx.Verifier{Collateral: v.Collateral}).Verify(quote, now); !errors.Is(err, attest.ErrQuote) {
		t.Errorf("another root than Intel's: %v", err)
	}
	m := v.Machine(4)
	m.QE.ISVProdID = 2
	if _, err := (sgx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}).Verify(m.TDX(dcap.TDReport{TCBSVN: [16]byte{6, 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}}), now); err == nil || !strings.Contains(err.Error(), "it is a quote of TDX") {
		t.Errorf("a TD: %v", err)
	}
}

func TestPolicyDecidesOnEnclavesAndTheirTCB(t *testing.T) {
	v := dcaptest.New(t, made)
	verifier := sgx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}
	claims := func(change func(*dcap.SGXReport, *dcaptest.Machine)) attest.Claims {
		r, m := enclave(), v.Machine(3)
		change(&r, m)
		c, err := verifier.Verify(m.SGX(r), made.AddDate(0, 0, 1))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	flag := func(f byte) func(*dcap.SGXReport, *dcaptest.Machine) {
		return func(r *dcap.SGXReport, _ *dcaptest.Machine) { r.Attributes[0] = f }
	}
	same := func(*dcap.SGXReport, *dcaptest.Machine) {}
	older := func(_ *dcap.SGXReport, m *dcaptest.Machine) { m.SVN[0] = 6 }
	signer := strings.Repeat("0", 60)
	for _, c := range []struct {
		change func(*dcap.SGXReport, *dcaptest.Machine)
		policy string
		want   error
	}{
		{same, `{}`, nil},
		{same, `{"mrsigner":["0304` + signer + `"],"isv_prod_id":7,"minimum_isv_svn":9,"minimum_tcb_evaluation":17,"fmspc":["00606A000001"]}`, nil},
		{same, `{"mrsigner":["0404` + signer + `"]}`, attest.ErrPolicy},
		{same, `{"isv_prod_id":8}`, attest.ErrPolicy},
		{same, `{"minimum_isv_svn":10}`, attest.ErrTCB},
		{same, `{"minimum_tcb_evaluation":18}`, attest.ErrTCB},
		{same, `{"fmspc":["00606A000002"]}`, attest.ErrPolicy},
		{older, `{}`, attest.ErrTCB},
		{older, `{"tcb_status":["UpToDate","SWHardeningNeeded"]}`, attest.ErrTCB},
		{older, `{"tcb_status":["SWHardeningNeeded"],"accept_advisories":["INTEL-SA-00615"]}`, nil},
		{flag(0x04), `{}`, attest.ErrPolicy}, // not initialised
		{flag(0x01), `{}`, attest.ErrPolicy}, // 32-bit mode
		{flag(0x15), `{}`, attest.ErrPolicy}, // provision key
		{flag(0x25), `{}`, attest.ErrPolicy}, // launch key
		{flag(0x85), `{}`, nil},              // KSS
		{flag(0x15), `{"attributes":"15000000000000000000000000000000","attributes_mask":"ff000000000000000000000000000000"}`, nil},
		{same, `{"attributes":"15000000000000000000000000000000","attributes_mask":"ff000000000000000000000000000000"}`, attest.ErrPolicy},
		{same, `{"attributes":"0500000000000000e700000000000000","attributes_mask":"ffffffffffffffffffffffffffffffff"}`, nil},
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
	for _, bad := range []string{
		`[]`, `{"mrtd":["00"]}`, `{"mrsigner":["00"]}`, `{"minimum_isv_svn":-1}`, `{"minimum_isv_svn":65536}`, `{"attributes":"05"}`, `{"attributes":"` + strings.Repeat("0", 32) + `"}`,
		`{"tcb_status":["Revoked"]}`, `{"collateral_grace_days":365}`, `{"Policy":{}}`,
	} {
		if err := verifier.ValidatePolicy([]byte(bad)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: found %v", bad, err)
		}
		if err := claims(same).Satisfy([]byte(bad)); !errors.Is(err, attest.ErrPolicy) {
			t.Errorf("%s: satisfied: %v", bad, err)
		}
	}
}

func TestRecordedEnclaveNeedsAPolicyThatAcceptsItsTCB(t *testing.T) {
	var files [][]byte
	for _, name := range []string{"tcb_info_v3_fmspc_00606A000000.json", "tcb_info_v3_fmspc_00606A000000_certs.pem", "qe_identity_v2.json"} {
		files = append(files, attesttest.Sample(t, "sgx/"+name))
	}
	evidence, err := collateral.Bundle(attesttest.Sample(t, "sgx/quote_v3_ecdsa_p256_pck_chain.bin"), attesttest.Collateral(t, files...))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := sgx.Verifier{}.Verify(evidence, time.Date(2022, 12, 25, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if claims.Measurement != "sgx:68823bc62f409ee33a32ea270cfe45d4b19a6fb3c8570d7bc186cbe062398e8f" || claims.Debug || len(claims.Advisories) != 2 || hex.EncodeToString(claims.ReportData[:4]) != "026a69ce" {
		t.Errorf("found %+v", claims)
	}
	const accepts = `{"without_crl":true,"tcb_status":["UpToDate","SWHardeningNeeded"],"accept_advisories":["INTEL-SA-00615","INTEL-SA-00657"]`
	for policy, want := range map[string]error{
		`{}`: attest.ErrPolicy, `{"without_crl":true}`: attest.ErrTCB, accepts + `}`: nil, accepts + `,"minimum_tcb_evaluation":14}`: attest.ErrTCB,
	} {
		if err := claims.Satisfy([]byte(policy)); !errors.Is(err, want) {
			t.Errorf("%s: found %v", policy, err)
		}
	}
}

// The collateral of the recorded debug enclave is older than the enclave's PCK certificate. So that what is in it is refused for
// the debug attribute and for nothing else, its report is quoted again by a machine of the test.
func TestRecordedDebugEnclaveIsRefusedForThat(t *testing.T) {
	q, err := dcap.Parse(attesttest.Sample(t, "sgx/debug_quote.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.CheckSignatures(nil, dcap.IntelRoot(), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Error(err)
	}
	v := dcaptest.New(t, made)
	claims, err := sgx.Verifier{Root: v.Root.Certificate, Collateral: v.Collateral}.Verify(v.Machine(3).SGX(*q.SGX), made.AddDate(0, 0, 1))
	if err != nil || !claims.Debug {
		t.Fatalf("debug %t, %v", claims.Debug, err)
	}
	if err := attest.Check(claims, "join", nil, nil, []coco.Measurement{claims.Measurement}); !errors.Is(err, attest.ErrDebug) {
		t.Errorf("found %v", err)
	}
}
