package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Events returns what happened after one seqno and up to another, in order. The events are made from the
// tables, so that a client that comes back much later misses nothing but a vote that was changed again before
// it looked.
func Events(r store.Reader, c *constitution.Constitution, after, to uint64) ([]wire.GovEvent, error) {
	var h happened
	listed, err := Proposals(r, c, wire.ProposalQuery{After: after}) // nothing happens to the others any more
	if err != nil {
		return nil, err
	}
	for _, p := range listed {
		full, err := Proposal(r, c, p.ID)
		if err != nil {
			return nil, err
		}
		h.decisions = append(h.decisions, within(ofProposal(full), after, to)...) // what it says in full is not kept
	}
	if h.versions, err = Versions(r); err != nil {
		return nil, err
	}
	if h.pending, err = PendingNodes(r, c); err != nil {
		return nil, err
	}
	return h.between(after, to), nil
}

// happened is what events are made of.
type happened struct {
	decisions []wire.GovEvent // of proposals
	versions  []wire.ConstitutionVersion
	pending   []wire.Node
}

func (h *happened) between(after, to uint64) []wire.GovEvent {
	events := h.decisions
	for _, v := range h.versions {
		events = append(events, wire.GovEvent{
			Event: "constitution", Since: v.Since, Version: v.Version, Constitution: v.Digest, Proposal: v.Proposal, Number: v.Number,
			Text: fmt.Sprintf("constitution %d (%s) is in force", v.Version, v.Digest.Short()),
		})
	}
	for _, n := range h.pending {
		events = append(events, wire.GovEvent{
			Event: "pending-node", Since: n.Since, Node: n.Node, Member: n.OwnerName,
			Text: fmt.Sprintf("a node of %s at %s asks to join: %s", n.OwnerName, n.Address, n.Node.Short()),
		})
	}
	events = within(events, after, to)
	slices.SortStableFunc(events, func(a, b wire.GovEvent) int { return cmp.Compare(a.Since, b.Since) })
	return events
}

// within returns the events after one seqno and up to another.
func within(events []wire.GovEvent, after, to uint64) []wire.GovEvent {
	return slices.DeleteFunc(events, func(e wire.GovEvent) bool { return e.Since <= after || e.Since > to })
}

// ofProposal returns the events of a proposal: it was made, voted on, and decided.
func ofProposal(p wire.Proposal) []wire.GovEvent {
	events := []wire.GovEvent{{
		Event: "proposed", Since: p.Since, Proposal: p.ID, Number: p.Number, Member: p.ProposerName,
		Text: fmt.Sprintf("%s proposes #%d: %s", p.ProposerName, p.Number, strings.ReplaceAll(strings.Join(p.Kinds, ", "), "_", "-")),
	}}
	for _, b := range p.Ballots {
		if b.Vote != string(envelope.Withdraw) {
			events = append(events, wire.GovEvent{
				Event: "voted", Since: b.Since, Proposal: p.ID, Number: p.Number, Member: b.Name, Vote: b.Vote,
				Text: fmt.Sprintf("%s votes %s on #%d", b.Name, b.Vote, p.Number),
			})
		}
	}
	if p.Decided == 0 {
		return events
	}
	text := fmt.Sprintf("#%d is %s", p.Number, p.State)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return append(events, wire.GovEvent{Event: "decided", Since: p.Decided, Proposal: p.ID, Number: p.Number, State: p.State, Text: text})
}
