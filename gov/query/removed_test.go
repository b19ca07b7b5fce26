package query_test

import (
	"slices"
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// What was decided is shown as it was decided, after a member that took part was removed too.
func TestARemovedMembersVotesStayInWhatTheyDecided(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	beta := n.Members[1]
	decided := n.Propose(beta, govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "5000"}))
	n.Vote(n.Members[0], decided.ID, envelope.Yes)
	n.Vote(beta, decided.ID, envelope.Yes)
	if rec := n.Proposal(decided.ID); rec.State != table.Accepted {
		t.Fatalf("%s", rec.State)
	}
	look := func() (p wire.Proposal, listed []wire.Proposal, events []wire.GovEvent) {
		n.Read(func(r store.Reader) {
			c, err := table.LoadConstitution(r)
			if err == nil {
				p, err = query.Proposal(r, c, decided.ID)
			}
			if err == nil {
				listed, err = query.Proposals(r, c, wire.ProposalQuery{})
			}
			if err == nil {
				events, _, err = query.Events(r, c, 0, 1<<40)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		return p, listed, events
	}
	before, _, was := look()
	removal := n.Propose(n.Members[0], govtest.Act(action.RemoveMember, action.Args{Actor: beta.Name, Unbalanced: true}))
	n.Vote(n.Members[0], removal.ID, envelope.Yes)
	n.Vote(n.Members[2], removal.ID, envelope.Yes)
	if _, still := n.Load().Member(beta.Actor()); still {
		t.Fatal("beta is a member still")
	}
	after, listed, events := look()
	if after.Yes != 2 || after.ProposerName != beta.Name || after.Ballots[1].Counts != before.Ballots[1].Counts {
		t.Errorf("before: %d yes, by %q; after: %d yes, by %q", before.Yes, before.ProposerName, after.Yes, after.ProposerName)
	}
	if last := listed[len(listed)-1]; last.Yes != 2 || last.ProposerName != beta.Name {
		t.Errorf("the list: %+v", last)
	}
	for i := range was {
		if events[i].Text != was[i].Text {
			t.Errorf("event %d was %q and is %q", i, was[i].Text, events[i].Text)
		}
	}
}

func TestBallotsAreShownInTheOrderInWhichTheyCame(t *testing.T) {
	for first := range 3 {
		n := govtest.New(t)
		n.Genesis()
		p := n.Propose(n.Members[0], govtest.Act(action.SetPolicy, action.Args{Policy: "add_code", Expression: "votes.yes == members.size()"}))
		var want, got []string
		for i := range 2 {
			by := n.Members[(first+i)%3]
			n.Vote(by, p.ID, envelope.No)
			want = append(want, by.Name)
			if n.Proposal(p.ID).State != table.Open {
				break
			}
		}
		n.Read(func(r store.Reader) {
			shown, err := query.Proposal(r, n.Load(), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range shown.Ballots {
				got = append(got, b.Name)
			}
		})
		if !slices.Equal(got, want) {
			t.Errorf("ballots of %q, cast by %q", got, want)
		}
	}
}
