package collateral_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/attesttest"
	"github.com/cocoframework/coco/attest/collateral"
)

var made = time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)

// authority makes a certificate and an empty CRL of it, in DER.
func authority(t testing.TB, name string) (cert, crl []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: made, NotAfter: made.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3, 4},
	}
	if cert, err = x509.CreateCertificate(rand.Reader, c, c, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	crl, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: made, NextUpdate: made.AddDate(0, 1, 0)}, c, key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, crl
}

const identity = `{"id":"QE","version":2,"issueDate":"2025-06-01T00:00:00Z","nextUpdate":"2025-07-01T00:00:00Z","tcbEvaluationDataNumber":17,` +
	`"miscselect":"00000000","miscselectMask":"FFFFFFFF","attributes":"11000000000000000000000000000000","attributesMask":"FBFFFFFFFFFFFFFF0000000000000000",` +
	`"mrsigner":"8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF","isvprodid":1,"tcbLevels":[{"tcb":{"isvsvn":8},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"UpToDate"}]}`

var signature = strings.Repeat("0a", 64)

func tcbInfo(id, fmspc, extra string) string {
	components := func(n string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"svn":`+n+`},`, 16), ",") + "]"
	}
	tdx := ""
	if id == "TDX" {
		tdx = `,"tdxtcbcomponents":` + components("5")
	}
	return `{"id":"` + id + `","version":3,"issueDate":"2025-06-01T00:00:00Z","nextUpdate":"2025-07-01T00:00:00Z","fmspc":"` + fmspc + `","pceId":"0000","tcbType":0,"tcbEvaluationDataNumber":17,` + extra +
		`"tcbLevels":[{"tcb":{"sgxtcbcomponents":` + components("7") + `,"pcesvn":13` + tdx + `},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"UpToDate"}]}`
}

func signed(name, body string) string {
	return `{"` + name + `":` + body + `,"signature":"` + signature + `"}`
}

// everything has one item of every kind.
func everything(t testing.TB) *collateral.Set {
	t.Helper()
	cert, crl := authority(t, "root")
	var items []collateral.Item
	for _, file := range [][]byte{cert, crl, []byte(signed("tcbInfo", tcbInfo("TDX", "B0C06F000000", ""))), []byte(signed("enclaveIdentity", identity)), {0xd2, 0x84}} {
		its, err := collateral.Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, its...)
	}
	s, err := collateral.New(items...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestItemsSayWhatTheyAreAboutAndWhenTheyAreValid(t *testing.T) {
	const lasts = "2025-06-01 2025-07-01 "
	want := []string{
		"2025-06-01 2035-06-01 certificate of CN=root", lasts + "CRL of CN=root", lasts + "TCB info of TDX, FMSPC B0C06F000000", lasts + "QE identity of QE",
		"0001-01-01 0001-01-01 endorsement of 2 bytes",
	}
	var found []string
	for _, it := range everything(t).Items() {
		found = append(found, it.From.Format(time.DateOnly)+" "+it.Until.Format(time.DateOnly)+" "+it.String())
	}
	if !slices.Equal(found, want) {
		t.Errorf("found %q, expected %q", found, want)
	}
}

func TestFilesOfAllFormsAreRead(t *testing.T) {
	cert, crl := authority(t, "root")
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	chain := block("CERTIFICATE", cert)
	for name, c := range map[string]struct {
		file string
		want string
	}{
		"certificate":      {string(cert), "certificate"},
		"CRL":              {string(crl), "CRL"},
		"CRL in digits":    {hex.EncodeToString(crl) + "\n", "CRL"},
		"PEM":              {"text before\n" + chain + block("X509 CRL", crl), "certificate CRL"},
		"TCB info":         {signed("tcbInfo", tcbInfo("SGX", "00606A000000", "")), "TCB info"},
		"QE identity":      {" \n" + signed("enclaveIdentity", identity), "QE identity"},
		"COSE_Sign1":       {"\xd2\x84", "endorsement"},
		"all of one quote": {fmt.Sprintf(`{"pck_crl_issuer_chain":%q,"pck_crl":%q,"tcb_info":%q,"tcb_info_signature":%q,"qe_identity":%q,"qe_identity_signature":%[4]q}`, chain, hex.EncodeToString(crl), tcbInfo("SGX", "00606A000000", ""), signature, identity), "certificate CRL TCB info QE identity"},
	} {
		items, err := collateral.Parse([]byte(c.file))
		var kinds []string
		for _, it := range items {
			kinds = append(kinds, it.Kind.String())
		}
		if found := strings.Join(kinds, " "); err != nil || found != c.want {
			t.Errorf("%s: found %s, %v, expected %s", name, found, err, c.want)
		}
	}
}

func TestWhatIsNoCollateralIsRefused(t *testing.T) {
	cert, _ := authority(t, "root")
	long := `"advisoryIDs":["` + strings.Repeat("x", 100) + `"],`
	for name, file := range map[string]string{
		"empty": "", "spaces": " \n", "text": "hello", "digits": "0102", "cut certificate": string(cert[:100]),
		"long certificate":   string(cert) + strings.Repeat("x", collateral.MaxCertificate),
		"private key":        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"cut PEM":            "-----BEGIN CERTIFICATE-----\nAAAA\n",
		"other JSON":         `{"x":1}`,
		"deep JSON":          strings.Repeat(`{"a":`, 100000),
		"nested":             `{"qe_identity":"x","tcb_info":"x","pck_crl":"{\"tcb_info\":\"\",\"qe_identity\":\"\"}"}`,
		"short signature":    `{"tcbInfo":` + tcbInfo("SGX", "00606A000000", "") + `,"signature":"00"}`,
		"no signature":       `{"tcbInfo":` + tcbInfo("SGX", "00606A000000", "") + `}`,
		"older version":      signed("tcbInfo", strings.Replace(tcbInfo("SGX", "00606A000000", ""), `"version":3`, `"version":2`, 1)),
		"unknown id":         signed("tcbInfo", tcbInfo("SEV", "00606A000000", "")),
		"long FMSPC":         signed("tcbInfo", tcbInfo("SGX", "00606A00000000", "")),
		"ends before begins": signed("tcbInfo", strings.Replace(tcbInfo("SGX", "00606A000000", ""), "2025-07", "2025-05", 1)),
		"unknown status":     signed("enclaveIdentity", strings.Replace(identity, "UpToDate", "Fine", 1)),
		"few components":     signed("tcbInfo", strings.Replace(tcbInfo("SGX", "00606A000000", ""), `{"svn":7},`, "", 1)),
		"big component":      signed("tcbInfo", strings.Replace(tcbInfo("SGX", "00606A000000", ""), `"svn":7`, `"svn":256`, 1)),
		"no PCE SVN":         signed("tcbInfo", strings.Replace(tcbInfo("SGX", "00606A000000", ""), `"pcesvn":13`, `"x":13`, 1)),
		"no TDX components":  signed("tcbInfo", strings.Replace(tcbInfo("SGX", "00606A000000", ""), `"SGX"`, `"TDX"`, 1)),
		"no levels":          signed("enclaveIdentity", identity[:strings.Index(identity, `[{"tcb"`)]+`[]}`),
		"long advisory":      signed("enclaveIdentity", strings.Replace(identity, `"tcbDate"`, long+`"tcbDate"`, 1)),
		"module without id":  signed("tcbInfo", tcbInfo("TDX", "00606A000000", `"tdxModuleIdentities":[{"mrsigner":"`+strings.Repeat("00", 48)+`","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF","tcbLevels":[]}],`)),
	} {
		if items, err := collateral.Parse([]byte(file)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: found %v, %v", name, items, err)
		}
	}
}

func TestSetHoldsEachItemOnce(t *testing.T) {
	s := everything(t)
	twice, err := collateral.Merge(s, nil, s)
	if err != nil || len(twice.Items()) != 5 || len(twice.Of(collateral.CRL)) != 1 || len(twice.Certificates()) != 1 {
		t.Errorf("found %v, %v", twice.Items(), err)
	}
	if none := (*collateral.Set)(nil); none.Items() != nil || none.Of(collateral.CRL) != nil || none.Certificates() != nil {
		t.Error("nil is not the empty set")
	}
	few := s.Filter(func(it collateral.Item) bool { return it.Kind == collateral.TCBInfo })
	if len(few.Items()) != 1 || few.Items()[0].TCBInfo.Evaluation != 17 {
		t.Errorf("found %v", few.Items())
	}
}

func TestSetsAreBounded(t *testing.T) {
	var items []collateral.Item
	for i := range collateral.MaxItems + 1 {
		its, err := collateral.Parse(fmt.Appendf([]byte{0xd2}, "%d", i))
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, its...)
	}
	if _, err := collateral.New(items[1:]...); err != nil {
		t.Error(err)
	}
	if _, err := collateral.New(items...); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("found %v", err)
	}
}

func TestEvidenceCarriesItsCollateral(t *testing.T) {
	s := everything(t)
	quote := []byte{3, 0, 1, 2}
	b, err := collateral.Bundle(quote, s)
	if err != nil {
		t.Fatal(err)
	}
	q, own, err := collateral.Split(b)
	if err != nil || !bytes.Equal(q, quote) || len(own.Items()) != len(s.Items()) {
		t.Errorf("found %x with %v, %v", q, own.Items(), err)
	}
	if alone, err := collateral.Bundle(quote, nil); err != nil || !bytes.Equal(alone, quote) {
		t.Errorf("without collateral: %x, %v", alone, err)
	}
	if q, own, err := collateral.Split(quote); err != nil || !bytes.Equal(q, quote) || own != nil {
		t.Errorf("without collateral: %x, %v, %v", q, own, err)
	}
	nested, err := collateral.Bundle(b, s)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"cut": b[:len(b)-1], "longer": append(bytes.Clone(b), 0), "nested": nested,
		"unknown kind": {0xa2, 1, 0x41, 3, 2, 0x81, 0xa2, 1, 9, 2, 0x41, 1}, "huge length": {0xa2, 1, 0x5a, 0xff, 0xff, 0xff, 0xff},
		"twice": {0xa2, 1, 0x41, 3, 2, 0x82, 0xa2, 1, 5, 2, 0x41, 1, 0xa2, 1, 5, 2, 0x41, 1}, "no quote": {0xa2, 1, 0x40, 2, 0x80},
	} {
		if _, _, err := collateral.Split(bad); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: found %v", name, err)
		}
	}
}

func TestFolderIsReadAsFarAsItGoes(t *testing.T) {
	cert, crl := authority(t, "root")
	fsys := fstest.MapFS{
		"root.der":       {Data: cert},
		"intel/root.crl": {Data: crl},
		"amd/deep/x.der": {Data: cert},
		".new":           {Data: []byte("half")},
		"qe.json":        {Data: []byte(signed("enclaveIdentity", identity))},
		"bad.json":       {Data: []byte("{")},
		"device":         {Mode: fs.ModeDevice},
	}
	f := collateral.Folder{FS: fsys}
	if f.Set().Items() != nil {
		t.Error("a folder that was not read has items")
	}
	err := f.Load()
	if len(f.Set().Items()) != 3 || err == nil || !strings.Contains(err.Error(), "bad.json: ") || !strings.Contains(err.Error(), "device: ") || strings.Contains(err.Error(), "new") {
		t.Errorf("found %v, %v", f.Set().Items(), err)
	}
	f.FS = fstest.MapFS{"bad.json": {Data: []byte("{")}}
	if err := f.Load(); err == nil || len(f.Set().Items()) != 3 {
		t.Errorf("a broken refresh left %v, %v", f.Set().Items(), err)
	}
	f.FS = fstest.MapFS{}
	if err := f.Load(); err != nil || len(f.Set().Items()) != 0 {
		t.Errorf("an empty folder left %v, %v", f.Set().Items(), err)
	}
}

func TestRecordedCollateralIsRead(t *testing.T) {
	for _, c := range []struct {
		file string
		n    int
		has  string
	}{
		{"sgx/qe_identity_v2.json", 1, "QE identity of QE"},
		{"sgx/tcb_info_v3_fmspc_00606A000000.json", 1, "TCB info of SGX, FMSPC 00606A000000"},
		{"sgx/tcb_info_v3_fmspc_00606A000000_certs.pem", 2, "certificate of CN=Intel SGX TCB Signing,O=Intel Corporation,L=Santa Clara,ST=CA,C=US"},
		{"tdx/tdx_quote_collateral.json", 10, "TCB info of TDX, FMSPC B0C06F000000"},
		{"snp/snp_test-vcek.der", 1, "certificate of CN=SEV-VCEK,OU=Engineering,O=Advanced Micro Devices,L=Santa Clara,ST=CA,C=US"},
		{"azure/az-snp-vtpm_vcek.pem", 3, "certificate of CN=ARK-Milan,OU=Engineering,O=Advanced Micro Devices,L=Santa Clara,ST=CA,C=US"},
	} {
		items, err := collateral.Parse(attesttest.Sample(t, c.file))
		if err != nil || len(items) != c.n || !slices.ContainsFunc(items, func(it collateral.Item) bool { return it.String() == c.has }) {
			t.Errorf("%s: found %v, %v", c.file, items, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	cert, crl := authority(f, "root")
	f.Add(cert)
	f.Add(crl)
	f.Add([]byte(signed("tcbInfo", tcbInfo("TDX", "B0C06F000000", ""))))
	f.Add([]byte(signed("enclaveIdentity", identity)))
	if b, err := everything(f).Encode(); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := collateral.Parse(b)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		for _, it := range items {
			again, err := collateral.Parse(it.Raw)
			if it.Kind == collateral.Endorsement && it.Raw[0] != 0xd2 {
				continue // an encoded set may hold any bytes as one
			}
			if err != nil || len(again) != 1 || again[0].Kind != it.Kind || !bytes.Equal(again[0].Raw, it.Raw) {
				t.Errorf("%s is read again as %v, %v", it, again, err)
			}
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte{0xa2, 1, 0x41, 3, 2, 0x82, 0xa2, 1, 5, 2, 0x41, 1, 0xa2, 1, 5, 2, 0x41, 2})
	f.Add([]byte{3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		quote, s, err := collateral.Split(b)
		if err != nil || s == nil {
			return
		}
		again, err := collateral.Bundle(quote, s)
		if len(s.Items()) > 0 && (err != nil || !bytes.Equal(again, b)) {
			t.Errorf("%x is taken apart, and put together to %x, %v", b, again, err)
		}
	})
}
