package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/cocoframework/coco"
)

// Governor is what the administrative listener asks of the node behind it: as with Node, one method for
// each route under /gov.
//
// The methods read the last commit that is applied on this node. They are called concurrently, by
// members only. A fact that the node does not have yet is an error of kind coco.ErrBusy.
type Governor interface {
	// Govern hands in a signed proposal or ballot (package gov/envelope) and returns, once it is committed,
	// what became of it, as JSON (package gov's Outcome). What the rules refuse is coco.ErrDenied or
	// coco.ErrInvalid and names the rule.
	Govern(ctx context.Context, raw []byte) (json.RawMessage, error)
	// Proposals returns the proposals that a query wants, the newest first, without actions, ballots and
	// envelopes. A network has many past ones: what it costs to describe one should be spent on those only.
	Proposals(q ProposalQuery) ([]ProposalInfo, error)
	// Proposal returns all of one proposal.
	Proposal(id coco.Digest) (ProposalInfo, error)
	// ConstitutionAt returns a version of the constitution as a TOML page, 0 for the one in force.
	ConstitutionAt(version uint64) ([]byte, VersionInfo, error)
	// History returns the versions of the constitution, the oldest first.
	History() ([]VersionInfo, error)
	// Simulate says, as JSON, what actions (TOML) would change if the caller proposed them now and they
	// were accepted, and which votes would accept them (package gov's Simulation, with the version that the
	// constitution would have, and its page before and after).
	Simulate(ctx context.Context, caller coco.Caller, actions []byte) (json.RawMessage, error)
	// PendingNodes returns the nodes that ask to be admitted.
	PendingNodes() ([]PendingNode, error)
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

// ProposalInfo is a proposal in the answers of GET /gov/proposals and GET /gov/proposals/{id}.
type ProposalInfo struct {
	ID           coco.Digest  `json:"id"`     // SHA-256 of the envelope
	Number       uint64       `json:"number"` // in order of arrival, from 1
	State        string       `json:"state"`  // open, accepted, rejected, withdrawn, expired or failed
	Proposer     coco.ActorID `json:"proposer"`
	ProposerName string       `json:"proposer_name"`
	Kinds        []string     `json:"kinds"` // of its actions
	Note         string       `json:"note,omitempty"`
	Time         time.Time    `json:"time"`    // of signing
	Expires      time.Time    `json:"expires"` // when voting ends
	Since        uint64       `json:"since"`   // the seqno that brought it in
	Decided      uint64       `json:"decided,omitempty"`
	Code         string       `json:"code,omitempty"`   // of the reason
	Reason       string       `json:"reason,omitempty"` // for people
	Yes          int          `json:"yes"`              // votes of members
	No           int          `json:"no"`

	// Of one proposal only:
	Actions  string       `json:"actions,omitempty"`  // TOML
	Ballots  []BallotInfo `json:"ballots,omitempty"`  // each member's last one
	Waiting  []string     `json:"waiting,omitempty"`  // members that have not voted, while it is open
	Envelope []byte       `json:"envelope,omitempty"` // verbatim
}

// BallotInfo is one vote in the answer of GET /gov/proposals/{id}.
type BallotInfo struct {
	Member   coco.ActorID `json:"member"`
	Name     string       `json:"name"`
	Vote     string       `json:"vote"` // yes, no or withdraw
	Time     time.Time    `json:"time"` // of signing
	Since    uint64       `json:"since"`
	Counts   bool         `json:"counts"` // its member is one still
	Envelope []byte       `json:"envelope"`
}

// VersionInfo is a version in the answer of GET /gov/constitution/history.
type VersionInfo struct {
	Version  uint64      `json:"version"` // 1 at genesis
	Digest   coco.Digest `json:"digest"`
	Since    uint64      `json:"since"`             // the seqno from which on it is in force
	Time     time.Time   `json:"time"`              // of that transaction
	Proposal coco.Digest `json:"proposal,omitzero"` // that made it; none at genesis
	Number   uint64      `json:"number,omitempty"`  // of that proposal
}

// PendingNode is a node in the answer of GET /gov/nodes that waits to be admitted.
type PendingNode struct {
	NodeInfo
	Reason string `json:"reason,omitempty"` // why it is not admitted
}

// GovEvent is one event in the answer of GET /gov/watch.
type GovEvent struct {
	// Event is "proposed", "voted", "decided", "constitution" or "pending-node".
	Event string `json:"event"`
	Since uint64 `json:"since"` // the seqno that made it so
	// Text says it in one sentence.
	Text string `json:"text"`

	Proposal     coco.Digest `json:"proposal,omitzero"` // proposed, voted, decided, constitution
	Number       uint64      `json:"number,omitempty"`
	State        string      `json:"state,omitempty"`  // decided
	Member       string      `json:"member,omitempty"` // proposed, voted
	Vote         string      `json:"vote,omitempty"`   // voted
	Version      uint64      `json:"version,omitempty"`
	Constitution coco.Digest `json:"constitution,omitzero"`
	Node         coco.NodeID `json:"node,omitzero"` // pending-node
}
