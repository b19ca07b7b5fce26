package node

import (
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// certificates says when this node's certificate ends, the service's, and the first of those that the
// constitution lists.
func (n *node) certificates() []wire.Certificate {
	out := []wire.Certificate{
		{Of: "node", NotAfter: n.id.Certificate().Leaf.NotAfter.UTC()},
		{Of: "service", NotAfter: n.serviceCertificate().NotAfter.UTC()},
	}
	var first wire.Certificate
	for _, a := range n.constitution.Load().Certificates() {
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
func (n *node) actorsEnd() time.Time {
	last := map[coco.ActorID]time.Time{}
	for _, c := range n.constitution.Load().Certificates() {
		if ends := c.Certificate.NotAfter; ends.After(last[c.Actor]) {
			last[c.Actor] = ends
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
