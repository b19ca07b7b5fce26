package gateway

import (
	"context"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// Governor is what the administrative listener asks of the node behind it: as with Node, one method for
// each route under /gov.
//
// The methods read the last commit that is applied on this node. They are called concurrently, by
// members only. A fact that the node does not have yet is an error of kind coco.ErrBusy.
type Governor interface {
	// Govern hands in a signed proposal or ballot (package gov/envelope) and returns, once it is committed,
	// what became of it. What the rules refuse is coco.ErrDenied or coco.ErrInvalid and names the rule.
	Govern(ctx context.Context, raw []byte) (wire.Outcome, error)
	// Proposals returns the proposals that a query wants, the newest first, without actions, ballots and
	// envelopes. A network has many past ones: what it costs to describe one should be spent on those only.
	Proposals(q ProposalQuery) ([]wire.Proposal, error)
	// Proposal returns all of one proposal.
	Proposal(id coco.Digest) (wire.Proposal, error)
	// ConstitutionAt returns a version of the constitution as a TOML page, 0 for the one in force.
	ConstitutionAt(version uint64) ([]byte, wire.ConstitutionVersion, error)
	// History returns the versions of the constitution, the oldest first.
	History() ([]wire.ConstitutionVersion, error)
	// Simulate says what actions (TOML) would change if the caller proposed them now and they were accepted,
	// and which votes would accept them.
	Simulate(ctx context.Context, caller coco.Caller, actions []byte) (wire.Simulation, error)
	// PendingNodes returns the nodes that ask to be admitted.
	PendingNodes() ([]wire.Node, error)
	// WaitFor returns once a transaction later than a seqno has changed anything that the other methods
	// tell, or ctx is done, which is no error. It returns the seqno up to which they then tell it.
	WaitFor(ctx context.Context, seqno uint64) (uint64, error)
}

// ProposalQuery says which proposals are wanted. Zero fields say nothing.
type ProposalQuery struct {
	State  string
	Number uint64
	Prefix string // of the id, in hexadecimal
	After  uint64 // those that are open, and those that a transaction later than this seqno decided
	Limit  int    // the newest so many
}

// Wants says whether a proposal is among those, the limit apart.
func (q ProposalQuery) Wants(id coco.Digest, number uint64, state string, decided uint64) bool {
	return (q.State == "" || q.State == state) && (q.Number == 0 || q.Number == number) &&
		(q.Prefix == "" || strings.HasPrefix(id.String(), q.Prefix)) && (q.After == 0 || decided == 0 || decided > q.After)
}
