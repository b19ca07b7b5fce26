package query

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Proposals returns the proposals that a query wants, the newest first, without actions, ballots and envelopes.
// The constitution is the one in force, for names.
func Proposals(r store.Reader, c *constitution.Constitution, q wire.ProposalQuery) ([]wire.Proposal, error) {
	type one struct {
		id     coco.Digest
		number uint64
	}
	var wanted []one
	_, err := table.Proposals(r, func(p table.ProposalRecord) bool {
		if q.Wants(p.ID, p.Number, string(p.State), p.Decided) {
			wanted = append(wanted, one{p.ID, p.Number})
		}
		return false // an envelope may have 256 KiB: one at a time is in memory
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(wanted, func(a, b one) int { return cmp.Compare(b.number, a.number) })
	if q.Limit > 0 {
		wanted = wanted[:min(q.Limit, len(wanted))]
	}
	out, known := make([]wire.Proposal, len(wanted)), newNames(r, c)
	for i, w := range wanted {
		p, err := table.Proposal(r, w.id)
		if err != nil {
			return nil, err
		}
		if out[i], _, err = describe(r, known, p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Proposal returns all of one proposal. The error is coco.ErrNotFound if there is none with this id.
func Proposal(r store.Reader, c *constitution.Constitution, id coco.Digest) (wire.Proposal, error) {
	rec, err := table.Proposal(r, id)
	if err != nil {
		return wire.Proposal{}, err
	}
	known := newNames(r, c)
	p, ballots, err := describe(r, known, rec)
	if err != nil {
		return p, err
	}
	actions, err := rec.Actions()
	if err != nil {
		return p, err
	}
	text, err := action.Format(actions)
	if err != nil {
		return p, err
	}
	p.Actions, p.Envelope, p.Summary = string(text), rec.Raw, summaryOf(c, rec.State == table.Open, actions)
	voted := map[coco.ActorID]bool{}
	for _, b := range ballots {
		voted[b.Actor] = b.Vote != envelope.Withdraw
		p.Ballots = append(p.Ballots, wire.Ballot{
			Member: b.Actor, Name: known.of(b.Actor), Vote: string(b.Vote), Time: timeOf(b.Time),
			Since: b.Since, Counts: !b.Void, Envelope: b.Raw,
		})
	}
	slices.SortStableFunc(p.Ballots, func(a, b wire.Ballot) int { return cmp.Compare(a.Since, b.Since) })
	if rec.State == table.Accepted && slices.Contains(p.Kinds, string(action.GrantEpochs)) {
		if p.Grants, err = grants(r, known, func(g *table.GrantRecord) bool { return g.Proposal == id }); err != nil {
			return p, err
		}
	}
	if rec.State == table.Open {
		for _, m := range c.Members {
			if !voted[m.Actor()] {
				p.Waiting = append(p.Waiting, m.Name)
			}
		}
	}
	return p, nil
}

// maxSentences bounds what a list says of one proposal.
const maxSentences = 10

// describe returns what a list says of a proposal, and its ballots. What was decided stays as it was decided: a member's removal later on
// takes no vote back.
func describe(r store.Reader, known *names, p table.ProposalRecord) (wire.Proposal, []table.BallotRecord, error) {
	out := wire.Proposal{
		ID: p.ID, Number: p.Number, State: string(p.State), Proposer: p.Proposer, ProposerName: known.of(p.Proposer), Kinds: p.Kinds,
		Expires: timeOf(p.Expires), Since: p.Since, Decided: p.Decided, Code: string(reason.CodeOf(p.Reason)), Reason: p.Reason.String(),
	}
	if p.Decided != 0 {
		out.DecidedTime = timeOf(p.DecidedTime)
	}
	signed, err := p.Signed()
	if err != nil {
		return out, nil, err
	}
	if signed.Proposal != nil {
		out.Note, out.Time = signed.Proposal.Note, timeOf(signed.Proposal.Time)
		actions, err := table.DecodeActions(signed.Proposal)
		if err != nil {
			return out, nil, err
		}
		out.Summary = summaryOf(known.now, p.State == table.Open, actions[:min(len(actions), maxSentences)])
		if more := len(actions) - maxSentences; more > 0 {
			out.Summary = append(out.Summary, fmt.Sprintf("and %d more", more))
		}
	}
	ballots, err := table.Ballots(r, p.ID)
	for _, b := range ballots {
		if b.Void {
			continue // of a member that was removed while the proposal was open
		}
		switch b.Vote {
		case envelope.Yes:
			out.Yes++
		case envelope.No:
			out.No++
		}
	}
	return out, ballots, err
}

// timeOf returns the time that a record gives in milliseconds since 1970.
func timeOf(ms uint64) time.Time { return time.UnixMilli(int64(ms)).UTC() }
