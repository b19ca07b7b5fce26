package vendors_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/dcap"
	"github.com/cocoframework/coco/attest/dcap/dcaptest"
	"github.com/cocoframework/coco/attest/sgx"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/internal/vendors"
)

var made = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// service answers as Intel's PCS of version 4 does, and counts what it was asked.
func service(t *testing.T, v *dcaptest.Vendor) (*httptest.Server, *[]string) {
	t.Helper()
	var asked []string
	answer := func(w http.ResponseWriter, header string, of func(collateral.Item) bool) {
		var chain []byte
		for _, c := range []dcaptest.Authority{v.Signer, v.Root} {
			chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Raw})...)
		}
		w.Header().Set(header, url.PathEscape(string(chain)))
		items := v.Collateral().Filter(of).Items()
		if len(items) != 1 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(items[0].Raw)
	}
	crl := func(issuer string) func(collateral.Item) bool {
		return func(it collateral.Item) bool {
			return it.Kind == collateral.CRL && it.CRL.Issuer.CommonName == issuer
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		switch tee, path, _ := strings.Cut(strings.TrimPrefix(r.URL.RequestURI(), "/"), "/certification/v4/"); {
		case strings.HasPrefix(path, "tcb?fmspc="):
			answer(w, "TCB-Info-Issuer-Chain", func(it collateral.Item) bool {
				return it.Kind == collateral.TCBInfo && strings.EqualFold(it.TCBInfo.ID, tee) && path == "tcb?fmspc=00606a000001"
			})
		case path == "qe/identity":
			answer(w, "SGX-Enclave-Identity-Issuer-Chain", func(it collateral.Item) bool {
				return it.Kind == collateral.QEIdentity && (it.QEIdentity.ID == collateral.TDQE) == (tee == "tdx")
			})
		case path == "pckcrl?ca=platform&encoding=der":
			answer(w, "SGX-PCK-CRL-Issuer-Chain", crl("Intel SGX PCK Platform CA"))
		case path == "rootcacrl":
			answer(w, "X", crl("Intel SGX Root CA"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(srv.Close)
	return srv, &asked
}

func TestFolderThatIsFetchedVerifiesEvidence(t *testing.T) {
	v := dcaptest.New(t, made)
	srv, asked := service(t, v)
	quote := v.Machine(3).SGX(dcap.SGXReport{Attributes: [16]byte{5}})
	need, err := vendors.Evidence(quote)
	if err != nil || need.TDX || need.FMSPC != dcaptest.FMSPC || !need.PlatformCA || need.ProcessorCA {
		t.Fatalf("found %+v, %v", need, err)
	}
	mirror := vendors.Services{Intel: srv.URL + "/"}
	items, err := mirror.FetchIntel(t.Context(), need)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "collateral")
	stored, err := vendors.Store(dir, items)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stored {
		if s.Kept && s.Item.Kind != collateral.Certificate { // answers repeat the certificates
			t.Errorf("%s was kept", s.File)
		}
	}
	f := collateral.Folder{FS: os.DirFS(dir)}
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	now := made.AddDate(0, 0, 1)
	claims, err := sgx.Verifier{Root: v.Root.Certificate, Collateral: f.Set}.Verify(quote, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := claims.Satisfy(nil); err != nil {
		t.Error(err)
	}

	// The folder says what it needs to be refreshed; what the vendor says anew replaces what it said before.
	wanted := vendors.Wanted(f.Set())
	if !slices.Equal(wanted, []vendors.Processors{need}) {
		t.Errorf("found %+v", wanted)
	}
	older := v.Collateral()
	v.SGX.IssueDate, v.SGX.Evaluation = made.Add(time.Hour).Format(time.RFC3339), 18
	*asked = nil
	if items, err = mirror.FetchIntel(t.Context(), wanted[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := vendors.Store(dir, items); err != nil {
		t.Fatal(err)
	}
	if len(*asked) != 4 {
		t.Errorf("asked %q", *asked)
	}
	if _, err := vendors.Store(dir, older.Items()); err != nil { // a mirror that is behind
		t.Fatal(err)
	}
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	infos := f.Set().Filter(func(it collateral.Item) bool { return it.Kind == collateral.TCBInfo && it.TCBInfo.ID == "SGX" }).Items()
	if len(infos) != 1 || infos[0].TCBInfo.Evaluation != 18 {
		t.Errorf("found %v", infos)
	}
}

func TestFetchingSaysWhatFailed(t *testing.T) {
	v := dcaptest.New(t, made)
	srv, _ := service(t, v)
	s := vendors.Services{Intel: srv.URL}
	items, err := s.FetchIntel(t.Context(), vendors.Processors{TDX: true, FMSPC: [6]byte{1}})
	if !errors.Is(err, coco.ErrUnreachable) || !strings.Contains(err.Error(), "tcb?fmspc=010000000000: it answers 404") || len(items) == 0 {
		t.Errorf("found %v, %v", items, err)
	}
	for name, body := range map[string]string{"no collateral": "<html>", "long": strings.Repeat("a", collateral.MaxItem+10)} {
		bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		if items, err := (vendors.Services{Intel: bad.URL}).FetchIntel(t.Context(), vendors.Processors{}); !errors.Is(err, coco.ErrInvalid) || len(items) > 0 {
			t.Errorf("%s: found %v, %v", name, items, err)
		}
		bad.Close()
		if _, err := (vendors.Services{Intel: bad.URL}).FetchIntel(t.Context(), vendors.Processors{}); !errors.Is(err, coco.ErrUnreachable) {
			t.Errorf("nobody answers: %v", err)
		}
	}
}

func TestAMDIsAskedForTheChipAndItsTCB(t *testing.T) {
	v := dcaptest.New(t, made)
	der := v.Authority("SEV-VCEK", false, nil).Certificate.Raw
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		if strings.Contains(r.URL.Path, "Genoa") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(der)
	}))
	defer srv.Close()
	r := snp.Report{Product: snp.Turin, Signer: snp.VCEK, ChipID: [64]byte{0xab}, Reported: snp.TCB{FMC: 1, Bootloader: 2, TEE: 3, SNP: 4, Microcode: 115}}
	s := vendors.Services{AMD: srv.URL}
	if items, err := s.FetchAMD(t.Context(), r); err != nil || len(items) != 2 {
		t.Errorf("found %v, %v", items, err)
	}
	r.Product, r.Reported.FMC = "", 0
	if items, err := s.FetchAMD(t.Context(), r); err != nil || len(items) != 2 {
		t.Errorf("found %v, %v", items, err)
	}
	chip := "ab" + strings.Repeat("0", 126)
	want := []string{
		"/vcek/v1/Turin/crl", "/vcek/v1/Turin/ab00000000000000?fmcSPL=01&blSPL=02&teeSPL=03&snpSPL=04&ucodeSPL=115",
		"/vcek/v1/Milan/crl", "/vcek/v1/Milan/" + chip + "?blSPL=02&teeSPL=03&snpSPL=04&ucodeSPL=115",
		"/vcek/v1/Genoa/crl", "/vcek/v1/Genoa/" + chip + "?blSPL=02&teeSPL=03&snpSPL=04&ucodeSPL=115",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
}
