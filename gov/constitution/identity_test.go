package constitution_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
)

func certs(orgs ...*govtest.Org) []*x509.Certificate {
	out := make([]*x509.Certificate, len(orgs))
	for i, o := range orgs {
		out[i] = o.Cert
	}
	return out
}

func TestIdentifyMapsACertificateToItsOrganisation(t *testing.T) {
	n := govtest.New(t)
	alpha, beta := n.Members[0], n.Members[1]
	client := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	user := govtest.Issue(t, "user", alpha, false, client)
	department := govtest.Issue(t, "department", alpha, true, nil)
	clerk := govtest.Issue(t, "clerk", department, false, client)
	stranger := govtest.Issue(t, "stranger", nil, true, nil)
	outsider := govtest.Issue(t, "outsider", stranger, false, client)
	// Beta lives under a certificate of alpha's: its users are its own all the same.
	n.Members[1] = govtest.Issue(t, "beta", alpha, true, nil)
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	under := govtest.Issue(t, "under beta", n.Members[1], false, client)

	for name, c := range map[string]struct {
		chain []*x509.Certificate
		who   *govtest.Org
		role  coco.Role
	}{
		"the organisation itself":   {certs(alpha), alpha, coco.Member},
		"a user":                    {certs(user), alpha, coco.Member},
		"a user with its issuer":    {certs(user, alpha), alpha, coco.Member},
		"a department's user":       {certs(clerk, department), alpha, coco.Member},
		"a participant":             {certs(n.Guest), n.Guest, coco.Participant},
		"a participant's user":      {certs(govtest.Issue(t, "u", n.Guest, false, nil)), n.Guest, coco.Participant},
		"under both, nearer one":    {certs(under, n.Members[1], alpha), n.Members[1], coco.Member},
		"both an issuer and listed": {certs(n.Members[1]), n.Members[1], coco.Member},
	} {
		got, err := constitution.Identify(n.C, c.chain, n.Now)
		if want := (coco.Caller{Actor: c.who.Actor(), Name: c.who.Name, Role: c.role}); err != nil || got != want {
			t.Errorf("%s: %v, error %v; expected %v", name, got, err, want)
		}
	}
	for name, chain := range map[string][]*x509.Certificate{
		"nothing":                  nil,
		"a stranger":               certs(stranger),
		"a stranger's user":        certs(outsider, stranger),
		"a former member":          certs(beta),
		"a department left out":    certs(clerk),
		"issued by a user":         certs(govtest.Issue(t, "x", user, false, client), user),
		"for servers only":         certs(govtest.Issue(t, "x", alpha, false, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })),
		"expired":                  certs(govtest.Issue(t, "x", alpha, false, func(c *x509.Certificate) { c.NotAfter = n.Now.Add(-time.Second) })),
		"too many":                 certs(user, user, user, user, user, user, user, user, user),
		"another's issuer by name": certs(govtest.Issue(t, "x", govtest.Issue(t, "alpha", nil, true, nil), false, client)),
	} {
		if _, err := constitution.Identify(n.C, chain, n.Now); !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: error %v, expected coco.ErrDenied", name, err)
		}
	}
	for _, when := range []time.Time{n.Now.AddDate(2, 0, 0), n.Now.AddDate(-2, 0, 0)} {
		if _, err := constitution.Identify(n.C, certs(alpha), when); !errors.Is(err, coco.ErrDenied) {
			t.Errorf("at %s: error %v, expected coco.ErrDenied", when, err)
		}
	}
}

func TestALeafListedAsOrganisationStandsForItselfOnly(t *testing.T) {
	n := govtest.New(t)
	n.Members[2] = govtest.Issue(t, "leaf", nil, false, nil)
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	if _, err := constitution.Identify(n.C, certs(n.Members[2]), n.Now); err != nil {
		t.Error(err)
	}
	if _, err := constitution.Identify(n.C, certs(govtest.Issue(t, "x", n.Members[2], false, nil)), n.Now); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("error %v, expected coco.ErrDenied", err)
	}
}
