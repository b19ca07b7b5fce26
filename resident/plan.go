package resident

import (
	"cmp"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// Grace is for how long, by the ledger's time, a payload stays that no row names: its call may be on its way still, and what replaced it may be read of an
// older state.
const Grace = time.Hour

// A Ref is a row of an audience that a node's organisation is in.
type Ref struct {
	Audience store.Audience
	Row      Row
}

// Files are the payloads that a node has on its disk, and since when no row has named each, by the ledger's time; zero for one that a row names.
type Files map[coco.Digest]time.Time

// Plan is what a node does about its payloads.
type Plan struct {
	Lacks []Ref         // rows whose payloads it fetches, the newest first
	Drop  []coco.Digest // payloads that it removes
	Rows  int           // how many rows there are for its organisation
}

// NewPlan compares the rows of a committed state with a node's files, and notes in files what no row names. Now is the ledger's time; it MUST be zero while
// the state may be older than the network's newest: then nothing is dropped, and no time begins, because a row may be on its way.
func NewPlan(rows []Ref, files Files, now time.Time) (p Plan) {
	named := make(map[coco.Digest]struct{}, len(rows))
	for _, r := range rows {
		named[r.Row.Commitment] = struct{}{}
		if _, held := files[r.Row.Commitment]; !held {
			p.Lacks = append(p.Lacks, r)
		}
	}
	for c, since := range files {
		switch _, ok := named[c]; {
		case ok:
			files[c] = time.Time{}
		case since.IsZero():
			files[c] = now
		case now.Sub(since) >= Grace:
			p.Drop = append(p.Drop, c)
		}
	}
	slices.SortFunc(p.Lacks, func(a, b Ref) int {
		return cmp.Or(cmp.Compare(b.Row.Version, a.Row.Version), slices.Compare(a.Row.Commitment[:], b.Row.Commitment[:]))
	})
	slices.SortFunc(p.Drop, func(a, b coco.Digest) int { return slices.Compare(a[:], b[:]) })
	p.Rows = len(rows)
	return p
}

// Ask returns the nodes to ask for a payload, in this order: those of the organisations that had it when it was committed before others of the
// audience. Nodes maps the trusted nodes to their owners.
func Ask(r Ref, self coco.NodeID, nodes map[coco.NodeID]coco.ActorID) (order []coco.NodeID) {
	had := func(id coco.NodeID) int {
		if SetOf(r.Audience, []coco.ActorID{nodes[id]})&r.Row.Holders != 0 {
			return 0
		}
		return 1
	}
	for id, owner := range nodes {
		if id != self && r.Audience.Has(owner) {
			order = append(order, id)
		}
	}
	slices.SortFunc(order, func(a, b coco.NodeID) int { return cmp.Or(cmp.Compare(had(a), had(b)), slices.Compare(a[:], b[:])) })
	return order
}
