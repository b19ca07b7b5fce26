// Package consequence says what a constitution lets its members do: which of them could decide about a kind of action
// alone, whether silence is enough, what nobody could do any more, and whether members' encryption keys are such that a quantum computer opens what was recorded of the ledger. A change is compared with what was so before, so that a
// member reads what a vote would give away.
//
//	constitution ──► for each kind of action and each member: votes ──► its policies ──► powers
//	                                                     before, after ──► what is new
//
// It evaluates the policies, with votes of subsets of the members, and does not look at their text. What a proposer chooses,
// such as its times and the fields of its actions, is unknown in the evaluation: a power that depends on it counts as one.
//
// The package decides nothing: what it finds is for people.
//
// Trust: enclave
package consequence

import (
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/keys"
)

// Form says how a kind of action can be decided.
type Form string

// The forms.
const (
	Unvoted Form = "unvoted" // as soon as a member proposes it, without a vote
	Alone   Form = "alone"   // by one member's vote, whatever the others say
	Silent  Form = "silent"  // by one member's proposal and vote, if no other one votes in time
	Never   Form = "never"   // not at all, whatever is proposed and however members vote
)

// Recorded is no form of deciding: members have encryption keys that a quantum computer opens, and with as many of these as open the ledger it opens what was recorded of it.
const Recorded Form = "recorded"

// Minority is no form of deciding: fewer than a majority of the members open the ledger together. Where each member does alone, no consequence says it: that has words of its own.
const Minority Form = "minority"

// Everyone is no form of deciding: a network of three or more members opens only with the keys of all of them, so that one that is lost keeps it from being recovered.
const Everyone Form = "everyone"

// Consequence is something that a constitution lets members do, or keeps from all of them.
type Consequence struct {
	Form  Form
	Kinds []action.Kind // in the order in which people read about them
	All   bool          // with what was so before, these are all kinds
	// Members are those who could, each without the others, in the order of the constitution. It is empty for
	// Never and Everyone. Everybody: they are all members.
	Members   []coco.ActorID
	Everybody bool
	// Lacking is of Recorded: how many more members with such keys it takes, and of Minority: how many more members a majority has. Members are those who have such a key, and none.
	Lacking int
}

// New returns what holds after a change, and did not before, for the same members.
func New(before, after *constitution.Constitution) []Consequence {
	old, now := powersOf(before), powersOf(after)
	added := powers{}
	for key := range now {
		if !old.have(key) {
			added[key] = true
		}
	}
	out := added.grouped(after, now)
	if x, exposed := Exposed(after); exposed {
		if was, before := Exposed(before); !before || x.Lacking < was.Lacking {
			out = append(out, x)
		}
	}
	if x, few := Few(after); few && (before.Shares.Threshold != after.Shares.Threshold || len(after.Members) > len(before.Members)) {
		out = append(out, x)
	}
	if x, all := All(after); all {
		if _, before := All(before); !before {
			out = append(out, x)
		}
	}
	return out
}

// All returns an Everyone consequence of a constitution, if all of three or more members are needed to open the ledger. Of two members both are the majority.
func All(c *constitution.Constitution) (x Consequence, all bool) {
	return Consequence{Form: Everyone}, len(c.Members) > 2 && c.Shares.Threshold == len(c.Members)
}

// Few returns a Minority consequence of a constitution, if between two members and fewer than a majority open the ledger.
func Few(c *constitution.Constitution) (x Consequence, few bool) {
	x = Consequence{Form: Minority, Lacking: Majority(len(c.Members)) - c.Shares.Threshold}
	return x, c.Shares.Threshold > 1 && x.Lacking > 0
}

// Majority returns how many of so many members are more than half of them.
func Majority(members int) int { return members/2 + 1 }

// Exposed returns a Recorded consequence of a constitution, if one of its members has such a key. By rules before 3 there is none: what is recorded of a ledger opens to a quantum computer
// then, whatever keys members have.
func Exposed(c *constitution.Constitution) (x Consequence, exposed bool) {
	if c.Rules < 3 {
		return x, false
	}
	x.Form = Recorded
	for _, m := range c.Members {
		if of, err := keys.AlgorithmOf(m.EncryptionKey); err == nil && of == keys.X25519 {
			x.Members = append(x.Members, m.Actor())
		}
	}
	x.Everybody, x.Lacking = len(x.Members) == len(c.Members), max(0, c.Shares.Threshold-len(x.Members))
	return x, len(x.Members) > 0
}

// atLeast returns the forms that give a member as much as one does.
func atLeast(form Form) []Form {
	switch form {
	case Silent:
		return []Form{Silent, Alone, Unvoted}
	case Alone:
		return []Form{Alone, Unvoted}
	}
	return []Form{form}
}

// power is a kind of action in one form, for one member; for Never, for none.
type power struct {
	kind   action.Kind
	form   Form
	member coco.ActorID
}

type powers map[power]bool

// have reports whether a power, or one that gives the same member more, is among them.
func (p powers) have(x power) bool {
	return slices.ContainsFunc(atLeast(x.form), func(form Form) bool { return p[power{x.kind, form, x.member}] })
}

func powersOf(c *constitution.Constitution) powers {
	out := powers{}
	var all []policy.MemberFacts
	for _, m := range c.Members {
		all = append(all, policy.MemberFacts{ID: m.Actor().String(), Name: m.Name, Weight: int64(m.Weight)})
	}
	compiled := map[string]*policy.Policy{}
	for _, kind := range action.Kinds() {
		name, text := c.PolicyOf(string(kind))
		p := compiled[name]
		if p == nil {
			var err error
			if p, err = policy.Compile(text); err != nil {
				continue // a constitution has policies that compile
			}
			compiled[name] = p
		}
		never := true
		for i, m := range c.Members {
			form, possible := formOf(p, string(kind), all, i)
			never = never && !possible
			if form != "" {
				out[power{kind, form, m.Actor()}] = true
			}
		}
		if never && p.AcceptsNothing(all) {
			out[power{kind, Never, coco.ActorID{}}] = true
		}
	}
	return out
}

// formOf says how a member could have a kind of action accepted without the others. It is possible if they could all
// together.
func formOf(p *policy.Policy, kind string, members []policy.MemberFacts, i int) (form Form, possible bool) {
	votes := func(own, others string) (out []policy.VoteFacts) {
		for j, m := range members {
			vote := others
			if j == i {
				vote = own
			}
			if vote != "" {
				out = append(out, policy.VoteFacts{Member: m.ID, Vote: vote})
			}
		}
		return out
	}
	accepts := func(closed bool, own, others string) bool {
		return p.Answer(policy.Case{Kind: kind, Proposer: members[i].ID, Members: members, Votes: votes(own, others), Closed: closed}) != policy.Never
	}
	possible = accepts(false, policy.Yes, policy.Yes) || accepts(true, policy.Yes, policy.Yes)
	switch {
	case accepts(false, "", ""):
		return Unvoted, true
	case accepts(false, policy.Yes, policy.No), accepts(true, policy.Yes, policy.No):
		return Alone, true
	case accepts(false, policy.Yes, ""):
		return Alone, true // the vote decides before another one can say no
	case accepts(true, policy.Yes, ""):
		return Silent, true
	}
	return "", possible
}

// grouped puts together what the same members could do in the same form. all are the powers that they have.
func (p powers) grouped(c *constitution.Constitution, all powers) (out []Consequence) {
	for _, form := range []Form{Unvoted, Alone, Silent, Never} {
		var list []Consequence
		for _, kind := range action.Kinds() {
			var who []coco.ActorID
			for _, m := range c.Members {
				if p[power{kind, form, m.Actor()}] {
					who = append(who, m.Actor())
				}
			}
			if len(who) == 0 && !p[power{kind, Never, coco.ActorID{}}] || (form == Never) != (len(who) == 0) {
				continue
			}
			i := slices.IndexFunc(list, func(o Consequence) bool { return slices.Equal(o.Members, who) })
			if i < 0 {
				i = len(list)
				list = append(list, Consequence{Form: form, Members: who, Everybody: len(who) == len(c.Members)})
			}
			list[i].Kinds = append(list[i].Kinds, kind)
		}
		for i := range list {
			list[i].All = !slices.ContainsFunc(action.Kinds(), func(kind action.Kind) bool {
				return form == Never && !all[power{kind, form, coco.ActorID{}}] ||
					slices.ContainsFunc(list[i].Members, func(m coco.ActorID) bool { return !all.have(power{kind, form, m}) })
			})
		}
		out = append(out, list...)
	}
	return out
}
