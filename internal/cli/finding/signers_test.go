package finding

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/wire"
)

func certificate(t *testing.T, name string, until time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-1000 * 24 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Too few in a week is worse than one who cannot sign now.
func TestTheWorstOfTheTimesIsSaid(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	const week = 7 * 24 * time.Hour
	gone, soon, late := now.Add(-time.Hour), now.Add(3*24*time.Hour), now.Add(500*24*time.Hour)
	for _, test := range []struct {
		ends        [3]time.Time
		level, says string
	}{
		{[3]time.Time{late, late, late}, OK, "3 of 3 can sign, now and in 7 days"},
		{[3]time.Time{gone, late, late}, Warning, "2 of 3 can sign now"},
		{[3]time.Time{late, late, soon}, Warning, "2 of 3 can sign on 2026-12-06"},
		{[3]time.Time{gone, soon, late}, Problem, "1 of 3 can sign on 2026-12-06"},
		{[3]time.Time{gone, gone, late}, Problem, "1 of 3 can sign now"},
	} {
		c := govtest.New(t).Constitution()
		for i := range c.Members {
			c.Members[i].Certificate = certificate(t, c.Members[i].Name, test.ends[i])
		}
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		if level, said := Signers(c, now, week); level != test.level || !strings.Contains(said, test.says) {
			t.Errorf("%v: %s %q, want %s %q", test.ends, level, said, test.level, test.says)
		}
	}
}

func TestALimitIsAWarningFromHalfOfItOn(t *testing.T) {
	for now, want := range map[uint64]string{0: OK, 49: OK, 50: Warning, 99: Warning, 100: Problem} {
		if level, message := Limit(wire.Limit{Of: "open_proposals", Now: now, Most: 100}); level != want || !strings.Contains(message, "open proposals") || !strings.Contains(message, "NearLimit") {
			t.Errorf("%d of 100: %s, %q", now, level, message)
		}
	}
}
