package sgx

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
	return append(c.TCB.Explain(),
		attest.Fact{Name: "signed by", Value: hex.EncodeToString(r.MRSIGNER[:]) + " (MRSIGNER)"},
		attest.Fact{Name: "enclave", Value: fmt.Sprintf("product %d, security version %d", r.ISVProdID, r.ISVSVN)},
		attest.Fact{Name: "attributes", Value: hex.EncodeToString(r.Attributes[:])},
	)
}

// Demand implements attest.Explainer.
func (c Claims) Demand() ([]byte, error) {
	p := policy{
		MRSigner: []string{hex.EncodeToString(c.Report.MRSIGNER[:])}, ProdID: &c.Report.ISVProdID, MinimumSVN: c.Report.ISVSVN, Policy: c.TCB.Demand(),
	}
	// What the driver's own rules refuse is allowed bit by bit, so that it is seen.
	own, _ := p.rule()
	p.Attributes, p.AttributesMask = own.Allow(c.Report.Attributes[:])
	return json.Marshal(p)
}
