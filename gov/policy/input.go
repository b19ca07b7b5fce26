package policy

import (
	"math"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/cocoframework/coco/internal/expr"
)

// The votes in VoteFacts.
const (
	Yes = "yes"
	No  = "no"
)

// Input is what a policy decides about.
type Input struct {
	Proposal ProposalFacts
	Votes    VotesFacts // see Tally
	Members  []MemberFacts
	// Node is the node in question, for add_node. If a proposal adds several, the policy MUST be
	// asked for each, with those before it in Constitution's nodes: otherwise a policy that counts
	// nodes counts none of them.
	Node NodeFacts
	// Constitution holds bool, string, int, int64, uint64, float64, coco.Digest, coco.Measurement,
	// and []string, []any, []map[string]any and map[string]any of them. Whatever else is there, and
	// a text of more than 1 KiB, is an error for a policy that looks at it.
	Constitution map[string]any
	Now          uint64 // milliseconds since 1970
	Closed       bool   // voting time is over
}

// ProposalFacts is what is proposed.
type ProposalFacts struct {
	ID       string
	Proposer string           // the id of a member
	Kinds    []string         // of its actions, without repetition
	Actions  []map[string]any // values as in Input.Constitution
	Time     uint64           // milliseconds since 1970
	Expires  uint64
}

// VotesFacts are the votes, by member. Only current members' votes count.
type VotesFacts struct {
	Yes, No             int
	YesWeight, NoWeight int64
	TotalWeight         int64 // of all members
	By                  []VoteFacts
}

// VoteFacts is a member's vote.
type VoteFacts struct {
	Member string // its id
	Vote   string // Yes or No
	Weight int64
}

// MemberFacts is a member.
type MemberFacts struct {
	ID     string
	Name   string
	Weight int64
}

// NodeFacts is a node that is to be added.
type NodeFacts struct {
	Owner       string // its id
	OwnerName   string
	Address     string
	Measurement string
	Platform    string
}

// Tally counts votes: those of members, one each (the last one given), with the members' weights,
// in the order of the members.
func Tally(members []MemberFacts, votes []VoteFacts) VotesFacts {
	last := make(map[string]string, len(votes))
	for _, v := range votes {
		last[v.Member] = v.Vote
	}
	var out VotesFacts
	for _, m := range members {
		out.TotalWeight = add(out.TotalWeight, m.Weight)
		vote, voted := last[m.ID]
		switch {
		case !voted:
			continue
		case vote == Yes:
			out.Yes++
			out.YesWeight = add(out.YesWeight, m.Weight)
		case vote == No:
			out.No++
			out.NoWeight = add(out.NoWeight, m.Weight)
		default:
			continue
		}
		out.By = append(out.By, VoteFacts{m.ID, vote, m.Weight})
	}
	return out
}

// add stops at the largest number rather than begin again at the smallest.
func add(x, y int64) int64 {
	if y > 0 && x > math.MaxInt64-y {
		return math.MaxInt64
	}
	return x + y
}

// AllYes returns the input as it were if every member that has not voted said yes.
func (in Input) AllYes() Input {
	votes := slices.Clone(in.Votes.By)
	for _, m := range in.Members {
		if !slices.ContainsFunc(votes, func(v VoteFacts) bool { return v.Member == m.ID }) {
			votes = append(votes, VoteFacts{Member: m.ID, Vote: Yes})
		}
	}
	in.Votes = Tally(in.Members, votes)
	return in
}

// variables are the input as CEL sees it.
func (in Input) variables() map[string]any {
	members := make([]ref.Val, 0, len(in.Members))
	for _, m := range in.Members {
		members = append(members, memberType.Of(types.String(m.ID), types.String(m.Name), types.Int(m.Weight)))
	}
	return map[string]any{
		"proposal":     in.Proposal.value(),
		"votes":        in.Votes.value(),
		"members":      types.NewRefValList(expr.Adapter{}, members),
		"node":         in.Node.value(),
		"constitution": expr.Adapter{}.NativeToValue(in.Constitution),
		"now":          expr.Integer(in.Now),
		"closed":       types.Bool(in.Closed),
	}
}

func (p ProposalFacts) value() ref.Val {
	a := expr.Adapter{}
	return proposalType.Of(types.String(p.ID), types.String(p.Proposer), a.NativeToValue(p.Kinds),
		a.NativeToValue(p.Actions), expr.Integer(p.Time), expr.Integer(p.Expires))
}

func (v VotesFacts) value() ref.Val {
	by := make([]ref.Val, 0, len(v.By))
	for _, b := range v.By {
		by = append(by, voteType.Of(types.String(b.Member), types.String(b.Vote), types.Int(b.Weight)))
	}
	return votesType.Of(types.Int(v.Yes), types.Int(v.No), types.NewRefValList(expr.Adapter{}, by),
		types.Int(v.YesWeight), types.Int(v.NoWeight), types.Int(v.TotalWeight))
}

func (n NodeFacts) value() ref.Val {
	return nodeType.Of(types.String(n.Owner), types.String(n.OwnerName), types.String(n.Address),
		types.String(n.Measurement), types.String(n.Platform))
}
