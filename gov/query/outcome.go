// Package query turns what the tables of governance hold into what people and programs are shown: codes
// get their sentences, ids their names.
//
// Trust: enclave
package query

import (
	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/gov/reason"
)

// Outcome is what became of a statement that a member handed in.
type Outcome struct {
	ID      coco.Digest       `json:"id"` // the proposal's
	State   gov.ProposalState `json:"state"`
	Code    reason.Code       `json:"code,omitempty"`   // of the reason
	Reason  string            `json:"reason,omitempty"` // for people
	Version uint64            `json:"version"`          // of the constitution, now
	Digest  coco.Digest       `json:"digest"`           // the constitution's, now
	Effects []gov.Effect      `json:"effects,omitempty"`
}

// OutcomeOf describes an outcome.
func OutcomeOf(o gov.Outcome) Outcome {
	return Outcome{o.ID, o.State, reason.CodeOf(o.Reason), o.Reason.String(), o.Version, o.Digest, o.Effects}
}
