package sight

import (
	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/access"
	"github.com/cocoframework/coco/adapter/ethereum/policies"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
)

// stepGas is the gas that a step of a policy is charged as: what it takes, compared with the EVM.
const stepGas = 20

// attached is the policy of a contract, if there is one: what cannot be read is one that has no answer.
type attached struct {
	there bool
	*compiled
}

// voted is the policy that members have voted for a contract.
func (r *rules) voted(contract common.Address, text policy.Text) *attached {
	return r.attached(contract, func() (policy.Text, bool, error) { return text, true, nil })
}

// deployers is the policy that a contract's deployer has attached.
func (r *rules) deployers(contract common.Address) *attached {
	return r.attached(contract, func() (policy.Text, bool, error) {
		row, ok, err := policies.Read(r.eyes.src, contract)
		return row.Text(), ok, err
	})
}

// attached reads the policy of a contract once for the view, in which it has one of the two.
func (r *rules) attached(contract common.Address, read func() (policy.Text, bool, error)) *attached {
	if known := r.policies[contract]; known != nil {
		return known
	}
	out := new(attached)
	text, there, err := read()
	switch out.there = there || err != nil; {
	case err != nil:
		out.compiled = &compiled{err: err}
	case there:
		out.compiled = r.eyes.sights.cache.policy(text)
	}
	if r.policies == nil {
		r.policies = map[common.Address]*attached{}
	}
	r.policies[contract] = out
	return out
}

// judge asks a policy. What has no answer is a no. A contract that asks has an address, and is nobody else: so the rule of a contract sees what that
// contract is shown, and nothing of the viewer for whom it is executed.
func (r *rules) judge(q *access.Ask, from *asker, p *purse, is *attached, rule string) (access.Answer, by) {
	switch {
	case !is.there:
		return access.Silent, by{rule: byNone}
	case is.err != nil:
		return access.Refused, by{rule, is.err}
	case p.left == 0:
		return access.Refused, by{rule, errNoGas}
	}
	caller := r.caller
	switch {
	case from != nil:
		caller = &policy.Caller{Addresses: from.addresses}
	case caller == nil:
		v := &r.eyes.viewer
		caller = &policy.Caller{Actor: v.Actor.String(), Name: v.Name, Role: v.Role, User: v.User, Addresses: r.addresses()}
		r.caller = caller
	}
	facts := policy.Facts{Question: q.Question.String(), Contract: q.Contract, Input: q.Input, From: q.From, Visible: q.Visible}
	if q.Log != nil {
		facts.Topics, facts.Data = q.Log.Topics, q.Log.Data
	}
	ok, cost, err := is.policy.Answer(caller, &facts)
	gas := stepGas*cost + uint64(len(facts.Input)+len(facts.Data))
	if !p.pay(gas) || gas > p.each {
		return access.Refused, by{rule, errNoGas}
	}
	return access.Admit(ok && err == nil), by{rule, err}
}
