package raft_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
)

// memory is a durable log. It holds entries from before+1 on, and does not return those up to lost.
type memory struct {
	before  uint64
	entries []consensus.Entry
	lost    uint64
	why     error
}

func (m *memory) last() uint64 { return m.before + uint64(len(m.entries)) }

func (m *memory) ViewOf(index uint64) (uint64, bool) {
	if index <= max(m.before, m.lost) || index > m.last() {
		return 0, false
	}
	return m.entries[index-m.before-1].View, true
}

func (m *memory) Read(from, to uint64, maxBytes int) ([]consensus.Entry, error) {
	if from <= max(m.before, m.lost) {
		return nil, fmt.Errorf("%w: entry %d", m.why, from)
	}
	out, size := m.entries[from-m.before-1:to-m.before-1], 0
	for i, e := range out {
		if size += len(e.Data); size > maxBytes && i > 0 {
			out = out[:i]
			break
		}
	}
	return slices.Clone(out), nil
}

func (m *memory) write(entries []consensus.Entry) {
	for _, e := range entries {
		m.entries = append(m.entries[:e.Index-m.before-1], e)
	}
}

// cut drops the entries up to index, as if the log began with a snapshot.
func (m *memory) cut(index uint64) {
	m.entries = slices.Clone(m.entries[min(index-m.before, uint64(len(m.entries))):])
	m.before = index
}

func TestMessagesThatArePretendedAreRefused(t *testing.T) {
	m, err := raft.New(raft.Config{Self: 1, Voters: []consensus.ID{1, 2}, Log: &memory{}, ElectionTicks: 10, HeartbeatTicks: 1})
	if err != nil {
		t.Fatal(err)
	}
	other, err := raft.New(raft.Config{Self: 2, Voters: []consensus.ID{1, 2}, Log: &memory{}, ElectionTicks: 10, HeartbeatTicks: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Campaign(); err != nil {
		t.Fatal(err)
	}
	var messages []consensus.Message
	for {
		out, ok, err := other.Ready()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		messages = append(messages, out.Messages...)
		if out.Append != nil {
			if err := other.Appended(out.Append); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(messages) == 0 {
		t.Fatal("a candidate sends nothing")
	}
	for _, msg := range messages {
		if err := m.Step(3, msg.Data); !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("a message of node 2 on node 3's connection gave %v", err)
		}
		if err := m.Step(2, msg.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Step(2, []byte{0xff}); !errors.Is(err, coco.ErrCorrupt) {
		t.Fatalf("bytes that are no message gave %v", err)
	}
}

func TestAnImpossibleBeginningIsRefused(t *testing.T) {
	members := func(voters ...consensus.ID) consensus.Membership { return consensus.Membership{Voters: voters} }
	good := func() raft.Config {
		return raft.Config{Self: 1, Base: raft.Base{Index: 3, View: 1}, Members: members(1, 2), Log: &memory{before: 3}, Last: 3, ElectionTicks: 10, HeartbeatTicks: 1}
	}
	if _, err := raft.New(good()); err != nil {
		t.Fatal(err)
	}
	log := func() *memory {
		return &memory{entries: []consensus.Entry{{View: 1, Index: 1}, {View: 1, Index: 2}, {View: 2, Index: 3}, {View: 2, Index: 4}}}
	}
	for name, c := range map[string]struct {
		change func(*raft.Config)
		kind   error
	}{
		"no members":                {func(c *raft.Config) { c.Members = members() }, coco.ErrInvalid},
		"voters but not as of base": {func(c *raft.Config) { c.Members, c.Voters = members(), []consensus.ID{1} }, coco.ErrInvalid},
		"no view":                   {func(c *raft.Config) { c.Base.View = 0 }, coco.ErrInvalid},
		"a view before the log":     {func(c *raft.Config) { c.Base.Index = 0 }, coco.ErrInvalid},
		"a gap after the base":      {func(c *raft.Config) { c.First = 5 }, coco.ErrInvalid},
		"a log that ends before":    {func(c *raft.Config) { c.Last = 2 }, coco.ErrInvalid},
		"less is committed":         {func(c *raft.Config) { c.Commit = 2 }, coco.ErrInvalid},
		"more is committed":         {func(c *raft.Config) { c.Commit = 4 }, coco.ErrInvalid},
		"a voter twice":             {func(c *raft.Config) { c.Members = members(1, 2, 1) }, coco.ErrInvalid},
		"a learner that votes":      {func(c *raft.Config) { c.Members.Learners = []consensus.ID{2} }, coco.ErrInvalid},
		"a learner that voted":      {func(c *raft.Config) { c.Members.Learners, c.Members.Outgoing = []consensus.ID{3}, []consensus.ID{3} }, coco.ErrInvalid},
		"nobody votes":              {func(c *raft.Config) { c.Members = members(1, 0) }, coco.ErrInvalid},
		"fixed without members":     {func(c *raft.Config) { c.Fixed = 3 }, coco.ErrInvalid},
		"no last entry":             {func(c *raft.Config) { c.Last = 4 }, coco.ErrCorrupt},
		"another entry in the log":  {func(c *raft.Config) { c.Log, c.Last, c.First = log(), 4, 1 }, coco.ErrCorrupt},
		"a log of older views": {func(c *raft.Config) {
			c.Log, c.Last, c.Base.View = &memory{before: 3, entries: log().entries[3:]}, 4, 9
		}, coco.ErrCorrupt},
	} {
		cfg := good()
		c.change(&cfg)
		if _, err := raft.New(cfg); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
}

// liar gives the entries after those that it is asked for.
type liar struct{ *memory }

func (l liar) Read(from, to uint64, maxBytes int) ([]consensus.Entry, error) {
	entries, err := l.memory.Read(from, to, maxBytes)
	for i := range entries {
		entries[i].Index++
	}
	return entries, err
}

func TestALogThatGivesOtherEntriesEndsTheMachine(t *testing.T) {
	log := &memory{entries: []consensus.Entry{{View: 1, Index: 1, Kind: consensus.Batch, Data: []byte("a")}, {View: 1, Index: 2, Kind: consensus.Batch, Data: []byte("b")}}}
	cfg := raft.Config{Self: 1, Voters: []consensus.ID{1}, Log: liar{log}, Last: 2, Commit: 2, Fixed: 2, ElectionTicks: 10, HeartbeatTicks: 1}
	m, err := raft.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it stays over
		if _, _, err := m.Ready(); !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("entries with other numbers gave %v", err)
		}
		m.Tick()
		if err := m.Campaign(); !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("a machine that is over stands for election: %v", err)
		}
	}
}

// A leader's message with an entry that this node does not take changes nothing, and the same message without it is taken.
func TestAMessageWithAnEntryThatIsNotTakenIsDropped(t *testing.T) {
	refusal := errors.New("not taken")
	log := &memory{}
	m, err := raft.New(raft.Config{
		Self: 1, Voters: []consensus.ID{1, 2, 3}, Log: log, ElectionTicks: 10, HeartbeatTicks: 1,
		Accept: func(_ uint64, e consensus.Entry) error {
			if string(e.Data) == "bad" {
				return refusal
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	send := func(data ...string) error {
		msg := &pb.Message{Type: pb.MsgApp.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(5)), Index: new(uint64(0)), LogTerm: new(uint64(0)), Commit: new(uint64(0))}
		for i, d := range data {
			msg.Entries = append(msg.Entries, &pb.Entry{Term: new(uint64(5)), Index: new(uint64(i + 1)), Data: []byte(d)})
		}
		raw, err := proto.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		return m.Step(2, raw)
	}
	appended := func() (n int) {
		for {
			out, ok, err := m.Ready()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return n
			}
			if out.Append != nil {
				n += len(out.Append.Entries)
				log.write(out.Append.Entries)
				if err := m.Appended(out.Append); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := send("good", "bad"); !errors.Is(err, refusal) {
		t.Errorf("a message with a bad entry: %v", err)
	}
	if n := appended(); n != 0 {
		t.Errorf("%d entries of it are appended", n)
	}
	if err := send("good", "better"); err != nil {
		t.Error(err)
	}
	if n := appended(); n != 2 {
		t.Errorf("%d entries are appended, expected 2", n)
	}
}

// A node whose log ends before what another voter has shown asks nobody for a vote.
func TestALogBelowTheFloorStandsForNoElection(t *testing.T) {
	log := &memory{entries: []consensus.Entry{{View: 1, Index: 1, Kind: consensus.Batch, Data: []byte("a")}, {View: 2, Index: 2, Kind: consensus.Batch, Data: []byte("b")}}}
	for _, c := range []struct {
		floor  raft.Base
		stands bool
	}{{raft.Base{}, true}, {raft.Base{Index: 2, View: 2}, true}, {raft.Base{Index: 9, View: 1}, true}, {raft.Base{Index: 3, View: 2}, false}, {raft.Base{Index: 1, View: 3}, false}} {
		m, err := raft.New(raft.Config{Self: 1, Voters: []consensus.ID{1, 2, 3}, Log: log, Last: 2, View: 7, Floor: c.floor, ElectionTicks: 10, HeartbeatTicks: 1})
		if err != nil {
			t.Fatal(err)
		}
		stands := false
		for range 100 {
			m.Tick()
			for {
				out, ok, err := m.Ready()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				stands = stands || len(out.Messages) > 0
				if out.Append != nil {
					if err := m.Appended(out.Append); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := m.Apply(out); err != nil {
					t.Fatal(err)
				}
			}
		}
		if stands != c.stands {
			t.Errorf("floor %+v: it stands for election: %v", c.floor, stands)
		}
	}
}
