package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gateway"
)

// certificates says when this node's certificate ends, the service's, and the first of those that the
// constitution lists.
func (n *node) certificates() []gateway.Certificate {
	out := []gateway.Certificate{
		{Of: "node", NotAfter: n.id.Certificate().Leaf.NotAfter.UTC()},
		{Of: "service", NotAfter: n.serviceCertificate().NotAfter.UTC()},
	}
	var first gateway.Certificate
	for _, a := range n.constitution.Load().Certificates() {
		if ends := a.Certificate.NotAfter.UTC(); first.Of == "" || ends.Before(first.NotAfter) {
			first = gateway.Certificate{Of: "member", Name: a.Name, NotAfter: ends}
			if a.Role != coco.Member {
				first.Of = "participant"
			}
		}
	}
	return append(out, first)
}

// actorEnds is a metric for every certificate that the constitution in force lists; of several of one actor,
// the one that ends last, since any of them will do.
type actorEnds struct {
	n    *node
	desc *prometheus.Desc
}

func newActorEnds(n *node) actorEnds {
	return actorEnds{n, prometheus.NewDesc("coco_actor_certificate_not_after_seconds",
		"When the last certificate of a member or participant ends, since 1970.", []string{"actor"}, nil)}
}

// Describe implements prometheus.Collector.
func (a actorEnds) Describe(to chan<- *prometheus.Desc) { to <- a.desc }

// Collect implements prometheus.Collector.
func (a actorEnds) Collect(to chan<- prometheus.Metric) {
	last := map[string]time.Time{}
	for _, c := range a.n.constitution.Load().Certificates() {
		if ends := c.Certificate.NotAfter; ends.After(last[c.Name]) {
			last[c.Name] = ends
		}
	}
	for name, ends := range last {
		to <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, float64(ends.Unix()), name)
	}
}
