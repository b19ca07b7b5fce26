package decide

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// state is governance as one statement finds it. Nothing here writes.
type state struct {
	r     store.Reader
	now   uint64 // milliseconds since 1970
	c     *constitution.Constitution
	rules rules // of the constitution's version
	open  table.OpenIndex
}

func read(r store.Reader, now uint64) (*state, error) {
	s := &state{r: r, now: now}
	var err error
	if s.c, err = table.LoadCore(r); err != nil {
		return nil, err
	}
	if s.rules, err = rulesOf(s.c.Rules); err != nil {
		return nil, err
	}
	s.open, err = table.LoadOpen(r)
	return s, err
}

// signer says which member has signed a statement that is for this network and of this time.
func (found *state) signer(s *envelope.Signed) (coco.ActorID, error) {
	audience, err := table.Audience(found.r)
	if err != nil {
		return coco.ActorID{}, err
	}
	if s.Audience() != audience {
		return coco.ActorID{}, fmt.Errorf("%w: the statement is for the network %s, expected %s, this one", coco.ErrInvalid, s.Audience().Short(), audience.Short())
	}
	a, organisation, err := found.c.Signer(s.Chain, time.UnixMilli(int64(found.now)))
	if err != nil {
		return coco.ActorID{}, fmt.Errorf("%w: the statement's certificate: %w", coco.ErrDenied, err)
	}
	if a.Role != coco.Member {
		return coco.ActorID{}, fmt.Errorf("%w: %q is a %s: only members propose and vote", coco.ErrDenied, a.Name, a.Role)
	}
	leaf := s.Chain[0]
	if !organisation && !slices.Contains(leaf.Subject.OrganizationalUnit, coco.GovernanceUnit) {
		return coco.ActorID{}, fmt.Errorf("%w: the certificate %q of %q is not for governing: expected the organisational unit %q", coco.ErrDenied, leaf.Subject, a.Name, coco.GovernanceUnit)
	}
	if found.rules.apart && !organisation && slices.Contains(leaf.Subject.OrganizationalUnit, coco.NodesUnit) {
		return coco.ActorID{}, fmt.Errorf("%w: the certificate %q of %q is for nodes only (organisational unit %q): it signs no statement", coco.ErrDenied, leaf.Subject, a.Name, coco.NodesUnit)
	}
	t := s.Time()
	if t > found.now+found.rules.maxAhead || t+found.rules.maxAge < found.now {
		return coco.ActorID{}, fmt.Errorf("%w: the statement was signed at %s, expected from 30 days before to 10 minutes after the ledger's time, %s", coco.ErrInvalid, stampMilli(t), stampMilli(found.now))
	}
	return a.Actor, nil
}

func stampMilli(ms uint64) string { return time.UnixMilli(int64(ms)).UTC().Format(time.RFC3339) }

// present gathers what actions change. Adapters' settings are loaded if the actions are about them.
func (found *state) present(actions []action.Action) (Present, error) {
	for i := range actions {
		rest, ok := strings.CutPrefix(actions[i].Args.Setting, "adapters.")
		name, _, _ := strings.Cut(rest, ".")
		_, known := found.c.AdapterDigests()[name]
		if _, loaded := found.c.Adapters[name]; !ok || !known || loaded {
			continue
		}
		text, _ := found.r.Get(table.ConstitutionTable, []byte(table.SettingsKey+name))
		if err := found.c.AddSettings(name, text); err != nil {
			return Present{}, err
		}
	}
	nodes, err := table.NodesOf(found.r, table.Trusted, table.Pending)
	if err != nil {
		return Present{}, err
	}
	for i := range actions { // an action may tell a place by a node that was there once
		if id, err := actions[i].Args.NodeID(); err == nil {
			rec, err := table.Node(found.r, id)
			if err == nil && rec.State == table.Retired {
				nodes = append(nodes, rec)
			}
		}
	}
	places, err := table.Places(found.r)
	if err != nil {
		return Present{}, err
	}
	p := Present{Constitution: found.c, Nodes: nodes, Places: places, Now: found.now, Epochs: table.LastEpoch(found.r)}
	if p.Closed, err = table.Closed(found.r); err == nil && p.Closed {
		p.Service, err = table.ServiceDigest(found.r)
	}
	return p, err
}

// proposed checks a proposal, and returns the record that it gets. Its Since is left out.
func (found *state) proposed(member coco.ActorID, s *envelope.Signed, env Env) (rec table.ProposalRecord, err error) {
	p := s.Proposal
	if _, err := table.Proposal(found.r, s.ID); err == nil {
		return rec, fmt.Errorf("%w: proposal %s is known already", coco.ErrInvalid, s.ID.Short())
	}
	if p.Expires <= found.now || p.Expires > p.Time+found.rules.maxVoting {
		return rec, fmt.Errorf("%w: voting is to end at %s, expected after now (%s) and within 90 days from signing", coco.ErrInvalid, stampMilli(p.Expires), stampMilli(found.now))
	}
	mine := 0
	for _, o := range found.open.Open {
		if o.Proposer == member {
			mine++
		}
	}
	if len(found.open.Open) >= found.rules.maxOpen || mine >= found.rules.maxOpenByMember {
		return rec, fmt.Errorf("%w: %d proposals are open, %d of them by this member, expected at most %d and %d: withdraw one, or wait", coco.ErrBusy, len(found.open.Open), mine, found.rules.maxOpen-1, found.rules.maxOpenByMember-1)
	}
	actions, err := table.DecodeActions(p)
	if err != nil {
		return rec, err
	}
	now, err := found.present(actions)
	if err != nil {
		return rec, err
	}
	now.Until = p.Expires
	next, _, err := Apply(now, actions)
	if err != nil {
		return rec, err
	}
	if err := env.Check(found.c, next, p.Expires); err != nil {
		return rec, err
	}
	if found.rules.opened {
		rec.Opened = found.now
	}
	return table.ProposalRecord{
		Opened: rec.Opened, ID: s.ID, Number: found.open.Last + 1, State: table.Open, Proposer: member, Kinds: kindsOf(actions), Expires: p.Expires, Raw: s.Raw,
	}, nil
}

// Check asks about the settings of adapters that differ between two constitutions, of which a vote that ends until a time puts one in the place of the other.
func (env Env) Check(old, next *constitution.Constitution, until uint64) error {
	if env.CheckSettings == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(next.AdapterDigests())) {
		if next.AdapterDigests()[name] != old.AdapterDigests()[name] {
			if err := env.CheckSettings(old.Rules, name, old.Settings(name), next.Settings(name), until); err != nil {
				return err
			}
		}
	}
	return nil
}

// voted checks a ballot, and returns the proposal that it is about and the record that it gets. Its Since is left out.
func (found *state) voted(member coco.ActorID, s *envelope.Signed) (rec table.ProposalRecord, ballot table.BallotRecord, err error) {
	b := s.Ballot
	rec, err = table.Proposal(found.r, b.Proposal)
	if err != nil {
		return rec, ballot, err
	}
	if rec.State != table.Open {
		return rec, ballot, fmt.Errorf("%w: proposal %s is %s already", coco.ErrInvalid, rec.ID.Short(), rec.State)
	}
	if found.now >= rec.Expires {
		return rec, ballot, fmt.Errorf("%w: voting about proposal %s ended at %s", coco.ErrInvalid, rec.ID.Short(), stampMilli(rec.Expires))
	}
	key := table.BallotKey(rec.ID, member)
	last, voted, err := table.Get[table.BallotRecord](found.r, table.BallotsTable, key, table.MaxRecord)
	if err != nil {
		return rec, ballot, err
	}
	if voted && b.Time <= last.Time {
		return rec, ballot, fmt.Errorf("%w: a ballot signed at %s, and the last one of %q at %s: expected a later one", coco.ErrInvalid, stampMilli(b.Time), found.c.Name(member), stampMilli(last.Time))
	}
	if b.Vote == envelope.Withdraw && rec.Proposer != member {
		return rec, ballot, fmt.Errorf("%w: only %q, who proposed it, may withdraw proposal %s", coco.ErrDenied, found.c.Name(rec.Proposer), rec.ID.Short())
	}
	return rec, table.BallotRecord{Proposal: rec.ID, Actor: member, Vote: b.Vote, Time: b.Time, Raw: s.Raw}, nil
}

// decision is what becomes of a proposal.
type decision struct {
	state   table.ProposalState
	why     *reason.Reason             // of Rejected, Expired and Failed
	next    *constitution.Constitution // in force then
	effects []Effect
}

// judge decides about a proposal under the policies in force; closed tells that the time for voting is over.
func (found *state) judge(rec *table.ProposalRecord, ballots []table.BallotRecord, closed bool) (decision, error) {
	s, err := rec.Signed()
	if err != nil {
		return decision{}, err
	}
	actions, err := table.DecodeActions(s.Proposal)
	if err != nil {
		return decision{}, err
	}
	now, err := found.present(actions)
	if err != nil {
		return decision{}, err
	}
	facts := proposalFacts(rec.ID, rec.Proposer.String(), rec.Kinds, s.Proposal, actions)
	j := newJudge(now, found.rules, facts, actions)
	j.ends = ends(found.c, rec.Opened, rec.Expires)
	now.Until = rec.Expires
	verdict, why := j.verdict(voteFacts(ballots), closed)
	if verdict != table.Accepted {
		return decision{state: verdict, why: why, next: found.c}, nil
	}
	next, effects, err := Apply(now, actions)
	if why, coded := reason.Of(err); coded {
		return decision{state: table.Failed, why: &why, next: found.c}, nil
	}
	// After another error the tables or the program are damaged. That decides nothing.
	return decision{state: table.Accepted, next: next, effects: effects}, err
}
