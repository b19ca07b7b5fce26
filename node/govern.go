package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gateway"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// governor is gateway.Governor.
type governor struct{ n *node }

// Govern implements gateway.Governor. The leader executes the statement, whichever node the member talks to.
func (g governor) Govern(ctx context.Context, raw []byte) (out wire.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, peer.SubmitPatience)
	defer cancel()
	r := g.n.forwarder.Ask(ctx, peer.Request{Kind: peer.Govern, Body: raw})
	if r.Err != nil {
		return out, r.Err
	}
	if err := json.Unmarshal(r.Reply, &out); err != nil {
		return out, fmt.Errorf("%w: the leader's outcome of a statement: %w", coco.ErrCorrupt, err)
	}
	return out, nil
}

// submission is the transaction that executes a statement.
func (n *node) submission(raw []byte) func(*store.Tx) ([]byte, error) {
	return func(tx *store.Tx) ([]byte, error) {
		out, err := gov.Submit(tx, raw, gov.Env{CheckSettings: n.checkSettings})
		if err != nil {
			return nil, err
		}
		if err := n.announceFor(tx, out); err != nil {
			return nil, err
		}
		n.log.Info("governance", "proposal", out.ID.Short(), "state", out.State, "version", out.Version, "reason", reason.CodeOf(out.Reason))
		return json.Marshal(query.OutcomeOf(out))
	}
}

// announceFor announces a new epoch in a transaction that has changed who holds shares.
func (n *node) announceFor(tx *store.Tx, outcomes ...gov.Outcome) error {
	if !slices.ContainsFunc(outcomes, func(o gov.Outcome) bool { return o.Rotates() }) {
		return nil
	}
	if err := n.announceIn(tx); err != nil {
		return fmt.Errorf("a new epoch for other members: %w", err)
	}
	return nil
}

// checkSettings asks an adapter whether its settings may change so.
func (n *node) checkSettings(name string, old, next []byte) error {
	for _, a := range n.cfg.Adapters {
		if a.Manifest().Name == name {
			if c, ok := a.(adapter.Checker); ok {
				return c.CheckSettings(old, next)
			}
			return fmt.Errorf("%w: the settings of ledger %q cannot change while the network runs", coco.ErrInvalid, name)
		}
	}
	return fmt.Errorf("%w: this network's program has no ledger %q", coco.ErrInvalid, name)
}

// expire has a leader judge the proposals whose time is over.
func (n *node) expire(ctx context.Context) error {
	if !n.replica.Leads() {
		return nil
	}
	s := n.store.Snapshot()
	due, ok := gov.Due(s)
	s.Release()
	if !ok || due > uint64(n.cfg.Host.Clock.Now().UnixMilli()) {
		return nil
	}
	_, err := n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		judged, err := gov.Expire(tx, gov.Env{CheckSettings: n.checkSettings})
		if err == nil && len(judged) == 0 {
			err = errNothingDue
		}
		if err != nil {
			return nil, err
		}
		return nil, n.announceFor(tx, judged...)
	})
	if errors.Is(err, errNothingDue) {
		return nil // the ledger's time is behind this machine's
	}
	return err
}

var errNothingDue = fmt.Errorf("%w: no proposal's time is over", coco.ErrNotFound)

// Proposals implements gateway.Governor.
func (g governor) Proposals(q gateway.ProposalQuery) ([]wire.Proposal, error) {
	s := g.n.store.Snapshot()
	defer s.Release()
	list, err := gov.Proposals(s, func(p gov.ProposalRecord) bool { return q.Wants(p.ID, p.Number, string(p.State), p.Decided) })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b gov.ProposalRecord) int { return cmp.Compare(b.Number, a.Number) })
	if q.Limit > 0 {
		list = list[:min(q.Limit, len(list))]
	}
	out := make([]wire.Proposal, 0, len(list))
	for _, p := range list {
		info, _, err := g.describe(s, p)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

// Proposal implements gateway.Governor.
func (g governor) Proposal(id coco.Digest) (wire.Proposal, error) {
	s := g.n.store.Snapshot()
	defer s.Release()
	rec, err := gov.Proposal(s, id)
	if err != nil {
		return wire.Proposal{}, err
	}
	info, ballots, err := g.describe(s, rec)
	if err != nil {
		return info, err
	}
	actions, err := rec.Actions()
	if err != nil {
		return info, err
	}
	text, err := action.Format(actions)
	if err != nil {
		return info, err
	}
	info.Actions, info.Envelope = string(text), rec.Raw
	c := g.n.constitution.Load()
	voted := map[coco.ActorID]bool{}
	for _, b := range ballots {
		_, member := c.Member(b.Actor)
		voted[b.Actor] = b.Vote != envelope.Withdraw
		info.Ballots = append(info.Ballots, wire.Ballot{
			Member: b.Actor, Name: nameOf(c, b.Actor), Vote: string(b.Vote), Time: time.UnixMilli(int64(b.Time)).UTC(),
			Since: b.Since, Counts: member && !b.Void, Envelope: b.Raw,
		})
	}
	if rec.State == gov.Open {
		for _, m := range c.Members {
			if !voted[m.Actor()] {
				info.Waiting = append(info.Waiting, m.Name)
			}
		}
	}
	return info, nil
}

// nameOf is an organisation's name, or what is known of one that was removed.
func nameOf(c *gov.Constitution, id coco.ActorID) string { return cmp.Or(c.Name(id), id.Short()) }

// describe says of a proposal what a list says.
func (g governor) describe(s store.Reader, p gov.ProposalRecord) (wire.Proposal, []gov.BallotRecord, error) {
	c := g.n.constitution.Load()
	info := wire.Proposal{
		ID: p.ID, Number: p.Number, State: string(p.State), Proposer: p.Proposer, ProposerName: nameOf(c, p.Proposer), Kinds: p.Kinds,
		Expires: time.UnixMilli(int64(p.Expires)).UTC(), Since: p.Since, Decided: p.Decided, Code: string(reason.CodeOf(p.Reason)), Reason: p.Reason.String(),
	}
	signed, err := p.Signed()
	if err != nil {
		return info, nil, err
	}
	if signed.Proposal != nil {
		info.Note, info.Time = signed.Proposal.Note, time.UnixMilli(int64(signed.Proposal.Time)).UTC()
	}
	ballots, err := gov.Ballots(s, p.ID)
	for _, b := range ballots {
		if _, member := c.Member(b.Actor); !member || b.Void {
			continue
		}
		switch b.Vote {
		case envelope.Yes:
			info.Yes++
		case envelope.No:
			info.No++
		}
	}
	return info, ballots, err
}

// ConstitutionAt implements gateway.Governor.
func (g governor) ConstitutionAt(version uint64) ([]byte, wire.ConstitutionVersion, error) {
	s := g.n.store.Snapshot()
	defer s.Release()
	list, err := g.versions(s)
	if err != nil || len(list) == 0 {
		return nil, wire.ConstitutionVersion{}, err
	}
	info := list[len(list)-1]
	if version == 0 {
		c, err := gov.LoadConstitution(s)
		if err != nil {
			return nil, info, err
		}
		return c.TOML(), info, nil
	}
	c, err := gov.ConstitutionAt(s, version)
	if err != nil {
		return nil, info, err
	}
	for _, v := range list {
		if v.Version == version {
			info = v
		}
	}
	return c.TOML(), info, nil
}

// History implements gateway.Governor.
func (g governor) History() ([]wire.ConstitutionVersion, error) {
	s := g.n.store.Snapshot()
	defer s.Release()
	return g.versions(s)
}

func (governor) versions(s store.Reader) ([]wire.ConstitutionVersion, error) {
	list, err := gov.Versions(s)
	if err != nil {
		return nil, err
	}
	out := make([]wire.ConstitutionVersion, len(list))
	for i, v := range list {
		out[i] = wire.ConstitutionVersion{
			Version: v.Version, Digest: v.Digest, Since: v.Since, Time: time.UnixMilli(int64(v.Time)).UTC(), Proposal: v.Proposal,
		}
		if v.Proposal != (coco.Digest{}) {
			p, err := gov.Proposal(s, v.Proposal)
			if err != nil {
				return nil, err
			}
			out[i].Number = p.Number
		}
	}
	return out, nil
}

// Simulate implements gateway.Governor.
func (g governor) Simulate(_ context.Context, caller coco.Caller, text []byte) (wire.Simulation, error) {
	actions, err := action.Parse(text)
	if err != nil {
		return wire.Simulation{}, err
	}
	s := g.n.store.Snapshot()
	defer s.Release()
	sim, err := gov.Simulate(s, actions, caller.Actor, uint64(g.n.cfg.Host.Clock.Now().UnixMilli()))
	if err != nil {
		return wire.Simulation{}, err
	}
	list, err := gov.Versions(s)
	if err != nil {
		return wire.Simulation{}, err
	}
	return query.SimulationOf(sim, uint64(len(list))), nil
}

// PendingNodes implements gateway.Governor.
func (g governor) PendingNodes() ([]wire.Node, error) {
	nodes, err := g.n.Nodes()
	if err != nil {
		return nil, err
	}
	out := []wire.Node{}
	for _, n := range nodes {
		if n.State == string(gov.Pending) {
			n.Reason = "no vote has admitted a node of its owner at its address"
			out = append(out, n)
		}
	}
	return out, nil
}

// WaitFor implements gateway.Governor.
func (g governor) WaitFor(ctx context.Context, seqno uint64) (uint64, error) {
	n := g.n
	for {
		changed := n.governedSignal.Wait()
		if n.governedAt.Load() > seqno {
			return n.store.Committed(), nil
		}
		select {
		case <-ctx.Done():
			return max(seqno, n.store.Committed()), nil
		case <-changed:
		}
	}
}
