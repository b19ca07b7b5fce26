package query

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Events returns what happened after one seqno and up to another, in order. The events are made from the
// tables, so that a client that comes back much later misses nothing but a vote that was changed again before
// it looked. Where very much has happened, only its beginning is returned, up to the seqno until.
func Events(r store.Reader, c *constitution.Constitution, after, to uint64) (events []wire.GovEvent, until uint64, err error) {
	var h happened
	ids, to, err := concerned(r, after, to)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range ids {
		full, err := Proposal(r, c, id)
		if err != nil {
			return nil, 0, err
		}
		h.decisions = append(h.decisions, within(ofProposal(full), after, to)...) // what it says in full is not kept
	}
	before, err := table.VersionAt(r, after)
	if err != nil {
		return nil, 0, err
	}
	last, err := table.VersionAt(r, to)
	if err != nil {
		return nil, 0, err
	}
	if last > before {
		if h.versions, err = Versions(r, before, int(last-before)); err != nil {
			return nil, 0, err
		}
	}
	if h.pending, err = PendingNodes(r, c); err != nil {
		return nil, 0, err
	}
	return h.between(after, to), to, nil
}

// maxConcerned is about how many proposals one answer tells of.
const maxConcerned = 1000

// concerned returns the proposals to which anything happened after one seqno and up to another, and up to which seqno these are all: where there are
// more than maxConcerned, it is an earlier one. What past proposals cost is little.
func concerned(r store.Reader, after, to uint64) (ids []coco.Digest, until uint64, err error) {
	type one struct {
		id    coco.Digest
		first uint64 // when something may have happened to it
	}
	var all []one
	_, err = table.Proposals(r, func(p table.ProposalRecord) bool {
		if p.Since <= to && (p.Decided == 0 || p.Decided > after) {
			all = append(all, one{p.ID, max(p.Since, after+1)})
		}
		return false
	})
	slices.SortFunc(all, func(a, b one) int {
		return cmp.Or(cmp.Compare(a.first, b.first), bytes.Compare(a.id[:], b.id[:]))
	})
	if len(all) > maxConcerned && all[maxConcerned].first > after+1 {
		to = all[maxConcerned].first - 1
		all = slices.DeleteFunc(all, func(o one) bool { return o.first > to })
	}
	for _, o := range all {
		ids = append(ids, o.id)
	}
	return ids, to, err
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
