package channel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func service(t *testing.T, insecure bool) *Service {
	t.Helper()
	s, err := NewService("trade network", insecure, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func endorse(t *testing.T, s *Service, id *Identity) *x509.Certificate {
	t.Helper()
	der, err := s.Endorse(id.PublicKey(), id.ID(), []string{"node1.example:8000", "[::1]:8000"}, false, now, now)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func rsaCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestEndorsement(t *testing.T) {
	s, node := service(t, false), identity(t)
	cert := endorse(t, s, node)
	if KeyID(cert.RawSubjectPublicKeyInfo) != node.ID() || IsInsecure(cert) {
		t.Errorf("certificate of %v, insecure %v", cert.Subject, IsInsecure(cert))
	}
	for _, name := range []string{"node1.example", "::1"} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now}); err != nil {
		t.Errorf("a stock client would refuse it: %v", err)
	}
	year := now.Add(366 * 24 * time.Hour)
	for name, c := range map[string]struct {
		cert, service *x509.Certificate
		now           time.Time
		ok            bool
	}{
		"now":                    {cert, s.Certificate(), now, true},
		"a clock behind":         {cert, s.Certificate(), now.Add(-time.Hour), true},
		"expired":                {cert, s.Certificate(), year, false},
		"expired, time ignored":  {cert, s.Certificate(), time.Time{}, true},
		"before its time":        {cert, s.Certificate(), now.Add(-48 * time.Hour), false},
		"another service":        {cert, service(t, false).Certificate(), now, false},
		"the service itself":     {s.Certificate(), s.Certificate(), now, false},
		"a node as the service":  {endorse(t, s, identity(t)), cert, now, false},
		"a node's self-signed":   {identity(t).Certificate().Leaf, s.Certificate(), now, false},
		"self-signed by a node":  {node.Certificate().Leaf, node.Certificate().Leaf, now, false},
		"an insecure namesake's": {cert, service(t, true).Certificate(), now, false},
	} {
		err := CheckEndorsed(c.cert, c.service, c.now)
		if (err == nil) != c.ok || (err != nil && !errors.Is(err, coco.ErrVerify)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInsecureSaysSoEverywhere(t *testing.T) {
	s := service(t, true)
	for _, cert := range []*x509.Certificate{s.Certificate(), endorse(t, s, identity(t)), identity(t).Certificate().Leaf} {
		if !IsInsecure(cert) || !strings.Contains(cert.Subject.CommonName, InsecureNotice) {
			t.Errorf("certificate of %v does not say that it is insecure", cert.Subject)
		}
	}
}

func TestServiceKeyRoundTrip(t *testing.T) {
	s := service(t, true)
	key, err := s.MarshalKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseService(s.Certificate().Raw, key)
	if err != nil || !again.key.Equal(s.key) || !again.insecure {
		t.Fatalf("parsed %v, %v", again, err)
	}
	if _, err := ParseService(service(t, true).Certificate().Raw, key); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("another service's certificate: %v", err)
	}
	for i := range key {
		if _, err := ParseService(s.Certificate().Raw, key[:i]); err == nil {
			t.Fatalf("%d of %d bytes of a key parsed", i, len(key))
		}
	}
	rsaKey, _ := x509.MarshalPKCS8PrivateKey(rsaCertificate(t).PrivateKey)
	if _, err := ParseService(s.Certificate().Raw, rsaKey); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("an RSA key: %v", err)
	}
}

func TestEndorseRefuses(t *testing.T) {
	s, node := service(t, false), identity(t)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p384DER, _ := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	for name, c := range map[string]struct {
		key       []byte
		id        coco.NodeID
		addresses []string
	}{
		"another id":         {node.PublicKey(), identity(t).ID(), nil},
		"another curve":      {p384DER, KeyID(p384DER), nil},
		"no key":             {nil, KeyID(nil), nil},
		"bytes after it":     {append(node.PublicKey()[:91:91], 0), node.ID(), nil},
		"an empty address":   {node.PublicKey(), node.ID(), []string{":8000"}},
		"no address at all":  {node.PublicKey(), node.ID(), []string{"nöde"}},
		"too many addresses": {node.PublicKey(), node.ID(), make([]string, maxAddresses+1)},
	} {
		if _, err := s.Endorse(c.key, c.id, c.addresses, false, now, now); err == nil {
			t.Errorf("%s: endorsed", name)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", maxName+1), "\xff"} {
		if _, err := NewService(name, true, now); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("network name %q: %v", name, err)
		}
	}
	if err := node.SetCertificate(endorse(t, s, identity(t)).Raw); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a certificate of another key: %v", err)
	}
}

func TestKeysNeverPrint(t *testing.T) {
	s, node := service(t, true), identity(t)
	raw, err := node.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	rawService, err := s.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, v := range []any{node, s, struct {
		I *Identity
		S *Service
	}{node, s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&text, verb, v)
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(j)
		slog.New(slog.NewJSONHandler(&text, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v)
	}
	for _, secret := range [][]byte{raw, rawService} {
		for _, form := range []string{"%x", "%X", "%v", "%s"} {
			if s := fmt.Sprintf(form, secret); strings.Contains(text.String(), strings.Trim(s, "[]")) {
				t.Errorf("a private key shows as %s", form)
			}
		}
		if strings.Contains(text.String(), new(big.Int).SetBytes(secret).String()) {
			t.Error("a private key shows as a number")
		}
	}
}

func TestARenewedCertificateStandsForTheSameKeyAndTime(t *testing.T) {
	s, node := service(t, true), identity(t)
	old := endorse(t, s, node)
	later := now.Add(9 * 30 * 24 * time.Hour)
	if Due(old, now.Add(NodeValidity/2)) || !Due(old, later.Add(24*time.Hour)) {
		t.Error("a certificate is not due after two thirds of its life")
	}
	der, err := s.Renew(old, later)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.SetCertificate(der); err != nil {
		t.Fatal(err)
	}
	selfDER, err := s.RenewSelf(later)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.With(selfDER)
	if err != nil {
		t.Fatal(err)
	}
	// Both certificates of the node verify under both of the service, at any time of the first one's life.
	for _, service := range []*x509.Certificate{s.Certificate(), again.Certificate()} {
		roots := x509.NewCertPool()
		roots.AddCert(service)
		for _, cert := range []*x509.Certificate{old, renewed} {
			if err := CheckEndorsed(cert, service, now); err != nil {
				t.Error(err)
			}
			if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: "node1.example"}); err != nil {
				t.Errorf("a stock client would refuse it: %v", err)
			}
		}
	}
	if err := CheckEndorsed(renewed, s.Certificate(), old.NotAfter.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if !IsInsecure(renewed) || !IsInsecure(again.Certificate()) {
		t.Error("a renewed certificate does not say that it is insecure")
	}
	if _, err := service(t, true).Renew(old, later); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("another service renewed it: %v", err)
	}
	if _, err := service(t, true).With(selfDER); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a service took another one's certificate: %v", err)
	}
}
