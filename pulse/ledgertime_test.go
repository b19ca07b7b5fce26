package pulse

import (
	"testing"
	"time"

	"github.com/cocoframework/coco/consensus"
)

// clocksOf returns what node 1 knows of the clocks of others; nothing if none is given.
func clocksOf(others ...uint64) *Clocks {
	m, members := New(1), consensus.Membership{Voters: []consensus.ID{1}}
	for i, t := range others {
		id := consensus.ID(i + 2)
		members.Voters = append(members.Voters, id)
		if t != 0 {
			m.Hear(id, Beat{Time: t})
		}
	}
	return m.Clocks(members)
}

func TestTheLedgersTimeIsTheTimeOfDayWithinTheBounds(t *testing.T) {
	const anchor, week = uint64(1_000_000_000), uint64(7 * 24 * 3600 * 1000)
	slack, near := uint64(clockSlack.Milliseconds()), uint64(quorumSlack.Milliseconds())
	unheard := clocksOf(0, 0)
	for _, c := range []struct {
		name         string
		anchor, word uint64
		clocks       *Clocks
		alone        bool
		day          int64 // in milliseconds since 1970
		passed       time.Duration
		now          uint64
	}{
		{name: "any time goes without an anchor", clocks: unheard, day: 1 << 50, now: 1 << 50},
		{name: "a time before 1970 is 1970", clocks: unheard, day: -5, now: 0},
		{name: "no quorum: the time of day", anchor: anchor, clocks: unheard, day: int64(anchor) + 7, now: anchor + 7},
		{name: "no quorum: the bound itself", anchor: anchor, clocks: unheard, day: int64(anchor + slack), now: anchor + slack},
		{name: "no quorum: beyond the bound", anchor: anchor, clocks: unheard, day: int64(anchor + slack + 1), now: anchor + slack},
		{name: "no quorum: the bound moves with the time that has passed", anchor: anchor, clocks: unheard, day: 1 << 50, passed: 3 * time.Second, now: anchor + slack + 3000},
		{name: "a quorum: the time of day after a week", anchor: anchor, clocks: clocksOf(anchor+week, anchor+week), day: int64(anchor + week + 7), now: anchor + week + 7},
		{name: "a quorum: the latest that one host is believed", anchor: anchor, clocks: clocksOf(anchor+week, anchor+week), day: 1 << 50, now: anchor + week + near},
		{name: "a quorum: the earliest", anchor: anchor, clocks: clocksOf(anchor+week, anchor+week), day: int64(anchor), now: anchor + week},
		{name: "a quorum of two of three", anchor: anchor, clocks: clocksOf(anchor+week, 0), day: 1 << 50, now: anchor + week + near},
		{name: "recovery: the members' word", anchor: anchor, word: anchor + week, clocks: clocksOf(), day: int64(anchor + week), now: anchor + week},
		{name: "recovery: a clock that is behind", anchor: anchor, word: anchor + week, clocks: clocksOf(), day: 5, passed: time.Second, now: anchor + week + 1000},
		{name: "recovery: a clock that is ahead", anchor: anchor, word: anchor + week, clocks: clocksOf(), day: 1 << 50, passed: time.Second, now: anchor + week + slack + 1000},
		{name: "recovery: no word", anchor: anchor, clocks: clocksOf(), day: 1 << 50, now: anchor + slack},
		{name: "recovery: a quorum counts more than the word", anchor: anchor, word: anchor + 2*week, clocks: clocksOf(anchor + week), day: int64(anchor + week), now: anchor + week},
		{name: "the only voter of a network of one organisation", anchor: anchor, clocks: clocksOf(), alone: true, day: int64(anchor + week), now: anchor + week},
	} {
		t.Run(c.name, func(t *testing.T) {
			lt := LedgerTime{word: c.word, given: time.Minute}
			if c.anchor != 0 {
				lt.Set(c.anchor, time.Minute)
			}
			if now := lt.Now(time.UnixMilli(c.day), time.Minute+c.passed, c.clocks, c.alone); now != c.now {
				t.Errorf("now is %d, expected %d", now, c.now)
			}
		})
	}
}

// A recovery changes the members of consensus from one node alone to the same node alone. In between there are two groups of voters,
// and still one clock.
func TestAVoterIsAloneInBothGroupsOfAChange(t *testing.T) {
	for _, c := range []struct {
		voters, outgoing []consensus.ID
		alone            bool
	}{
		{voters: []consensus.ID{1}, alone: true},
		{voters: []consensus.ID{1}, outgoing: []consensus.ID{1}, alone: true},
		{voters: []consensus.ID{1}, outgoing: []consensus.ID{2}},
		{voters: []consensus.ID{2}, outgoing: []consensus.ID{1}},
		{voters: []consensus.ID{1, 2}, outgoing: []consensus.ID{1}},
		{voters: []consensus.ID{1}, outgoing: []consensus.ID{1, 2}},
		{},
	} {
		if alone := New(1).Clocks(consensus.Membership{Voters: c.voters, Outgoing: c.outgoing}).Alone(); alone != c.alone {
			t.Errorf("node 1 among %v, before among %v: alone %v, expected %v", c.voters, c.outgoing, alone, c.alone)
		}
	}
}
