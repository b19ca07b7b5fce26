// Package pulse is what nodes tell each other of themselves every second, and what a node concludes from it: which time the
// clocks of a quorum have reached, and since when a quorum has not been heard of.
//
// A [Beat] tells the sender's time of day, as its host says it, and echoes the receiver's last round: rounds are numbered, and
// begin when a node sends its beats. The [Machine] keeps the last beat of every node. It is pure: it has no clock, no network and no
// goroutine, and belongs to one goroutine. What it concludes are immutable values.
//
// # Time
//
// Each host says what time it is, and none is believed alone. [Clocks.Agreed] is the latest time that the clocks of a quorum of voters
// have reached. A quorum is a majority, so as long as fewer hosts lie than would make a quorum, one honest clock among them
// has reached that time: it is not in the future. While all voters are heard of and fewer than half of their hosts lie, it is not earlier than
// the last word of every honest host either. A beat that was delayed tells an earlier time, so a host that holds beats back can make the
// agreed time late and never early. For that reason a time that was told once needs no end.
//
// # Freshness
//
// A round is confirmed once a quorum of voters has echoed it, the leader among them, and none of them knows a later view. At
// the moment when that round began no other leader had been elected, so all that any client had been told to be committed by then is
// among the entries that the leader, when it echoed, knew to be committed. This is the argument of Raft's read index (Ongaro, "Consensus: Bridging Theory
// and Practice", 6.4), made by a follower. It speaks of the order of messages alone: a clock is only needed to say how long ago that was.
//
// A voter whose program does not know beats echoes nothing, as while a network is upgraded node by node. As long as one is silent, the leader is asked by Raft's own messages as well, which
// every build answers: a round confirmed by them counts as one that was echoed.
//
// Trust: enclave
package pulse

import (
	"slices"
	"time"

	"github.com/cocoframework/coco/consensus"
)

// Every is how often a node sends beats.
const Every = time.Second

// Beat is what one node tells another one.
type Beat struct {
	// Time is the sender's time of day, in milliseconds since 1970, on the word of its host.
	Time uint64 `cbor:"1,keyasint"`
	// Round is the sender's, from 1.
	Round uint64 `cbor:"2,keyasint"`
	// Echo is the last round of the receiver that the sender has heard of, 0 before the first one.
	Echo uint64 `cbor:"3,keyasint"`
	// View is the sender's.
	View uint64 `cbor:"4,keyasint"`
	// Known is the highest index that the sender knows to be committed.
	Known uint64 `cbor:"5,keyasint"`
	// Leads says that the sender leads View and has committed an entry of it, so that Known counts every entry of earlier views.
	Leads bool `cbor:"6,keyasint"`
	// Ask has the receiver answer with a beat at once: a client waits for the round.
	Ask bool `cbor:"7,keyasint"`
}

// Standing is a node's own part in consensus.
type Standing struct {
	View, Known uint64
	Leads       bool // as in Beat
}

// maxRounds is how many rounds a node waits for at a time: an echo of an older one says no more.
const maxRounds = 256

// Machine keeps what the nodes have told.
type Machine struct {
	self  consensus.ID
	peers map[consensus.ID]Beat
	round uint64          // the last one that has begun
	began []time.Duration // when the last rounds did, by Clock.Elapsed; the last one is of round
	// proven is the last round that consensus itself has confirmed, 0 if none, and known what was committed before it.
	proven, known uint64
}

// New returns a machine that has heard nothing.
func New(self consensus.ID) *Machine {
	return &Machine{self: self, peers: map[consensus.ID]Beat{}}
}

// Begin begins a round. What was heard of nodes that are no members any more is forgotten.
func (m *Machine) Begin(elapsed time.Duration, members consensus.Membership) {
	m.round++
	if m.began = append(m.began, elapsed); len(m.began) > maxRounds {
		m.began = m.began[len(m.began)-maxRounds:]
	}
	for id := range m.peers {
		if !slices.Contains(members.Voters, id) && !slices.Contains(members.Learners, id) && !slices.Contains(members.Outgoing, id) {
			delete(m.peers, id)
		}
	}
}

// Round returns the round that began last.
func (m *Machine) Round() uint64 { return m.round }

// Beat returns what to tell a node. Day is this host's time of day, in milliseconds since 1970.
func (m *Machine) Beat(to consensus.ID, day uint64, own Standing) Beat {
	return Beat{Time: day, Round: m.round, Echo: m.peers[to].Round, View: own.View, Known: own.Known, Leads: own.Leads}
}

// Hear notes what an authenticated node tells. Beats of one node MUST be given in the order in which it sent them. A
// beat that is earlier than the last one, as a connection that is made anew may bring it, is left out.
func (m *Machine) Hear(from consensus.ID, b Beat) {
	if from == m.self || b.Round < m.peers[from].Round || b.Echo > m.round {
		return
	}
	m.peers[from] = b
}

// Silent reports whether some voter has told nothing yet: it is down, or its program does not know beats. Rounds may then lack the echoes that confirm
// them, and consensus is asked besides.
func (m *Machine) Silent(members consensus.Membership) bool {
	return slices.ContainsFunc(slices.Concat(members.Voters, members.Outgoing), func(id consensus.ID) bool {
		_, heard := m.peers[id]
		return !heard && id != m.self
	})
}

// Prove notes that consensus has confirmed a round: what was committed anywhere before it began is among the entries up to known.
func (m *Machine) Prove(round, known uint64) {
	if round > m.proven && round <= m.round {
		m.proven, m.known = round, known
	}
}

// Clocks returns what the voters' clocks have reached.
func (m *Machine) Clocks(members consensus.Membership) *Clocks {
	c := &Clocks{}
	for _, voters := range [][]consensus.ID{members.Voters, members.Outgoing} {
		if len(voters) == 0 {
			continue
		}
		g := group{size: len(voters)}
		for _, id := range voters {
			if b, heard := m.peers[id]; heard {
				g.told = append(g.told, b.Time)
			}
			g.self = g.self || id == m.self
		}
		slices.SortFunc(g.told, descending)
		c.groups = append(c.groups, g)
	}
	return c
}

func descending(a, b uint64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// Clocks is what the clocks of the voters have reached. It is immutable.
type Clocks struct {
	groups []group // the voters; while members change, those of before, too
}

// group is one set of voters, a majority of which decides.
type group struct {
	size int
	self bool     // this node is one of them
	told []uint64 // by the others, the latest first
}

// Alone reports whether this node is the only voter, within a change of members in both of its groups.
func (c *Clocks) Alone() bool {
	others := func(g group) bool { return g.size > 1 || !g.self }
	return len(c.groups) > 0 && !slices.ContainsFunc(c.groups, others)
}

// Agreed returns the latest time that the clocks of a quorum of voters have reached, this node's among them, in milliseconds
// since 1970. It is false as long as fewer than a quorum have told theirs.
func (c *Clocks) Agreed(own uint64) (agreed uint64, ok bool) {
	for i, g := range c.groups {
		told := g.told
		if g.self {
			at, _ := slices.BinarySearchFunc(told, own, descending)
			told = slices.Insert(slices.Clone(told), at, own)
		}
		quorum := g.size/2 + 1
		if len(told) < quorum {
			return 0, false
		}
		if t := told[quorum-1]; i == 0 || t < agreed {
			agreed = t
		}
	}
	return agreed, len(c.groups) > 0
}

// Confirmed is a round that a quorum has confirmed.
type Confirmed struct {
	Round uint64
	Began time.Duration // when the round did, by Clock.Elapsed
	// Known is the index up to which this node MUST have applied what is committed, to show a state that is not older than the round's
	// beginning.
	Known uint64
}

// Confirm returns the newest round that a quorum of the voters has confirmed, the leader among them, by its echoes or by consensus itself; false if there
// is none.
func (m *Machine) Confirm(members consensus.Membership, own Standing) (Confirmed, bool) {
	c, ok := m.confirm(members, own)
	if ok && c.Round >= m.proven {
		return c, true
	}
	if began, ok := m.beganAt(m.proven); ok {
		return Confirmed{Round: m.proven, Began: began, Known: m.known}, true
	}
	return c, ok
}

// beganAt returns when a round began, if that is one of the last ones.
func (m *Machine) beganAt(round uint64) (time.Duration, bool) {
	back := m.round - round
	if round == 0 || back >= uint64(len(m.began)) {
		return 0, false
	}
	return m.began[uint64(len(m.began))-1-back], true
}

// confirm is Confirm, by echoes.
func (m *Machine) confirm(members consensus.Membership, own Standing) (Confirmed, bool) {
	round := m.round
	for _, voters := range [][]consensus.ID{members.Voters, members.Outgoing} {
		if len(voters) > 0 {
			round = min(round, m.echoed(voters))
		}
	}
	began, ok := m.beganAt(round)
	if !ok {
		return Confirmed{}, false
	}
	view, known, led := own.View, own.Known, own.Leads
	for _, id := range slices.Concat(members.Voters, members.Outgoing) {
		b, heard := m.peers[id]
		if !heard || b.Echo < round || id == m.self {
			continue
		}
		if b.View > view {
			view, led = b.View, false
		}
		if b.View == view && b.Leads {
			known, led = b.Known, true
		}
	}
	return Confirmed{Round: round, Began: began, Known: known}, led
}

// echoed returns the last round that a majority of voters has echoed, 0 if there is none.
func (m *Machine) echoed(voters []consensus.ID) uint64 {
	var rounds []uint64
	for _, id := range voters {
		if id == m.self {
			rounds = append(rounds, m.round)
		} else {
			rounds = append(rounds, m.peers[id].Echo)
		}
	}
	slices.SortFunc(rounds, descending)
	return rounds[len(voters)/2]
}
