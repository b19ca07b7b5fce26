// Package balance counts the votes in consensus by the organisations that run the nodes: how many organisations a quorum
// spans, and whether a change would give one of them too many votes.
//
//	nodes, their owners ──► Votes ──► Spans, Stops
//	votes before, after ──► Raises: the owner that a change would give too much
//
// An organisation has too many votes if it has half of them or more, so that nothing commits without it. Of two
// organisations each may have half, because there is no other way. One that has all votes has too many, unless it is the only
// member of the network. A quorum is a majority of the votes.
//
// Trust: enclave
package balance

import (
	"bytes"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
)

// Votes is how many votes organisations have, by their ids. Those that have none are left out.
type Votes map[coco.ActorID]int

// Seat is a trusted node. It votes once it has caught up and may.
type Seat struct {
	Node  coco.NodeID
	Owner coco.ActorID
	Free  bool // it votes whatever share of the votes its owner has then
}

// Count counts a vote for each of the nodes.
func Count(seats ...Seat) Votes {
	out := Votes{}
	for _, s := range seats {
		out[s.Owner]++
	}
	return out
}

// Admissible returns those of the learners that may vote beside the voters: together they give no owner too many votes, but for
// nodes that are free.
func Admissible(voters, learners []Seat) []Seat {
	out := slices.Clone(learners)
	for {
		owner, raises := Raises(Count(voters...), Count(slices.Concat(voters, out)...), false)
		if !raises {
			return out
		}
		last := -1
		for i, s := range out {
			if s.Owner == owner && !s.Free {
				last = i
			}
		}
		if last < 0 {
			return out
		}
		out = slices.Delete(out, last, last+1)
	}
}

// Without returns the owner that would have too many votes if one of the voters left, unless a node of it is free.
func Without(voters []Seat, leaves Seat) (coco.ActorID, bool) {
	left := slices.DeleteFunc(slices.Clone(voters), func(s Seat) bool { return s == leaves })
	owner, raises := Raises(Count(voters...), Count(left...), false)
	return owner, raises && !slices.ContainsFunc(left, func(s Seat) bool { return s.Owner == owner && s.Free })
}

// Learns reports whether a node, one of the seats, does not vote because its owner would have too many votes.
func Learns(seats []Seat, node coco.NodeID, votes func(coco.NodeID) bool) bool {
	var voters, mine []Seat
	for _, s := range seats {
		if votes(s.Node) {
			voters = append(voters, s)
		} else if s.Node == node {
			mine = append(mine, s)
		}
	}
	return len(Admissible(voters, mine)) < len(mine)
}

// Total returns the number of votes.
func (v Votes) Total() (n int) {
	for _, votes := range v {
		n += votes
	}
	return n
}

// owners returns those with most votes first.
func (v Votes) owners() []coco.ActorID {
	return slices.SortedFunc(maps.Keys(v), func(a, b coco.ActorID) int {
		if v[a] != v[b] {
			return v[b] - v[a]
		}
		return bytes.Compare(a[:], b[:])
	})
}

// Spans returns the least number of organisations whose nodes together are a quorum.
func (v Votes) Spans() int { return v.least(v.Total()/2 + 1) }

// Stops returns the least number of organisations without whose nodes there is no quorum.
func (v Votes) Stops() int { return v.least((v.Total() + 1) / 2) }

func (v Votes) least(votes int) (n int) {
	for _, id := range v.owners() {
		if votes <= 0 {
			break
		}
		votes -= v[id]
		n++
	}
	return n
}

// heavy returns the organisation with too many votes, if there is one.
func (v Votes) heavy() (coco.ActorID, bool) {
	owners := v.owners()
	if len(owners) == 0 {
		return coco.ActorID{}, false
	}
	first, total := owners[0], v.Total()
	switch len(owners) {
	case 1:
		return first, true
	case 2:
		return first, 2*v[first] > total
	}
	return first, 2*v[first] >= total
}

// Raises returns the organisation that has too many votes after a change, if the change gave it a vote or a larger
// share. lone tells that the network has one member only, which then may have all.
func Raises(before, after Votes, lone bool) (coco.ActorID, bool) {
	id, heavy := after.heavy()
	if !heavy || lone {
		return coco.ActorID{}, false
	}
	return id, after[id] > before[id] || after[id]*before.Total() > before[id]*after.Total()
}

// Entitled returns how many of their nodes vote where organisations have these numbers of trusted ones, and none has more
// votes than it may have. Nodes that vote whatever follows are in free, too, and vote besides.
func Entitled(nodes, free Votes) Votes {
	out := maps.Clone(nodes)
	owners := nodes.owners()
	if len(owners) == 0 {
		return out
	}
	// Only the organisation with most nodes can have too many.
	first := owners[0]
	others := nodes.Total() - nodes[first]
	if len(owners) > 2 {
		others--
	}
	out[first] = free[first] + min(nodes[first]-free[first], max(1, others))
	return out
}
