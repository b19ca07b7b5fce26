package policy

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// exactMembers is up to how many members AcceptsNothing tries each way in which they can vote: 3 to that power.
const exactMembers = 5

// AcceptsNothing reports whether the policy accepts no proposal at all of a network with these members: whatever is
// proposed by whom, with which times and kinds, whatever else the constitution says, and however the members vote. If it
// cannot tell, it reports false.
//
// CEL evaluates with unknown values: what depends on one is unknown, and what does not is decided. The policy accepts
// nothing if each way of voting leaves false or no answer, with all else unknown. In a network of more than five
// members it is the numbers of votes that are tried, and who has voted how is unknown, too.
func (p *Policy) AcceptsNothing(members []MemberFacts) bool {
	unknown := types.NewUnknown(1, nil)
	variables := Input{Members: members}.variables()
	for _, name := range []string{"proposal", "node", "constitution", "now", "closed", "votes"} {
		variables[name] = unknown
	}
	left := uint64(MaxCost)
	refuses := func(votes ref.Val) bool {
		variables["votes"] = votes
		out, details, err := p.code.Program.Eval(variables)
		if details == nil || details.ActualCost() == nil || *details.ActualCost() >= left {
			left = 0
			return false
		}
		left -= *details.ActualCost()
		return err != nil || out == types.False
	}
	if refuses(unknown) {
		return true
	}
	everybody := Input{Members: members}.AllYes().Votes
	if !refuses(everybody.value()) { // most policies end here
		return false
	}
	if len(members) > exactMembers {
		for yes := range len(members) + 1 {
			for no := range len(members) - yes + 1 {
				v := VotesFacts{Yes: yes, No: no, TotalWeight: everybody.TotalWeight}
				if left == 0 || !refuses(v.counts(unknown)) {
					return false
				}
			}
		}
		return true
	}
	ways := 1
	for range members {
		ways *= 3
	}
	for way := range ways {
		var votes []VoteFacts
		for _, m := range members {
			if vote := []string{"", Yes, No}[way%3]; vote != "" {
				votes = append(votes, VoteFacts{Member: m.ID, Vote: vote})
			}
			way /= 3
		}
		if left == 0 || !refuses(Tally(members, votes).value()) {
			return false
		}
	}
	return true
}

// counts are the votes as CEL sees them, of which the numbers are known, and not who has voted how.
func (v VotesFacts) counts(unknown ref.Val) ref.Val {
	return votesType.Of(types.Int(v.Yes), types.Int(v.No), unknown, unknown, unknown, types.Int(v.TotalWeight))
}
