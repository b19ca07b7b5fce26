package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// governor is gateway.Governor.
type governor struct{ n *node }

// Govern implements gateway.Governor. The leader executes the statement, whichever node the member talks to.
func (g governor) Govern(ctx context.Context, caller coco.Caller, raw []byte) (wire.Outcome, error) {
	return g.n.links.statements.Submit(ctx, caller, raw, func() error {
		s := g.n.state.store.Snapshot()
		defer s.Release()
		return decide.Known(s, raw)
	}, func(ctx context.Context) (out wire.Outcome, err error) {
		r := g.n.links.forwarder.Ask(ctx, peer.Request{Kind: peer.Govern, Body: raw, By: caller})
		if r.Err != nil {
			return out, r.Err
		}
		if err := json.Unmarshal(r.Reply, &out); err != nil {
			return out, fmt.Errorf("%w: the leader's outcome of a statement: %w", coco.ErrCorrupt, err)
		}
		return out, nil
	})
}

// submission is the transaction that executes a statement.
func (n *node) submission(raw []byte) func(*store.Tx) ([]byte, error) {
	return func(tx *store.Tx) ([]byte, error) {
		out, err := decide.Submit(tx, raw, decide.Env{CheckSettings: n.checkSettings})
		if err != nil {
			s := n.state.store.Snapshot()
			defer s.Release()
			return nil, n.decided.departed.Statement(s, raw, n.replica.Now(), err)
		}
		if err := n.follows(tx, out); err != nil {
			return nil, err
		}
		n.log.Info("governance", "proposal", out.ID.Short(), "state", out.State, "version", out.Version, "reason", reason.CodeOf(out.Reason))
		return json.Marshal(query.OutcomeOf(out))
	}
}

// follows does what follows from decisions in their transaction. None may raise the rules above what the program of each node knows.
func (n *node) follows(tx *store.Tx, outcomes ...decide.Outcome) error {
	if slices.ContainsFunc(outcomes, func(o decide.Outcome) bool { return o.State == table.Accepted }) {
		if err := n.links.programs.Check(tx, n.decided.constitution.Load().Rules); err != nil {
			return err
		}
	}
	return n.announceFor(tx, outcomes...)
}

// announceFor announces a new epoch in a transaction that has changed the holders of shares.
func (n *node) announceFor(tx *store.Tx, outcomes ...decide.Outcome) error {
	if !slices.ContainsFunc(outcomes, func(o decide.Outcome) bool { return o.Rotates() }) {
		return nil
	}
	if err := n.epochs.AnnounceIn(tx); err != nil {
		return fmt.Errorf("a new epoch for other members: %w", err)
	}
	return nil
}

// checkSettings asks an adapter whether its settings may change so.
func (n *node) checkSettings(rules uint64, name string, old, next []byte, until uint64) error {
	for _, a := range n.cfg.Adapters {
		if a.Manifest().Name == name {
			return adapter.CheckChange(a, rules, old, next, until)
		}
	}
	return fmt.Errorf("%w: this network's program has no ledger %q", coco.ErrInvalid, name)
}

// expire has the node look at how far its tables have grown, and a leader judge the proposals whose time is over.
func (n *node) expire(ctx context.Context) error {
	n.decided.growth.Look(n.decided.at.Load())
	if !n.replica.Leads() {
		return nil
	}
	s := n.state.store.Snapshot()
	due, ok := table.Due(s)
	s.Release()
	if !ok || due > uint64(max(0, n.replica.Now().UnixMilli())) {
		return nil
	}
	_, err := n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		judged, err := decide.Expire(tx, n.links.programs.Waits(tx, n.log))
		if err == nil && len(judged) == 0 {
			err = errNothingDue
		}
		if err != nil {
			return nil, err
		}
		return nil, n.follows(tx, judged...)
	})
	if errors.Is(err, errNothingDue) {
		return nil // the ledger's time is behind what this node took it for
	}
	return err
}

var errNothingDue = fmt.Errorf("%w: no proposal's time is over", coco.ErrNotFound)

// Proposals implements gateway.Governor.
func (g governor) Proposals(q wire.ProposalQuery) ([]wire.Proposal, error) {
	s := g.n.state.store.Snapshot()
	defer s.Release()
	return query.Proposals(s, g.n.decided.constitution.Load(), q)
}

// Proposal implements gateway.Governor.
func (g governor) Proposal(id coco.Digest) (wire.Proposal, error) {
	s := g.n.state.store.Snapshot()
	defer s.Release()
	return query.Proposal(s, g.n.decided.constitution.Load(), id)
}

// ConstitutionAt implements gateway.Governor.
func (g governor) ConstitutionAt(version uint64) ([]byte, wire.ConstitutionVersion, error) {
	s := g.n.state.store.Snapshot()
	defer s.Release()
	return query.ConstitutionAt(s, version)
}

// History implements gateway.Governor.
func (g governor) History(after uint64, limit int) ([]wire.ConstitutionVersion, error) {
	s := g.n.state.store.Snapshot()
	defer s.Release()
	return query.Versions(s, after, limit)
}

// Events implements gateway.Governor.
func (g governor) Events(after, to uint64) ([]wire.GovEvent, uint64, error) {
	s := g.n.state.store.Snapshot()
	defer s.Release()
	return query.Events(s, g.n.decided.constitution.Load(), after, to)
}

// PendingNodes implements gateway.Governor.
func (g governor) PendingNodes() ([]wire.Node, error) {
	s := g.n.state.store.Snapshot()
	defer s.Release()
	return query.PendingNodes(s, g.n.decided.constitution.Load())
}

// Simulate implements gateway.Governor.
func (g governor) Simulate(_ context.Context, caller coco.Caller, text []byte) (wire.Simulation, error) {
	actions, err := action.Parse(text)
	if err != nil {
		return wire.Simulation{}, err
	}
	s, now := g.n.state.store.Snapshot(), uint64(max(0, g.n.replica.Now().UnixMilli()))
	defer s.Release()
	sim, err := decide.Simulate(s, actions, caller.Actor, now)
	if err == nil {
		err = decide.Env{CheckSettings: g.n.checkSettings}.Check(sim.Before, sim.After, now)
	}
	if err != nil {
		return wire.Simulation{}, err
	}
	return query.SimulationOf(sim, table.LastVersion(s)), nil
}

// WaitFor implements gateway.Governor.
func (g governor) WaitFor(ctx context.Context, seqno uint64) (uint64, error) {
	n := g.n
	for {
		changed := n.decided.changed.Wait()
		if n.decided.at.Load() > seqno {
			return n.state.store.Committed(), nil
		}
		select {
		case <-ctx.Done():
			return max(seqno, n.state.store.Committed()), nil
		case <-changed:
		}
	}
}
