// Package reconfig decides on a leader how the members of consensus follow the nodes that the constitution trusts, one change at a
// time, and when leadership goes to another node.
//
//	trusted nodes, their owners, progress of the members ──► Plan ──► the next change; the successor; may a node leave
//
// A new node learns first. Once it has caught up it becomes a voter, and the nodes that are not trusted any more leave in the same
// joint change (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", section 6). A change is made only if a
// majority of the voters that it leaves is reached, and gives no organisation too many votes (package balance).
//
// A [Plan] is pure: it has no clock, no network and no goroutine, and belongs to one goroutine. What it decides is carried out by package replica.
//
// Trust: enclave
package reconfig

import (
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/internal/balance"
)

// CaughtUp is how many entries a learner may be behind when it becomes a voter.
const CaughtUp = 64

// Plan is what a node knows of the members that there are to be. The node leads, or may lead later.
type Plan struct {
	Self    consensus.ID   // this node
	ticks   int            // from a change of members until connections are closed
	trusted []consensus.ID // empty until the constitution is known
	voters  map[consensus.ID]balance.Seat
	change  uint64             // index of a change of members that is not applied yet, 0 if there is none
	forced  func() raft.Change // by a recovery: before anything else
	leaving bool               // another node is to lead
	sparing int                // retirements that are not committed yet
	hangUp  int                // ticks until the connections of nodes that left consensus are closed; 0 if none left
}

// New returns the plan of a node before it knows a constitution. Nodes that left stay connected for some ticks.
func New(self consensus.ID, ticks int) Plan { return Plan{Self: self, ticks: ticks} }

// Group is what a leader knows of the members of consensus.
type Group struct {
	consensus.Membership
	Next  uint64 // index of the log's next slot
	Peers []Peer // all voters and learners, this node among them
}

// Peer is a member of consensus as the leader knows it.
type Peer struct {
	consensus.Progress
	Connected bool // to this node; false for this node itself
}

// Trust makes the members follow a list of nodes.
func (m *Plan) Trust(nodes []balance.Seat) {
	m.trusted, m.voters = make([]consensus.ID, len(nodes)), make(map[consensus.ID]balance.Seat, len(nodes))
	for i, n := range nodes {
		m.trusted[i] = consensus.IDOf(n.Node)
		m.voters[m.trusted[i]] = n
	}
}

// seats returns the trusted nodes among those given.
func (m *Plan) seats(ids ...consensus.ID) (out []balance.Seat) {
	for _, id := range ids {
		if s, trusted := m.voters[id]; trusted {
			out = append(out, s)
		}
	}
	return out
}

// held reports whether a learner does not become a voter, because its owner would have too many votes.
func (m *Plan) held(g Group, id consensus.ID) bool {
	seats := m.seats(id)
	return len(balance.Admissible(m.seats(g.Voters...), seats)) < len(seats)
}

// Tick counts down to the closing of connections, and reports whether it is due.
func (m *Plan) Tick() (due bool) {
	if m.hangUp == 0 {
		return false
	}
	m.hangUp--
	return m.hangUp == 0
}

// Changed notes that other nodes take part in consensus. The nodes that left stay connected until they have learnt it.
func (m *Plan) Changed() { m.hangUp = m.ticks }

// Applied notes how far entries are applied.
func (m *Plan) Applied(index uint64) {
	if m.change != 0 && index >= m.change {
		m.change = 0
	}
}

// Proposed notes that a change was appended, and is the only one until it is applied or the view is lost.
func (m *Plan) Proposed(index uint64) { m.change, m.forced = index, nil }

// Lose notes that this node does not lead any more.
func (m *Plan) Lose() { m.change = 0 }

// Idle reports that no change is to be decided now: one is under way, or the constitution is not known.
func (m *Plan) Idle() bool { return m.change != 0 || len(m.trusted) == 0 }

// Next compares the members of consensus with the nodes that the constitution trusts and returns the next
// step: learners first; once one has caught up, it becomes a voter, and the nodes that are not trusted any more
// leave in the same joint change.
func (m *Plan) Next(g Group) (raft.Change, bool) {
	switch {
	case m.Idle():
		return raft.Change{}, false
	case len(g.Outgoing) > 0:
		return raft.Change{Leave: true}, true
	case m.forced != nil:
		return m.forced(), true
	}
	var c raft.Change
	for _, id := range m.trusted {
		if !slices.Contains(g.Voters, id) && !slices.Contains(g.Learners, id) {
			return raft.Change{AddLearner: []consensus.ID{id}}, true
		}
	}
	var gone []consensus.ID
	for _, ids := range [2][]consensus.ID{g.Voters, g.Learners} {
		for _, id := range ids {
			if id != m.Self && !slices.Contains(m.trusted, id) {
				gone = append(gone, id)
			}
		}
	}
	if len(g.Learners) > 0 {
		alive := false
		for _, p := range g.Peers {
			if p.Voter {
				continue
			}
			alive = alive || p.Active && !m.held(g, p.ID)
			// A learner that was just added counts as active; what it confirmed shows that it is there.
			if slices.Contains(m.trusted, p.ID) && p.Active && p.Match > 0 && p.Match+CaughtUp >= g.Next {
				c.AddVoter = append(c.AddVoter, p.ID)
			}
		}
		slices.Sort(c.AddVoter)
		if may := balance.Admissible(m.seats(g.Voters...), m.seats(c.AddVoter...)); len(m.voters) > 0 {
			c.AddVoter = slices.DeleteFunc(c.AddVoter, func(id consensus.ID) bool { return !slices.Contains(may, m.voters[id]) })
		}
		if len(c.AddVoter) == 0 && alive {
			return c, false // the nodes that leave wait for their successors
		}
	}
	c.Remove = m.removable(g, gone, c.AddVoter)
	return c, len(c.AddVoter)+len(c.Remove) > 0
}

// removable returns which of the nodes that are to leave may leave now. Without a reachable majority of the remaining
// voters nothing commits, including the change that readmits a failed node, and a vote of the members does not ask which
// nodes are up. Until enough are, the nodes that are there vote on, trusted or not.
func (m *Plan) removable(g Group, gone, added []consensus.ID) []consensus.ID {
	if len(gone) == 0 {
		return nil
	}
	active := map[consensus.ID]bool{m.Self: true}
	voters := slices.Clone(added)
	for _, p := range g.Peers {
		active[p.ID] = active[p.ID] || p.Active && p.Connected
		if p.Voter {
			voters = append(voters, p.ID)
		}
	}
	silent := slices.DeleteFunc(slices.Clone(gone), func(id consensus.ID) bool { return active[id] })
	for _, leave := range [][]consensus.ID{gone, silent} {
		left, alive := 0, 0
		for _, id := range voters {
			if slices.Contains(leave, id) {
				continue
			}
			left++
			if active[id] {
				alive++
			}
		}
		if alive > left/2 {
			return leave
		}
	}
	return nil
}

// Force has a change made before any other one, and once; what it is, is asked when it is made.
func (m *Plan) Force(change func() raft.Change) { m.forced = change }

// SetLeaving says whether another node is to lead from now on.
func (m *Plan) SetLeaving(is bool) { m.leaving = is }

// HandOver returns why another node is to lead, empty if this one may.
func (m *Plan) HandOver() (why string) {
	switch {
	case m.leaving:
		return "this node leaves"
	case len(m.trusted) > 0 && !slices.Contains(m.trusted, m.Self): // it was retired or replaced: another node has to remove it
		return "the network does not trust this node any more"
	}
	return ""
}

// Successor returns the voter that has come farthest among those that this node reaches, 0 if there is none.
func (m *Plan) Successor(g Group) consensus.ID {
	var best consensus.Progress
	for _, p := range g.Peers {
		if p.Voter && p.Active && p.Connected && p.ID != m.Self && p.Match >= best.Match {
			best = p.Progress
		}
	}
	return best.ID
}

// Spare says whether the network can go on without a node: a majority of the voters that would be left
// has been heard of within the last election timeout. It fails with coco.ErrInvalid if no voter would be left, and with
// coco.ErrBusy if too few were heard of, or members are being changed.
func (m *Plan) Spare(g Group, id consensus.ID) error {
	// A node that is being let go does not count for the next one: one after the other.
	if m.sparing > 0 || m.change != 0 || len(g.Outgoing) > 0 || m.parting(g, id) {
		return fmt.Errorf("%w: the members of consensus are being changed", coco.ErrBusy)
	}
	voters, alive := 0, 0
	for _, p := range g.Peers {
		if !p.Voter || p.ID == id {
			continue
		}
		voters++
		if p.Active || p.ID == m.Self {
			alive++
		}
	}
	owner, raises := balance.Without(m.seats(g.Voters...), m.voters[id])
	switch need := voters/2 + 1; {
	case raises:
		return fmt.Errorf("%w: without this node another organisation, %s, would have too many of the votes in consensus: members decide about that by `remove-node` with `unbalanced`", coco.ErrInvalid, owner.Short())
	case voters == 0:
		return fmt.Errorf("%w: this is the only node that votes: without it there is no network. Let another node join first, or stop the network", coco.ErrInvalid)
	case alive < need:
		return fmt.Errorf("%w: without this node %d voters are left, of which %d were heard of lately, expected at least %d: bring them back first",
			coco.ErrBusy, voters, alive, need)
	}
	return nil
}

// Retiring notes that a transaction which retires a node was begun. Until Retired no other node is spared.
func (m *Plan) Retiring() { m.sparing++ }

// Retired notes that the transaction has ended, behind the new list of nodes if it was committed.
func (m *Plan) Retired() { m.sparing-- }

// parting reports whether a voter other than the one given is to leave.
func (m *Plan) parting(g Group, id consensus.ID) bool {
	return slices.ContainsFunc(g.Voters, func(v consensus.ID) bool { return v != id && !slices.Contains(m.trusted, v) })
}
