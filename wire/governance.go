package wire

import (
	"strings"
	"time"

	"github.com/cocoframework/coco"
)

// Outcome is the answer of POST /gov/submit: what became of the proposal that the statement is, or is about.
type Outcome struct {
	ID      coco.Digest `json:"id"`               // of the proposal
	State   string      `json:"state"`            // of the proposal; see Proposal
	Code    string      `json:"code,omitempty"`   // of the reason for that state
	Reason  string      `json:"reason,omitempty"` // the same for people
	Version uint64      `json:"version"`          // of the constitution then in force
	Digest  coco.Digest `json:"digest"`           // of the constitution then in force
	Effects []Effect    `json:"effects,omitempty"`
}

// Effect is one thing that an accepted proposal changes.
type Effect struct {
	Kind    string       `json:"kind"`              // such as "actor_added"; docs/http.md lists them
	Text    string       `json:"text"`              // for people
	Actor   coco.ActorID `json:"actor,omitzero"`    // of actors, places and nodes
	Address string       `json:"address,omitempty"` // of places and nodes
	Node    coco.NodeID  `json:"node,omitzero"`     // of retired nodes
	Subject string       `json:"subject,omitempty"` // measurement, platform, policy or setting
}

// Proposal is a proposal in the answers of GET /gov/proposals and GET /gov/proposals/{id}.
type Proposal struct {
	ID           coco.Digest  `json:"id"`     // SHA-256 of the envelope
	Number       uint64       `json:"number"` // in order of arrival, from 1
	State        string       `json:"state"`  // "open", "accepted", "rejected", "withdrawn", "expired" or "failed"
	Proposer     coco.ActorID `json:"proposer"`
	ProposerName string       `json:"proposer_name"`
	Kinds        []string     `json:"kinds"`             // of its actions
	Summary      []string     `json:"summary,omitempty"` // a sentence for each action, for people; nodes of older builds leave it out
	Note         string       `json:"note,omitempty"`
	Time         time.Time    `json:"time"`                  // of signing
	Expires      time.Time    `json:"expires"`               // when voting ends
	Since        uint64       `json:"since"`                 // the seqno that brought it in
	Decided      uint64       `json:"decided,omitempty"`     // the seqno that ended it
	DecidedTime  time.Time    `json:"decided_time,omitzero"` // of the batch that ended it; nodes of older builds leave it out
	Code         string       `json:"code,omitempty"`        // of the reason for its state
	Reason       string       `json:"reason,omitempty"`      // the same for people
	Yes          int          `json:"yes"`                   // votes of members
	No           int          `json:"no"`

	// Of one proposal only:
	Actions  string   `json:"actions,omitempty"`  // TOML
	Ballots  []Ballot `json:"ballots,omitempty"`  // each member's last one, in the order in which they came
	Waiting  []string `json:"waiting,omitempty"`  // members that have not voted, while it is open
	Envelope []byte   `json:"envelope,omitempty"` // verbatim
	Grants   []Grant  `json:"grants,omitempty"`   // of epochs to auditors, that came of it
}

// Grant is how far what members have granted to an auditor is on the ledger.
type Grant struct {
	Number  uint64       `json:"number"` // 1 for the network's first, and so on
	Name    string       `json:"name"`   // the auditor's
	Auditor coco.ActorID `json:"auditor"`
	To      []byte       `json:"to"`    // its public encryption key
	First   uint64       `json:"first"` // epoch
	Last    uint64       `json:"last"`  // epoch; included
	Since   uint64       `json:"since"` // the seqno of the deciding vote
	Time    time.Time    `json:"time"`  // of that transaction
	Ends    time.Time    `json:"ends"`  // until when nodes put on the ledger what is missing
	// Complete: the auditor can read, from any copy of the ledger that has this.
	Complete bool `json:"complete"`
	// Committee is the number of the one whose seats give parts; 0 if none does yet, or the network has none whose packages are with enough nodes.
	Committee uint64   `json:"committee,omitempty"`
	Threshold int      `json:"threshold,omitempty"` // parts that are needed
	Gave      []string `json:"gave"`                // the members whose seats have given their parts
	Waiting   []string `json:"waiting"`             // those whose seats have not
	Missing   []uint64 `json:"missing"`             // epochs that are not there yet
}

// ProposalQuery selects proposals. A field that is zero selects all.
type ProposalQuery struct {
	State  string
	Number uint64
	Prefix string // of the id, in hexadecimal
	After  uint64 // those that are open, and those that a transaction later than this seqno decided
	Limit  int    // the newest so many
}

// Wants reports whether a proposal is selected, the limit apart.
func (q ProposalQuery) Wants(id coco.Digest, number uint64, state string, decided uint64) bool {
	return (q.State == "" || q.State == state) && (q.Number == 0 || q.Number == number) &&
		(q.Prefix == "" || strings.HasPrefix(id.String(), q.Prefix)) && (q.After == 0 || decided == 0 || decided > q.After)
}

// Ballot is one vote in the answer of GET /gov/proposals/{id}.
type Ballot struct {
	Member   coco.ActorID `json:"member"`
	Name     string       `json:"name"`
	Vote     string       `json:"vote"` // "yes", "no" or "withdraw"
	Time     time.Time    `json:"time"` // of signing
	Since    uint64       `json:"since"`
	Counts   bool         `json:"counts"` // the organisation is a member still
	Envelope []byte       `json:"envelope"`
}

// MaxVersions is how many versions one answer of GET /gov/constitution/history has at most: a client that gets so many asks for
// those after the last one.
const MaxVersions = 10_000

// ConstitutionVersion is a version in the answer of GET /gov/constitution/history.
type ConstitutionVersion struct {
	Version  uint64      `json:"version"` // 1 at genesis
	Digest   coco.Digest `json:"digest"`
	Since    uint64      `json:"since"`             // the seqno from which on it is in force
	Time     time.Time   `json:"time"`              // of that transaction
	Proposal coco.Digest `json:"proposal,omitzero"` // that made it; none at genesis
	Number   uint64      `json:"number,omitempty"`  // of that proposal
}

// Simulation is the answer of POST /gov/simulate: what would become of actions that were proposed now.
type Simulation struct {
	Effects  []Effect    `json:"effects"`
	Policies []PolicyUse `json:"policies"` // those that decide
	// Automatic: the proposal is accepted when it is made, without a vote.
	Automatic bool `json:"automatic"`
	// Silent: it is accepted at the end of voting if no member votes.
	Silent bool `json:"silent"`
	// Possible: it is accepted, at once or at the end, if every member votes yes.
	Possible bool `json:"possible"`
	// Enough names members whose votes are enough at once, none of which can be left out.
	Enough []string `json:"enough"`
	// ByYes says for each number of yes votes, from 0 to that of the members, whether they are enough at once.
	ByYes []bool `json:"by_yes"`
	// Version is the one that the constitution would have, Before and After its pages (TOML).
	Version uint64 `json:"version"`
	Before  string `json:"before"`
	After   string `json:"after"`
	// Consequences are what single members could do from then on, and could not before, or nobody could any more, and what members' encryption keys mean.
	Consequences []Consequence `json:"consequences"`
	// MinimumSeconds is how long the proposal must be open if a policy that decides is to see the end of voting as closed;
	// 0 if none looks at that.
	MinimumSeconds int64 `json:"minimum_seconds,omitempty"`
	// Warnings say which members cannot sign afterwards, or not until the end of voting, and which certificates end soon.
	Warnings []string `json:"warnings,omitempty"`
	// Quorum tells of the votes in consensus before, QuorumAfter after, once every node that may vote does.
	Quorum      Quorum `json:"quorum"`
	QuorumAfter Quorum `json:"quorum_after"`
}

// Quorum says how many organisations hold the votes in consensus.
type Quorum struct {
	Votes map[string]int `json:"votes"` // by the organisation's name, or its id if it has none
	// Spans is the least number of organisations whose nodes together are a quorum, a majority of the votes. Stops is the least
	// number of organisations without whose nodes nothing commits.
	Spans int `json:"spans"`
	Stops int `json:"stops"`
}

// Consequence is something that a constitution lets members do, or keeps from all of them.
type Consequence struct {
	// Form is "unvoted" (without a vote), "alone" (by one member's vote), "silent" (by one member's vote if no other one
	// votes in time), "never", "recovery_owner" (each member opens the whole ledger alone), "minority" (fewer than a majority of the members open it together), "everyone" (all of three or more members are needed for that), or "recorded": a quantum computer could open what is recorded of the ledger, because of the
	// members' encryption keys, or with more keys like theirs.
	Form    string   `json:"form"`
	Kinds   []string `json:"kinds"`             // of action
	Members []string `json:"members,omitempty"` // names of those who could, each without the others; of those who have such keys
	Text    string   `json:"text"`
}

// PolicyUse is a policy that decides about a proposal.
type PolicyUse struct {
	Kind       string `json:"kind"`   // of action
	Policy     string `json:"policy"` // its name
	Expression string `json:"expression"`
	// Unanimity: the yes of all members is as good, because the policy itself is to be replaced.
	Unanimity bool `json:"unanimity,omitempty"`
}

// GovNews is the answer of GET /gov/watch.
type GovNews struct {
	// Seqno is up to where the events tell everything: the `after` of the next request.
	Seqno  uint64     `json:"seqno"`
	Events []GovEvent `json:"events"` // in order
}

// GovEvent is something that happened in governance.
type GovEvent struct {
	Event string `json:"event"` // "proposed", "voted", "decided", "constitution" or "pending-node"
	Since uint64 `json:"since"` // the seqno that made it so
	Text  string `json:"text"`  // for people, in one sentence

	Proposal     coco.Digest `json:"proposal,omitzero"` // proposed, voted, decided, constitution
	Number       uint64      `json:"number,omitempty"`
	State        string      `json:"state,omitempty"`  // decided
	Member       string      `json:"member,omitempty"` // proposed, voted, pending-node
	Vote         string      `json:"vote,omitempty"`   // voted
	Version      uint64      `json:"version,omitempty"`
	Constitution coco.Digest `json:"constitution,omitzero"`
	Node         coco.NodeID `json:"node,omitzero"` // pending-node
}
