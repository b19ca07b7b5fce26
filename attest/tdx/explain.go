package tdx

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/cocoframework/coco/attest"
)

var _ attest.Explainer = Claims{}

// Explain implements attest.Explainer.
func (c Claims) Explain() []attest.Fact {
	r := c.Report
	facts := append(c.TCB.Explain(),
		attest.Fact{Name: "TDX module", Value: fmt.Sprintf("version %d, security version %d", r.TCBSVN[1], r.TCBSVN[0])},
		attest.Fact{Name: "attributes", Value: hex.EncodeToString(r.Attributes[:])},
	)
	for _, f := range (policy{}).registers(r) {
		if f.found != ([48]byte{}) {
			facts = append(facts, attest.Fact{Name: f.name, Value: hex.EncodeToString(f.found[:])})
		}
	}
	return facts
}

// Demand implements attest.Explainer. The registers that say which code runs are not in it: the measurement has them.
func (c Claims) Demand() ([]byte, error) {
	r := c.Report
	p := policy{Policy: c.TCB.Demand()}
	if r.MRSERVICETD != ([48]byte{}) {
		p.ServiceTD = []string{hex.EncodeToString(r.MRSERVICETD[:])}
	}
	// What the driver's own rules refuse is allowed bit by bit, so that it is seen.
	own, _ := p.rule()
	p.Attributes, p.AttributesMask = own.Allow(r.Attributes[:])
	return json.Marshal(p)
}
