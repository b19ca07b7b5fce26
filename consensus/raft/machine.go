// Package raft drives etcd's raft library (RawNode) as a pure machine: ticks, messages, proposals
// and completed appends go in; messages, entries to append and committed entries come out. It has
// no clock, disk, network or goroutine of its own and belongs to one goroutine.
//
// A node takes part under an identity that lives only as long as its process, so votes and terms
// are never read back from a disk: a machine starts with a log of entries and no memory of having
// voted. What must be durable is the entries: an Append's messages go out only after Appended.
//
// Proposals name the index that they will get, because a batch is sealed for exactly one slot
// (see Next); Propose never lets the library drop one.
//
// Trust: enclave
package raft

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
)

// Log is the durable log as the machine reads it. Both functions are called on the machine's
// goroutine, for entries whose append was confirmed with Appended or that were there at the start.
type Log interface {
	// ViewOf returns the view of an entry.
	ViewOf(index uint64) (uint64, bool)
	// Read returns entries from <= index < to, at least one, up to about maxBytes.
	Read(from, to uint64, maxBytes int) ([]consensus.Entry, error)
}

// Config starts a machine.
type Config struct {
	Self consensus.ID
	// Voters are the members before the log's first entry: the node that started the network.
	Voters []consensus.ID
	Log    Log
	Last   uint64 // index of the last entry in Log, 0 if empty
	// Commit is the index up to which entries are known to be committed at the start: 0, except
	// in a recovery, where the recovered log is committed by decision.
	Commit uint64
	// View is the least view to begin from; less than the last entry's means that one.
	View uint64
	// Fixed keeps Voters as they are until this index: a recovery's log contains changes of a
	// membership that is gone.
	Fixed uint64
	// ElectionTicks without a word from the leader start an election; a leader sends heartbeats
	// every HeartbeatTicks.
	ElectionTicks, HeartbeatTicks int
}

func (c *Config) validate() error {
	switch {
	case c.Self == 0 || c.Log == nil || len(c.Voters) == 0:
		return fmt.Errorf("%w: raft needs an identity, a log and first voters", coco.ErrInvalid)
	case c.Commit > c.Last:
		return fmt.Errorf("%w: commit index %d is beyond the log's end %d", coco.ErrInvalid, c.Commit, c.Last)
	case c.HeartbeatTicks < 1 || c.ElectionTicks <= 2*c.HeartbeatTicks:
		return fmt.Errorf("%w: election after %d ticks with heartbeats every %d", coco.ErrInvalid, c.ElectionTicks, c.HeartbeatTicks)
	}
	return nil
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
	skipped     []consensus.ID      // members that changes up to fixed speak of
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
	applied   *pb.Message
}

// New starts a machine.
func New(cfg Config) (*Machine, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	st := &storage{log: cfg.Log, last: cfg.Last}
	view, ok := st.view(cfg.Last)
	if !ok {
		return nil, fmt.Errorf("%w: log has no entry %d, its own last", coco.ErrCorrupt, cfg.Last)
	}
	st.hard = &pb.HardState{Term: new(max(view, cfg.View)), Commit: new(cfg.Commit)}
	st.conf = &pb.ConfState{}
	for _, v := range cfg.Voters {
		st.conf.Voters = append(st.conf.Voters, uint64(v))
	}
	node, err := raft.NewRawNode(&raft.Config{
		ID: uint64(cfg.Self), Storage: st,
		ElectionTick: cfg.ElectionTicks, HeartbeatTick: cfg.HeartbeatTicks,
		AsyncStorageWrites: true, PreVote: true, CheckQuorum: true,
		DisableProposalForwarding: true, StepDownOnRemoval: true,
		MaxSizePerMsg: maxMessageBytes, MaxInflightMsgs: maxInflight, MaxInflightBytes: maxInflightBytes,
		MaxCommittedSizePerReady: maxApplyBytes,
		Logger:                   quiet{},
	})
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	return &Machine{
		self: cfg.Self, fixed: cfg.Fixed, node: node, log: st, last: cfg.Last,
		conf: consensus.Membership{Voters: cfg.Voters},
	}, nil
}

// Tick lets one unit of time pass.
func (m *Machine) Tick() { m.node.Tick() }

// Campaign stands for election at once.
func (m *Machine) Campaign() error { return m.node.Campaign() }

// Transfer hands leadership to a voter.
func (m *Machine) Transfer(to consensus.ID) { m.node.TransferLeader(uint64(to)) }

// Unreachable says that messages to a peer were lost.
func (m *Machine) Unreachable(id consensus.ID) { m.node.ReportUnreachable(uint64(id)) }

// Step takes a message from an authenticated peer. A message that is not from that peer, or does
// not decode, is refused with coco.ErrCorrupt.
func (m *Machine) Step(from consensus.ID, data []byte) error {
	msg := new(pb.Message)
	if err := proto.Unmarshal(data, msg); err != nil {
		return fmt.Errorf("%w: raft message of %d bytes: %v", coco.ErrCorrupt, len(data), err)
	}
	if msg.GetFrom() != uint64(from) || msg.GetTo() != uint64(m.self) || raft.IsLocalMsg(msg.GetType()) ||
		msg.GetType() == pb.MsgProp || msg.GetType() == pb.MsgSnap {
		return fmt.Errorf("%w: raft message %v from %x to %x on the connection of %x", coco.ErrCorrupt, msg.GetType(), msg.GetFrom(), msg.GetTo(), uint64(from))
	}
	err := m.node.Step(msg)
	if errors.Is(err, raft.ErrStepPeerNotFound) { // an answer from a node that has left
		return nil
	}
	return err
}

// State returns what this node believes.
func (m *Machine) State() consensus.State { return m.state }

// Membership returns the members as of the last applied change.
func (m *Machine) Membership() consensus.Membership { return m.conf }

// Commit returns the highest index known to be committed.
func (m *Machine) Commit() uint64 {
	st := m.node.BasicStatus()
	return st.GetCommit()
}

// Gone returns the members, other than this node, that a recovery leaves behind: all that the
// recovered log ever spoke of, with the first voters given.
func (m *Machine) Gone(first ...consensus.ID) []consensus.ID {
	out := append(slices.Clone(m.skipped), first...)
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(id consensus.ID) bool { return id == m.self })
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
	if err := m.node.Propose(data); err != nil {
		return fmt.Errorf("%w: %v", coco.ErrNotCommitted, err)
	}
	m.last++
	return nil
}

// Change is a change of members.
type Change struct {
	AddVoter, AddLearner, Remove []consensus.ID
	Leave                        bool // ends a joint change; nothing else is set then
}

// ProposeChange appends a change of members and returns its index. Anything but adding one
// learner is a joint change, which MUST be ended by another one with Leave once it is applied.
// It fails with coco.ErrBusy while an earlier change is not applied yet.
func (m *Machine) ProposeChange(c Change) (uint64, error) {
	if _, _, ok := m.Next(); !ok {
		return 0, fmt.Errorf("%w: this node does not lead", coco.ErrNotCommitted)
	}
	if m.pendingConf > m.applied {
		return 0, fmt.Errorf("%w: the change of members at index %d is under way", coco.ErrBusy, m.pendingConf)
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
	if err := m.node.ProposeConfChange(cc); err != nil {
		return 0, fmt.Errorf("%w: %v", coco.ErrNotCommitted, err)
	}
	m.last++
	m.pendingConf = m.last
	return m.last, nil
}

// Ready returns the work that has come up, and whether there is any. The caller repeats until
// there is none.
func (m *Machine) Ready() (Output, bool, error) {
	if len(m.out) == 0 && !m.node.HasReady() {
		return Output{}, false, nil
	}
	out := Output{Messages: m.out}
	m.out = nil
	rd := m.node.Ready()
	if n := len(rd.Entries); n > 0 {
		m.last = rd.Entries[n-1].GetIndex()
	}
	for _, msg := range rd.Messages {
		switch msg.GetTo() {
		case raft.LocalAppendThread:
			if len(msg.GetEntries()) > 0 || len(msg.GetResponses()) > 0 {
				out.Append = &Append{responses: msg.GetResponses()}
				for _, e := range msg.GetEntries() {
					out.Append.Entries = append(out.Append.Entries, fromRaft(e))
				}
			}
		case raft.LocalApplyThread:
			for _, e := range msg.GetEntries() {
				out.Committed = append(out.Committed, fromRaft(e))
			}
			out.applied = msg.GetResponses()[0]
		default:
			if err := m.send(&out.Messages, msg); err != nil {
				return Output{}, false, err
			}
		}
	}
	st := m.node.BasicStatus()
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
		if err := m.node.Step(msg); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) {
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
		if e.Index <= m.fixed {
			for _, c := range cc.GetChanges() {
				m.skipped = append(m.skipped, consensus.ID(c.GetNodeId()))
			}
			continue
		}
		if _, joint := cc.EnterJoint(); joint && len(m.conf.Outgoing) > 0 {
			// Only a recovery changes members within a joint change, which its log ended in.
			m.node.ApplyConfChange(&pb.ConfChangeV2{})
		}
		conf := m.node.ApplyConfChange(cc)
		m.conf = consensus.Membership{Voters: ids(conf.GetVoters()), Learners: ids(conf.GetLearners()), Outgoing: ids(conf.GetVotersOutgoing())}
		m.log.conf = conf
		changed = true
	}
	if out.applied != nil {
		if err := m.node.Step(out.applied); err != nil {
			return changed, fmt.Errorf("confirm applied entries: %w", err)
		}
	}
	return changed, nil
}

func ids(in []uint64) (out []consensus.ID) {
	for _, v := range in {
		out = append(out, consensus.ID(v))
	}
	return out
}

func fromRaft(e *pb.Entry) consensus.Entry {
	out := consensus.Entry{View: e.GetTerm(), Index: e.GetIndex(), Kind: consensus.Batch, Data: e.GetData()}
	switch {
	case e.GetType() != pb.EntryNormal:
		out.Kind = consensus.Members
	case len(out.Data) == 0:
		out.Kind = consensus.View
	}
	return out
}

func toRaft(e consensus.Entry) *pb.Entry {
	out := &pb.Entry{Term: new(e.View), Index: new(e.Index), Data: e.Data}
	if e.Kind == consensus.Members {
		out.Type = pb.EntryConfChangeV2.Enum()
	}
	return out
}

// cacheBytes is how much of the log's tail stays in memory, for peers that are a little behind.
const cacheBytes = 16 << 20

// storage is the stable log as the library sees it: the durable log, with its tail in memory.
type storage struct {
	log  Log
	last uint64
	hard *pb.HardState
	conf *pb.ConfState

	tail  []*pb.Entry // the last entries, contiguous up to last
	bytes int
}

func (s *storage) append(entries []consensus.Entry) {
	if len(entries) == 0 {
		return
	}
	first := entries[0].Index
	for n := len(s.tail); n > 0 && s.tail[n-1].GetIndex() >= first; n-- {
		s.bytes -= len(s.tail[n-1].GetData())
		s.tail[n-1] = nil
		s.tail = s.tail[:n-1]
	}
	for _, e := range entries {
		s.tail = append(s.tail, toRaft(e))
		s.bytes += len(e.Data)
	}
	s.last = entries[len(entries)-1].Index
	n := 0
	for s.bytes > cacheBytes && n < len(s.tail)-1 {
		s.bytes -= len(s.tail[n].GetData())
		s.tail[n] = nil
		n++
	}
	s.tail = s.tail[n:]
}

func (s *storage) view(index uint64) (uint64, bool) {
	if index == 0 {
		return 0, true
	}
	if n := uint64(len(s.tail)); n > 0 && index > s.last-n && index <= s.last {
		return s.tail[index-(s.last-n)-1].GetTerm(), true
	}
	return s.log.ViewOf(index)
}

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) { return s.hard, s.conf, nil }

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if hi > s.last+1 || lo > hi {
		return nil, raft.ErrUnavailable
	}
	first := s.last + 1 - uint64(len(s.tail))
	if lo >= first {
		var size uint64
		in := s.tail[lo-first : hi-first]
		for i, e := range in {
			if size += uint64(len(e.GetData())); size > maxSize && i > 0 {
				in = in[:i]
				break
			}
		}
		return append([]*pb.Entry(nil), in...), nil
	}
	read, err := s.log.Read(lo, min(hi, first), int(min(maxSize, math.MaxInt32)))
	if err != nil {
		return nil, err
	}
	out := make([]*pb.Entry, len(read))
	for i, e := range read {
		out[i] = toRaft(e)
	}
	return out, nil
}

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) {
	if v, ok := s.view(i); ok {
		return v, nil
	}
	return 0, raft.ErrUnavailable
}

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return s.last, nil }

// FirstIndex implements raft.Storage: the whole log is there.
func (s *storage) FirstIndex() (uint64, error) { return 1, nil }

// Snapshot implements raft.Storage. Logs are never compacted, so it is not needed.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

// quiet drops the library's messages: what matters is in the machine's state. The library panics
// through it where an invariant is broken.
type quiet struct{}

func (quiet) Debug(...any)            {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Info(...any)             {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warning(...any)          {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Error(...any)            {}
func (quiet) Errorf(string, ...any)   {}

func (quiet) Fatal(v ...any)            { panic("raft: " + fmt.Sprint(v...)) }
func (quiet) Fatalf(f string, v ...any) { panic("raft: " + fmt.Sprintf(f, v...)) }
func (quiet) Panic(v ...any)            { panic("raft: " + fmt.Sprint(v...)) }
func (quiet) Panicf(f string, v ...any) { panic("raft: " + fmt.Sprintf(f, v...)) }
