package sandbox

import (
	"fmt"
	"os"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov"
)

// Constitution returns the sandbox's genesis constitution, checked against its digest.
func (i *Info) LoadConstitution() (*gov.Constitution, error) {
	file := Layout{i.Dir}.ConstitutionFile()
	page, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	c, err := gov.ParseConstitution(page)
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
	c, err := i.LoadConstitution()
	if err != nil {
		return nil, err
	}
	service, err := readPEM(i.ServicePEM)
	if err != nil {
		return nil, fmt.Errorf("service certificate: %w", err)
	}
	for _, m := range i.Members {
		if m.Name != n.Member {
			continue
		}
		cert, err := UserCertificate(m)
		if err != nil {
			return nil, err
		}
		return client.New(client.Config{
			Addr: n.Client, Certificate: cert,
			Policy: client.Policy{Code: c.Measurements(), Verifiers: verifiers, Service: service, Constitution: i.Constitution},
		})
	}
	return nil, fmt.Errorf("%w: the sandbox has no member %q", coco.ErrCorrupt, n.Member)
}
