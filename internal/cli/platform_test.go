package cli_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/snp"
	"github.com/cocoframework/coco/attest/snp/snptest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/cli"
)

// guest is a device whose reports carry no certificate.
type guest struct {
	t *testing.T
	m *snptest.Machine
}

func (guest) Platform() string { return snp.Platform }

func (g guest) Quote(_ context.Context, data [host.ReportDataSize]byte) ([]byte, error) {
	return g.m.Report(g.t, snptest.Report{ReportData: data}), nil
}

func TestEvidenceCarriesTheFoldersCollateral(t *testing.T) {
	a := snptest.New(t, snp.Genoa)
	m := a.Machine(t, snp.TCB{Bootloader: 1})
	dir := t.TempDir()
	if _, err := (cli.Platform{}).WithCollateral(guest{t, m}, filepath.Join(dir, "none")); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a folder that is not there: %v", err)
	}
	for name, b := range map[string][]byte{"vcek.der": m.Certificate, "crl": a.CRL(t, snptest.Now.Add(-time.Hour), snptest.Now.Add(time.Hour))} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q, err := (cli.Platform{}).WithCollateral(guest{t, m}, dir)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := attest.Quote(t.Context(), q, "test", []byte("key"), []byte("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := attest.Verifiers{snp.Verifier{Roots: a.Roots()}}.Verify(ev, snptest.Now) // which has no collateral of its own
	if err != nil {
		t.Fatal(err)
	}
	if !claims.Own.(snp.Claims).Revocation.Current {
		t.Error("the list of revoked certificates has not come along")
	}
	// A platform whose driver picks takes less along.
	none := cli.Platform{Pick: func(_ []byte, s *collateral.Set) *collateral.Set {
		return s.Filter(func(collateral.Item) bool { return false })
	}}
	if q, err = none.WithCollateral(guest{t, m}, dir); err != nil {
		t.Fatal(err)
	}
	if less, err := attest.Quote(t.Context(), q, "test", []byte("key"), []byte("nonce")); err != nil || len(less.Quote) >= len(ev.Quote) {
		t.Errorf("%d bytes of evidence with everything, %d with nothing, %v", len(ev.Quote), len(less.Quote), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad"), []byte("no collateral"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (cli.Platform{}).WithCollateral(guest{t, m}, dir); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a folder with a file that is no collateral: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "bad")); err != nil {
		t.Fatal(err)
	}
	for i := range byte(4) { // too much for evidence
		list := bytes.Repeat([]byte{i}, 60<<10)
		it := append([]byte{0xd2}, list...)
		if err := os.WriteFile(filepath.Join(dir, string('a'+rune(i))), it, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if q, err = (cli.Platform{}).WithCollateral(guest{t, m}, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Quote(t.Context(), [64]byte{}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("evidence that is too long: %v", err)
	}
}

func TestPlatformIsChosenByName(t *testing.T) {
	p := cli.Program{Platforms: []cli.Platform{
		{Verifier: virtual.Verifier{}, Measure: func() (coco.Measurement, error) { return virtual.Measure(nil), nil }, Quoter: func(m coco.Measurement) (host.Quoter, error) { return virtual.NewQuoter(m) }},
		{Verifier: snp.Verifier{}},
	}}
	for name, want := range map[string]string{"": virtual.Platform, "virtual": virtual.Platform, "snp": snp.Platform} {
		if got, err := p.Platform(name); err != nil || got.Name() != want {
			t.Errorf("%q is %s, %v", name, got.Name(), err)
		}
	}
	if _, err := p.Platform("moon"); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a platform that is not there: %v", err)
	}
	own, reads := p.Platforms[0], p.Platforms[1]
	if _, err := reads.Open(""); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a platform whose evidence is read only: %v", err)
	}
	if _, err := own.Open("/dev/tpm"); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a device of the simulated TEE: %v", err)
	}
	q, err := own.Open("")
	if err != nil {
		t.Fatal(err)
	}
	if _, claims, err := own.Self(t.Context(), q); err != nil || claims.Measurement != virtual.Measure(nil) {
		t.Errorf("%+v, %v", claims, err)
	}
}
