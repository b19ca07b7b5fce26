package decide

import (
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/reason"
)

// policies are those of a constitution under change, by kind of action.
type policies map[string]string

func (p policies) change(a *action.Action) (Effect, error) {
	x := &a.Args
	if a.Kind == action.RemovePolicy {
		if x.Policy == constitution.PolicyDefault || x.Policy == constitution.PolicyAddNode {
			return Effect{}, impossible(reason.PolicyNeeded, x.Policy, "")
		}
		if _, ok := p[x.Policy]; !ok {
			return Effect{}, impossible(reason.UnknownPolicy, x.Policy, "")
		}
		delete(p, x.Policy)
		return Effect{Kind: PolicyRemoved, Subject: x.Policy, Value: constitution.Fallbacks(x.Policy)[1]}, nil
	}
	if p[x.Policy] == x.Expression {
		return Effect{}, impossible(reason.Unchanged, "policies."+x.Policy, "")
	}
	if _, err := policy.Compile(x.Expression); err != nil {
		return Effect{}, because(reason.BadPolicy, x.Policy, err)
	}
	p[x.Policy] = x.Expression
	return Effect{Kind: PolicySet, Subject: x.Policy, Value: x.Expression}, nil
}
