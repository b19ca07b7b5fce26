package constitution

import (
	"crypto/x509"

	"github.com/cocoframework/coco"
)

// ActorCertificate is one that the constitution lists.
type ActorCertificate struct {
	Actor       coco.ActorID
	Name        string
	Role        coco.Role
	Certificate *x509.Certificate
}

// Certificates returns the certificates of all members and participants. They MUST NOT be modified.
func (c *Constitution) Certificates() []ActorCertificate {
	var out []ActorCertificate
	for _, a := range c.completed().actors {
		out = append(out, ActorCertificate{a.id, a.name, a.role, a.cert})
	}
	return out
}
