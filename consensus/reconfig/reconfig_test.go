package reconfig

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/internal/balance"
)

type ids = []consensus.ID

// voter and learner are peers that were heard of, are Connected and have the whole log up to index 100.
func voter(id consensus.ID) Peer {
	return Peer{consensus.Progress{ID: id, Match: 100, Active: true, Voter: true}, true}
}

func learner(id consensus.ID, match uint64) Peer {
	return Peer{consensus.Progress{ID: id, Match: match, Active: true}, true}
}

func down(p Peer) Peer {
	p.Active, p.Connected = false, false
	return p
}

// groupOf makes a Group whose log has its next slot at 101.
func groupOf(peers ...Peer) Group {
	g := Group{Next: 101, Peers: peers}
	for _, p := range peers {
		if p.Voter {
			g.Voters = append(g.Voters, p.ID)
		} else {
			g.Learners = append(g.Learners, p.ID)
		}
	}
	return g
}

func TestMembersFollowTheTrustedNodes(t *testing.T) {
	joint := groupOf(voter(1), voter(2))
	joint.Outgoing = ids{1, 3}
	for _, c := range []struct {
		name    string
		m       Plan
		g       Group
		want    raft.Change
		nothing bool
	}{
		{name: "before the constitution is known", g: groupOf(voter(1), voter(2)), nothing: true},
		{name: "as they are", m: Plan{trusted: ids{1, 2, 3}}, g: groupOf(voter(1), voter(2), voter(3)), nothing: true},
		{name: "while a change is under way", m: Plan{trusted: ids{1, 2, 3}, change: 90}, g: groupOf(voter(1)), nothing: true},
		{name: "a joint change is completed first", m: Plan{trusted: ids{1, 2, 4}}, g: joint, want: raft.Change{Leave: true}},
		{name: "a recovery before other changes", m: Plan{trusted: ids{1, 2}, forced: func() raft.Change { return raft.Change{AddVoter: ids{1}} }}, g: groupOf(voter(9)), want: raft.Change{AddVoter: ids{1}}},
		{name: "a new node is a learner first", m: Plan{trusted: ids{1, 2, 3}}, g: groupOf(voter(1), voter(2)), want: raft.Change{AddLearner: ids{3}}},
		{name: "a learner that has caught up votes", m: Plan{trusted: ids{1, 2}}, g: groupOf(voter(1), learner(2, 101-CaughtUp)), want: raft.Change{AddVoter: ids{2}}},
		{name: "a learner that is behind does not", m: Plan{trusted: ids{1, 2}}, g: groupOf(voter(1), learner(2, 100-CaughtUp)), nothing: true},
		{name: "a learner that confirmed nothing does not", m: Plan{trusted: ids{1, 2}}, g: Group{Membership: consensus.Membership{Voters: ids{1}, Learners: ids{2}}, Next: 5, Peers: []Peer{voter(1), learner(2, 0)}}, nothing: true},
		{name: "learners become voters in order", m: Plan{trusted: ids{1, 2, 3}}, g: groupOf(voter(1), learner(3, 100), learner(2, 100)), want: raft.Change{AddVoter: ids{2, 3}}},
		{name: "a node leaves with its successor's vote", m: Plan{trusted: ids{1, 3}}, g: groupOf(voter(1), voter(2), learner(3, 100)), want: raft.Change{AddVoter: ids{3}, Remove: ids{2}}},
		{name: "a node waits for its successor", m: Plan{trusted: ids{1, 3}}, g: groupOf(voter(1), voter(2), learner(3, 1)), nothing: true},
		{name: "a node does not wait for a successor that is down", m: Plan{trusted: ids{1, 3}}, g: groupOf(voter(1), voter(2), down(learner(3, 1))), want: raft.Change{Remove: ids{2}}},
		{name: "a leader does not remove itself", m: Plan{trusted: ids{2, 3}}, g: groupOf(voter(1), voter(2), voter(3)), nothing: true},
		{name: "a learner that is not trusted leaves", m: Plan{trusted: ids{1}}, g: groupOf(voter(1), down(learner(2, 1))), want: raft.Change{Remove: ids{2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.m.Self = 1
			got, want := c.m.Next(c.g)
			if want == c.nothing || want && !reflect.DeepEqual(got, c.want) {
				t.Errorf("the next change is %+v (%v), expected %+v (%v)", got, want, c.want, !c.nothing)
			}
		})
	}
}

// owned are voters whose owners are named by a letter each; those in free may vote whatever follows.
func owned(owners string, free ...int) (trusted ids, voters map[consensus.ID]balance.Seat) {
	voters = map[consensus.ID]balance.Seat{}
	for i, o := range []byte(owners) {
		id := consensus.ID(i + 1)
		trusted = append(trusted, id)
		voters[id] = balance.Seat{Node: coco.NodeID{byte(i + 1)}, Owner: coco.ActorID{o}, Free: slices.Contains(free, i+1)}
	}
	return trusted, voters
}

// A leader makes voters of learners by itself, so it must not give an organisation what members would have to vote for.
func TestNoLearnerGivesItsOwnerTooManyVotes(t *testing.T) {
	for _, c := range []struct {
		name   string
		owners string // of nodes 1, 2, …
		free   []int
		g      Group
		want   raft.Change
	}{
		{"the second organisation", "ab", nil, groupOf(voter(1), learner(2, 100)), raft.Change{AddVoter: ids{2}}},
		{"half of four", "abcc", nil, groupOf(voter(1), voter(2), voter(3), learner(4, 100)), raft.Change{}},
		{"half of four, as members have voted", "abcc", []int{4}, groupOf(voter(1), voter(2), voter(3), learner(4, 100)), raft.Change{AddVoter: ids{4}}},
		{"two organisations one more each", "abcab", nil, groupOf(voter(1), voter(2), voter(3), learner(4, 100), learner(5, 100)), raft.Change{AddVoter: ids{4, 5}}},
		{"one of two that have caught up", "abcca", nil, groupOf(voter(1), voter(2), voter(3), learner(4, 100), learner(5, 1)), raft.Change{}},
		{"the only one, beside other members", "aa", nil, groupOf(voter(1), learner(2, 100)), raft.Change{}},
		{"the only member", "aa", []int{1, 2}, groupOf(voter(1), learner(2, 100)), raft.Change{AddVoter: ids{2}}},
		{"others beside one that has too many", "aaab", nil, groupOf(voter(1), voter(2), voter(3), learner(4, 100)), raft.Change{AddVoter: ids{4}}},
	} {
		m := New(1, 20)
		m.trusted, m.voters = owned(c.owners, c.free...)
		if got, _ := m.Next(c.g); !reflect.DeepEqual(got, c.want) && len(got.AddVoter)+len(c.want.AddVoter) > 0 {
			t.Errorf("%s: the next change is %+v, expected %+v", c.name, got, c.want)
		}
	}
	// A node that only learns is no successor that those who leave wait for.
	m := New(1, 20)
	m.trusted, m.voters = owned("abcc")
	if got, _ := m.Next(groupOf(voter(1), voter(2), voter(3), voter(9), learner(4, 100))); !slices.Equal(got.Remove, ids{9}) {
		t.Errorf("beside a node that only learns, the next change is %+v, expected that node 9 leaves", got)
	}
}

// What an organisation takes away by retiring its node must not give another one a quorum of its own.
func TestARetirementThatLeavesAQuorumToOneOrganisationIsRefused(t *testing.T) {
	for _, c := range []struct {
		owners string
		free   []int
		id     consensus.ID
		ok     bool
	}{
		{"abc", nil, 3, true}, {"ab", nil, 2, false}, {"ab", []int{1, 2}, 2, true}, {"aabbc", nil, 5, true}, {"aabc", []int{2}, 4, true}, {"aabc", nil, 4, false}, {"aa", nil, 2, true},
	} {
		m := New(1, 20)
		m.trusted, m.voters = owned(c.owners, c.free...)
		var peers []Peer
		for _, id := range m.trusted {
			peers = append(peers, voter(id))
		}
		if err := m.Spare(groupOf(peers...), c.id); (err == nil) != c.ok || err != nil && !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("nodes of %s, without node %d: %v", c.owners, c.id, err)
		}
	}
}

func TestNodesLeaveOnlyIfAMajorityOfTheRestIsReached(t *testing.T) {
	unplugged := voter(3)
	unplugged.Connected = false
	for _, c := range []struct {
		name    string
		trusted ids
		g       Group
		remove  ids
	}{
		{"the rest is up", ids{1, 2, 3}, groupOf(voter(1), voter(2), voter(3), voter(4)), ids{4}},
		{"half of the rest is down: the node that is up votes on", ids{1, 3}, groupOf(voter(1), voter(2), down(voter(3))), nil},
		{"half of the rest is not Connected", ids{1, 3}, groupOf(voter(1), voter(2), unplugged), nil},
		{"only the silent node leaves", ids{1, 3}, groupOf(voter(1), voter(2), down(voter(3)), down(voter(4))), ids{4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := Plan{Self: 1, trusted: c.trusted}
			if got, _ := m.Next(c.g); !slices.Equal(got.Remove, c.remove) {
				t.Errorf("%v leave, expected %v", got.Remove, c.remove)
			}
		})
	}
}

func TestTheSuccessorIsTheReachableVoterThatHasComeFarthest(t *testing.T) {
	behind, ahead, cut := voter(2), voter(3), voter(4)
	behind.Match, ahead.Match, cut.Match = 90, 95, 99
	cut.Connected = false
	m := New(1, 20)
	if got := m.Successor(groupOf(voter(1), behind, ahead, cut, down(voter(5)), learner(6, 100))); got != 3 {
		t.Errorf("the successor is %d, expected 3", got)
	}
	if got := m.Successor(groupOf(voter(1), down(voter(2)), learner(3, 100))); got != 0 {
		t.Errorf("the successor is %d, expected none", got)
	}
}

func TestALeaderHandsOverIfItLeavesOrIsNotTrusted(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Plan
		is   bool
	}{
		{"the constitution is not known", Plan{}, false},
		{"trusted", Plan{trusted: ids{1, 2}}, false},
		{"leaving", Plan{trusted: ids{1, 2}, leaving: true}, true},
		{"not trusted", Plan{trusted: ids{2}}, true},
	} {
		c.m.Self = 1
		if why := c.m.HandOver(); (why != "") != c.is {
			t.Errorf("%s: handing over because %q", c.name, why)
		}
	}
}

func TestANodeIsSparedIfAMajorityOfTheOtherVotersWasHeardOf(t *testing.T) {
	three := ids{1, 2, 3}
	joint := groupOf(voter(1), voter(2), voter(3))
	joint.Outgoing = ids{4}
	for _, c := range []struct {
		name string
		m    Plan
		g    Group
		id   consensus.ID
		kind error
	}{
		{"all are up", Plan{trusted: three}, groupOf(voter(1), voter(2), voter(3)), 3, nil},
		{"the node itself is down", Plan{trusted: three}, groupOf(voter(1), voter(2), down(voter(3))), 3, nil},
		{"one of two others is down", Plan{trusted: three}, groupOf(voter(1), down(voter(2)), voter(3)), 3, coco.ErrBusy},
		{"learners do not count", Plan{trusted: three}, groupOf(voter(1), learner(2, 100), voter(3)), 3, nil},
		{"the only voter", Plan{trusted: ids{1}}, groupOf(voter(1), learner(2, 100)), 1, coco.ErrInvalid},
		{"another retirement is not committed", Plan{trusted: three, sparing: 1}, groupOf(voter(1), voter(2), voter(3)), 3, coco.ErrBusy},
		{"a change is not applied", Plan{trusted: three, change: 7}, groupOf(voter(1), voter(2), voter(3)), 3, coco.ErrBusy},
		{"a joint change", Plan{trusted: three}, joint, 3, coco.ErrBusy},
		{"another voter is to leave", Plan{trusted: ids{1, 3}}, groupOf(voter(1), voter(2), voter(3)), 3, coco.ErrBusy},
		{"the voter that is to leave anyway", Plan{trusted: ids{1, 2}}, groupOf(voter(1), voter(2), voter(3)), 3, nil},
	} {
		c.m.Self = 1
		if err := c.m.Spare(c.g, c.id); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, expected %v", c.name, err, c.kind)
		}
	}
}

func TestAChangeOfMembersIsTheOnlyOneUntilItIsAppliedOrTheViewIsLost(t *testing.T) {
	m := Plan{trusted: ids{1}, forced: func() raft.Change { return raft.Change{} }}
	m.Proposed(7)
	m.Applied(6)
	if !m.Idle() || m.forced != nil {
		t.Error("a change that is proposed is not waited for, or a recovery's change is made twice")
	}
	if m.Applied(7); m.Idle() {
		t.Error("a change that is applied is waited for")
	}
	m.Proposed(9)
	if m.Lose(); m.Idle() {
		t.Error("a change of a lost view is waited for")
	}
}

func TestConnectionsCloseOneElectionTimeoutAfterTheLastChange(t *testing.T) {
	m := New(1, 20)
	if m.Tick() {
		t.Error("connections close without a change")
	}
	m.Changed()
	m.Tick()
	m.Changed()
	for i := 1; i <= 21; i++ {
		if due := m.Tick(); due != (i == 20) {
			t.Errorf("tick %d: due is %v", i, due)
		}
	}
}
