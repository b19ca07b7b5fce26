package decide_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
)

// A key that an organisation issued a certificate for, and that leaks, must be of no use before the certificate ends.
func TestACertificateThatAnOrganisationIssuedIsRevokedByAVote(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	beta := n.Members[1]
	issue := func(name string, units ...string) *govtest.Org {
		return govtest.Issue(t, name, beta, false, func(c *x509.Certificate) {
			c.Subject.OrganizationalUnit, c.ExtKeyUsage = units, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})
	}
	machine, spare, officer, user := issue("machine", coco.NodesUnit), issue("spare", coco.NodesUnit), issue("officer", coco.GovernanceUnit), issue("user")
	owns := func(by *govtest.Org) error {
		rec := n.Node(beta, "beta:7000")
		rec.OwnerCertificates = [][]byte{by.Cert.Raw}
		n.Finish(&rec, by.Key, govtest.TestCode)
		return members.VerifyOwner(n.Load(), &rec)
	}
	signs := func(by *govtest.Org) error {
		_, err := n.Submit(n.SignProposal(by, govtest.AddCode(govtest.OtherCode)))
		return err
	}
	calls := func(cert *x509.Certificate) error {
		_, err := constitution.Identify(n.Load(), []*x509.Certificate{cert, beta.Cert}, n.Now)
		return err
	}
	for what, err := range map[string]error{"a node": owns(machine), "another node": owns(spare), "a statement": signs(officer), "a call": calls(user.Cert)} {
		if err != nil {
			t.Fatalf("before: %s: %v", what, err)
		}
	}
	var actions []action.Action
	for _, gone := range []*govtest.Org{machine, officer, user} {
		actions = append(actions, govtest.Act(action.RemoveCertificate, action.Args{Actor: beta.Name, Certificate: gone.Cert.Raw}))
	}
	p := n.Propose(beta, actions...)
	n.Vote(beta, p.ID, envelope.Yes)
	if out := n.Vote(n.Members[0], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Fatalf("%+v", out)
	}
	for what, err := range map[string]error{"a node": owns(machine), "a statement": signs(officer), "a call": calls(user.Cert), "a call in other bytes": calls(otherSignature(t, user.Cert))} {
		if !errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), "was revoked") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := owns(spare); err != nil {
		t.Errorf("another certificate of the organisation: %v", err)
	}
	if err := owns(beta); err != nil {
		t.Errorf("the organisation's own: %v", err)
	}
	c := n.Load()
	if again := govtest.Parse(t, string(c.TOML())); again.Digest() != c.Digest() || len(c.Revoked) != 3 {
		t.Errorf("%d are revoked; the page comes back as another constitution: %v", len(c.Revoked), again.Digest() != c.Digest())
	}

	// It is done once, and for what the organisation has issued.
	for what, a := range map[string]action.Args{
		"again":           {Actor: beta.Name, Certificate: user.Cert.Raw},
		"another one's":   {Actor: n.Members[2].Name, Certificate: spare.Cert.Raw},
		"nobody's at all": {Actor: beta.Name, Certificate: govtest.Issue(t, "x", nil, true, nil).Cert.Raw},
	} {
		_, err := n.Submit(n.SignProposal(beta, govtest.Act(action.RemoveCertificate, a)))
		if why, ok := reason.Of(err); !ok || why.Code != reason.CertificateUnknown {
			t.Errorf("%s: %v", what, err)
		}
	}
	n.Audited(first)
}

// otherSignature returns a certificate that says the same and verifies, with the other one of the two values that an ECDSA
// signature may have.
func otherSignature(t *testing.T, cert *x509.Certificate) *x509.Certificate {
	t.Helper()
	var whole struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(cert.Raw, &whole); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(whole.Signature.Bytes, &sig); err != nil {
		t.Fatal(err)
	}
	sig.S.Sub(elliptic.P256().Params().N, sig.S)
	der, err := asn1.Marshal(sig)
	if err != nil {
		t.Fatal(err)
	}
	whole.Signature = asn1.BitString{Bytes: der, BitLength: 8 * len(der)}
	if der, err = asn1.Marshal(whole); err != nil {
		t.Fatal(err)
	}
	again, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := again.PublicKey.(*ecdsa.PublicKey); !ok || string(again.Raw) == string(cert.Raw) {
		t.Fatal("the certificate is the same")
	}
	return again
}

func TestByRules1NoCertificateIsRevoked(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	n.C.Rules = 1
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	beta := n.Members[1]
	leaf := govtest.Issue(t, "leaf", beta, false, nil)
	_, err := n.Submit(n.SignProposal(beta, govtest.Act(action.RemoveCertificate, action.Args{Actor: beta.Name, Certificate: leaf.Cert.Raw})))
	if why, ok := reason.Of(err); !ok || why.Code != reason.CertificateUnknown {
		t.Errorf("%v", err)
	}
}
