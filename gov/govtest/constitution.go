package govtest

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/constitution"
)

// Parse reads a page, which MUST be right.
func Parse(t testing.TB, text string) *constitution.Constitution {
	t.Helper()
	c, err := constitution.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Again returns another certificate for the same key.
func Again(t *testing.T, o *Org) *x509.Certificate {
	t.Helper()
	template := *o.Cert
	template.SerialNumber = template.SerialNumber.SetInt64(time.Now().UnixNano())
	der, err := x509.CreateCertificate(nil, &template, &template, &o.Key.PublicKey, o.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
