package balance

import (
	"maps"
	"testing"

	"github.com/cocoframework/coco"
)

func votes(counts ...int) Votes {
	out := Votes{}
	for i, n := range counts {
		if n > 0 {
			out[coco.ActorID{byte(i + 1)}] = n
		}
	}
	return out
}

func TestHowManyOrganisationsAQuorumSpans(t *testing.T) {
	for _, c := range []struct {
		votes        Votes
		spans, stops int
	}{
		{votes(1), 1, 1},
		{votes(3), 1, 1},
		{votes(1, 1), 2, 1},
		{votes(2, 1), 1, 1},
		{votes(1, 1, 1), 2, 2},
		{votes(2, 1, 1), 2, 1},
		{votes(5, 1, 1), 1, 1},
		{votes(2, 2, 1), 2, 2},
		{votes(1, 1, 1, 1, 1), 3, 3},
		{votes(2, 2, 2, 1), 2, 2},
		{votes(), 0, 0},
	} {
		if spans, stops := c.votes.Spans(), c.votes.Stops(); spans != c.spans || stops != c.stops {
			t.Errorf("%v: a quorum spans %d and %d can stop it, expected %d and %d", c.votes, spans, stops, c.spans, c.stops)
		}
	}
}

func TestAChangeGivesNoOrganisationTooManyVotes(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after Votes
		lone, want    bool
	}{
		{"the second organisation", votes(1), votes(1, 1), false, false},
		{"the third", votes(1, 1), votes(1, 1, 1), false, false},
		{"a second node of the only organisation that votes", votes(1), votes(2), false, true},
		{"a second node of the only member", votes(1), votes(2), true, false},
		{"half of four", votes(1, 1, 1), votes(1, 1, 2), false, true},
		{"two of five", votes(2, 1, 1), votes(2, 2, 1), false, false},
		{"a majority of three", votes(1, 1), votes(1, 2), false, true},
		{"half of two organisations' four", votes(1, 1), votes(2, 2), false, false},
		{"one of two goes", votes(1, 1), votes(1), false, true},
		{"one of three goes", votes(1, 1, 1), votes(1, 1), false, false},
		{"one that kept another from half goes", votes(2, 2, 1), votes(2, 0, 1), false, true},
		{"others grow beside one that has too many", votes(3, 1), votes(3, 2), false, false},
		{"a node is replaced", votes(2, 1), votes(2, 1), false, false},
	} {
		if _, got := Raises(c.before, c.after, c.lone); got != c.want {
			t.Errorf("%s: it gives too many votes: %v", c.name, got)
		}
	}
}

// What nodes are entitled to gives no organisation too many votes, and one more vote would.
func TestEntitledVotesAreBalancedAndAsManyAsPossible(t *testing.T) {
	for a := range 6 {
		for b := range 6 {
			for c := range 6 {
				nodes := votes(a, b, c)
				got := Entitled(nodes, nil)
				if owner, heavy := got.heavy(); heavy && got[owner] > 1 {
					t.Errorf("%v: entitled to %v", nodes, got)
				}
				for id := range nodes {
					more := maps.Clone(got)
					if more[id]++; more[id] > nodes[id] {
						continue
					}
					if _, raises := Raises(got, more, false); !raises {
						t.Errorf("%v: entitled to %v, and %v gives no organisation too many", nodes, got, more)
					}
				}
			}
		}
	}
	if got := Entitled(votes(4, 1, 1), votes(2)); got[coco.ActorID{1}] != 3 {
		t.Errorf("members let two nodes of the first vote beside one, and %v do", got)
	}
}
