package gov

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

func certs(orgs ...*org) []*x509.Certificate {
	out := make([]*x509.Certificate, len(orgs))
	for i, o := range orgs {
		out[i] = o.cert
	}
	return out
}

func TestIdentifyMapsACertificateToItsOrganisation(t *testing.T) {
	n := newNetwork(t)
	alpha, beta := n.members[0], n.members[1]
	client := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	user := issue(t, "user", alpha, false, client)
	department := issue(t, "department", alpha, true, nil)
	clerk := issue(t, "clerk", department, false, client)
	stranger := issue(t, "stranger", nil, true, nil)
	outsider := issue(t, "outsider", stranger, false, client)
	// Beta lives under a certificate of alpha's: its users are its own all the same.
	n.members[1] = issue(t, "beta", alpha, true, nil)
	n.c = n.constitution()
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	under := issue(t, "under beta", n.members[1], false, client)

	for name, c := range map[string]struct {
		chain []*x509.Certificate
		who   *org
		role  coco.Role
	}{
		"the organisation itself":   {certs(alpha), alpha, coco.Member},
		"a user":                    {certs(user), alpha, coco.Member},
		"a user with its issuer":    {certs(user, alpha), alpha, coco.Member},
		"a department's user":       {certs(clerk, department), alpha, coco.Member},
		"a participant":             {certs(n.guest), n.guest, coco.Participant},
		"a participant's user":      {certs(issue(t, "u", n.guest, false, nil)), n.guest, coco.Participant},
		"under both, nearer one":    {certs(under, n.members[1], alpha), n.members[1], coco.Member},
		"both an issuer and listed": {certs(n.members[1]), n.members[1], coco.Member},
	} {
		got, err := Identify(n.c, c.chain, n.now)
		if want := (coco.Caller{Actor: c.who.actor(), Name: c.who.name, Role: c.role}); err != nil || got != want {
			t.Errorf("%s: %v, error %v; expected %v", name, got, err, want)
		}
	}
	for name, chain := range map[string][]*x509.Certificate{
		"nothing":                  nil,
		"a stranger":               certs(stranger),
		"a stranger's user":        certs(outsider, stranger),
		"a former member":          certs(beta),
		"a department left out":    certs(clerk),
		"issued by a user":         certs(issue(t, "x", user, false, client), user),
		"for servers only":         certs(issue(t, "x", alpha, false, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })),
		"expired":                  certs(issue(t, "x", alpha, false, func(c *x509.Certificate) { c.NotAfter = n.now.Add(-time.Second) })),
		"too many":                 certs(user, user, user, user, user, user, user, user, user),
		"another's issuer by name": certs(issue(t, "x", issue(t, "alpha", nil, true, nil), false, client)),
	} {
		if _, err := Identify(n.c, chain, n.now); !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: error %v, expected coco.ErrDenied", name, err)
		}
	}
	for _, when := range []time.Time{n.now.AddDate(2, 0, 0), n.now.AddDate(-2, 0, 0)} {
		if _, err := Identify(n.c, certs(alpha), when); !errors.Is(err, coco.ErrDenied) {
			t.Errorf("at %s: error %v, expected coco.ErrDenied", when, err)
		}
	}
}

func TestALeafListedAsOrganisationStandsForItselfOnly(t *testing.T) {
	n := newNetwork(t)
	n.members[2] = issue(t, "leaf", nil, false, nil)
	n.c = n.constitution()
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	if _, err := Identify(n.c, certs(n.members[2]), n.now); err != nil {
		t.Error(err)
	}
	if _, err := Identify(n.c, certs(issue(t, "x", n.members[2], false, nil)), n.now); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("error %v, expected coco.ErrDenied", err)
	}
}
