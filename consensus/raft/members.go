package raft

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
)

// Membership returns the members of consensus, as of the last applied change.
func (m *Machine) Membership() consensus.Membership { return m.conf }

// tenure is a membership and the entry from which on it was in force.
type tenure struct {
	since   uint64
	members consensus.Membership
}

// maxTenures bounds how many past memberships a machine remembers. Those of a snapshot are asked for, which is minutes old at most; a
// restart of a node is three.
const maxTenures = 4096

// MembershipAt returns the members as the log has them once the entry is applied; false before
// Base, beyond what is applied, and before the last maxTenures changes. It is a function of the log, hence the same on every node: on
// one that recovers, it returns the members of the lost network, and Membership those of the recovered one.
func (m *Machine) MembershipAt(index uint64) (consensus.Membership, bool) {
	if index < m.history[0].since || index > m.applied {
		return consensus.Membership{}, false
	}
	n, _ := slices.BinarySearchFunc(m.history, index, func(t tenure, at uint64) int {
		if t.since <= at {
			return -1
		}
		return 1
	})
	return cloneMembers(m.history[n-1].members), true
}

// Behind returns, on a leader, the peers that cannot go on from here: the entries that follow the
// end of their logs are before the beginning of this node's. They have to join again.
func (m *Machine) Behind() (out []consensus.ID) {
	if m.node.BasicStatus().RaftState != raft.StateLeader {
		return nil
	}
	m.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id != uint64(m.self) && (p.Next < m.log.first || p.Next <= m.log.absent) {
			out = append(out, consensus.ID(id))
		}
	})
	slices.Sort(out)
	return out
}

// Gone returns the members, other than this node, that a recovery leaves behind: those as of Base
// and all that the recovered log ever spoke of, with the first voters given.
func (m *Machine) Gone(first ...consensus.ID) []consensus.ID {
	out := append(slices.Clone(m.skipped), first...)
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(id consensus.ID) bool { return id == m.self })
}

// Change is a change of members.
type Change struct {
	AddVoter, AddLearner, Remove []consensus.ID
	Leave                        bool // ends a joint change; nothing else is set then
}

// ProposeChange appends a change of members and returns its index. Anything but adding one
// learner is a joint change, which MUST be ended by another one with Leave once it is applied.
// It fails with coco.ErrBusy while an earlier change is not applied yet. A voter does not become a
// learner.
func (m *Machine) ProposeChange(c Change) (uint64, error) {
	if _, _, ok := m.Next(); !ok {
		return 0, fmt.Errorf("%w: this node does not lead", coco.ErrNotCommitted)
	}
	if m.pendingConf > m.applied {
		return 0, fmt.Errorf("%w: the change of members at index %d is under way", coco.ErrBusy, m.pendingConf)
	}
	for _, id := range c.AddLearner {
		if m.isVoter(id) || slices.Contains(m.conf.Outgoing, id) {
			return 0, fmt.Errorf("%w: %x is a voter and cannot become a learner: remove it first", coco.ErrInvalid, uint64(id))
		}
	}
	cc := &pb.ConfChangeV2{}
	add := func(t pb.ConfChangeType, ids []consensus.ID) {
		for _, id := range ids {
			cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: t.Enum(), NodeId: new(uint64(id))})
		}
	}
	add(pb.ConfChangeAddNode, c.AddVoter)
	add(pb.ConfChangeAddLearnerNode, c.AddLearner)
	add(pb.ConfChangeRemoveNode, c.Remove)
	if !c.Leave && (len(c.AddVoter)+len(c.Remove) > 0 || len(c.AddLearner) > 1) {
		cc.Transition = pb.ConfChangeTransitionJointExplicit.Enum()
	}
	if err := m.guard(func() error { return m.node.ProposeConfChange(cc) }); err != nil {
		return 0, m.dropped(err)
	}
	m.last++
	m.pendingConf = m.last
	return m.last, nil
}

// changeMembers puts an applied change into force. It reports whether the membership changed.
func (m *Machine) changeMembers(index uint64, cc *pb.ConfChangeV2) (changed bool, err error) {
	if len(m.history) >= 2*maxTenures {
		m.history = slices.Clone(m.history[len(m.history)-maxTenures+1:])
	}
	m.history = append(m.history, tenure{index, after(m.history[len(m.history)-1].members, cc)})
	if index <= m.fixed {
		for _, c := range cc.GetChanges() {
			m.skipped = append(m.skipped, consensus.ID(c.GetNodeId()))
		}
		return false, nil
	}
	return true, m.guard(func() error {
		if _, joint := cc.EnterJoint(); joint && len(m.conf.Outgoing) > 0 {
			// Only a recovery changes members within a joint change, which its log ended in.
			m.node.ApplyConfChange(&pb.ConfChangeV2{})
		}
		m.log.conf = m.node.ApplyConfChange(cc)
		m.conf = consensus.Membership{
			Voters: ids(m.log.conf.GetVoters()), Learners: ids(m.log.conf.GetLearners()), Outgoing: ids(m.log.conf.GetVotersOutgoing()),
		}
		return nil
	})
}

// after returns the members that a change leaves. It follows the library's rules, but for nodes
// that a recovery left behind, too.
func after(m consensus.Membership, cc *pb.ConfChangeV2) consensus.Membership {
	m = cloneMembers(m)
	if cc.LeaveJoint() {
		m.Outgoing = nil
		return m
	}
	if _, joint := cc.EnterJoint(); joint {
		m.Outgoing = slices.Clone(m.Voters)
	}
	for _, c := range cc.GetChanges() {
		id := consensus.ID(c.GetNodeId())
		switch c.GetType() {
		case pb.ConfChangeAddNode:
			m.Voters, m.Learners = with(m.Voters, id), without(m.Learners, id)
		case pb.ConfChangeAddLearnerNode:
			m.Voters, m.Learners = without(m.Voters, id), with(m.Learners, id)
		case pb.ConfChangeRemoveNode:
			m.Voters, m.Learners = without(m.Voters, id), without(m.Learners, id)
		}
	}
	return m
}

func with(in []consensus.ID, id consensus.ID) []consensus.ID {
	at, found := slices.BinarySearch(in, id)
	if found {
		return in
	}
	return slices.Insert(in, at, id)
}

func without(in []consensus.ID, id consensus.ID) []consensus.ID {
	return slices.DeleteFunc(in, func(i consensus.ID) bool { return i == id })
}

// checkMembers refuses a membership that no sequence of changes leads to.
func checkMembers(m consensus.Membership) error {
	twice := func(in []consensus.ID) bool {
		sorted := slices.Sorted(slices.Values(in))
		return len(slices.Compact(sorted)) < len(in) || slices.Contains(in, 0)
	}
	if twice(slices.Concat(m.Voters, m.Learners)) || twice(slices.Concat(m.Outgoing, m.Learners)) {
		return fmt.Errorf("%w: %+v are no members of consensus: a node is named twice, or zero is", coco.ErrInvalid, m)
	}
	return nil
}

// cloneMembers returns a copy in order, as the library has them.
func cloneMembers(m consensus.Membership) consensus.Membership {
	return consensus.Membership{
		Voters: slices.Sorted(slices.Values(m.Voters)), Learners: slices.Sorted(slices.Values(m.Learners)), Outgoing: slices.Sorted(slices.Values(m.Outgoing)),
	}
}

func ids(in []uint64) (out []consensus.ID) {
	for _, v := range in {
		out = append(out, consensus.ID(v))
	}
	return out
}

func numbers(in []consensus.ID) (out []uint64) {
	for _, v := range in {
		out = append(out, uint64(v))
	}
	return out
}
