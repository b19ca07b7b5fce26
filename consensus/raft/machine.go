// Package raft drives etcd's raft library (RawNode) as a pure machine: ticks, messages, proposals
// and completed appends go in; messages, entries to append and committed entries come out. It has
// no clock, disk, network or goroutine of its own and belongs to one goroutine.
//
// A node takes part under an identity that lives only as long as its process, so votes and terms
// are never read back from a disk: a machine starts with a log of entries and no memory of having
// voted. What must be durable is the entries: an Append's messages go out only after Appended.
//
// A log need not begin with entry 1: a node that starts from a snapshot begins after the entry that
// the snapshot was taken at (Base), with the members of that time. Such a node can lead. It never
// sends a snapshot: a peer whose log ends before this one's beginning is named by Behind.
//
// Proposals name the index that they will get, because a batch is sealed for exactly one slot
// (see Next); Propose never lets the library drop one.
//
// Trust: enclave
package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
)

// Base is the point that a machine begins after: an entry that is known to be committed.
type Base struct{ Index, View uint64 }

// Config starts a machine.
type Config struct {
	Self consensus.ID
	// Base is where to begin: everything up to it is in the state already. Zero before the first entry.
	Base Base
	// Members are the members as of Base: before the first entry, the node that started the network.
	Members consensus.Membership
	// Voters take part until Fixed is applied, whatever Members and the log say. Without Fixed
	// they stand for Members, if those are not given.
	Voters []consensus.ID
	Log    Log
	// First is the first entry that Log can read, 0 if that is the one after Base. Entries up to
	// Base are of use to peers only.
	First uint64
	Last  uint64 // index of the last entry in Log, Base's if there is none after it
	// Commit is the index up to which entries are known to be committed at the start: Base's (or
	// 0, which means the same), except in a recovery, where the recovered log is committed by decision.
	Commit uint64
	// View is the least view to begin from; less than the last entry's means that one.
	View uint64
	// Fixed keeps the members at Voters until this index: a recovery's log contains changes of a
	// membership that is gone.
	Fixed uint64
	// Floor is where the longest log ends that a voter has shown before this node began (package resume), zero if nobody was asked. Everything that
	// is committed is in a log that ends there or later, so while this node's log ends before, it stands for no election, whoever would vote for it.
	Floor Base
	// ElectionTicks without a word from the leader start an election; a leader sends heartbeats
	// every HeartbeatTicks.
	ElectionTicks, HeartbeatTicks int
	// Accept says whether this node takes an entry that the leader of a view sends; nil for every one. A message with an entry that it refuses
	// changes nothing: Step returns the error. It is as if the message were lost, so the leader sends it again. It is not asked about what a leader of
	// the past sends, which is refused anyway.
	Accept func(view uint64, e consensus.Entry) error
}

func (c *Config) validate() error {
	switch {
	case c.Self == 0 || c.Log == nil || len(c.Voters)+len(c.Members.Voters) == 0:
		return fmt.Errorf("%w: raft needs an identity, a log and first voters", coco.ErrInvalid)
	case c.Fixed > 0 && len(c.Voters) == 0:
		return fmt.Errorf("%w: members are to be fixed until index %d, but none are given", coco.ErrInvalid, c.Fixed)
	case c.Base.Index > 0 && (c.Base.View == 0 || len(c.Members.Voters) == 0):
		return fmt.Errorf("%w: to begin after index %d takes its view and the members as of it", coco.ErrInvalid, c.Base.Index)
	case c.Base.Index == 0 && c.Base.View > 0:
		return fmt.Errorf("%w: view %d before the first entry", coco.ErrInvalid, c.Base.View)
	case c.First > c.Base.Index+1:
		return fmt.Errorf("%w: the log begins at index %d, but the state ends at %d", coco.ErrInvalid, c.First, c.Base.Index)
	case c.Last < c.Base.Index:
		return fmt.Errorf("%w: the log's end %d is before index %d, where it is to begin", coco.ErrInvalid, c.Last, c.Base.Index)
	case c.Commit > c.Last || c.Commit != 0 && c.Commit < c.Base.Index:
		return fmt.Errorf("%w: commit index %d is not between the log's beginning %d and its end %d", coco.ErrInvalid, c.Commit, c.Base.Index, c.Last)
	case c.HeartbeatTicks < 1 || c.ElectionTicks <= 2*c.HeartbeatTicks:
		return fmt.Errorf("%w: election after %d ticks with heartbeats every %d", coco.ErrInvalid, c.ElectionTicks, c.HeartbeatTicks)
	}
	return checkMembers(c.Members)
}

// Limits of one message and of what is on its way to one peer.
const (
	maxMessageBytes  = 1 << 20
	maxInflight      = 256
	maxInflightBytes = 64 << 20
	maxApplyBytes    = 16 << 20
)

// Machine is one node's part of the protocol.
type Machine struct {
	self  consensus.ID
	fixed uint64
	node  *raft.RawNode
	log   *storage
	state consensus.State
	conf  consensus.Membership

	last        uint64 // of the log with everything proposed or received
	pendingConf uint64 // index of the last proposed change of members
	applied     uint64
	accept      func(uint64, consensus.Entry) error
	silent      int                 // ticks since the leader's last message
	patience    int                 // after so many of them a node takes the leader for gone
	history     []tenure            // the members as of each change, from Base on; the newest maxTenures of them
	skipped     []consensus.ID      // members of Base and of changes up to fixed
	out         []consensus.Message // released by Appended, for the next Ready
}

// Append is a write that the node must make. The entries replace whatever the log holds from the
// first one's index on. After they are durable, the node MUST call Appended, in the order of the Appends.
type Append struct {
	Entries   []consensus.Entry
	responses []*pb.Message
}

// Output is what a step asks for. Messages may be sent at once, in order.
type Output struct {
	Messages  []consensus.Message
	Append    *Append // nil if nothing is to be written
	Committed []consensus.Entry
	Reads     []Read
	applied   *pb.Message
}

// Read answers a ReadIndex: what was committed anywhere before that call is among the entries up to Index.
type Read struct{ Round, Index uint64 }

// New starts a machine.
func New(cfg Config) (*Machine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Commit = max(cfg.Commit, cfg.Base.Index)
	st, err := newStorage(cfg)
	if err != nil {
		return nil, err
	}
	before := cfg.Members
	if len(before.Voters) == 0 {
		before.Voters = cfg.Voters
	}
	m := &Machine{
		self: cfg.Self, fixed: cfg.Fixed, log: st, last: cfg.Last, applied: cfg.Base.Index, accept: cfg.Accept, patience: 2 * cfg.ElectionTicks,
		history: []tenure{{cfg.Base.Index, cloneMembers(before)}}, conf: cloneMembers(before),
	}
	if cfg.Fixed > 0 {
		m.skipped = slices.Concat(cfg.Members.Voters, cfg.Members.Learners, cfg.Members.Outgoing)
		m.conf = consensus.Membership{Voters: slices.Clone(cfg.Voters)}
	}
	st.conf = &pb.ConfState{Voters: numbers(m.conf.Voters), Learners: numbers(m.conf.Learners), VotersOutgoing: numbers(m.conf.Outgoing)}
	err = m.guard(func() (err error) {
		m.node, err = raft.NewRawNode(&raft.Config{
			ID: uint64(cfg.Self), Storage: st, Applied: cfg.Base.Index,
			ElectionTick: cfg.ElectionTicks, HeartbeatTick: cfg.HeartbeatTicks,
			AsyncStorageWrites: true, PreVote: true, CheckQuorum: true,
			DisableProposalForwarding: true, StepDownOnRemoval: true,
			MaxSizePerMsg: maxMessageBytes, MaxInflightMsgs: maxInflight, MaxInflightBytes: maxInflightBytes,
			MaxCommittedSizePerReady: maxApplyBytes,
			Logger:                   quiet{},
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	return m, nil
}

// guard makes a call into the library. Where the log does not return what is needed, the library
// panics; the machine is over then, and every call gives the log's error. Any other panic is an
// invariant of the protocol that is broken.
func (m *Machine) guard(call func() error) (err error) {
	if m.log.err != nil {
		return m.log.err
	}
	m.log.why = nil
	defer func() {
		if m.log.err == nil && m.log.why == nil {
			return
		}
		if p := recover(); p != nil && m.log.err == nil {
			m.log.err = fmt.Errorf("%w (%v)", m.log.why, p)
		}
		if m.log.err != nil {
			err = m.log.err
		}
	}()
	return call()
}

// step gives the library a message.
func (m *Machine) step(msg *pb.Message) error {
	return m.guard(func() error {
		err := m.node.Step(msg)
		if errors.Is(err, raft.ErrStepPeerNotFound) { // an answer from a node that has left
			return nil
		}
		return err
	})
}

// Holds says that Log holds every entry from first on, as Config.First did at the start.
func (m *Machine) Holds(first uint64) { m.log.holds(min(first, m.log.base.Index+1)) }

// Tick lets one unit of time pass. If the log fails meanwhile, Ready tells.
func (m *Machine) Tick() {
	_ = m.guard(func() error {
		m.node.Tick()
		return nil
	})
	m.silent++
	m.forgetLeader()
}

// forgetLeader sees to it that a node does not believe for ever in a leader that says nothing any more. Most stand for election by then. A node that does
// not vote never does, nor does one with a committed change of members that it cannot apply yet.
func (m *Machine) forgetLeader() {
	if m.silent > m.patience && m.state.Role != consensus.Leader {
		m.state.Leader = 0
	}
}

// Campaign stands for election at once.
func (m *Machine) Campaign() error { return m.guard(m.node.Campaign) }

// Transfer hands leadership to a voter. If the log fails meanwhile, Ready tells.
func (m *Machine) Transfer(to consensus.ID) {
	_ = m.guard(func() error {
		m.node.TransferLeader(uint64(to))
		return nil
	})
}

// ReadIndex asks the leader up to which entry is committed what was committed before this call. It answers once a majority has confirmed after the
// call that it leads, and it has committed an entry of its view (Ongaro, "Consensus: Bridging Theory and Practice", 6.4); Ready gives the answer with the round. Without
// a leader, or if a message is lost, there is none.
func (m *Machine) ReadIndex(round uint64) {
	of := binary.BigEndian.AppendUint64(nil, uint64(m.self)) // the leader tells requests of different nodes apart
	_ = m.guard(func() error {
		m.node.ReadIndex(binary.BigEndian.AppendUint64(of, round))
		return nil
	})
}

// Unreachable says that messages to a peer were lost.
func (m *Machine) Unreachable(id consensus.ID) { m.node.ReportUnreachable(uint64(id)) }

// Step takes a message from an authenticated peer. A message that is not from that peer, or does
// not decode, is refused with coco.ErrCorrupt.
func (m *Machine) Step(from consensus.ID, data []byte) error {
	msg := new(pb.Message)
	if err := proto.Unmarshal(data, msg); err != nil {
		return fmt.Errorf("%w: raft message of %d bytes: %v", coco.ErrCorrupt, len(data), err)
	}
	_, known := pb.MessageType_name[int32(msg.GetType())]
	if msg.GetFrom() != uint64(from) || msg.GetTo() != uint64(m.self) || !known || raft.IsLocalMsg(msg.GetType()) ||
		msg.GetType() == pb.MsgProp || msg.GetType() == pb.MsgSnap {
		return fmt.Errorf("%w: raft message %v from %x to %x on the connection of %x", coco.ErrCorrupt, msg.GetType(), msg.GetFrom(), msg.GetTo(), uint64(from))
	}
	if msg.GetTerm() == 0 && msg.GetType() != pb.MsgReadIndex { // which the library takes for its own
		return fmt.Errorf("%w: raft message %v without a term", coco.ErrCorrupt, msg.GetType())
	}
	if msg.GetType() == pb.MsgHeartbeat && msg.GetCommit() > m.last { // a leader tells no more than what this node has acknowledged
		return fmt.Errorf("%w: raft message %v: commit index %d, but the log ends at %d", coco.ErrCorrupt, msg.GetType(), msg.GetCommit(), m.last)
	}
	for i, e := range msg.GetEntries() { // the library takes for granted that those to append follow each other
		if msg.GetType() == pb.MsgApp && e.GetIndex() != msg.GetIndex()+1+uint64(i) {
			return fmt.Errorf("%w: raft message %v: entry %d follows entry %d", coco.ErrCorrupt, msg.GetType(), e.GetIndex(), msg.GetIndex()+uint64(i))
		}
	}
	if st := m.node.BasicStatus(); m.accept != nil && msg.GetType() == pb.MsgApp && msg.GetTerm() >= st.GetTerm() {
		for _, e := range msg.GetEntries() {
			if err := m.accept(msg.GetTerm(), fromRaft(e)); err != nil {
				return err
			}
		}
	}
	if err := m.step(msg); err != nil {
		return err
	}
	if m.node.BasicStatus().Lead == uint64(from) {
		m.silent = 0
	}
	return nil
}

// State returns what this node believes.
func (m *Machine) State() consensus.State { return m.state }

// Commit returns the highest index known to be committed.
func (m *Machine) Commit() uint64 {
	st := m.node.BasicStatus()
	return st.GetCommit()
}

// Progress calls fn for every member, on a leader.
func (m *Machine) Progress(fn func(consensus.Progress)) {
	st := m.node.Status()
	for id, p := range st.Progress {
		fn(consensus.Progress{ID: consensus.ID(id), Match: p.Match, Active: p.RecentActive, Voter: !p.IsLearner})
	}
}

// Next returns the view and index that the next proposal gets, and whether this node may propose:
// it is leader, no transfer of leadership is under way, and it is a member itself. All Outputs
// MUST have been taken from Ready before.
func (m *Machine) Next() (view, index uint64, ok bool) {
	st := m.node.BasicStatus()
	ok = st.RaftState == raft.StateLeader && st.LeadTransferee == 0 && m.isVoter(m.self)
	return st.GetTerm(), m.last + 1, ok
}

func (m *Machine) isVoter(id consensus.ID) bool { return slices.Contains(m.conf.Voters, id) }

// Propose appends a batch that was sealed for exactly this view and index. It fails with
// coco.ErrNotCommitted if the slot is gone; the batch MUST then be dropped.
func (m *Machine) Propose(view, index uint64, data []byte) error {
	v, i, ok := m.Next()
	if !ok || v != view || i != index {
		return fmt.Errorf("%w: batch sealed for view %d index %d, but the leader's next slot is %d/%d (leading: %v)",
			coco.ErrNotCommitted, view, index, v, i, ok)
	}
	if err := m.guard(func() error { return m.node.Propose(data) }); err != nil {
		return m.dropped(err)
	}
	m.last++
	return nil
}

// dropped says why the library did not append: the log failed, or the entry is not to be committed.
func (m *Machine) dropped(err error) error {
	if m.log.err != nil {
		return m.log.err
	}
	return fmt.Errorf("%w: %v", coco.ErrNotCommitted, err)
}

// Ready returns the work that has come up, and whether there is any. The caller repeats until
// there is none. It fails once the log did not return what was written to it: the machine is
// over then, as nothing that it would say can be trusted.
func (m *Machine) Ready() (Output, bool, error) {
	if m.log.err != nil {
		return Output{}, false, m.log.err
	}
	if len(m.out) == 0 && !m.node.HasReady() {
		return Output{}, false, nil
	}
	var rd raft.Ready
	if err := m.guard(func() error {
		rd = m.node.Ready()
		return nil
	}); err != nil {
		return Output{}, false, err
	}
	out := Output{Messages: m.out}
	m.out = nil
	for _, r := range rd.ReadStates {
		if c := r.RequestCtx; len(c) == 16 && binary.BigEndian.Uint64(c) == uint64(m.self) {
			out.Reads = append(out.Reads, Read{Round: binary.BigEndian.Uint64(c[8:]), Index: r.Index})
		}
	}
	if n := len(rd.Entries); n > 0 {
		m.last = rd.Entries[n-1].GetIndex()
	}
	for _, msg := range rd.Messages {
		switch t := msg.GetType(); {
		case msg.GetTo() == raft.LocalAppendThread:
			if len(msg.GetEntries()) > 0 || len(msg.GetResponses()) > 0 {
				out.Append = &Append{responses: msg.GetResponses()}
				for _, e := range msg.GetEntries() {
					out.Append.Entries = append(out.Append.Entries, fromRaft(e))
				}
			}
		case msg.GetTo() == raft.LocalApplyThread:
			for _, e := range msg.GetEntries() {
				out.Committed = append(out.Committed, fromRaft(e))
			}
			out.applied = msg.GetResponses()[0]
		case (t == pb.MsgVote || t == pb.MsgPreVote) && m.log.belowFloor():
		default:
			if err := m.send(&out.Messages, msg); err != nil {
				return Output{}, false, err
			}
		}
	}
	st := m.node.BasicStatus()
	m.log.committed = st.GetCommit()
	if st.GetTerm() != m.state.View {
		m.pendingConf = 0 // of another term: applied before this one's first entry is, or cut off
	}
	m.state = consensus.State{View: st.GetTerm(), Leader: consensus.ID(st.Lead)}
	switch st.RaftState {
	case raft.StateLeader:
		m.state.Role = consensus.Leader
	case raft.StateCandidate, raft.StatePreCandidate:
		m.state.Role = consensus.Candidate
	}
	m.forgetLeader()
	return out, true, nil
}

func (m *Machine) send(to *[]consensus.Message, msg *pb.Message) error {
	data, err := proto.Marshal(msg)
	if err != nil {
		return fmt.Errorf("encode raft message: %w", err)
	}
	*to = append(*to, consensus.Message{To: consensus.ID(msg.GetTo()), Data: data})
	return nil
}

// Appended says that an Append is durable, and releases the messages that depend on it.
func (m *Machine) Appended(a *Append) error {
	m.log.append(a.Entries)
	for _, msg := range a.responses {
		if msg.GetTo() != uint64(m.self) {
			if err := m.send(&m.out, msg); err != nil {
				return err
			}
			continue
		}
		if err := m.step(msg); err != nil {
			return fmt.Errorf("confirm an append: %w", err)
		}
	}
	return nil
}

// Apply takes note that an Output's committed entries are on their way to the state in order, and
// puts changes of members among them into force. It reports whether the membership changed.
func (m *Machine) Apply(out Output) (changed bool, err error) {
	for _, e := range out.Committed {
		m.applied = e.Index
		if e.Kind != consensus.Members {
			continue
		}
		cc := new(pb.ConfChangeV2)
		if err := proto.Unmarshal(e.Data, cc); err != nil {
			return changed, fmt.Errorf("%w: change of members at index %d: %v", coco.ErrCorrupt, e.Index, err)
		}
		now, err := m.changeMembers(e.Index, cc)
		if err != nil {
			return changed, err
		}
		changed = changed || now
	}
	if out.applied != nil {
		if err := m.step(out.applied); err != nil {
			return changed, fmt.Errorf("confirm applied entries: %w", err)
		}
	}
	return changed, nil
}
