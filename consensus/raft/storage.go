package raft

import (
	"errors"
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
)

// Log is the durable log as the machine reads it. Both functions are called on the machine's
// goroutine, for entries whose append was confirmed with Appended or that were there at the start.
type Log interface {
	// ViewOf returns the view of an entry.
	ViewOf(index uint64) (uint64, bool)
	// Read returns entries from <= index < to, at least one, up to about maxBytes. An error of kind
	// coco.ErrMissing says that they are not on this node for now: peers that need them cannot be
	// served. Any other error ends the machine.
	Read(from, to uint64, maxBytes int) ([]consensus.Entry, error)
}

// cacheBytes is how much of the log's tail stays in memory, for peers that are a little behind.
const cacheBytes = 16 << 20

// storage is the stable log as the library sees it: the durable log, with its tail in memory.
//
// The library asks for entries and views that it needs and panics if they are not there, except
// for those that a peer needs, which it calls compacted. So storage remembers what failed, and
// Machine.guard makes an error of the panic.
type storage struct {
	log   Log
	base  Base
	first uint64 // the first entry, of which the view of the one before is known, too
	last  uint64
	floor Base // see Config.Floor; zero once the log has come as far
	hard  *pb.HardState
	conf  *pb.ConfState

	tail  []*pb.Entry // the last entries, contiguous up to last
	bytes int

	committed uint64 // known to be committed, as of the last Ready
	absent    uint64 // entries up to this one were not there when a peer needed them
	why       error  // the last entry that was not there, cleared before each call into the library
	err       error  // what was written does not come back: the machine is over
}

func newStorage(cfg Config) (*storage, error) {
	if view, ok := cfg.Log.ViewOf(cfg.Base.Index); ok && view != cfg.Base.View {
		return nil, fmt.Errorf("%w: entry %d of the log is of view %d, but of view %d by what the state begins with",
			coco.ErrCorrupt, cfg.Base.Index, view, cfg.Base.View)
	}
	s := &storage{log: cfg.Log, base: cfg.Base, last: cfg.Last, floor: cfg.Floor, committed: cfg.Commit}
	view, ok := s.view(cfg.Last)
	if !ok {
		return nil, fmt.Errorf("%w: log has no entry %d, its own last", coco.ErrCorrupt, cfg.Last)
	}
	if cfg.Last > 0 && view < cfg.Base.View {
		return nil, fmt.Errorf("%w: the log's last entry %d is of view %d, before view %d of entry %d that it begins after",
			coco.ErrCorrupt, cfg.Last, view, cfg.Base.View, cfg.Base.Index)
	}
	s.hard = &pb.HardState{Term: new(max(view, cfg.View)), Commit: new(cfg.Commit)}
	s.holds(cfg.First)
	return s, nil
}

// holds sets the first entry. A peer is sent entries together with the view of the entry before.
func (s *storage) holds(first uint64) {
	if first == 0 {
		first = s.base.Index + 1
	}
	if _, ok := s.view(first - 1); !ok {
		first++
	}
	s.first = first
}

// belowFloor reports whether the log ends before Config.Floor.
func (s *storage) belowFloor() bool {
	if s.floor == (Base{}) {
		return false
	}
	if view, _ := s.view(s.last); view > s.floor.View || view == s.floor.View && s.last >= s.floor.Index {
		s.floor = Base{}
	}
	return s.floor != Base{}
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
	if index == s.base.Index {
		return s.base.View, true
	}
	if n := uint64(len(s.tail)); n > 0 && index > s.last-n && index <= s.last {
		return s.tail[index-(s.last-n)-1].GetTerm(), true
	}
	if index == 0 {
		return 0, true
	}
	return s.log.ViewOf(index)
}

// lack takes note that a peer cannot be sent an entry.
func (s *storage) lack(index uint64, why error) {
	s.why = why
	s.absent = max(s.absent, index)
}

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) { return s.hard, s.conf, nil }

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if hi > s.last+1 || lo > hi {
		return nil, raft.ErrUnavailable
	}
	if lo < s.first || s.err != nil {
		return nil, raft.ErrCompacted
	}
	first := s.last + 1 - uint64(len(s.tail))
	if lo >= first {
		s.absent = min(s.absent, lo-1)
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
	read, err := s.read(lo, min(hi, first), int(min(maxSize, math.MaxInt32)))
	if err != nil {
		if errors.Is(err, coco.ErrMissing) {
			s.lack(lo, err)
		} else {
			s.err = err
		}
		return nil, raft.ErrCompacted
	}
	s.absent = min(s.absent, lo-1) // what was away is back
	out := make([]*pb.Entry, len(read))
	for i, e := range read {
		out[i] = toRaft(e)
	}
	return out, nil
}

// read reads the durable log and checks that it gives what was asked for: the library would take
// other entries for these.
func (s *storage) read(from, to uint64, maxBytes int) ([]consensus.Entry, error) {
	entries, err := s.log.Read(from, to, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("read entry %d of the log: %w", from, err)
	}
	for i, e := range entries {
		if e.Index != from+uint64(i) || e.Index >= to {
			return nil, fmt.Errorf("%w: the log gives entry %d where entry %d was asked for", coco.ErrCorrupt, e.Index, from+uint64(i))
		}
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: the log gives nothing for entry %d, which it holds", coco.ErrCorrupt, from)
	}
	return entries, nil
}

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) {
	if v, ok := s.view(i); ok {
		return v, nil
	}
	if i > s.last {
		return 0, raft.ErrUnavailable
	}
	// An old part of the log may be away; what is not known to be committed never is.
	why := fmt.Errorf("%w: the log does not know entry %d; it holds %d to %d", coco.ErrMissing, i, s.first, s.last)
	if i > s.committed && s.err == nil {
		s.err = fmt.Errorf("%w: the log does not know entry %d, which was written to it; it holds %d to %d", coco.ErrCorrupt, i, s.first, s.last)
	}
	s.lack(i+1, why)
	return 0, raft.ErrCompacted
}

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return s.last, nil }

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return s.first, nil }

// Snapshot implements raft.Storage. Joining nodes fetch snapshots, and none is ever sent: for the
// library there is none, and it leaves alone the peers that would need one (see Behind).
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
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
