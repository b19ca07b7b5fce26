package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/aci"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/snp"
)

func TestRecordedEvidenceIsShownAndVerified(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	report := write("report.bin", attesttest.Sample(t, "snp/snp_test-report.bin"))
	write("amd/vcek.der", attesttest.Sample(t, "snp/snp_test-vcek.der"))
	tdxQuote := write("tdx.bin", attesttest.Sample(t, "tdx/tdx_quote"))
	write("intel/collateral.json", attesttest.Sample(t, "tdx/tdx_quote_collateral.json"))
	text, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(attesttest.Sample(t, "azure/uvm/uvm_security_policy.base64"))))
	if err != nil {
		t.Fatal(err)
	}
	vcek, _ := pem.Decode(attesttest.Sample(t, "azure/uvm/uvm_host_amd_certificate.pem"))
	group, err := aci.Evidence{
		SNP:         append(attesttest.Sample(t, "azure/uvm/snp_report.bin"), snp.Table(snp.VCEK, vcek.Bytes)...),
		Endorsement: attesttest.Sample(t, "azure/uvm/body.uvm_reference_info.bin"), Text: text,
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	ev, err := attest.Evidence{Platform: aci.Platform, Quote: group}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	container := write("group.cbor", ev)

	amd := []string{"--platform", "snp", "--collateral", filepath.Join(dir, "amd"), "--at", "2024-01-01"}
	minimum := `{"minimum_tcb": {"milan": {"bootloader": 3, "tee": 0, "snp": 8, "microcode": 115}}, "allow_missing_crl": true, "allow_provisional_firmware": true}`
	sgxQuote := write("sgx.bin", attesttest.Sample(t, "sgx/quote_v3_ecdsa_p256_pck_chain.bin"))
	for _, name := range []string{"qe_identity_v2.json", "tcb_info_v3_fmspc_00606A000000.json", "tcb_info_v3_fmspc_00606A000000_certs.pem"} {
		write("sgx/"+name, attesttest.Sample(t, "sgx/"+name))
	}
	tdx := []string{"--platform", "tdx", "--collateral", filepath.Join(dir, "intel"), "--at", "2025-06-25"}
	sgx := []string{"--platform", "sgx", "--collateral", filepath.Join(dir, "sgx"), "--at", "2022-12-25"}
	hardened := `{"tcb_status": ["SWHardeningNeeded"], "accept_advisories": ["INTEL-SA-00615", "INTEL-SA-00657"], "without_crl": true}`
	debug := write("debug.bin", attesttest.Sample(t, "tdx/debug_quote_v4.bin"))
	for _, c := range []struct {
		args  []string
		code  int
		words []string // on either stream
	}{
		{append([]string{"show", report}, amd...), 0, []string{"snp:a1f3930413247bb3", "AMD EPYC milan", "bootloader 3, tee 0, snp 8, microcode 115", "VMPL 0", "no list at hand", "minimum_tcb"}},
		{append([]string{"verify", report, "--policy", minimum}, amd...), 0, []string{"genuine at 2024-01-01"}},
		{append([]string{"verify", report}, amd...), 3, []string{"minimum_tcb has no line for milan"}},
		{append([]string{"verify", report, "--policy", strings.Replace(minimum, "115", "200", 1)}, amd...), 3, []string{"it is too old", "microcode 115, expected 200"}},
		{append([]string{"verify", report, "--policy", minimum, "--measurement", "snp:00"}, amd...), 3, []string{"code not allowed"}},
		{[]string{"show", report, "--platform", "snp"}, 3, []string{"no vcek certificate comes with the quote", "coco attest collateral fetch"}},
		{[]string{"show", report, "--platform", "snp", "--collateral", report + ".none"}, 1, []string{"not found: --collateral: stat", report + ".none"}},
		{append([]string{"show", report}, append(amd[:4:4], "--at", "2050-01-01")...), 3, []string{"expired"}},
		{[]string{"show", container, "--at", "2024-06-01"}, 0, []string{"snp-aci:cadd74f71ebb", "ContainerPlat-AMD-UVM, version 22", "package policy"}},
		{[]string{"show", tdxQuote, "--platform", "tdx"}, 3, []string{"no TCB info of TDX"}},
		{append([]string{"show", tdxQuote}, tdx...), 0, []string{"TCB status       UpToDate", "FMSPC b0c06f000000", "TCB evaluation 17", "TDX module       version 1", "rtmr0", `"tcb_status":["UpToDate"]`}},
		{append([]string{"verify", tdxQuote}, tdx...), 0, []string{"genuine at 2025-06-25"}},
		{append([]string{"verify", tdxQuote, "--policy", `{"minimum_tcb_evaluation": 18}`}, tdx...), 3, []string{"it is too old", "TCB evaluation 17, expected 18"}},
		{append([]string{"verify", tdxQuote}, append(tdx[:4:4], "--at", "2025-08-01")...), 3, []string{"the collateral expired at 2025-07-"}},
		{append([]string{"show", sgxQuote}, sgx...), 0, []string{"SWHardeningNeeded", "INTEL-SA-00615, INTEL-SA-00657", "lacks a list of revoked certificates"}},
		{append([]string{"verify", sgxQuote}, sgx...), 3, []string{"the collateral lacks a CRL"}},
		{append([]string{"verify", sgxQuote, "--policy", `{"without_crl": true}`}, sgx...), 3, []string{"it is too old", "TCB status SWHardeningNeeded"}},
		{append([]string{"verify", sgxQuote, "--policy", hardened}, sgx...), 0, []string{"genuine at 2022-12-25"}},
		{[]string{"show", debug, "--platform", "tdx"}, 3, []string{"no TCB info of TDX"}},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"attest"}, c.args...)
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errs); code != c.code {
			t.Errorf("%v: exit code %d, expected %d: %s%s", c.args[:1], code, c.code, out.String(), errs.String())
		}
		for _, w := range c.words {
			if !strings.Contains(out.String()+errs.String(), w) {
				t.Errorf("%v: no %q in %s%s", c.args, w, out.String(), errs.String())
			}
		}
	}

	// The draft of a policy is one that the evidence satisfies.
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"attest", "show", report, "-o", "json"}, amd...), strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	var d struct {
		Policy json.RawMessage `json:"policy"`
	}
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), append([]string{"attest", "verify", report, "--policy", string(d.Policy)}, amd...), strings.NewReader(""), &out, &errs); code != 0 {
		t.Errorf("%s: %s", d.Policy, errs.String())
	}
}
