package aci

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/cocoframework/coco/attest"
)

var _ attest.Explainer = Claims{}

// Explain implements attest.Explainer.
func (c Claims) Explain() []attest.Fact {
	facts := []attest.Fact{
		{Name: "utility VM", Value: fmt.Sprintf("%s, version %d, endorsed at %s", c.UVM.Feed, c.UVM.SVN, c.UVM.Signed.UTC().Format(time.RFC3339))},
		{Name: "endorsed by", Value: c.UVM.Issuer},
	}
	facts = append(facts, c.SNP.Explain()...)
	if c.Text != "" {
		facts = append(facts, attest.Fact{Name: "security policy", Value: "\n" + c.Text})
	}
	return facts
}

// Demand implements attest.Explainer.
func (c Claims) Demand() ([]byte, error) {
	p := c.SNP.Draft()
	p["endorsements"] = []Endorsement{{Issuer: c.UVM.Issuer, Feed: c.UVM.Feed, MinimumSVN: c.UVM.SVN}}
	return json.Marshal(p)
}
