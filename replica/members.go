package replica

import (
	"context"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/store"
)

// CaughtUp is how many entries a learner may be behind when it becomes a voter.
const CaughtUp = 64

// wantedChange compares the members of consensus with the nodes that the constitution trusts and
// returns the next step: learners first; once one has caught up, it becomes a voter, and the
// nodes that are not trusted any more leave in the same joint change.
func (l *loop) wantedChange() (raft.Change, bool) {
	if l.change != 0 || len(l.trusted) == 0 {
		return raft.Change{}, false
	}
	m := l.machine.Membership()
	if len(m.Outgoing) > 0 {
		return raft.Change{Leave: true}, true
	}
	if l.forced != nil {
		return l.forced(), true
	}
	var c raft.Change
	trusted := make(map[consensus.ID]bool, len(l.trusted))
	for _, n := range l.trusted {
		id := consensus.IDOf(n)
		trusted[id] = true
		if !slices.Contains(m.Voters, id) && !slices.Contains(m.Learners, id) {
			return raft.Change{AddLearner: []consensus.ID{id}}, true
		}
	}
	var gone []consensus.ID
	for _, id := range append(slices.Clone(m.Voters), m.Learners...) {
		if !trusted[id] && id != l.self {
			gone = append(gone, id)
		}
	}
	if len(m.Learners) > 0 {
		_, next, _ := l.machine.Next()
		l.machine.Progress(func(p consensus.Progress) {
			// A learner that was just added counts as active; what it confirmed shows that it is there.
			if !p.Voter && trusted[p.ID] && p.Active && p.Match > 0 && p.Match+CaughtUp >= next {
				c.AddVoter = append(c.AddVoter, p.ID)
			}
		})
		slices.Sort(c.AddVoter)
		if len(c.AddVoter) == 0 && l.learnersAlive() {
			return c, false // those who leave wait for their successors
		}
	}
	c.Remove = l.removable(gone, c.AddVoter)
	return c, len(c.AddVoter)+len(c.Remove) > 0
}

// removable returns which of the nodes that are to leave may leave now. Without a reachable majority of the remaining
// voters nothing commits, including the change that readmits a failed node, and a vote of the members does not ask which
// nodes are up. Until enough are, the nodes that are there vote on, trusted or not.
func (l *loop) removable(gone, added []consensus.ID) []consensus.ID {
	active := map[consensus.ID]bool{l.self: true}
	voters := slices.Clone(added)
	l.machine.Progress(func(p consensus.Progress) {
		active[p.ID] = active[p.ID] || p.Active && l.network.Connected(p.ID)
		if p.Voter {
			voters = append(voters, p.ID)
		}
	})
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

// noteMembers publishes the members of consensus.
func (l *loop) noteMembers() consensus.Membership {
	m := l.machine.Membership()
	l.members.Store(&m)
	return m
}

// outcast reports whether this node was retired, or replaced, while it leads: another one has to remove it.
func (l *loop) outcast() bool {
	return len(l.trusted) > 0 && !slices.ContainsFunc(l.trusted, func(id coco.NodeID) bool { return consensus.IDOf(id) == l.self })
}

// learnersAlive reports whether a learner is on its way to become a voter.
func (l *loop) learnersAlive() (alive bool) {
	l.machine.Progress(func(p consensus.Progress) { alive = alive || !p.Voter && p.Active })
	return alive
}

// Trust makes consensus follow the list of the nodes that the constitution trusts.
func (r *Replica) Trust(nodes []coco.NodeID) { r.loop.inbox.put(event{nodes: nodes}) }

// SetLeaving says whether another node is to lead from now on. See Members for what becomes of it.
func (r *Replica) SetLeaving(is bool) {
	r.loop.inbox.put(event{do: func(l *loop) { l.leaving = is }})
}

// Spared fails if this node leads and the network cannot go on without it; see Remove.
func (r *Replica) Spared(ctx context.Context) error {
	answer := make(chan error, 1)
	r.loop.inbox.put(event{do: func(l *loop) {
		if l.leading == 0 {
			answer <- nil
			return
		}
		answer <- l.spare(l.self)
	}})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Remove commits the transaction that retires a node, on the leader, if the network can go on without that node. Done is
// called once and MUST NOT block. It fails with coco.ErrInvalid if no voter would be left, and with coco.ErrBusy if too few of the
// others were heard of lately, or members of consensus are being changed.
func (r *Replica) Remove(id consensus.ID, retire func(*store.Tx) ([]byte, error), done func([]adapter.Result)) {
	r.loop.inbox.put(event{do: func(l *loop) {
		err := l.spare(id)
		if err == nil {
			l.sparing++
			err = r.Enqueue(&Item{Run: retire, Done: func(results []adapter.Result) {
				// Behind the new list of nodes, if it was committed.
				l.inbox.put(event{do: func(l *loop) { l.sparing-- }})
				done(results)
			}})
			if err != nil {
				l.sparing--
			}
		}
		if err != nil {
			done([]adapter.Result{{Err: err}})
		}
	}})
}

// Restart makes this node the only voter, before any other change of members: a recovery goes on from the ledger of a
// network whose voters are gone. Origin was the network's first voter.
func (r *Replica) Restart(origin consensus.ID) {
	r.loop.inbox.put(event{do: func(l *loop) {
		l.forced = func() raft.Change {
			return raft.Change{AddVoter: []consensus.ID{l.self}, Remove: l.machine.Gone(origin)}
		}
	}})
}

// MembersAt returns the members of consensus as of an entry, once consensus has applied it, too.
func (r *Replica) MembersAt(ctx context.Context, index uint64) (consensus.Membership, error) {
	type answer struct {
		members consensus.Membership
		known   bool
		applied uint64
	}
	for {
		got := make(chan answer, 1)
		r.loop.inbox.put(event{do: func(l *loop) {
			m, ok := l.machine.MembershipAt(index)
			got <- answer{m, ok, l.applied}
		}})
		select {
		case <-ctx.Done():
			return consensus.Membership{}, ctx.Err()
		case a := <-got:
			if a.known && a.applied >= index {
				return a.members, nil
			}
		}
		select {
		case <-ctx.Done():
			return consensus.Membership{}, ctx.Err()
		case <-r.cfg.Clock.After(Tick):
		}
	}
}

// spare says whether the network can go on without a node: a majority of the voters that would be left
// has been heard of within the last election timeout.
func (l *loop) spare(id consensus.ID) error {
	if l.leading == 0 {
		return fmt.Errorf("%w: this node does not lead", coco.ErrNotCommitted)
	}
	// A node that is being let go does not count for the next one: one after the other.
	if l.sparing > 0 || l.change != 0 || len(l.machine.Membership().Outgoing) > 0 || l.parting(id) {
		return fmt.Errorf("%w: the members of consensus are being changed", coco.ErrBusy)
	}
	voters, alive := 0, 0
	l.machine.Progress(func(p consensus.Progress) {
		if !p.Voter || p.ID == id {
			return
		}
		voters++
		if p.Active || p.ID == l.self {
			alive++
		}
	})
	switch need := voters/2 + 1; {
	case voters == 0:
		return fmt.Errorf("%w: this is the only node that votes: without it there is no network. Let another node join first, or stop the network", coco.ErrInvalid)
	case alive < need:
		return fmt.Errorf("%w: without this node %d voters are left, of which %d were heard of lately, expected at least %d: bring them back first",
			coco.ErrBusy, voters, alive, need)
	}
	return nil
}

// parting reports whether a voter other than the one given is to leave.
func (l *loop) parting(id consensus.ID) bool {
	return slices.ContainsFunc(l.machine.Membership().Voters, func(v consensus.ID) bool {
		return v != id && !slices.ContainsFunc(l.trusted, func(n coco.NodeID) bool { return consensus.IDOf(n) == v })
	})
}
