package decide_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
)

// dated is an organisation whose certificate is valid for these times, counted from when networks begin.
func dated(t *testing.T, name string, from, to time.Duration) *govtest.Org {
	return govtest.Issue(t, name, nil, true, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = govtest.Start.Add(from), govtest.Start.Add(to)
	})
}

const day = 24 * time.Hour

// weak is a certificate of an RSA key of so many bits.
func weak(t *testing.T, bits int) []byte {
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weak"}, NotBefore: govtest.Start.Add(-day), NotAfter: govtest.Start.Add(365 * day)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A member that cannot sign counts in policies all the same: under a unanimous one nothing could be decided any more.
func TestCertificatesAreCheckedWhereTheyEnter(t *testing.T) {
	encryption := govtest.Issue(t, "delta", nil, true, nil).Encryption.Public()
	ended, early, good := dated(t, "delta", -800*day, -400*day), dated(t, "delta", 40*day, 400*day), dated(t, "delta", -day, 400*day)
	member := func(cert []byte) action.Action {
		return govtest.Act(action.AddMember, action.Args{Name: "delta", Certificate: cert, EncryptionKey: encryption})
	}
	more := func(cert []byte) action.Action {
		return govtest.Act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: cert})
	}
	for _, c := range []struct {
		name string
		act  action.Action
		want reason.Code
	}{
		{"a member whose certificate has ended", member(ended.Cert.Raw), reason.EndedCertificate},
		{"a member whose certificate is not valid yet", member(early.Cert.Raw), reason.EarlyCertificate},
		{"a member with a weak key", member(weak(t, 1024)), reason.WeakCertificate},
		{"a member with an RSA key of 2048 bits", member(weak(t, 2048)), ""},
		{"a member", member(good.Cert.Raw), ""},
		{"a participant whose certificate has ended", govtest.Act(action.AddParticipant, action.Args{Name: "delta", Certificate: ended.Cert.Raw}), reason.EndedCertificate},
		{"a further certificate that has ended", more(ended.Cert.Raw), reason.EndedCertificate},
		{"a further certificate with a weak key", more(weak(t, 1024)), reason.WeakCertificate},
		{"a further certificate for later", more(early.Cert.Raw), ""},
	} {
		n := govtest.New(t)
		n.Genesis()
		if _, err := n.Submit(n.SignProposal(n.Members[0], c.act)); reasonOf(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
		// A network does not begin with what members would refuse.
		if c.act.Kind != action.AddMember {
			continue
		}
		n = govtest.New(t)
		founding := n.Constitution()
		founding.Members[2].Certificate = c.act.Args.Certificate
		if err := founding.Complete(); err != nil {
			t.Fatal(err)
		}
		if err := decide.CheckGenesis(founding, n.Ms()); reasonOf(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("a network begins with %s: %v, expected %q", c.name, err, c.want)
		}
		founding = n.Constitution()
		founding.Members[2].Certificate, founding.Rules = c.act.Args.Certificate, 1
		if err := founding.Complete(); err != nil {
			t.Fatal(err)
		}
		if err := decide.CheckGenesis(founding, n.Ms()); err != nil {
			t.Errorf("by rules 1 a network begins with %s: %v", c.name, err)
		}
	}
}

// What is proposed in time and decided too late fails.
func TestACertificateThatEndsBeforeTheDecisionDoesNotEnter(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	delta := dated(t, "delta", -day, 2*time.Hour)
	p := n.Propose(n.Members[0], govtest.Act(action.AddParticipant, action.Args{Name: "delta", Certificate: delta.Cert.Raw}))
	n.Vote(n.Members[0], p.ID, envelope.Yes)
	n.Now = n.Now.Add(3 * time.Hour)
	if out := n.Vote(n.Members[1], p.ID, envelope.Yes); out.State != table.Failed || out.Reason.Code != reason.EndedCertificate {
		t.Errorf("%+v", out)
	}
	n.Audited(first)
}

// A policy that needs a member which cannot sign locks everybody out, at once or when voting ends.
func TestALockOutIsJudgedWithTheMembersThatCanSign(t *testing.T) {
	unanimous := setPolicy(constitution.PolicyDefault, policy.Unanimous)
	for _, c := range []struct {
		name string
		ends time.Duration
		ok   bool
	}{{"a member whose certificate has ended", time.Hour, false}, {"one whose certificate ends before the vote does", 2*time.Hour + 20*time.Hour, false}, {"one whose certificate stays", 400 * day, true}} {
		n := govtest.New(t)
		n.Members[2] = dated(t, "gamma", -day, c.ends)
		n.C = n.Constitution()
		if err := n.C.Complete(); err != nil {
			t.Fatal(err)
		}
		n.Genesis()
		n.Now = n.Now.Add(2 * time.Hour)
		_, err := n.Submit(n.SignProposal(n.Members[0], unanimous))
		if (err == nil) != c.ok || err != nil && (reasonOf(err) != reason.LockOut || !strings.Contains(err.Error(), "every member that can sign")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// To take the certificate away by which a member can sign may lock everybody out, as to remove the member may. Members who want that
// say so, which rules 1 do not have: programs of that time refuse the action for its form.
func TestAForcedVoteTakesTheLastCertificateAwayThatSigns(t *testing.T) {
	for _, rules := range []uint64{1, constitution.CurrentRules} {
		n := govtest.New(t)
		n.Members[2] = dated(t, "gamma", -day, time.Hour)
		n.C = n.Constitution()
		renewed := dated(t, "gamma", -day, 400*day).Cert.Raw
		n.C.Members[2].Certificates = [][]byte{renewed}
		n.C.Policies = map[string]string{constitution.PolicyDefault: policy.Unanimous}
		n.C.Rules = rules
		if err := n.C.Complete(); err != nil {
			t.Fatal(err)
		}
		n.Genesis()
		n.Now = n.Now.Add(2 * time.Hour)
		take := govtest.Act(action.RemoveCertificate, action.Args{Actor: "gamma", Certificate: renewed})
		want, forced := reason.LockOut, reason.Code("")
		if rules == 1 {
			want, forced = "", reason.LaterRules // by rules 1 a lock-out is not judged by certificates
		}
		present := decide.Present{Constitution: n.Load(), Now: n.Ms()}
		if _, _, err := decide.Apply(present, []action.Action{take}); reasonOf(err) != want || (err == nil) != (want == "") {
			t.Errorf("rules %d: %v, expected %q", rules, err, want)
		}
		take.Args.Force = true
		if _, err := take.Encode(); err != nil {
			t.Fatal(err)
		}
		next, _, err := decide.Apply(present, []action.Action{take})
		if reasonOf(err) != forced || (err == nil) != (forced == "") {
			t.Errorf("rules %d, forced: %v, expected %q", rules, err, forced)
		}
		if err == nil && len(next.Members[2].Certificates) != 0 {
			t.Errorf("rules %d: gamma has %d more certificates", rules, len(next.Members[2].Certificates))
		}
	}
}

// ended is a network of which all members' certificates have ended one after the other.
func ended(t *testing.T, rules uint64, ends ...time.Duration) (*govtest.Network, table.NodeRecord) {
	n := govtest.New(t)
	for i, end := range ends {
		n.Members[i] = dated(t, fmt.Sprintf("member %d", i), -day, end)
	}
	n.C = n.Constitution()
	n.C.Rules = rules
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	n.Now = n.Now.Add(1000 * day)
	return n, first
}

// A consortium that has forgotten all of its certificates renews them by its own votes, signed with the keys that it had.
func TestAConsortiumWhoseCertificatesAllEndedRenewsThem(t *testing.T) {
	n, first := ended(t, 2, 100*day, 200*day, 300*day)
	renewed := make([]*govtest.Org, 3)
	var renewals []action.Action
	for i, m := range n.Members {
		renewed[i] = dated(t, m.Name, 900*day, 2000*day)
		renewals = append(renewals, govtest.Act(action.AddCertificate, action.Args{Actor: m.Name, Certificate: renewed[i].Cert.Raw}))
	}
	// The first one's had ended when two could still decide.
	if _, err := n.Submit(n.SignProposal(n.Members[0], renewals...)); err == nil || !strings.Contains(err.Error(), "valid from") {
		t.Errorf("a member whose certificate had ended before: %v", err)
	}
	p := n.Propose(n.Members[1], renewals...)
	n.Vote(n.Members[1], p.ID, envelope.Yes)
	if out := n.Vote(n.Members[2], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Fatalf("%+v", out)
	}
	// From then on dates count as ever.
	if _, err := n.Submit(n.SignProposal(n.Members[1], govtest.AddCode(govtest.OtherCode))); err == nil {
		t.Error("an ended certificate counts although there are others")
	}
	p = n.Propose(renewed[0], govtest.AddCode(govtest.OtherCode))
	n.Vote(renewed[0], p.ID, envelope.Yes)
	if out := n.Vote(renewed[1], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Errorf("with the new certificates: %+v", out)
	}
	n.Audited(first)
}

// officer signs with a certificate that others lead to its organisation's.
type officer struct {
	*govtest.Org
	between []*govtest.Org
}

func (o officer) chain() []*x509.Certificate {
	out := []*x509.Certificate{o.Cert}
	for _, b := range o.between {
		out = append(out, b.Cert)
	}
	return out
}

func (o officer) Certificates() (out [][]byte) {
	for _, c := range o.chain() {
		out = append(out, c.Raw)
	}
	return out
}

// Certificates for governance are short-lived. When all of the organisations' have ended, the one in use was issued after the
// moment at which they are judged, as a rule, or has ended since.
func TestTheWayOutTakesCertificatesThatWereIssuedSince(t *testing.T) {
	n, first := ended(t, 2, 100*day, 200*day, 300*day) // judged as of day 200, on day 1000
	issue := func(issuer *govtest.Org, ca bool, from, to time.Duration) *govtest.Org {
		return govtest.Issue(t, "of "+issuer.Name, issuer, ca, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = govtest.Start.Add(from), govtest.Start.Add(to)
			c.ExtKeyUsage, c.Subject.OrganizationalUnit = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, []string{coco.GovernanceUnit}
		})
	}
	beta, gamma := n.Members[1], n.Members[2]
	later, before, gone := issue(gamma, true, 500*day, 2000*day), issue(gamma, true, 100*day, 400*day), issue(gamma, true, 0, 150*day)
	good := map[string]officer{
		"issued since":                       {Org: issue(beta, false, 250*day, 1200*day)},
		"ended since":                        {Org: issue(beta, false, 150*day, 400*day)},
		"issued since, as what issued it":    {Org: issue(later, false, 600*day, 1200*day), between: []*govtest.Org{later}},
		"issued since by one that has ended": {Org: issue(before, false, 300*day, 1200*day), between: []*govtest.Org{before}},
	}
	bad := map[string]officer{
		"ended before":                        {Org: issue(beta, false, 0, 150*day)},
		"not valid yet":                       {Org: issue(beta, false, 1100*day, 1200*day)},
		"issued and ended since":              {Org: issue(beta, false, 250*day, 400*day)},
		"issued by one that has ended before": {Org: issue(gone, false, 300*day, 1200*day), between: []*govtest.Org{gone}},
		"of one that could not decide then":   {Org: issue(n.Members[0], false, 250*day, 1200*day)},
	}
	c := n.Load()
	for name, o := range good {
		if _, err := n.Submit(n.SignProposal(o, govtest.AddCode(govtest.OtherCode))); err != nil {
			t.Errorf("a statement by a certificate %s: %v", name, err)
		}
		if _, err := constitution.IdentifyOfficer(c, o.chain(), n.Now); err != nil {
			t.Errorf("a connection by a certificate %s: %v", name, err)
		}
		if _, err := constitution.Identify(c, o.chain(), n.Now); err == nil {
			t.Errorf("a client's connection by a certificate %s", name)
		}
	}
	for name, o := range bad {
		if _, err := n.Submit(n.SignProposal(o, govtest.AddCode(govtest.OtherCode))); err == nil {
			t.Errorf("a statement by a certificate %s", name)
		}
		if _, err := constitution.IdentifyOfficer(c, o.chain(), n.Now); err == nil {
			t.Errorf("a connection by a certificate %s", name)
		}
	}

	// A node of theirs joins meanwhile, too.
	rec, machine := n.Node(beta, "beta:7000"), govtest.Issue(t, "nodes of beta", beta, false, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = govtest.Start.Add(250*day), govtest.Start.Add(1200*day)
		c.Subject.OrganizationalUnit = []string{coco.NodesUnit}
	})
	rec.OwnerCertificates = machine.Certificates()
	n.Finish(&rec, machine.Key, govtest.TestCode)
	n.Admit(rec)

	renewed := []*govtest.Org{dated(t, "beta", 900*day, 2000*day), dated(t, "gamma", 900*day, 2000*day)}
	p := n.Propose(good["issued since"], govtest.Act(action.AddCertificate, action.Args{Actor: beta.Name, Certificate: renewed[0].Cert.Raw}),
		govtest.Act(action.AddCertificate, action.Args{Actor: gamma.Name, Certificate: renewed[1].Cert.Raw}))
	n.Vote(good["ended since"], p.ID, envelope.Yes)
	if out := n.Vote(good["issued since, as what issued it"], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Fatalf("%+v", out)
	}
	for name, o := range good {
		if _, err := n.Submit(n.SignProposal(o, govtest.AddCode(govtest.OtherCode))); err == nil {
			t.Errorf("a certificate %s counts although the organisations have new ones", name)
		}
	}
	n.Audited(first)
}

// Ended certificates count for nothing while members that can sign could renew them.
func TestEndedCertificatesCountOnlyWhereNobodyCouldDecide(t *testing.T) {
	add := govtest.AddCode(govtest.OtherCode)
	n, _ := ended(t, 2, 100*day, 2000*day, 2000*day)
	if _, err := n.Submit(n.SignProposal(n.Members[0], add)); err == nil {
		t.Error("an ended certificate counts while two of three members can sign")
	}
	n, _ = ended(t, 1, 100*day, 200*day, 300*day)
	if _, err := n.Submit(n.SignProposal(n.Members[1], add)); err == nil {
		t.Error("by rules 1 an ended certificate counts")
	}
	n, _ = ended(t, 2, 100*day, 200*day, 300*day)
	if got := n.Load().AsOf(n.Now); !got.Equal(govtest.Start.Add(200 * day)) {
		t.Errorf("certificates are judged as of %s", got)
	}
}
