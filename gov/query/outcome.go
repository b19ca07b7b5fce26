package query

import (
	"cmp"

	"github.com/cocoframework/coco/gov/consequence"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/wire"
)

// OutcomeOf describes what became of a statement that a member handed in.
func OutcomeOf(o decide.Outcome) wire.Outcome {
	return wire.Outcome{
		ID: o.ID, State: string(o.State), Code: string(reason.CodeOf(o.Reason)), Reason: o.Reason.String(),
		Version: o.Version, Digest: o.Digest, Effects: effectsOf(o.Effects),
	}
}

// SimulationOf describes what would become of actions, on top of a version of the constitution.
func SimulationOf(s *decide.Simulation, version uint64) wire.Simulation {
	if s.After.Digest() != s.Before.Digest() {
		version++
	}
	out := wire.Simulation{
		Effects: effectsOf(s.Effects, s.After, s.Before), Policies: make([]wire.PolicyUse, len(s.Policies)),
		Automatic: s.Automatic, Silent: s.Silent, Possible: s.Possible, Enough: s.Enough, ByYes: s.ByYes, Consequences: []wire.Consequence{},
		Version: version, Before: string(s.Before.TOML()), After: string(s.After.TOML()),
	}
	out.MinimumSeconds, out.Warnings = s.MinimumSeconds, datesOf(s)
	out.Quorum, out.QuorumAfter = QuorumOf(s.Votes, s.Before), QuorumOf(s.VotesAfter, s.Before)
	out.Consequences = append(out.Consequences, owners(s.Before, s.After)...)
	for _, c := range consequence.New(s.Before, s.After) {
		out.Consequences = append(out.Consequences, consequenceOf(c, s.After))
	}
	for i, p := range s.Policies {
		out.Policies[i] = wire.PolicyUse{Kind: p.Kind, Policy: p.Policy, Expression: p.Expression, Unanimity: p.Unanimity}
	}
	return out
}

// QuorumOf says how many organisations hold votes in consensus.
func QuorumOf(votes balance.Votes, c *constitution.Constitution) wire.Quorum {
	out := wire.Quorum{Votes: map[string]int{}, Spans: votes.Spans(), Stops: votes.Stops()}
	for id, n := range votes {
		out.Votes[cmp.Or(c.Name(id), id.String())] += n
	}
	return out
}

// effectsOf describes effects. Organisations in settings have the names of these constitutions.
func effectsOf(list []decide.Effect, names ...*constitution.Constitution) []wire.Effect {
	out := make([]wire.Effect, len(list))
	for i, e := range list {
		out[i] = wire.Effect{Kind: string(e.Kind), Text: textOf(&e, names...), Actor: e.Actor, Address: e.Address, Node: e.Node, Subject: e.Subject}
	}
	return out
}
