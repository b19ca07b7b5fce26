package constitution

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestAnUnfitCertificateIsExplainedWithoutALibrarysWords(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	good := &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	ended := &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(-time.Minute)}
	for want, got := range map[string]string{
		"was removed":           unfit(good, now, x509.UnknownAuthorityError{Cert: good}),
		"ask the organisation":  unfit(ended, now, x509.CertificateInvalidError{Cert: ended, Reason: x509.Expired}),
		"above it":              unfit(good, now, x509.CertificateInvalidError{Cert: good, Reason: x509.Expired}),
		"client authentication": unfit(good, now, x509.CertificateInvalidError{Cert: good, Reason: x509.IncompatibleUsage}),
	} {
		if !strings.Contains(got, want) || strings.Contains(got, "x509") || strings.Contains(got, "authority)") {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}
