package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/reason"
)

func TestTermsThatCannotBeAreRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	root, err := x509.CreateCertificate(rand.Reader, is, is, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	acme := coco.ActorID{1}
	good := func() Access {
		terms := Terms{URL: "https://login.example", Audience: "coco", RoleClaim: "groups", RoleValue: "treasury", SkewSeconds: 300, KeysSeconds: maxKeys}
		terms.Complete()
		return Access{Issuers: []Issuer{{Name: "login", Actor: acme, Roots: [][]byte{root}, Terms: terms}}}
	}
	check := func(a Access) error { return a.Check(func(id coco.ActorID) bool { return id == acme }) }
	if err := check(good()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Issuer)
		code   reason.Code
		field  string
	}{
		{func(x *Issuer) { x.Name = "" }, reason.Missing, "name"},
		{func(x *Issuer) { x.Actor = coco.ActorID{2} }, reason.UnknownActor, "organisation"},
		{func(x *Issuer) { x.Roots = nil }, reason.Missing, "certificates"},
		{func(x *Issuer) { x.Roots = [][]byte{root, root} }, reason.Duplicate, "certificates"},
		{func(x *Issuer) { x.Roots = [][]byte{{1}} }, reason.BadCertificate, "certificates"},
		{func(x *Issuer) { x.Terms.URL = "http://login.example" }, reason.BadForm, "url"},
		{func(x *Issuer) { x.Terms.URL = "https://kim@login.example" }, reason.BadForm, "url"},
		{func(x *Issuer) { x.Terms.URL = "https://login.example?" }, reason.BadForm, "url"},
		{func(x *Issuer) { x.Terms.URL = "https:login.example" }, reason.BadForm, "url"},
		{func(x *Issuer) { x.Terms.URL = "https://[fe80::1%25eth0]/" }, reason.BadForm, "url"},
		{func(x *Issuer) { x.Terms.Audience = "" }, reason.Missing, "audience"},
		{func(x *Issuer) { x.Terms.UserClaim = "" }, reason.Missing, "user_claim"},
		{func(x *Issuer) { x.Terms.UserClaim = "s\nub" }, reason.BadText, "user_claim"},
		{func(x *Issuer) { x.Terms.RoleValue = "" }, reason.Missing, "role_value"},
		{func(x *Issuer) { x.Terms.RoleClaim = "" }, reason.Missing, "role_claim"},
		{func(x *Issuer) { x.Terms.Claims = map[string]string{"org": ""} }, reason.Missing, "claims"},
		{func(x *Issuer) { x.Terms.Algorithms = nil }, reason.Missing, "algorithms"},
		{func(x *Issuer) { x.Terms.Algorithms = []string{"HS256"} }, reason.BadForm, "algorithms"},
		{func(x *Issuer) { x.Terms.Algorithms = []string{"none"} }, reason.BadForm, "algorithms"},
		{func(x *Issuer) { x.Terms.Algorithms = []string{"RS256", "ES256"} }, reason.BadForm, "algorithms"},
		{func(x *Issuer) { x.Terms.SkewSeconds = maxSkew + 1 }, reason.OutOfRange, "clock_skew_seconds"},
		{func(x *Issuer) { x.Terms.KeysSeconds = minKeys - 1 }, reason.OutOfRange, "keys_seconds"},
		{func(x *Issuer) { x.Terms.KeysSeconds = maxKeys + 1 }, reason.OutOfRange, "keys_seconds"},
		{func(x *Issuer) { x.Terms.Type = "JWT" }, reason.BadForm, "type"},
	} {
		a := good()
		c.change(&a.Issuers[0])
		err := check(a)
		var told *reason.Error
		if !errors.As(err, &told) || told.Reason.Code != c.code || !strings.HasPrefix(err.Error(), "issuers[0]."+c.field) && !strings.Contains(err.Error(), "issuers[0]."+c.field+":") {
			t.Errorf("%s of %s is refused by %v", c.code, c.field, err)
		}
	}
	a := good()
	a.Issuers = append(a.Issuers, a.Issuers[0])
	if err := check(a); err == nil || !strings.Contains(err.Error(), "listed twice") {
		t.Errorf("two issuers of one name: %v", err)
	}
}
