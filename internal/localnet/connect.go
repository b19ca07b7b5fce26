package localnet

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
)

// LoadConstitution returns the sandbox's genesis constitution, checked against its digest.
func (i *Info) LoadConstitution() (*constitution.Constitution, error) {
	file := Layout{i.Dir}.ConstitutionFile()
	page, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	c, err := constitution.Parse(page)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if got := c.Digest(); got != i.Constitution {
		return nil, fmt.Errorf("%w: %s has digest %s, expected %s: it was changed after the network started",
			coco.ErrVerify, file, got.Short(), i.Constitution.Short())
	}
	return c, nil
}

// Connect returns a client of a node, under the identity of its member's user, that verifies the
// node as the sandbox's constitution and service certificate demand.
func (i *Info) Connect(n Node, verifiers attest.Verifiers) (*client.Client, error) {
	m, err := i.Member(n.Member)
	if err != nil {
		return nil, err
	}
	cert, err := m.UserCertificate()
	if err != nil {
		return nil, err
	}
	trust, err := i.Trust(verifiers)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Addr: n.Client, Certificate: cert, Policy: trust})
}

// ConnectAdmin returns such a client of the node's administrative listener, with its member's certificate
// for governance.
func (i *Info) ConnectAdmin(n Node, verifiers attest.Verifiers) (*client.Client, error) {
	if n.Admin == "" {
		return nil, fmt.Errorf("%w: node %s has no administrative listener: restart the network with `coco down%s` and `coco up%s`", coco.ErrUnreachable, n.Name, DirHint(i.Dir), DirHint(i.Dir))
	}
	dir, err := i.Governance(n.Member)
	if err != nil {
		return nil, err
	}
	cert, err := identity.LoadPair(dir.Gov(), dir.GovKey(), keyfile.Read)
	if err != nil {
		return nil, fmt.Errorf("%w: governance of %s: %w", coco.ErrInvalid, n.Member, err)
	}
	trust, err := i.Trust(verifiers)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Addr: n.Admin, Certificate: &cert, Policy: trust})
}

// Trust is what the sandbox's nodes must prove to a client: code that the constitution lists, as far as the supervisor knows it, and
// the service's endorsement. Which constitution is in force they say themselves: members change it.
func (i *Info) Trust(verifiers attest.Verifiers) (client.Policy, error) {
	c, err := i.InForce()
	if err != nil {
		return client.Policy{}, err
	}
	service, err := identity.ReadCertificate(i.ServicePEM)
	if err != nil {
		return client.Policy{}, fmt.Errorf("service certificate: %w", err)
	}
	return client.Policy{Code: c.Measurements(), TEE: c.TEEPolicies(), Verifiers: verifiers, Service: service}, nil
}

// Member returns the member of a name.
func (i *Info) Member(name string) (Member, error) {
	known := make([]string, len(i.Members))
	for k, m := range i.Members {
		if m.Name == name {
			return m, nil
		}
		known[k] = m.Name
	}
	return Member{}, fmt.Errorf("%w: no member %q in this sandbox: expected one of %q", coco.ErrInvalid, name, known)
}

// Governance returns the folder of a member's keys, among them one for governance, which is made if it is
// missing.
func (i *Info) Governance(name string) (identity.Dir, error) {
	m, err := i.Member(name)
	if err != nil {
		return "", err
	}
	dir := identity.Dir(m.Dir)
	return dir, identity.EnsureGovernance(name, dir, time.Now())
}

// InForceFile is the constitution as members have changed it, as far as the supervisor has heard. It is
// absent until then.
func (l Layout) InForceFile() string { return filepath.Join(l.Dir, "constitution-in-force.toml") }

// InForce returns the constitution that the sandbox's nodes are verified by; nil if nothing has changed.
func (l Layout) InForce() (*constitution.Constitution, error) {
	page, err := os.ReadFile(l.InForceFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	c, err := constitution.Parse(page)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.InForceFile(), err)
	}
	return c, nil
}

// InForce returns the constitution as members have changed it, as far as the supervisor has heard.
func (i *Info) InForce() (*constitution.Constitution, error) {
	genesis, err := i.LoadConstitution()
	if err != nil {
		return nil, err
	}
	if c, err := (Layout{i.Dir}).InForce(); c != nil || err != nil {
		return c, err
	}
	return genesis, nil
}

// UserCertificate reads the certificate of the member's application, which is made if it is missing.
func (m Member) UserCertificate() (*tls.Certificate, error) {
	dir := identity.Dir(m.Dir)
	if err := identity.EnsureUser(m.Name, dir, time.Now()); err != nil {
		return nil, err
	}
	return dir.UserCertificate()
}
