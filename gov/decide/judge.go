package decide

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
)

func compileAll(c *constitution.Constitution) (map[string]*policy.Policy, error) {
	out := map[string]*policy.Policy{}
	for name, text := range c.Policies {
		p, err := policy.Compile(text)
		if err != nil {
			return nil, err
		}
		out[name] = p
	}
	return out, nil
}

// question is one that a policy has to answer with yes for a proposal to be accepted.
type question struct {
	kind string // of action
	name string // of the policy
	node policy.NodeFacts
	// before are the nodes that the same proposal adds before this one.
	before []policy.NodeFacts
	// optional: the policy is asked beside that of the kind, because the actions replace it or leave it without any
	// way to accept. What else is enough, the rules say.
	optional bool
	// everybody are the members whose yes is as good as that of an optional policy, by the rules since version 2.
	everybody []policy.MemberFacts
}

// questions returns what has to be asked about actions. Beside the policy of its own kind, the
// policy that is to be replaced decides on its replacement.
func questions(now Present, actions []action.Action, r rules) []question {
	c := now.Constitution
	everybody := memberFacts(c)
	var out []question
	add := func(q question) {
		if q.node != (policy.NodeFacts{}) || !slices.ContainsFunc(out, func(o question) bool { return o.name == q.name && o.optional == q.optional }) {
			out = append(out, q)
		}
	}
	var before []policy.NodeFacts
	d := newChange(now)
	for i := range actions {
		a := &actions[i]
		name, _ := c.PolicyOf(string(a.Kind))
		q := question{kind: string(a.Kind), name: name}
		if a.Kind == action.AddNode {
			q.node, q.before = d.places.facts(a, d.actors), slices.Clone(before)
			before = append(before, q.node)
			if d.places.wasRemoved(a, d.actors) { // where nodes are admitted without a vote, its owner would undo alone what a vote decided
				undo, _ := c.PolicyOf(string(action.RemoveNode))
				add(question{kind: string(a.Kind), name: undo})
			}
			if r.balanced && d.places.crowds(a, d.actors, c.Nodes.Automatic) {
				add(question{kind: string(a.Kind), name: constitution.PolicyDefault})
			}
		}
		add(q)
		if a.Kind == action.SetPolicy || a.Kind == action.RemovePolicy {
			if old, _ := c.PolicyOf(a.Args.Policy); old != name {
				add(question{kind: string(a.Kind), name: old, optional: true, everybody: everybody})
			}
		}
		_, _ = d.apply(a, r) // later actions may be about actors that earlier ones add; Apply has checked all
	}
	if r.strict {
		for i := range actions {
			if hastens(c, &actions[i]) {
				for _, q := range closing(c) {
					add(q)
				}
			}
			if k := actions[i].Kind; k == action.AddMember || k == action.RemoveMember {
				for _, q := range muted(c, d, string(k)) {
					add(q)
				}
			}
		}
	}
	return out
}

// muted returns the questions to the policies that a change of members would leave without any way to accept: they could
// then be replaced without being asked. All members who stay are as good.
func muted(c *constitution.Constitution, d *change, kind string) (out []question) {
	before, after := memberFacts(c), memberFacts(d.draft)
	stay := slices.DeleteFunc(slices.Clone(before), func(m policy.MemberFacts) bool {
		return !slices.ContainsFunc(after, func(o policy.MemberFacts) bool { return o.ID == m.ID })
	})
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		if d.policies[name] != c.Policies[name] {
			continue // it is replaced, and asked about that
		}
		p, err := policy.Compile(c.Policies[name])
		if err == nil && p.AcceptsNothing(after) && !p.AcceptsNothing(before) {
			out = append(out, question{kind: kind, name: name, optional: true, everybody: stay})
		}
	}
	return out
}

// hastens reports whether an action lets voting count as closed earlier.
func hastens(c *constitution.Constitution, a *action.Action) bool {
	n, err := strconv.ParseInt(a.Args.Value, 10, 64)
	return a.Kind == action.Set && a.Args.Setting == constitution.MinimumVoting && err == nil && n < c.Voting.MinimumSeconds
}

// closing returns the questions to the policies that look at the end of voting: a shorter time weakens them.
func closing(c *constitution.Constitution) (out []question) {
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		if p, err := policy.Compile(c.Policies[name]); err == nil && p.Closes() {
			out = append(out, question{kind: string(action.Set), name: name, optional: true, everybody: memberFacts(c)})
		}
	}
	return out
}

// judge asks policies about one proposal.
type judge struct {
	now       Present
	in        policy.Input
	questions []question
	compiled  map[string]*policy.Policy
	rules     rules
	vacuous   map[string]bool // by policy, as far as it was asked
	ends      bool            // policies see the end of voting as closed
}

// ends reports whether a proposal that was opened then is open for so long that policies may see its end as closed. When
// it was signed does not count: its proposer may have kept it to itself.
func ends(c *constitution.Constitution, opened, expires uint64) bool {
	least := uint64(c.Voting.MinimumSeconds) * 1000
	return least == 0 || opened != 0 && expires >= opened+least
}

func newJudge(now Present, r rules, p policy.ProposalFacts, actions []action.Action) *judge {
	return &judge{
		now: now, questions: questions(now, actions, r), compiled: map[string]*policy.Policy{}, rules: r, vacuous: map[string]bool{},
		in: policy.Input{Proposal: p, Members: memberFacts(now.Constitution), Constitution: constitutionFacts(now.Constitution, now.Nodes), Now: now.Now},
	}
}

// accepts says whether every policy does, and names the first one that does not.
func (j *judge) accepts(in policy.Input) (bool, string) {
	for _, q := range j.questions {
		if !j.asks(q, in) {
			if q.optional && j.otherwise(q, in) {
				continue
			}
			return false, q.name
		}
	}
	return true, ""
}

// otherwise reports whether the proposal can do without the yes of an optional policy.
func (j *judge) otherwise(q question, in policy.Input) bool {
	if !j.rules.strict {
		return !j.possible(q)
	}
	if len(q.everybody) > 0 && !slices.ContainsFunc(q.everybody, func(m policy.MemberFacts) bool {
		return !slices.Contains(in.Votes.By, policy.VoteFacts{Member: m.ID, Vote: policy.Yes, Weight: m.Weight})
	}) {
		return true
	}
	nothing, known := j.vacuous[q.name]
	if p := j.policy(q.name); !known && p != nil {
		nothing = p.AcceptsNothing(j.in.Members)
		j.vacuous[q.name] = nothing
	}
	return nothing
}

func (j *judge) policy(name string) *policy.Policy {
	p := j.compiled[name]
	if p == nil {
		var err error
		if p, err = policy.Compile(j.now.Constitution.Policies[name]); err != nil {
			return nil // what is stored was compiled before
		}
		j.compiled[name] = p
	}
	return p
}

func (j *judge) asks(q question, in policy.Input) bool {
	p := j.policy(q.name)
	if p == nil {
		return false
	}
	in.Node = q.node
	if len(q.before) > 0 {
		in.Constitution = constitutionFacts(j.now.Constitution, j.now.Nodes, q.before...)
	}
	ok, err := p.Decide(in)
	return ok && err == nil // a policy that has no answer does not accept
}

func (j *judge) possible(q question) bool {
	in := j.in
	in.Votes = policy.Tally(in.Members, nil)
	in = in.AllYes()
	return j.asks(q, in) || j.asks(q, j.over(in))
}

// over returns the input as it is when the time for voting is over.
func (j *judge) over(in policy.Input) policy.Input {
	in.Now, in.Closed = max(in.Now, in.Proposal.Expires), j.ends
	return in
}

// verdict says what becomes of the proposal with these votes; closed tells that the time for voting
// is over.
func (j *judge) verdict(votes []policy.VoteFacts, closed bool) (table.ProposalState, *reason.Reason) {
	in := j.in
	in.Votes, in.Closed = policy.Tally(in.Members, votes), closed && j.ends
	ok, name := j.accepts(in)
	switch {
	case ok:
		return table.Accepted, nil
	case closed:
		why := reason.New(reason.NotInTime, name, "")
		return table.Expired, &why
	}
	in = in.AllYes()
	if ok, _ := j.accepts(in); ok {
		return table.Open, nil
	}
	if ok, name = j.accepts(j.over(in)); ok {
		return table.Open, nil
	}
	why := reason.New(reason.Refused, name, "")
	return table.Rejected, &why
}

// voteFacts are the ballots that count.
func voteFacts(ballots []table.BallotRecord) []policy.VoteFacts {
	var out []policy.VoteFacts
	for _, b := range ballots {
		if !b.Void && (b.Vote == envelope.Yes || b.Vote == envelope.No) {
			out = append(out, policy.VoteFacts{Member: b.Actor.String(), Vote: string(b.Vote)})
		}
	}
	return out
}

func memberFacts(c *constitution.Constitution) []policy.MemberFacts {
	out := make([]policy.MemberFacts, len(c.Members))
	for i, m := range c.Members {
		out[i] = policy.MemberFacts{ID: m.Actor().String(), Name: m.Name, Weight: int64(m.Weight)}
	}
	return out
}

// constitutionFacts are the constitution as policies see it: with the trusted nodes, without the
// adapters' settings, which may be large.
func constitutionFacts(c *constitution.Constitution, nodes []table.NodeRecord, more ...policy.NodeFacts) map[string]any {
	list := []map[string]any{}
	for i := range nodes {
		if rec := &nodes[i]; rec.State == table.Trusted {
			list = append(list, map[string]any{
				"id": rec.ID.String(), "owner": rec.Owner.String(), "owner_name": c.Name(rec.Owner), "address": rec.Address,
				"measurement": string(rec.Measurement), "platform": rec.Evidence.Platform,
			})
		}
	}
	for _, n := range more {
		list = append(list, map[string]any{
			"id": "", "owner": n.Owner, "owner_name": n.OwnerName, "address": n.Address, "measurement": n.Measurement, "platform": n.Platform,
		})
	}
	code, tee, members, participants := []map[string]any{}, []map[string]any{}, []map[string]any{}, []map[string]any{}
	for _, e := range c.Code {
		code = append(code, map[string]any{"measurement": string(e.Measurement), "note": e.Note})
	}
	for _, e := range c.TEE {
		tee = append(tee, map[string]any{"platform": e.Platform, "policy": plainJSON(e.PolicyTable()), "debug": e.Debug})
	}
	for _, m := range c.Members {
		members = append(members, map[string]any{"id": m.Actor().String(), "name": m.Name, "weight": m.Weight})
	}
	for _, p := range c.Participants {
		participants = append(participants, map[string]any{"id": p.Actor().String(), "name": p.Name})
	}
	return map[string]any{
		"version": c.Version, "nodes": list, "code": code, "tee": tee, "members": members, "participants": participants,
		"settings": settingsFacts(c),
	}
}

func settingsFacts(c *constitution.Constitution) map[string]any {
	out := map[string]any{
		"network":   map[string]any{"name": c.Network.Name, "insecure": c.Network.Insecure},
		"shares":    map[string]any{"threshold": c.Shares.Threshold},
		"consensus": map[string]any{"durability": string(c.Consensus.Durability)},
	}
	put := func(path string, n any) {
		section, name, _ := strings.Cut(path, ".")
		table, ok := out[section].(map[string]any)
		if !ok {
			table = map[string]any{}
			out[section] = table
		}
		table[name] = n
	}
	for _, n := range c.Numbers() {
		put(n.Path, n.Value)
	}
	for _, s := range c.Added() {
		put(s.Path, s.Value)
	}
	return out
}

func proposalFacts(id coco.Digest, proposer string, kinds []string, p *envelope.Proposal, actions []action.Action) policy.ProposalFacts {
	facts := policy.ProposalFacts{Proposer: proposer, Kinds: kinds, Time: p.Time, Expires: p.Expires}
	if id != (coco.Digest{}) {
		facts.ID = id.String()
	}
	for i := range actions {
		facts.Actions = append(facts.Actions, actions[i].Facts())
	}
	return facts
}

// kindsOf returns the kinds of actions, without repetition.
func kindsOf(actions []action.Action) []string {
	out := []string{}
	for _, a := range actions {
		if !slices.Contains(out, string(a.Kind)) {
			out = append(out, string(a.Kind))
		}
	}
	return out
}

// Admits reports whether the policy add_node admits a node without a vote. nodes are the trusted ones.
func Admits(c *constitution.Constitution, nodes []table.NodeRecord, rec *table.NodeRecord) (bool, error) {
	p, err := policy.Compile(c.Policies[constitution.PolicyAddNode])
	if err != nil {
		return false, err
	}
	owner := rec.Owner.String()
	in := policy.Input{
		Proposal: policy.ProposalFacts{Kinds: []string{constitution.PolicyAddNode}, Actions: []map[string]any{{"kind": constitution.PolicyAddNode, "owner": owner, "address": rec.Address}}, Time: rec.Time, Expires: rec.Time},
		Members:  memberFacts(c), Constitution: constitutionFacts(c, nodes), Now: rec.Time,
		Node: policy.NodeFacts{Owner: owner, OwnerName: c.Name(rec.Owner), Address: rec.Address, Measurement: string(rec.Measurement), Platform: rec.Measurement.Platform()},
	}
	if _, member := c.Member(rec.Owner); member {
		in.Proposal.Proposer = owner // it proposes its own node
	}
	in.Votes = policy.Tally(in.Members, nil)
	return p.Decide(in)
}

// CheckGenesis checks what only a network's first constitution has to be.
func CheckGenesis(c *constitution.Constitution, now uint64) error {
	if c.Version != 1 {
		return fmt.Errorf("%w: genesis: version %d of a constitution, expected 1: a network begins with its first", coco.ErrInvalid, c.Version)
	}
	if err := c.CheckPolicies(); err != nil {
		return err
	}
	if err := checkFounders(c, now); err != nil {
		return err
	}
	return CheckPath(c, now)
}
