package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// A client waits for news of governance for so long at most. It then gets none, and asks again.
const (
	someWait = 25 * time.Second
	maxWait  = 60 * time.Second
)

// serveWatch answers with what has happened since a seqno, as soon as anything has. The events are made
// from the tables, so that a client that comes back much later misses nothing but a vote that was
// changed again before it looked.
func (g *Gateway) serveWatch(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	after, wait, err := watchQuery(r)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	defer context.AfterFunc(g.end.draining, cancel)()
	seqno, err := g.governor.WaitFor(ctx, after)
	if err == nil {
		err = r.Context().Err()
	}
	answer := wire.GovNews{Seqno: max(seqno, after), Events: []wire.GovEvent{}}
	if err == nil && seqno > after {
		var events []wire.GovEvent
		events, err = g.events(after, seqno)
		answer.Events = append(answer.Events, events...)
	}
	g.answer(w, r, answer, err)
}

func watchQuery(r *http.Request) (after uint64, wait time.Duration, err error) {
	q := r.URL.Query()
	wait = someWait
	if text := q.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("%w: after %q: expected the seqno of the last answer, or 0 for everything", coco.ErrInvalid, text)
		}
	}
	if text := q.Get("wait"); text != "" {
		seconds, err := strconv.Atoi(text)
		wait = time.Duration(seconds) * time.Second
		if err != nil || wait < 0 || wait > maxWait {
			return 0, 0, fmt.Errorf("%w: wait %q: expected 0 to %d seconds", coco.ErrInvalid, text, int(maxWait.Seconds()))
		}
	}
	return after, wait, nil
}

// events are what happened after one seqno and up to another, in order.
func (g *Gateway) events(after, to uint64) ([]wire.GovEvent, error) {
	in := func(seqno uint64) bool { return seqno > after && seqno <= to }
	all, err := g.governor.Proposals(ProposalQuery{After: after}) // nothing happens to the others any more
	if err != nil {
		return nil, err
	}
	var events []wire.GovEvent
	for _, p := range all {
		if in(p.Since) {
			events = append(events, wire.GovEvent{
				Event: "proposed", Since: p.Since, Proposal: p.ID, Number: p.Number, Member: p.ProposerName,
				Text: fmt.Sprintf("%s proposes #%d: %s", p.ProposerName, p.Number, strings.ReplaceAll(strings.Join(p.Kinds, ", "), "_", "-")),
			})
		}
		full, err := g.governor.Proposal(p.ID)
		if err != nil {
			return nil, err
		}
		for _, b := range full.Ballots {
			if in(b.Since) && b.Vote != "withdraw" {
				events = append(events, wire.GovEvent{
					Event: "voted", Since: b.Since, Proposal: p.ID, Number: p.Number, Member: b.Name, Vote: b.Vote,
					Text: fmt.Sprintf("%s votes %s on #%d", b.Name, b.Vote, p.Number),
				})
			}
		}
		if in(p.Decided) {
			text := fmt.Sprintf("#%d is %s", p.Number, p.State)
			if p.Reason != "" {
				text += ": " + p.Reason
			}
			events = append(events, wire.GovEvent{Event: "decided", Since: p.Decided, Proposal: p.ID, Number: p.Number, State: p.State, Text: text})
		}
	}
	more, err := g.otherEvents(in)
	if err != nil {
		return nil, err
	}
	events = append(events, more...)
	slices.SortStableFunc(events, func(a, b wire.GovEvent) int { return cmp.Compare(a.Since, b.Since) })
	return events, nil
}

// otherEvents are those that are about no proposal's votes.
func (g *Gateway) otherEvents(in func(seqno uint64) bool) (events []wire.GovEvent, err error) {
	versions, err := g.governor.History()
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if in(v.Since) {
			events = append(events, wire.GovEvent{
				Event: "constitution", Since: v.Since, Version: v.Version, Constitution: v.Digest, Proposal: v.Proposal, Number: v.Number,
				Text: fmt.Sprintf("constitution %d (%s) is in force", v.Version, v.Digest.Short()),
			})
		}
	}
	pending, err := g.governor.PendingNodes()
	if err != nil {
		return nil, err
	}
	for _, n := range pending {
		if in(n.Since) {
			events = append(events, wire.GovEvent{
				Event: "pending-node", Since: n.Since, Node: n.Node, Member: n.OwnerName,
				Text: fmt.Sprintf("a node of %s at %s asks to join: %s", n.OwnerName, n.Address, n.Node.Short()),
			})
		}
	}
	return events, nil
}
