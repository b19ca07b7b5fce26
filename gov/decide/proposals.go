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

// The times that a statement may have, in milliseconds.
const (
	maxAhead  = 10 * 60 * 1000           // of the ledger's time, for clocks that differ
	maxAge    = 30 * 24 * 60 * 60 * 1000 // since signing, for ceremonies without a network
	maxVoting = 90 * 24 * 60 * 60 * 1000 // from signing to the end of voting
)

// Bounds of what is open at a time, so that a member cannot fill the table.
const (
	maxOpen         = 256
	maxOpenByMember = 32
)

// Env is what governance asks of the node that runs it.
type Env struct {
	// CheckSettings says why an adapter's settings cannot follow the old ones, both in canonical JSON. It is asked
	// when they are proposed, and not again. If it is nil, all can.
	CheckSettings func(adapter string, old, new []byte) error
}

// Rotates reports whether the holders of an epoch's shares have changed, so that a new epoch begins.
func (o *Outcome) Rotates() bool {
	return slices.ContainsFunc(o.Effects, func(e Effect) bool { return e.Kind == EpochRotated })
}

// Outcome is what became of a proposal.
type Outcome struct {
	ID      coco.Digest // the proposal's
	State   table.ProposalState
	Reason  *reason.Reason // of Rejected, Expired and Failed
	Version uint64         // of the constitution, now
	Digest  coco.Digest    // the constitution's, now
	Effects []Effect
}

// Submit executes a signed proposal or ballot. A vote that decides applies the proposal's effects in
// the same transaction; so does a proposal that needs no vote. One effect is left to the caller: after
// EpochRotated, it MUST announce a new epoch in the same transaction. After an error nothing counts, and the
// transaction MUST be aborted: coco.ErrInvalid for a statement that is wrong or known already or
// comes at the wrong time, coco.ErrVerify for a wrong signature, coco.ErrDenied for a signer without
// the right, coco.ErrNotFound for a ballot about no proposal, and coco.ErrBusy if too many are open.
func Submit(tx *store.Tx, raw []byte, env Env) (Outcome, error) {
	s, err := envelope.Open(raw)
	if err != nil {
		return Outcome{}, err
	}
	h, err := enter(tx, tx.Time())
	if err != nil {
		return Outcome{}, err
	}
	h.tx, h.env = tx, env
	member, err := h.signer(s)
	if err != nil {
		return Outcome{}, err
	}
	if s.Proposal != nil {
		return h.propose(member, s)
	}
	return h.vote(member, s)
}

// Expire judges proposals whose time for voting is over, in the order of their numbers, up to the
// first one that is accepted: what follows is judged under what it changed, by the next call. It
// returns what became of those that it has judged. For their effects see Submit, for the time Due.
func Expire(tx *store.Tx, env Env) (judged []Outcome, err error) {
	index, err := table.LoadOpen(tx)
	if err != nil {
		return nil, err
	}
	for _, o := range index.Open {
		if o.Expires > tx.Time() {
			continue
		}
		h, err := enter(tx, tx.Time())
		if err != nil {
			return judged, err
		}
		h.tx, h.env = tx, env
		rec, err := table.Proposal(tx, o.ID)
		if err != nil {
			return judged, err
		}
		out, err := h.conclude(&rec, true)
		if err != nil {
			return judged, err
		}
		if judged = append(judged, out); out.State == table.Accepted {
			break
		}
	}
	return judged, nil
}

// house is governance as one statement finds it.
type house struct {
	r     store.Reader
	tx    *store.Tx // nil if nothing is to be written
	env   Env
	now   uint64
	c     *constitution.Constitution
	index table.OpenIndex
}

func enter(r store.Reader, now uint64) (*house, error) {
	h := &house{r: r, now: now}
	var err error
	if h.c, err = table.LoadCore(r); err != nil {
		return nil, err
	}
	h.index, err = table.LoadOpen(r)
	return h, err
}

// signer says which member has signed a statement that is for this network and of this time.
func (h *house) signer(s *envelope.Signed) (coco.ActorID, error) {
	audience, err := table.Audience(h.r)
	if err != nil {
		return coco.ActorID{}, err
	}
	if s.Audience() != audience {
		return coco.ActorID{}, fmt.Errorf("%w: the statement is for the network %s, expected %s, this one", coco.ErrInvalid, s.Audience().Short(), audience.Short())
	}
	a, organisation, err := h.c.Signer(s.Chain, time.UnixMilli(int64(h.now)))
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
	t := s.Time()
	if t > h.now+maxAhead || t+maxAge < h.now {
		return coco.ActorID{}, fmt.Errorf("%w: the statement was signed at %s, expected from 30 days before to 10 minutes after the ledger's time, %s", coco.ErrInvalid, stampMilli(t), stampMilli(h.now))
	}
	return a.Actor, nil
}

func stampMilli(ms uint64) string { return time.UnixMilli(int64(ms)).UTC().Format(time.RFC3339) }

// present gathers what actions change. Adapters' settings are loaded if the actions are about them.
func (h *house) present(actions []action.Action) (Present, error) {
	for i := range actions {
		rest, ok := strings.CutPrefix(actions[i].Args.Setting, "adapters.")
		name, _, _ := strings.Cut(rest, ".")
		_, known := h.c.AdapterDigests()[name]
		if _, loaded := h.c.Adapters[name]; !ok || !known || loaded {
			continue
		}
		text, _ := h.r.Get(table.ConstitutionTable, []byte(table.SettingsKey+name))
		if err := h.c.AddSettings(name, text); err != nil {
			return Present{}, err
		}
	}
	nodes, err := table.NodesOf(h.r, table.Trusted, table.Pending)
	if err != nil {
		return Present{}, err
	}
	for i := range actions { // an action may tell a place by a node that was there once
		if id, err := actions[i].Args.NodeID(); err == nil {
			rec, err := table.Node(h.r, id)
			if err == nil && rec.State == table.Retired {
				nodes = append(nodes, rec)
			}
		}
	}
	places, err := table.Places(h.r)
	return Present{Constitution: h.c, Nodes: nodes, Places: places, Now: h.now}, err
}

func (h *house) propose(member coco.ActorID, s *envelope.Signed) (Outcome, error) {
	p := s.Proposal
	if _, err := table.Proposal(h.r, s.ID); err == nil {
		return Outcome{}, fmt.Errorf("%w: proposal %s is known already", coco.ErrInvalid, s.ID.Short())
	}
	if p.Expires <= h.now || p.Expires > p.Time+maxVoting {
		return Outcome{}, fmt.Errorf("%w: voting is to end at %s, expected after now (%s) and within 90 days from signing", coco.ErrInvalid, stampMilli(p.Expires), stampMilli(h.now))
	}
	mine := 0
	for _, o := range h.index.Open {
		if o.Proposer == member {
			mine++
		}
	}
	if len(h.index.Open) >= maxOpen || mine >= maxOpenByMember {
		return Outcome{}, fmt.Errorf("%w: %d proposals are open, %d of them by this member, expected at most %d and %d: withdraw one, or wait", coco.ErrBusy, len(h.index.Open), mine, maxOpen-1, maxOpenByMember-1)
	}
	actions, err := table.DecodeActions(p)
	if err != nil {
		return Outcome{}, err
	}
	now, err := h.present(actions)
	if err != nil {
		return Outcome{}, err
	}
	next, _, err := Apply(now, actions)
	if err != nil {
		return Outcome{}, err
	}
	if err := h.checkSettings(next); err != nil {
		return Outcome{}, err
	}
	h.index.Last++
	rec := table.ProposalRecord{
		ID: s.ID, Number: h.index.Last, State: table.Open, Proposer: member, Kinds: kindsOf(actions),
		Expires: p.Expires, Since: h.tx.Seqno(), Raw: s.Raw,
	}
	h.index.Open = append(slices.Clone(h.index.Open), table.OpenProposal{ID: rec.ID, Expires: rec.Expires, Proposer: member})
	return h.conclude(&rec, false)
}

func (h *house) checkSettings(next *constitution.Constitution) error {
	if h.env.CheckSettings == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(next.AdapterDigests())) {
		if next.AdapterDigests()[name] != h.c.AdapterDigests()[name] {
			if err := h.env.CheckSettings(name, h.c.Settings(name), next.Settings(name)); err != nil {
				return fmt.Errorf("%w: the settings of adapter %q: %w", coco.ErrInvalid, name, err)
			}
		}
	}
	return nil
}

func (h *house) vote(member coco.ActorID, s *envelope.Signed) (Outcome, error) {
	b := s.Ballot
	rec, err := table.Proposal(h.r, b.Proposal)
	if err != nil {
		return Outcome{}, err
	}
	if rec.State != table.Open {
		return Outcome{}, fmt.Errorf("%w: proposal %s is %s already", coco.ErrInvalid, rec.ID.Short(), rec.State)
	}
	if h.now >= rec.Expires {
		return Outcome{}, fmt.Errorf("%w: voting about proposal %s ended at %s", coco.ErrInvalid, rec.ID.Short(), stampMilli(rec.Expires))
	}
	key := table.BallotKey(rec.ID, member)
	last, voted, err := table.Get[table.BallotRecord](h.r, table.BallotsTable, key, table.MaxRecord)
	if err != nil {
		return Outcome{}, err
	}
	if voted && b.Time <= last.Time {
		return Outcome{}, fmt.Errorf("%w: a ballot signed at %s, and the last one of %q at %s: expected a later one", coco.ErrInvalid, stampMilli(b.Time), h.c.Name(member), stampMilli(last.Time))
	}
	if b.Vote == envelope.Withdraw && rec.Proposer != member {
		return Outcome{}, fmt.Errorf("%w: only %q, who proposed it, may withdraw proposal %s", coco.ErrDenied, h.c.Name(rec.Proposer), rec.ID.Short())
	}
	ballot := table.BallotRecord{Proposal: rec.ID, Actor: member, Vote: b.Vote, Time: b.Time, Since: h.tx.Seqno(), Raw: s.Raw}
	if err := table.Put(h.tx, table.BallotsTable, key, ballot); err != nil {
		return Outcome{}, err
	}
	if b.Vote == envelope.Withdraw {
		return h.close(&rec, table.Withdrawn, nil, h.c, nil)
	}
	return h.conclude(&rec, false)
}

// conclude judges a proposal under the policies in force and, if it is accepted, applies it.
func (h *house) conclude(rec *table.ProposalRecord, closed bool) (Outcome, error) {
	s, err := rec.Signed()
	if err != nil {
		return Outcome{}, err
	}
	actions, err := table.DecodeActions(s.Proposal)
	if err != nil {
		return Outcome{}, err
	}
	now, err := h.present(actions)
	if err != nil {
		return Outcome{}, err
	}
	ballots, err := table.Ballots(h.r, rec.ID)
	if err != nil {
		return Outcome{}, err
	}
	facts := proposalFacts(rec.ID, rec.Proposer.String(), rec.Kinds, s.Proposal, actions)
	switch state, why := newJudge(now, facts, actions).verdict(voteFacts(ballots), closed); state {
	case table.Open:
		out := Outcome{ID: rec.ID, State: table.Open, Version: h.c.Version, Digest: h.c.Digest()}
		return out, h.put(rec)
	case table.Accepted:
		next, effects, err := Apply(now, actions)
		if why, coded := reason.Of(err); coded {
			return h.close(rec, table.Failed, &why, h.c, nil)
		}
		if err != nil {
			return Outcome{}, err // the tables or the program are damaged: that decides nothing
		}
		return h.accept(rec, next, effects)
	default:
		return h.close(rec, state, why, h.c, nil)
	}
}

func (h *house) put(rec *table.ProposalRecord) error {
	if err := table.Put(h.tx, table.ProposalsTable, rec.ID[:], rec); err != nil {
		return err
	}
	return table.Put(h.tx, table.ProposalsTable, []byte(table.OpenKey), h.index)
}

// close ends a proposal.
func (h *house) close(rec *table.ProposalRecord, state table.ProposalState, why *reason.Reason, c *constitution.Constitution, effects []Effect) (Outcome, error) {
	rec.State, rec.Reason, rec.Decided, rec.DecidedTime = state, why, h.tx.Seqno(), h.now
	h.index.Open = slices.DeleteFunc(slices.Clone(h.index.Open), func(o table.OpenProposal) bool { return o.ID == rec.ID })
	out := Outcome{ID: rec.ID, State: state, Reason: why, Version: c.Version, Digest: c.Digest(), Effects: effects}
	return out, h.put(rec)
}

// accept writes what an accepted proposal changes.
func (h *house) accept(rec *table.ProposalRecord, next *constitution.Constitution, effects []Effect) (Outcome, error) {
	if next.Version != h.c.Version {
		rec.Version = next.Version
		if err := h.writeVersion(rec.ID, next); err != nil {
			return Outcome{}, err
		}
	}
	for i := range effects {
		if err := h.effect(rec.ID, &effects[i], next); err != nil {
			return Outcome{}, err
		}
	}
	return h.close(rec, table.Accepted, nil, next, effects)
}

func (h *house) writeVersion(proposal coco.Digest, next *constitution.Constitution) error {
	before := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(next.AdapterDigests())) {
		if next.AdapterDigests()[name] != h.c.AdapterDigests()[name] {
			before[name] = h.c.Settings(name)
			h.tx.Put(table.ConstitutionTable, []byte(table.SettingsKey+name), next.Settings(name))
		}
	}
	h.tx.Put(table.ConstitutionTable, []byte(table.CoreKey), next.Canonical())
	return table.PutVersion(h.tx, next, proposal, before)
}

// effect writes what one effect changes beside the constitution.
func (h *house) effect(proposal coco.Digest, e *Effect, next *constitution.Constitution) error {
	place := table.PlaceKey(e.Actor, e.Address)
	switch e.Kind {
	case PlaceAdmitted, PlaceRemoved:
		return table.Put(h.tx, table.PlacesTable, place, table.PlaceRecord{
			Owner: e.Actor, Address: e.Address, Removed: e.Kind == PlaceRemoved, Since: h.tx.Seqno(), Proposal: proposal,
		})
	case PlaceForgotten:
		h.tx.Delete(table.PlacesTable, place)
	case NodeRetired:
		return table.RetireNode(h.tx, e.Node)
	case ActorRemoved:
		if _, stays := next.Member(e.Actor); !stays {
			return h.void(e.Actor, proposal)
		}
	}
	return nil
}

// void makes the ballots of a removed member count no longer: those about open proposals, but for the
// one that removes it, which is decided.
func (h *house) void(actor coco.ActorID, decided coco.Digest) error {
	for _, o := range h.index.Open {
		if o.ID == decided {
			continue
		}
		key := table.BallotKey(o.ID, actor)
		b, ok, err := table.Get[table.BallotRecord](h.tx, table.BallotsTable, key, table.MaxRecord)
		if err != nil {
			return err
		}
		if !ok || b.Void {
			continue
		}
		b.Void = true
		if err := table.Put(h.tx, table.BallotsTable, key, b); err != nil {
			return err
		}
	}
	return nil
}
