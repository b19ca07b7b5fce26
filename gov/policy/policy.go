// Package policy decides whether a proposal has the members' consent. A policy is an expression of
// CEL, the Common Expression Language, over what is proposed, who has voted how, who governs and
// what the constitution says; the members choose one for each kind of action, and it is short
// enough to be read by those who vote on it:
//
//	votes.yes > members.size() / 2
//
// The variables are
//
//	proposal      id, proposer (a member's id), kinds (list of text), actions (list of maps: kind
//	              and the action's own fields), time and expires (milliseconds since 1970)
//	votes         yes, no (how many current members), yes_weight, no_weight, total_weight (of all
//	              members, whether they voted or not), by (list of member, vote, weight)
//	members       list of id, name, weight
//	node          the node in question, for add_node: owner (an id), owner_name, address,
//	              measurement, platform; empty texts otherwise
//	constitution  map: version, nodes, code, tee, members, participants, settings
//	now           the time of judging, in milliseconds since 1970
//	closed        whether the time for voting is over, if it was long enough (see docs/policies.md)
//
// and a policy is of type bool. It has CEL's operators; the macros has, all, exists, exists_one and
// filter; and the functions size, contains, startsWith, endsWith, int and string. What it has not is
// what could make two nodes disagree or a small text take long: clocks and time zones, regular
// expressions, the iteration of a map in no order (these maps are sorted), the macro map, literals
// of maps and messages, lists of anything but literals, and the comparison of whole lists and maps.
// With that, and a limit on the cost of an evaluation, every policy comes to the same end on every
// node, soon.
//
// Trust: enclave
package policy

import "github.com/cocoframework/coco/internal/expr"

// Bounds of a policy.
const (
	MaxBytes = expr.MaxBytes // of the expression
	MaxCost  = expr.MaxCost  // of one evaluation, in CEL's units: a policy that looks at each pair of 100 members stays below it
)

// Policy is a compiled expression. It may be used by several goroutines.
type Policy struct {
	code   *expr.Expression
	closes bool // it looks at the end of voting
}

// Closes reports whether the policy looks at the variable closed.
func (p *Policy) Closes() bool { return p.closes }

// String returns the expression.
func (p *Policy) String() string { return p.code.String() }

// Compile checks an expression and prepares it. The error is coco.ErrInvalid and says the position,
// "line:column", of what is wrong.
func Compile(text string) (*Policy, error) {
	code, err := language.Compile(text)
	if err != nil {
		return nil, err
	}
	return &Policy{code, code.Names("closed")}, nil
}

// Decide says whether the policy accepts. The result depends on the input alone. An error, which is
// coco.ErrInvalid, means that the policy has no answer: a field that is not there, a division by
// zero, a cost above MaxCost; then it does not accept.
func (p *Policy) Decide(in Input) (bool, error) {
	ok, _, err := p.decide(in.variables())
	return ok, err
}

// decide also returns what the evaluation cost.
func (p *Policy) decide(variables map[string]any) (bool, uint64, error) {
	return p.code.Decide(variables)
}
