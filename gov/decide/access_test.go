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
	recent := n.Ms()/1000 - 3600
	login := govtest.Issuer("login", of.Name, of.Cert)
	decided(decide.IssuerAdded, action.AddIssuer, login)
	refused(reason.IssuerExists, action.AddIssuer, login)
	refused(reason.UnknownActor, action.AddIssuer, govtest.Issuer("other", "nobody", of.Cert))
	refused(reason.UnknownIssuer, action.RemoveIssuer, action.Args{Name: "other"})
	refused(reason.UnknownIssuer, action.RevokeAccess, action.Args{Name: "other", User: "kim"})

	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", User: "lee"})
	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", User: "kim"})
	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", Token: "t-1"})
	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Name: "login", Before: recent})
	decided(decide.AccessRevoked, action.RevokeAccess, action.Args{Actor: of.Name, User: "bo", Before: recent})
	refused(reason.Unchanged, action.RevokeAccess, action.Args{Actor: of.Name, User: "kim"})
	refused(reason.UnknownActor, action.RevokeAccess, action.Args{Actor: "nobody", User: "kim"})
	refused(reason.Unchanged, action.RevokeAccess, action.Args{Name: "login", User: "kim"})
	refused(reason.Unchanged, action.RevokeAccess, action.Args{Name: "login", Before: recent - 1})
	refused(reason.Unchanged, action.RevokeAccess, action.Args{Name: "login", Token: "t-2", Remove: true})

	c := n.Load()
	x := c.Access.Find("login")
	if x == nil || x.Actor != of.Actor() {
		t.Fatalf("issuer %+v", x)
	}
	for i := range c.Access.Revoked {
		if at := &c.Access.Revoked[i].At; *at <= recent+3600 || *at > n.Ms()/1000 {
			t.Errorf("a vote at %d", *at)
		}
	}
	got := c.Access.Clone().Revoked
	for i := range got {
		got[i].At = 0
	}
	if url := login.Issuer.URL; !slices.Equal(got, []access.Revocation{
		{Actor: of.Actor(), Issuer: url, Before: recent},
		{Actor: of.Actor(), Issuer: url, Token: "t-1"},
		{Actor: of.Actor(), User: "bo", Before: recent},
		{Actor: of.Actor(), User: "kim"},
		{Actor: of.Actor(), User: "lee"},
	}) {
		t.Errorf("revoked %+v", c.Access.Revoked)
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
	if o := c.Access.Origins; len(o) != 2 || o[0].Name != "https://a.example" || o[1].Name != "https://b.example" || o[0].Since > n.Ms() || o[1].Since >= o[0].Since || o[1].Since == 0 {
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

// What a user had before it was lost does not count again when the issuer, the page, the organisation or the user comes back.
func TestWhatIsRemovedAndAddedAgainBeginsAnew(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	other := govtest.Issue(t, "quayside", nil, true, nil)
	login := govtest.Issuer("login", "quayside", other.Cert)
	session := access.Credential{Actor: other.Actor(), User: "kim", Given: n.Ms() / 1000}
	token := session
	token.Issuer, token.Token = login.Issuer.URL, "t-1"
	vote := func(kind action.Kind, args action.Args) {
		t.Helper()
		if out := n.Decide(govtest.Act(kind, args)); out.State != table.Accepted {
			t.Fatalf("%s is %s", kind, out.State)
		}
	}
	// is looks at what was given before, and at what is given a minute later.
	is := func(what string, c access.Credential, before, later bool) {
		t.Helper()
		a := n.Load().Access
		if got := a.RevokedBy(&c) == nil; got != before {
			t.Errorf("%s: what was given before counts: %v", what, got)
		}
		if c.Given, c.Token = n.Ms()/1000+60, "t-2"; (a.RevokedBy(&c) == nil) != later {
			t.Errorf("%s: what is given later counts: %v", what, !later)
		}
	}
	vote(action.AddParticipant, action.Args{Name: "quayside", Certificate: other.Cert.Raw})
	vote(action.AddIssuer, login)
	vote(action.RevokeAccess, action.Args{Name: "login", Token: "t-1"})
	vote(action.RevokeAccess, action.Args{Name: "login", User: "lee"})
	vote(action.RemoveIssuer, action.Args{Name: "login"})
	login.Name = "other"
	vote(action.AddIssuer, login)
	is("a token of an issuer that is there again", token, false, true)
	unnamed := token
	unnamed.Token = ""
	is("a token without an id", unnamed, false, true)
	is("a session of a user of an issuer that is there again", session, true, true)
	lee := token
	lee.User = "lee"
	is("a user without access, of an issuer that is there again", lee, false, false)

	vote(action.RevokeAccess, action.Args{Actor: "quayside", User: "kim"})
	is("a user without access", session, false, false)
	vote(action.RevokeAccess, action.Args{Actor: "quayside", User: "kim", Remove: true})
	is("a user who has access again", session, false, true)

	bo := session
	bo.User = "bo"
	vote(action.AddOrigin, action.Args{Name: "https://a.example"})
	is("another user", bo, true, true)
	vote(action.RemoveParticipant, action.Args{Actor: "quayside"})
	vote(action.AddParticipant, action.Args{Name: "quayside", Certificate: other.Cert.Raw})
	is("a user of an organisation that is there again", bo, false, true)
	is("a user without access, of an organisation that is there again", lee, false, false)

	vote(action.RemoveParticipant, action.Args{Actor: "quayside"})
	c := n.Load()
	again, err := constitution.Parse(c.TOML())
	if err != nil || again.Digest() != c.Digest() {
		t.Fatalf("the page says something else: %v\n%s", err, c.TOML())
	}
	vote(action.RevokeAccess, action.Args{Actor: other.Actor().String(), User: "lee", Remove: true})
	is("a user of an organisation that is not there", lee, false, true)
	n.Audited(first)
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
