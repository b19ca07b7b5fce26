package snp

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cocoframework/coco/attest"
)

var _ attest.Explainer = Claims{}

// Explain implements attest.Explainer.
func (c Claims) Explain() []attest.Fact {
	r := c.Report
	signer := "the chip's own key (VCEK), chip " + hex.EncodeToString(c.Chip)
	if r.Signer == VLEK {
		signer = "the key of cloud provider " + c.Provider + " (VLEK)"
	}
	facts := []attest.Fact{
		{Name: "product", Value: "AMD EPYC " + string(r.Product)},
		{Name: "signed by", Value: signer},
		{Name: "certificate", Value: "until " + c.Until.UTC().Format(time.DateOnly)},
		{Name: "TCB", Value: r.Reported.String()},
	}
	if r.Committed != r.Current || r.CommittedFirmware != r.CurrentFirmware {
		facts = append(facts, attest.Fact{Name: "committed", Value: fmt.Sprintf("%v, firmware %v; it runs %v, firmware %v", r.Committed, r.CommittedFirmware, r.Current, r.CurrentFirmware)})
	} else {
		facts = append(facts, attest.Fact{Name: "firmware", Value: r.CurrentFirmware.String()})
	}
	if r.Launch != r.Reported {
		facts = append(facts, attest.Fact{Name: "launched with", Value: r.Launch.String()})
	}
	return append(facts,
		attest.Fact{Name: "privilege level", Value: fmt.Sprintf("VMPL %d", r.VMPL)},
		attest.Fact{Name: "guest", Value: c.guest()},
		attest.Fact{Name: "host data", Value: hex.EncodeToString(r.HostData[:])},
		attest.Fact{Name: "revocation", Value: c.Revocation.String()},
	)
}

// guest names what the guest's policy allows and demands.
func (c Claims) guest() string {
	p := c.Report.Policy
	var words []string
	for _, w := range []struct {
		is   bool
		text string
	}{
		{p.Debug, "the host may debug it"},
		{p.MigrateMA, "a migration agent may move it"},
		{p.SMT, "may share a core"},
		{!p.SMT, "shares no core"},
		{p.SingleSocket, "one socket"},
		{p.CipherTextHidingDRAM, "demands hidden ciphertext"},
		{c.Report.Platform.AliasChecked, "memory aliases were looked for"},
	} {
		if w.is {
			words = append(words, w.text)
		}
	}
	return fmt.Sprintf("version %d, %s", c.Report.GuestSVN, strings.Join(words, ", "))
}

func (r Revocation) String() string {
	switch {
	case r.Made.IsZero():
		return "no list at hand"
	case !r.Current:
		return "not revoked by a list that was to be replaced at " + r.Next.UTC().Format(time.RFC3339)
	}
	return "not revoked, by the list of " + r.Made.UTC().Format(time.RFC3339)
}

// Demand implements attest.Explainer.
func (c Claims) Demand() ([]byte, error) { return json.Marshal(c.Draft()) }

// Draft is the policy of Demand, as the fields that differ from a policy's zero value.
func (c Claims) Draft() map[string]any {
	r := c.Report
	lowest := r.Reported
	for _, t := range []TCB{r.Committed, r.Current, r.Launch} {
		lowest = TCB{min(lowest.FMC, t.FMC), min(lowest.Bootloader, t.Bootloader), min(lowest.TEE, t.TEE), min(lowest.SNP, t.SNP), min(lowest.Microcode, t.Microcode)}
	}
	parts := map[string]any{"bootloader": lowest.Bootloader, "tee": lowest.TEE, "snp": lowest.SNP, "microcode": lowest.Microcode}
	if r.Product == Turin {
		parts["fmc"] = lowest.FMC
	}
	p := map[string]any{"minimum_tcb": map[string]any{string(r.Product): parts}}
	if r.VMPL != 0 {
		p["vmpl"] = r.VMPL
	}
	if r.Committed != r.Current || r.CommittedFirmware != r.CurrentFirmware {
		p["allow_provisional_firmware"] = true
	}
	if !c.Revocation.Current {
		p["allow_missing_crl"] = true
	}
	if r.Policy.MigrateMA {
		p["allow_migration"] = true
	}
	if r.Signer == VLEK {
		p["vlek"] = []string{c.Provider}
	}
	return p
}
