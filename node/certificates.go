package node

import (
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/wire"
)

// listCertificates says when this node's certificate ends, the service's, and the first of those that the constitution lists.
func (n *node) listCertificates(listed *constitution.Constitution) []wire.Certificate {
	out := []wire.Certificate{
		{Of: "node", NotAfter: n.self.Identity.Certificate().Leaf.NotAfter.UTC()},
		{Of: "service", NotAfter: n.certificates.OfService().NotAfter.UTC()},
	}
	var first wire.Certificate
	for _, a := range listed.Certificates() {
		if ends := a.Certificate.NotAfter.UTC(); first.Of == "" || ends.Before(first.NotAfter) {
			first = wire.Certificate{Of: "member", Name: a.Name, NotAfter: ends}
			if a.Role != coco.Member {
				first.Of = "participant"
			}
		}
	}
	return append(out, first)
}

// actorsEnd is when the first member or participant is without a certificate: any of several will do. Metrics
// name no organisation.
func actorsEnd(c *constitution.Constitution) time.Time {
	last := map[coco.ActorID]time.Time{}
	for _, a := range c.Certificates() {
		if ends := a.Certificate.NotAfter; ends.After(last[a.Actor]) {
			last[a.Actor] = ends
		}
	}
	var first time.Time
	for _, ends := range last {
		if first.IsZero() || ends.Before(first) {
			first = ends
		}
	}
	return first
}
