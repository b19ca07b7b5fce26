package sandbox

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/localnet"
)

// chainOf reads a certificate file and its key.
func chainOf(t *testing.T, cert, key string) []*x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	return chain
}

func TestEveryMemberHasACertificateForGovernance(t *testing.T) {
	s := made(t, 2)
	c, err := s.info.LoadConstitution()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.info.Members {
		dir, err := s.info.Governance(m.Name)
		if err != nil {
			t.Fatal(err)
		}
		chain := chainOf(t, dir.Gov(), dir.GovKey())
		if !slices.Contains(chain[0].Subject.OrganizationalUnit, coco.GovernanceUnit) {
			t.Errorf("%s: unit %q", m.Name, chain[0].Subject.OrganizationalUnit)
		}
		if caller, err := constitution.Identify(c, chain, time.Now()); err != nil || caller.Name != m.Name {
			t.Errorf("%s is %+v, %v", m.Name, caller, err)
		}
		if user := chainOf(t, dir.User(), dir.UserKey()); len(user[0].Subject.OrganizationalUnit) > 0 {
			t.Errorf("the user of %s has the unit %q", m.Name, user[0].Subject.OrganizationalUnit)
		}
	}
	if _, err := s.info.Governance("zulu"); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("of nobody: %v, expected coco.ErrInvalid", err)
	}
}

func TestNodeWithoutAdministrativeListenerSaysSo(t *testing.T) {
	s := made(t, 1)
	n := localnet.Node{Name: "alpha", Member: "alpha"}
	if _, err := s.info.ConnectAdmin(n, nil); !errors.Is(err, coco.ErrUnreachable) {
		t.Errorf("%v, expected coco.ErrUnreachable", err)
	}
	n.Admin, n.Member = "127.0.0.1:1", "zulu"
	if _, err := s.info.ConnectAdmin(n, nil); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("of nobody: %v, expected coco.ErrInvalid", err)
	}
}

func TestAnOlderSandboxGetsItsCertificatesForGovernance(t *testing.T) {
	s := made(t, 1)
	dir := s.lay.Member("alpha")
	for _, name := range []string{dir.Gov(), dir.GovKey()} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.info.Governance("alpha"); err != nil {
		t.Fatal(err)
	}
	first := chainOf(t, dir.Gov(), dir.GovKey())
	if _, err := s.info.Governance("alpha"); err != nil {
		t.Fatal(err)
	}
	if again := chainOf(t, dir.Gov(), dir.GovKey()); !again[0].Equal(first[0]) {
		t.Error("asking twice made two certificates")
	}
}
