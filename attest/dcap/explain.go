package dcap

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
)

// Explain says for people what Intel says about the processor.
func (t TCB) Explain() []attest.Fact {
	status := string(t.Status)
	if !t.Date.IsZero() {
		status += ", of " + t.Date.UTC().Format(time.DateOnly)
	}
	ends := "until " + t.Expires.UTC().Format(time.DateOnly)
	if t.Expired > 0 {
		ends = "ENDED " + t.Expires.UTC().Format(time.DateOnly)
	}
	revocation := "no certificate is in a list of revoked ones"
	if !t.Revocation {
		revocation = "not known: the collateral lacks a list of revoked certificates"
	}
	facts := []attest.Fact{
		{Name: "TCB status", Value: status},
		{Name: "collateral", Value: fmt.Sprintf("TCB evaluation %d, %s", t.Evaluation, ends)},
		{Name: "revocation", Value: revocation},
		{Name: "processor", Value: fmt.Sprintf("FMSPC %s, TCB components %s, PCE %d", hex.EncodeToString(t.FMSPC[:]), numbers(t.SVN[:]), t.PCESVN)},
	}
	if t.Platform {
		var words []string
		for _, w := range []struct {
			is   bool
			text string
		}{{t.SMT, "may share a core"}, {!t.SMT, "shares no core"}, {t.Dynamic, "processors may be added"}, {t.CachedKeys, "keys are kept by Intel"}} {
			if w.is {
				words = append(words, w.text)
			}
		}
		facts = append(facts, attest.Fact{Name: "machine", Value: strings.Join(words, ", ")})
	}
	return facts
}

func numbers(b []uint8) string {
	words := make([]string, len(b))
	for i, n := range b {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, ".")
}

// Demand returns the policy that asks for no less than this TCB: its status, its advisories, the evaluation of its collateral and its family.
func (t TCB) Demand() Policy {
	return Policy{
		Status: []collateral.Status{t.Status}, Advisories: t.Advisories, Evaluation: t.Evaluation, FMSPC: []string{hex.EncodeToString(t.FMSPC[:])}, WithoutCRL: !t.Revocation,
		Grace: int((t.Expired + 24*time.Hour - 1) / (24 * time.Hour)),
	}
}
