package vtpm

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/cocoframework/coco/attest"
)

var (
	_ attest.Explainer = SNPClaims{}
	_ attest.Explainer = TPMClaims{}
)

func (b Boot) explain() []attest.Fact {
	facts := []attest.Fact{{Name: "TPM", Value: fmt.Sprintf("started %d times, woken %d times since, firmware %#x", b.Resets, b.Restarts, b.Firmware)}}
	for i := range maxPCRs {
		if v, ok := b.PCRs[i]; ok && v != ([32]byte{}) {
			facts = append(facts, attest.Fact{Name: fmt.Sprintf("register %d", i), Value: hex.EncodeToString(v[:])})
		}
	}
	return facts
}

// Explain implements attest.Explainer.
func (c SNPClaims) Explain() []attest.Fact {
	onOff := map[bool]string{true: "on", false: "off"}
	facts := []attest.Fact{
		{Name: "machine", Value: c.Machine.ID},
		{Name: "Secure Boot", Value: onOff[c.Machine.SecureBoot]},
		{Name: "console", Value: onOff[c.Machine.Console]},
		{Name: "paravisor", Value: hex.EncodeToString(c.SNP.Report.Measurement[:])},
	}
	return append(append(facts, c.SNP.Explain()...), c.Boot.explain()...)
}

// Demand implements attest.Explainer.
func (c SNPClaims) Demand() ([]byte, error) {
	p := c.SNP.Draft()
	if !c.Machine.SecureBoot {
		p["allow_insecure_boot"] = true
	}
	return json.Marshal(p)
}

// Explain implements attest.Explainer.
func (c TPMClaims) Explain() []attest.Fact {
	return append([]attest.Fact{
		{Name: "protection", Value: "measured boot, NO memory confidentiality: the machine's owner can read all that a node holds"},
		{Name: "attestation key", Value: c.Key + "; a challenge must have shown that it is in a TPM"},
	}, c.Boot.explain()...)
}

// Demand implements attest.Explainer.
func (c TPMClaims) Demand() ([]byte, error) {
	return json.Marshal(map[string]any{"attestation_keys": []string{c.Key}})
}
