package succession_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/succession"
)

// services makes a service, and those that follow it.
func services(t *testing.T, n int) (all []*channel.Service) {
	t.Helper()
	s, err := channel.NewService("net", true, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	for all = append(all, s); len(all) < n; all = append(all, s) {
		if s, err = s.Succeed(coco.TxID{View: 3, Seqno: uint64(10 * len(all))}, coco.Digest{byte(len(all))}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestAServiceSaysWhomItFollows(t *testing.T) {
	all := services(t, 3)
	chain, err := succession.Chain(all[2].Certificate())
	if err != nil || len(chain) != 3 {
		t.Fatal(chain, err)
	}
	for i, want := range []coco.TxID{{}, {View: 3, Seqno: 20}, {View: 3, Seqno: 10}} {
		if c := chain[i]; !c.Certificate.Equal(all[2-i].Certificate()) || c.Until != want {
			t.Errorf("service %d: until %s, expected %s", i, c.Until, want)
		}
	}
	first := sha256.Sum256(all[0].Certificate().RawSubjectPublicKeyInfo)
	for i, s := range all {
		if id, err := succession.ID(s.Certificate()); err != nil || id != first {
			t.Errorf("the network's id by service %d is %s, expected %s (%v)", i, id.Short(), coco.Digest(first).Short(), err)
		}
		for j, o := range all {
			if leads, err := succession.Leads(o.Certificate(), s.Certificate()); err != nil || leads != (j <= i) {
				t.Errorf("service %d leads back to %d: %v, %v", i, j, leads, err)
			}
		}
	}
	// A renewed certificate says the same.
	der, err := all[2].RenewSelf(time.Unix(1e9, 0).AddDate(9, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if chain, err := succession.Chain(renewed); err != nil || len(chain) != 3 {
		t.Errorf("renewed: %v, %v", chain, err)
	}
}

func TestNoServiceFollowsOneThatHasNotSignedForIt(t *testing.T) {
	all, foreign := services(t, 2), services(t, 1)[0]
	e, ok := succession.ExtensionOf(all[1].Certificate())
	if !ok {
		t.Fatal("no extension")
	}
	issue := func(name string, value []byte, alter func(*x509.Certificate) *x509.Certificate) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "net"}, NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(2e9, 0), IsCA: true, BasicConstraintsValid: true,
			ExtraExtensions: []pkix.Extension{{Id: succession.Extension, Value: value}},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if alter != nil {
			cert = alter(cert)
		}
		if _, err := succession.Chain(cert); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := succession.ID(cert); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("the id of %s: %v", name, err)
		}
	}
	issue("the statement for another key", e.Value, nil)
	issue("nothing", nil, nil)
	issue("the certificate of another service", bytes.Replace(e.Value, all[0].Certificate().Raw[100:120], foreign.Certificate().Raw[100:120], 1), nil)
	for i := range e.Value {
		altered := bytes.Clone(all[1].Certificate().Raw)
		at := bytes.Index(altered, e.Value)
		altered[at+i] ^= 1
		if cert, err := x509.ParseCertificate(altered); err == nil {
			if _, err := succession.Chain(cert); err == nil {
				t.Fatalf("with byte %d of the statement altered, it holds", i)
			}
		}
	}
}

// Why the extension has no identifier below 2.25: crypto/x509 does not parse a certificate with an arc of 128 bits. If that changes, another identifier may be chosen for new certificates.
func TestNoCertificateHasAUUIDAsAnIdentifier(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short := asn1.ObjectIdentifier{2, 25} // as long as 2.25.UUID in DER
	for range 19 {
		short = append(short, 1)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), ExtraExtensions: []pkix.Extension{{Id: short, Value: []byte("x")}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		t.Fatalf("with many short arcs: %v", err)
	}
	arc := append(append([]byte{2*40 + 25, 0x83}, bytes.Repeat([]byte{0xd5}, 17)...), 0x55) // base 128
	long := bytes.Replace(der, append([]byte{2*40 + 25}, bytes.Repeat([]byte{1}, 19)...), arc, 1)
	if bytes.Equal(long, der) {
		t.Fatal("the identifier is not found")
	}
	if _, err := x509.ParseCertificate(long); err == nil {
		t.Error("it parses")
	}
}
