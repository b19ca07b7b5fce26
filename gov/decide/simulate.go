package decide

import (
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/store"
)

// Simulation is what would become of a proposal, and with which votes.
//
// Fields: one for each thing that is said of it.
type Simulation struct {
	Before  *constitution.Constitution
	After   *constitution.Constitution // Before itself if it stays as it is
	Effects []Effect
	// Policies are those that decide.
	Policies []PolicyUse
	// Automatic: it is accepted when proposed, without a vote. Silent: it is accepted at the end of
	// voting if there are no votes.
	Automatic bool
	Silent    bool
	// Possible: it is accepted, at once or in the end, if every member votes yes. Enough names members whose
	// votes are enough at once, none of which can be left out; others may be enough too.
	Possible bool
	Enough   []string
	// ByYes says, for each number of yes votes from 0 to that of the members, whether they are
	// enough at once, if it is the members that come first by name who vote, the proposer before all.
	ByYes []bool
	// MinimumSeconds is how long the proposal must be open if a policy that decides is to see its end as closed. It is 0
	// if none looks at that, or any time will do.
	MinimumSeconds int64
	// Votes are those in consensus before and after, by the organisations whose nodes have them, once every node that may
	// vote does.
	Votes, VotesAfter balance.Votes
	// Now is when the simulation was made, Until when the time for voting would be over.
	Now, Until time.Time

	judge  *judge
	actors map[string]string // member's id by name
	order  []policy.MemberFacts
}

// PolicyUse is a policy that decides about a proposal.
type PolicyUse struct {
	Kind       string // of action
	Policy     string // its name
	Expression string
	// Unanimity: the yes of all members is as good, because the policy is replaced or can accept nothing afterwards.
	Unanimity bool
}

// Simulate says what would become of actions if a member proposed them now, in milliseconds since
// 1970, with a week to vote, or as long as it takes until voting counts as closed. The error is coco.ErrInvalid, as when they are proposed.
func Simulate(r store.Reader, actions []action.Action, proposer coco.ActorID, now uint64) (*Simulation, error) {
	for i := range actions {
		if _, err := actions[i].Encode(); err != nil {
			return nil, fmt.Errorf("action %d: %w", i+1, err)
		}
	}
	found, err := read(r, now)
	if err != nil {
		return nil, err
	}
	if found.c, err = table.LoadConstitution(r); err != nil {
		return nil, err
	}
	present, err := found.present(actions)
	if err != nil {
		return nil, err
	}
	s := &Simulation{Before: found.c, ByYes: []bool{}, Enough: []string{}, actors: map[string]string{}}
	voting := max(7*day, uint64(found.c.Voting.MinimumSeconds)*1000)
	present.Until = now + voting
	s.Now, s.Until = timeOf(now), timeOf(now+voting)
	if s.After, s.Effects, err = Apply(present, actions); err != nil {
		return nil, err
	}
	s.Votes = Votes(votersOf(found.c, found.rules, present.Nodes, present.Places))
	s.VotesAfter = votesAfter(present, found.rules, s.Effects, len(s.After.Members))
	name := ""
	if _, ok := found.c.Member(proposer); ok {
		name = proposer.String()
	}
	facts := proposalFacts(coco.Digest{}, name, kindsOf(actions), &envelope.Proposal{Time: now, Expires: now + voting}, actions)
	s.judge = newJudge(present, found.rules, facts, actions)
	s.judge.ends = true
	for _, q := range s.judge.questions {
		if p := s.judge.policy(q.name); p != nil && p.Closes() {
			s.MinimumSeconds = found.c.Voting.MinimumSeconds
		}
		if u := (PolicyUse{q.kind, q.name, found.c.Policies[q.name], q.optional && found.rules.strict}); !slices.Contains(s.Policies, u) {
			s.Policies = append(s.Policies, u)
		}
	}
	s.order = slices.Clone(s.judge.in.Members)
	slices.SortStableFunc(s.order, func(a, b policy.MemberFacts) int {
		switch {
		case a.ID == name && b.ID != name:
			return -1
		case b.ID == name && a.ID != name:
			return 1
		}
		return 0
	})
	for _, m := range s.order {
		s.actors[m.Name] = m.ID
	}
	s.count()
	return s, nil
}

func (s *Simulation) count() {
	var names []string
	for _, m := range s.order {
		names = append(names, m.Name)
	}
	for n := range len(names) + 1 {
		s.ByYes = append(s.ByYes, s.state(names[:n], nil, false) == table.Accepted)
	}
	s.Automatic, s.Silent = s.ByYes[0], s.state(nil, nil, true) == table.Accepted
	at := s.ByYes[len(names)]
	s.Possible = at || s.state(names, nil, true) == table.Accepted
	if !at {
		return
	}
	// From the last member on, leave out each whose vote is not needed.
	enough := slices.Clone(names)
	for i := len(enough) - 1; i >= 0; i-- {
		without := slices.Delete(slices.Clone(enough), i, i+1)
		if s.state(without, nil, false) == table.Accepted {
			enough = without
		}
	}
	s.Enough = append(s.Enough, enough...)
}

func (s *Simulation) state(yes, no []string, closed bool) table.ProposalState {
	var votes []policy.VoteFacts
	for _, name := range yes {
		votes = append(votes, policy.VoteFacts{Member: s.actors[name], Vote: policy.Yes})
	}
	for _, name := range no {
		votes = append(votes, policy.VoteFacts{Member: s.actors[name], Vote: policy.No})
	}
	in := s.judge.in
	in.Votes = policy.Tally(in.Members, votes)
	if closed {
		in = s.judge.over(in)
	}
	if ok, _ := s.judge.accepts(in); ok {
		return table.Accepted
	}
	state, _ := s.judge.verdict(votes, closed)
	return state
}

// With says what would become of the proposal with these votes, by members' names, now or, if closed,
// when the time for voting is over. The error is coco.ErrInvalid for a name that is no member's.
func (s *Simulation) With(yes, no []string, closed bool) (table.ProposalState, error) {
	for _, name := range slices.Concat(yes, no) {
		if _, ok := s.actors[name]; !ok {
			return "", fmt.Errorf("%w: %q is no member", coco.ErrInvalid, name)
		}
	}
	return s.state(yes, no, closed), nil
}
