package pulse_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/pulse"
)

// told returns what a node of some voters concludes from the clocks of others; 0 stands for one that it has not heard.
func told(voters []consensus.ID, others map[consensus.ID]uint64, outgoing ...consensus.ID) *pulse.Clocks {
	m, members := pulse.New(1), consensus.Membership{Voters: voters, Outgoing: outgoing}
	m.Begin(0, members)
	for id, t := range others {
		m.Hear(id, pulse.Beat{Time: t, Round: 1})
	}
	return m.Clocks(members)
}

func TestTheAgreedTimeIsWhatTheClocksOfAQuorumHaveReached(t *testing.T) {
	three, joint := []consensus.ID{1, 2, 3}, []consensus.ID{1, 4, 5}
	for name, c := range map[string]struct {
		clocks *pulse.Clocks
		own    uint64
		agreed uint64
		ok     bool
	}{
		"no quorum has told":                     {told(three, nil), 50, 0, false},
		"two of three: the earlier":              {told(three, map[consensus.ID]uint64{2: 70}), 50, 50, true},
		"two of three, the other way":            {told(three, map[consensus.ID]uint64{2: 40}), 50, 40, true},
		"all of three: the one between":          {told(three, map[consensus.ID]uint64{2: 40, 3: 1 << 50}), 50, 50, true},
		"a host that is years behind":            {told(three, map[consensus.ID]uint64{2: 40, 3: 50}), 1, 40, true},
		"a host that is years ahead":             {told(three, map[consensus.ID]uint64{2: 40, 3: 50}), 1 << 50, 50, true},
		"two of four are no quorum":              {told([]consensus.ID{1, 2, 3, 4}, map[consensus.ID]uint64{2: 70}), 50, 0, false},
		"three of four: the earliest of them":    {told([]consensus.ID{1, 2, 3, 4}, map[consensus.ID]uint64{2: 70, 3: 60}), 50, 50, true},
		"one voter":                              {told([]consensus.ID{1}, nil), 50, 50, true},
		"a learner's own clock does not count":   {told([]consensus.ID{2, 3, 4}, map[consensus.ID]uint64{2: 70}), 50, 0, false},
		"what a learner hears counts":            {told([]consensus.ID{2, 3, 4}, map[consensus.ID]uint64{2: 70, 3: 60}), 50, 60, true},
		"both halves of a change must have told": {told(three, map[consensus.ID]uint64{2: 70}, joint...), 50, 0, false},
		"the earlier half of a change":           {told(three, map[consensus.ID]uint64{2: 70, 4: 30}, joint...), 50, 30, true},
	} {
		if agreed, ok := c.clocks.Agreed(c.own); agreed != c.agreed || ok != c.ok {
			t.Errorf("%s: %d %v, expected %d %v", name, agreed, ok, c.agreed, c.ok)
		}
	}
}

// However the clocks of a minority are set, the agreed time is between those of honest hosts; and whoever is
// missing, it is not after all of them.
func TestAMinorityOfClocksDoesNotMoveTheAgreedTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "voters")
		lying := rapid.IntRange(0, (n-1)/2).Draw(t, "lying")
		silent := rapid.IntRange(0, n/2).Draw(t, "silent")
		var voters []consensus.ID
		var own uint64
		others, earliest, latest := map[consensus.ID]uint64{}, ^uint64(0), uint64(0)
		for i := range n {
			voters = append(voters, consensus.ID(i+1))
		}
		order := rapid.Permutation(voters).Draw(t, "order")
		for i, id := range order {
			at := rapid.Uint64Range(1000, 1100).Draw(t, "honest")
			if i < lying {
				at = rapid.Uint64().Draw(t, "lie")
			} else {
				earliest, latest = min(earliest, at), max(latest, at)
			}
			switch {
			case id == 1:
				own = at
			case i < n-silent:
				others[id] = at
			}
		}
		agreed, ok := told(voters, others).Agreed(own)
		if !ok {
			return
		}
		if agreed > latest {
			t.Errorf("%d of %d lie: agreed on %d, and the latest honest clock says %d", lying, n, agreed, latest)
		}
		if len(others) == n-1 && n%2 == 1 && agreed < earliest {
			t.Errorf("%d of %d lie: agreed on %d, and the earliest honest clock says %d", lying, n, agreed, earliest)
		}
	})
}

func TestARoundIsConfirmedByAQuorumWithItsLeader(t *testing.T) {
	members := consensus.Membership{Voters: []consensus.ID{1, 2, 3, 4, 5}}
	follower := pulse.Standing{View: 7, Known: 90}
	const lead, follow = true, false
	beat := func(echo, view, known uint64, leads bool) pulse.Beat {
		return pulse.Beat{Round: 1, Echo: echo, View: view, Known: known, Leads: leads}
	}
	for name, c := range map[string]struct {
		own   pulse.Standing
		heard map[consensus.ID]pulse.Beat
		began time.Duration
		known uint64
		ok    bool
	}{
		"nothing heard":                 {own: follower},
		"the leader alone is no quorum": {own: follower, heard: map[consensus.ID]pulse.Beat{2: beat(2, 7, 100, lead)}},
		"a quorum with the leader":      {follower, map[consensus.ID]pulse.Beat{2: beat(2, 7, 100, lead), 3: beat(2, 7, 80, follow)}, 20, 100, true},
		"the round that all of a quorum echo": {
			follower, map[consensus.ID]pulse.Beat{2: beat(2, 7, 100, lead), 3: beat(1, 7, 80, follow)}, 10, 100, true,
		},
		"a quorum without the leader":                   {own: follower, heard: map[consensus.ID]pulse.Beat{2: beat(2, 7, 100, follow), 3: beat(2, 7, 80, follow)}},
		"the leader has echoed an older round":          {own: follower, heard: map[consensus.ID]pulse.Beat{2: beat(1, 7, 100, lead), 3: beat(2, 7, 80, follow), 4: beat(2, 7, 80, follow)}},
		"one knows of a later view":                     {own: follower, heard: map[consensus.ID]pulse.Beat{2: beat(2, 7, 100, lead), 3: beat(2, 8, 80, follow)}},
		"this node knows of a later view":               {own: pulse.Standing{View: 8}, heard: map[consensus.ID]pulse.Beat{2: beat(2, 7, 100, lead), 3: beat(2, 7, 80, follow)}},
		"a deposed leader beside the one that leads":    {follower, map[consensus.ID]pulse.Beat{2: beat(2, 7, 100, lead), 3: beat(2, 8, 120, lead)}, 20, 120, true},
		"this node leads":                               {pulse.Standing{View: 7, Known: 110, Leads: true}, map[consensus.ID]pulse.Beat{2: beat(2, 7, 100, follow), 3: beat(2, 7, 80, follow)}, 20, 110, true},
		"this node leads and one knows of a later view": {own: pulse.Standing{View: 7, Known: 110, Leads: true}, heard: map[consensus.ID]pulse.Beat{2: beat(2, 8, 100, follow), 3: beat(2, 7, 80, follow)}},
	} {
		m := pulse.New(1)
		m.Begin(10, members)
		m.Begin(20, members)
		for id, b := range c.heard {
			m.Hear(id, b)
		}
		got, ok := m.Confirm(members, c.own)
		if ok != c.ok || ok && (got != pulse.Confirmed{Round: uint64(c.began / 10), Began: c.began, Known: c.known}) {
			t.Errorf("%s: %+v %v, expected %v %d %v", name, got, ok, c.began, c.known, c.ok)
		}
	}
}

func TestABeatOfBeforeDoesNotCount(t *testing.T) {
	members := consensus.Membership{Voters: []consensus.ID{1, 2, 3}}
	m := pulse.New(1)
	m.Begin(10, members)
	m.Hear(2, pulse.Beat{Round: 5, Time: 50})
	m.Hear(2, pulse.Beat{Round: 4, Time: 40})          // late
	m.Hear(3, pulse.Beat{Round: 1, Time: 70, Echo: 9}) // of a round that has not begun
	if agreed, ok := m.Clocks(members).Agreed(60); agreed != 50 || !ok {
		t.Errorf("agreed on %d (%v), expected 50", agreed, ok)
	}
	m.Begin(20, consensus.Membership{Voters: []consensus.ID{1, 3}})
	if got := m.Beat(2, 0, pulse.Standing{}); got.Echo != 0 {
		t.Errorf("a node that is no member any more is remembered: %+v", got)
	}
}
