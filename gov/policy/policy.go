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

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/cocoframework/coco"
)

// Bounds of a policy.
const (
	MaxBytes = 4 << 10 // of the expression
	// MaxCost bounds one evaluation, in CEL's units: about one for each step. A policy that looks at
	// each pair of 100 members stays below it. What a step costs is part of what all nodes have to
	// agree on: a release that changes it, with cel-go, changes the outcome of policies near the limit.
	MaxCost  = 200_000
	maxDepth = 64 // of nested expressions
	maxNodes = 4096
)

// Policy is a compiled expression. It may be used by several goroutines.
type Policy struct {
	expr    string
	program cel.Program
	closes  bool // it looks at the end of voting
}

// Closes reports whether the policy looks at the variable closed.
func (p *Policy) Closes() bool { return p.closes }

// String returns the expression.
func (p *Policy) String() string { return p.expr }

// Compile checks an expression and prepares it. The error is coco.ErrInvalid and says the position,
// "line:column", of what is wrong.
func Compile(expr string) (*Policy, error) {
	switch {
	case len(expr) > MaxBytes:
		return nil, fmt.Errorf("%w: policy: %d bytes, expected at most %d", coco.ErrInvalid, len(expr), MaxBytes)
	case !utf8.ValidString(expr):
		return nil, fmt.Errorf("%w: policy: the text is not UTF-8", coco.ErrInvalid)
	case strings.TrimSpace(expr) == "":
		return nil, fmt.Errorf("%w: policy: expected an expression, such as %s", coco.ErrInvalid, Majority)
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("CEL: %w", err)
	}
	tree, issues := env.Compile(expr)
	if err := problems(issues); err != nil {
		return nil, err
	}
	if err := restrict(tree); err != nil {
		return nil, err
	}
	if t := tree.OutputType(); !t.IsExactType(types.BoolType) {
		return nil, fmt.Errorf("%w: policy: 1:1: the expression is of type %s, expected bool: true if the proposal is accepted", coco.ErrInvalid, t)
	}
	// Optimized, a list of literals is built once; otherwise every time, at the price of one step.
	program, err := env.Program(tree, cel.CostTracking(prices{}), cel.CostLimit(MaxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("%w: policy: %v", coco.ErrInvalid, err)
	}
	return &Policy{expr, program, names(tree, "closed")}, nil
}

// prices are those that CEL has not: a search in a list is one step if the list's type is not known
// before.
type prices struct{}

// CallCost implements cost.ActualCostEstimator.
func (prices) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	if function != operators.In || len(args) != 2 {
		return nil
	}
	list, ok := args[1].(traits.Lister)
	if !ok {
		return nil
	}
	n, ok := list.Size().(types.Int)
	if !ok {
		return nil
	}
	price := uint64(max(n, 1))
	return &price
}

// problems returns the first of CEL's complaints; the others often follow from it.
func problems(issues *cel.Issues) error {
	if issues.Err() == nil {
		return nil
	}
	errs := issues.Errors()
	if len(errs) == 0 {
		return fmt.Errorf("%w: policy: %v", coco.ErrInvalid, issues.Err())
	}
	first := errs[0]
	more := ""
	if n := len(errs) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return at(first.Location, "%s%s", strings.ReplaceAll(first.Message, " (in container '')", ""), more)
}

func at(loc common.Location, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if loc.Line() < 1 { // about the expression as a whole
		return fmt.Errorf("%w: policy: %s", coco.ErrInvalid, text)
	}
	return fmt.Errorf("%w: policy: %d:%d: %s", coco.ErrInvalid, loc.Line(), loc.Column()+1, text)
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
	out, details, err := p.program.Eval(variables)
	cost := uint64(MaxCost) // if the library does not say
	if details != nil && details.ActualCost() != nil {
		cost = *details.ActualCost()
	}
	if cost > MaxCost {
		err = fmt.Errorf("it takes more than %d steps", MaxCost)
	}
	if err == nil {
		if b, ok := out.(types.Bool); ok {
			return bool(b), cost, nil
		}
		err = errors.New("the result is no bool")
	}
	return false, cost, fmt.Errorf("%w: policy %.80q: %v", coco.ErrInvalid, p.expr, err)
}
