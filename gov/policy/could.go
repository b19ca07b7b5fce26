package policy

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/cocoframework/coco/internal/expr"
)

// Answer is what a policy says where only a part of its input is known.
type Answer int

// The answers.
const (
	Never     Answer = iota // whatever else is true
	Sometimes               // it depends on what is not known
	Always                  // whatever else is true
)

// Case is a part of a policy's input: who proposes an action of a kind, and how members have voted. The action's own
// fields, the times, the node in question and the rest of the constitution are not known.
type Case struct {
	Kind     string
	Proposer string // the id of a member
	Members  []MemberFacts
	Votes    []VoteFacts
	Closed   bool
}

// Answer says what a policy decides in a case.
func (p *Policy) Answer(c Case) Answer {
	unknown := types.NewUnknown(1, nil)
	variables := Input{Members: c.Members, Votes: Tally(c.Members, c.Votes), Closed: c.Closed}.variables()
	kinds := expr.Adapter{}.NativeToValue([]string{c.Kind})
	variables["proposal"] = proposalType.Of(unknown, types.String(c.Proposer), kinds, unknown, unknown, unknown)
	for _, name := range []string{"node", "constitution", "now"} {
		variables[name] = unknown
	}
	out, _, err := p.code.Program.Eval(variables)
	if err != nil {
		return Never // a policy that has no answer does not accept
	}
	return answer(out)
}

func answer(out ref.Val) Answer {
	switch out {
	case types.True:
		return Always
	case types.False:
		return Never
	}
	return Sometimes
}
