package query_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/store"
)

// refusals identifies clients, and has what earlier constitutions know about them told.
func refusals(t *testing.T, n *govtest.Network) func(chain ...*govtest.Org) error {
	var d query.Departed
	return func(chain ...*govtest.Org) (err error) {
		t.Helper()
		var certs []*x509.Certificate
		for _, o := range chain {
			certs = append(certs, o.Cert)
		}
		n.Read(func(r store.Reader) {
			_, err = constitution.Identify(n.Load(), certs, n.Now)
			err = d.Client(r, certs, n.Now, err)
		})
		return err
	}
}

// client issues a certificate for connections.
func client(t *testing.T, name string, issuer *govtest.Org, units ...string) *govtest.Org {
	t.Helper()
	return govtest.Issue(t, name, issuer, false, func(c *x509.Certificate) {
		c.Subject.OrganizationalUnit, c.ExtKeyUsage = units, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
}

// accept has beta and gamma vote for actions.
func accept(t *testing.T, n *govtest.Network, actions ...action.Action) string {
	t.Helper()
	p := n.Propose(n.Members[1], actions...)
	n.Vote(n.Members[1], p.ID, envelope.Yes)
	n.Vote(n.Members[2], p.ID, envelope.Yes)
	rec := n.Proposal(p.ID)
	return fmt.Sprintf("by proposal #%d (%s) on %s", rec.Number, p.ID.Short(), time.UnixMilli(int64(rec.DecidedTime)).UTC().Format("2006-01-02 15:04 UTC"))
}

func TestClientsOfARemovedOrganisationReadByWhichProposal(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	refusal := refusals(t, n)
	alpha, beta := n.Members[0], n.Members[1]
	officer, user, guest := client(t, "officer", alpha, coco.GovernanceUnit), client(t, "user", alpha), client(t, "user of guest", n.Guest)
	n.Admit(n.Node(beta, "beta:7000"))
	n.Admit(n.Node(n.Members[2], "gamma:7000"))
	for name, err := range map[string]error{"officer": refusal(officer, alpha), "user": refusal(user, alpha), "guest": refusal(guest, n.Guest)} {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	_ = accept(t, n, govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "5000"})) // a version that changes no organisation
	gone := accept(t, n, govtest.Act(action.RemoveMember, action.Args{Actor: alpha.Name, Unbalanced: true}))
	left := accept(t, n, govtest.Act(action.RemoveParticipant, action.Args{Actor: n.Guest.Name}))
	want := func(who string, err error, words ...string) {
		t.Helper()
		if !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: %v", who, err)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s reads %q, expected %q", who, err, w)
			}
		}
	}
	named := fmt.Sprintf("your organisation %q (%s) was removed from the network", alpha.Name, alpha.Actor().Short())
	want("an officer", refusal(officer, alpha), named, gone)
	want("an application", refusal(user, alpha), named, gone)
	want("the organisation itself", refusal(alpha), named, gone)
	want("a participant's application", refusal(guest, n.Guest), `your organisation "guest"`, left)

	// Nobody else is told: a certificate that only names the organisation's as its issuer is not under it.
	other := govtest.Issue(t, alpha.Name, nil, true, nil)
	liar := client(t, "liar", other)
	want("a stranger who shows the certificate", refusal(liar, alpha), "belongs to no member")
	if err := refusal(liar, alpha); strings.Contains(err.Error(), "proposal") {
		t.Errorf("a stranger is told %q", err)
	}
	want("a stranger", refusal(client(t, "x", other), other), "belongs to no member")

	// A certificate that has ended is that first.
	n.Now = officer.Cert.NotAfter.Add(time.Hour)
	want("an officer whose certificate has ended", refusal(officer, alpha), "it is valid from")
}

func TestClientsUnderARemovedCertificateReadByWhichProposal(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	refusal := refusals(t, n)
	beta := n.Members[1]
	next := govtest.Issue(t, "beta", nil, true, nil)
	user := client(t, "user", beta)
	accept(t, n, govtest.Act(action.AddCertificate, action.Args{Actor: beta.Name, Certificate: next.Cert.Raw}))
	accept(t, n, govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "5000"}))
	if err := refusal(user, beta); err != nil {
		t.Fatal(err)
	}
	// The member signs with its new certificate from now on.
	by := accept(t, n, govtest.Act(action.RemoveCertificate, action.Args{Actor: beta.Name, Certificate: beta.Cert.Raw}))
	err := refusal(user, beta)
	if !errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), `of your organisation "beta"`) || !strings.Contains(err.Error(), by) || strings.Contains(err.Error(), "from the network") {
		t.Errorf("%v, expected %q", err, by)
	}
	if err := refusal(client(t, "user", next), next); err != nil {
		t.Errorf("under the new certificate: %v", err)
	}
}

// What an officer signed before the removal is refused in the same words, whoever hands it in.
func TestAStatementOfARemovedMemberIsRefusedInThoseWords(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	alpha := n.Members[0]
	n.Admit(n.Node(n.Members[1], "beta:7000"))
	n.Admit(n.Node(n.Members[2], "gamma:7000"))
	late := n.SignProposal(alpha, govtest.AddCode(govtest.OtherCode))
	gone := accept(t, n, govtest.Act(action.RemoveMember, action.Args{Actor: alpha.Name, Unbalanced: true}))
	_, err := n.Submit(late)
	var d query.Departed
	n.Read(func(r store.Reader) { err = d.Statement(r, late, n.Now, err) })
	if !errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), "was removed from the network "+gone) {
		t.Errorf("%v, expected %q", err, gone)
	}
}

func TestACertificateAboveThatHasEndedIsNamed(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	department := govtest.Issue(t, "department", n.Members[1], true, func(c *x509.Certificate) { c.NotAfter = govtest.Start.Add(time.Hour) })
	user := client(t, "user", department)
	n.Now = n.Now.Add(2 * time.Hour)
	err := refusals(t, n)(user, department)
	if !errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), `the certificate "CN=department" above it`) {
		t.Errorf("%v", err)
	}
}
