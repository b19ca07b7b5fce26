package decide_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
)

// An issuer is added, revoked from and removed by vote. The page says the same as the canonical form, and audits repeat each decision.
func TestMembersDecideWhoseTokensCount(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	of := n.Members[1]
	decided := func(want decide.EffectKind, kind action.Kind, args action.Args) {
		t.Helper()
		out := n.Decide(govtest.Act(kind, args))
		if out.State != table.Accepted || len(out.Effects) != 1 || out.Effects[0].Kind != want || out.Effects[0].Actor != of.Actor() {
			t.Fatalf("%s is %s, effects %+v", kind, out.State, out.Effects)
		}
	}
	refused := func(want reason.Code, kind action.Kind, args action.Args) {
		t.Helper()
		if _, err := n.Submit(n.SignProposal(n.Members[0], govtest.Act(kind, args))); reasonOf(err) != want {
			t.Fatalf("%s: %v, expected %s", kind, err, want)
		}
	}
	login := govtest.Issuer("login", of.Name, of.Cert)
	decided(decide.IssuerAdded, action.AddIssuer, login)
	refused(reason.IssuerExists, action.AddIssuer, login)
	refused(reason.UnknownActor, action.AddIssuer, govtest.Issuer("other", "nobody", of.Cert))
	refused(reason.UnknownIssuer, action.RemoveIssuer, action.Args{Name: "other"})
	refused(reason.UnknownIssuer, action.RevokeAccess, action.Args{Name: "other", User: "kim"})

	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", User: "lee"})
	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", User: "kim"})
	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", Token: "t-1"})
	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", Before: 1_700_000_000})
	refused(reason.Unchanged, action.RevokeAccess, action.Args{Name: "login", User: "kim"})
	refused(reason.Unchanged, action.RevokeAccess, action.Args{Name: "login", Before: 1_600_000_000})
	refused(reason.Unchanged, action.RevokeAccess, action.Args{Name: "login", Token: "t-2", Remove: true})

	c := n.Load()
	x := c.Access.Find("login")
	if x == nil || x.Actor != of.Actor() || x.Since != 1_700_000_000 || !slices.Equal(x.Users, []string{"kim", "lee"}) || !slices.Equal(x.Tokens, []string{"t-1"}) {
		t.Fatalf("issuer %+v", x)
	}
	again, err := constitution.Parse(c.TOML())
	if err != nil || again.Digest() != c.Digest() {
		t.Fatalf("the page says something else: %v", err)
	}
	if page := string(c.TOML()); !strings.Contains(page, "[[issuers]]") || !strings.Contains(page, `organisation = "`+of.Name+`"`) {
		t.Errorf("page\n%s", page)
	}
	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", User: "kim", Remove: true})
	decided(decide.IssuerRemoved, action.RemoveIssuer, action.Args{Name: "login"})
	if c := n.Load(); len(c.Access.Issuers) != 0 {
		t.Errorf("issuers %+v", c.Access.Issuers)
	}
	n.Audited(first)
}

// The page says the same as the canonical form, and audits repeat each decision.
func TestMembersDecideWhichPagesAskNodes(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	change := func(want decide.EffectKind, kind action.Kind, origin string) {
		t.Helper()
		out := n.Decide(govtest.Act(kind, action.Args{Name: origin}))
		if out.State != table.Accepted || len(out.Effects) != 1 || out.Effects[0].Kind != want || out.Effects[0].Subject != origin {
			t.Fatalf("%s is %s, effects %+v", kind, out.State, out.Effects)
		}
	}
	change(decide.OriginAdded, action.AddOrigin, "https://b.example")
	change(decide.OriginAdded, action.AddOrigin, "https://a.example")
	for kind, origin := range map[action.Kind]string{action.AddOrigin: "https://a.example", action.RemoveOrigin: "https://c.example"} {
		if _, err := n.Submit(n.SignProposal(n.Members[0], govtest.Act(kind, action.Args{Name: origin}))); reasonOf(err) != reason.Unchanged {
			t.Errorf("%s %s: %v", kind, origin, err)
		}
	}
	c := n.Load()
	if !slices.Equal(c.Access.Origins, []string{"https://a.example", "https://b.example"}) {
		t.Errorf("origins %v", c.Access.Origins)
	}
	again, err := constitution.Parse(c.TOML())
	if err != nil || again.Digest() != c.Digest() {
		t.Fatalf("the page says something else: %v\n%s", err, c.TOML())
	}
	change(decide.OriginRemoved, action.RemoveOrigin, "https://a.example")
	if n.Load().Access.Admits("https://a.example") {
		t.Error("an origin that was removed is there")
	}
	n.Audited(first)
	old := n.Load().Draft()
	old.Rules = 2
	if err := old.Complete(); err == nil {
		t.Error("a constitution by rules 2 has origins")
	}
}

// With an organisation its issuers go: their tokens would stand for users of nobody.
func TestIssuersGoWithTheirOrganisation(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	other := govtest.Issue(t, "quayside", nil, true, nil)
	n.Decide(govtest.Act(action.AddParticipant, action.Args{Name: "quayside", Certificate: other.Cert.Raw}))
	n.Decide(govtest.Act(action.AddIssuer, govtest.Issuer("login", "quayside", other.Cert)))
	out := n.Decide(govtest.Act(action.RemoveParticipant, action.Args{Actor: "quayside"}))
	if !slices.ContainsFunc(out.Effects, func(e decide.Effect) bool { return e.Kind == decide.IssuerRemoved && e.Subject == "login" }) {
		t.Errorf("effects %+v", out.Effects)
	}
	if c := n.Load(); len(c.Access.Issuers) != 0 {
		t.Errorf("issuers %+v", c.Access.Issuers)
	}
	n.Audited(first)
}

func TestByRules2NoTokensCount(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	n.C.Rules = 2
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	login := govtest.Issuer("login", n.Members[0].Name, n.Members[0].Cert)
	if _, err := n.Submit(n.SignProposal(n.Members[0], govtest.Act(action.AddIssuer, login))); reasonOf(err) != reason.LaterKind {
		t.Errorf("error %v, expected that it is a kind of later rules", err)
	}
	c := n.Load().Draft()
	c.Access.Issuers = []access.Issuer{{Name: "login", Actor: n.Members[0].Actor(), Roots: login.Certificates, Terms: *login.Issuer}}
	if err := c.Complete(); reasonOf(err) != reason.UnknownSetting {
		t.Errorf("a constitution by rules 2 with an issuer: %v", err)
	}
}
