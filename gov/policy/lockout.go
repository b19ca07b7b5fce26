package policy

import (
	"errors"
	"fmt"
	"slices"
)

// The kinds of actions whose policies keep the members able to act. Default is the policy of every
// kind that has none of its own.
const (
	Default      = "default"
	SetPolicy    = "set_policy"
	AddMember    = "add_member"
	RemoveMember = "remove_member"
)

// Lasting returns the kinds whose policies CanPass asks about.
func Lasting() []string { return []string{SetPolicy, AddMember, RemoveMember, Default} }

// ErrLockOut is in the error of CanPass, which is a *LockOutError.
var ErrLockOut = errors.New("nobody could change this any more")

// LockOutError is a policy that would accept no change at all.
type LockOutError struct {
	Kind string // of action, whose policy it is
	why  string // for people
}

// Error implements error.
func (e *LockOutError) Error() string { return fmt.Sprintf("%v: %s", ErrLockOut, e.why) }

// Unwrap returns ErrLockOut.
func (e *LockOutError) Unwrap() error { return ErrLockOut }

// maxTries bounds what CanPass does for one policy, in evaluations of the highest cost.
const maxTries = 4

// Of returns the policy of a kind of action: its own, or the default. It is nil if there is
// neither.
func Of(policies map[string]*Policy, kind string) *Policy {
	if p := policies[kind]; p != nil {
		return p
	}
	return policies[Default]
}

// CanPass says whether the members, if they all want to, can still change the rules and who makes
// them: whether some member could propose an action of each of these kinds, and the policy accept it
// with every member voting yes, before the time for voting is over or after. It is asked about the
// policies, the members and the constitution as a change would leave them: a change of members can
// lock them out as well as one of policies. Of the input it takes Members, Constitution and Now.
// The error is ErrLockOut.
//
// Of an action it knows the kind only. A policy that looks into the fields of actions of these
// kinds may therefore be refused although some action could pass.
func CanPass(policies map[string]*Policy, in Input) error {
	return CanPassBy(policies, in, func(string) bool { return true })
}

// CanPassBy is CanPass where only those members can propose and vote of whose ids able says so.
func CanPassBy(policies map[string]*Policy, in Input, able func(id string) bool) error {
	for _, kind := range Lasting() {
		p := Of(policies, kind)
		if p == nil {
			return &LockOutError{kind, fmt.Sprintf("there is no policy %q", kind)}
		}
		if ok, why := p.canPass(kind, in, able); !ok {
			whose := "every member's yes"
			if slices.ContainsFunc(in.Members, func(m MemberFacts) bool { return !able(m.ID) }) {
				whose = "the yes of every member that can sign"
			}
			return &LockOutError{kind, fmt.Sprintf("the policy %q, %.80q, does not accept even with %s%s", kind, p, whose, why)}
		}
	}
	return nil
}

// week is a time for voting, in milliseconds.
const week = 7 * 24 * 60 * 60 * 1000

// canPass also returns, if it found one, a reason why it is not so.
func (p *Policy) canPass(kind string, in Input, able func(id string) bool) (ok bool, why string) {
	if kind == Default {
		kind = "set"
	}
	var votes []VoteFacts
	for _, m := range in.Members {
		if able(m.ID) {
			votes = append(votes, VoteFacts{Member: m.ID, Vote: Yes})
		}
	}
	in.Votes = Tally(in.Members, votes)
	in.Node, in.Closed = NodeFacts{}, false
	in.Proposal = ProposalFacts{
		Kinds: []string{kind}, Actions: []map[string]any{{"kind": kind}}, Time: in.Now, Expires: in.Now + week,
	}
	closed := in
	closed.Now, closed.Closed = in.Proposal.Expires, true
	open, over := in.variables(), closed.variables()
	left := uint64(maxTries * MaxCost)
	for _, m := range in.Members {
		if !able(m.ID) {
			continue
		}
		in.Proposal.Proposer = m.ID
		proposal := in.Proposal.value()
		for _, variables := range []map[string]any{open, over} {
			variables["proposal"] = proposal
			ok, cost, err := p.decide(variables)
			if ok {
				return true, ""
			}
			if err != nil {
				why = ": " + err.Error()
			}
			if cost >= left {
				return false, why + " (and it takes too long to try more)"
			}
			left -= cost
		}
	}
	return false, why
}
