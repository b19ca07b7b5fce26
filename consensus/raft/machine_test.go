package raft_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/cockroachdb/datadriven"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
)

// memory is a durable log.
type memory struct{ entries []consensus.Entry }

func (m *memory) ViewOf(index uint64) (uint64, bool) {
	if index == 0 || index > uint64(len(m.entries)) {
		return 0, false
	}
	return m.entries[index-1].View, true
}

func (m *memory) Read(from, to uint64, maxBytes int) ([]consensus.Entry, error) {
	out, size := m.entries[from-1:to-1], 0
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
		m.entries = append(m.entries[:e.Index-1], e)
	}
}

// script plays a network of machines: every effect is asked for by name.
type script struct {
	t        *testing.T
	machines map[consensus.ID]*raft.Machine
	logs     map[consensus.ID]*memory
	appends  map[consensus.ID][]*raft.Append
	wire     []wired
	out      strings.Builder
}

type wired struct {
	from, to consensus.ID
	data     []byte
}

func (s *script) ids() []consensus.ID {
	var out []consensus.ID
	for id := range s.machines {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// drain takes a machine's outputs: messages wait on the wire, appends wait for sync.
func (s *script) drain(id consensus.ID) {
	m := s.machines[id]
	before := m.State()
	for {
		out, ok, err := m.Ready()
		if err != nil {
			s.t.Fatal(err)
		}
		if !ok {
			break
		}
		for _, msg := range out.Messages {
			s.wire = append(s.wire, wired{id, msg.To, msg.Data})
		}
		if out.Append != nil {
			s.appends[id] = append(s.appends[id], out.Append)
		}
		for _, e := range out.Committed {
			fmt.Fprintf(&s.out, "%d commits %d/%d %s\n", id, e.View, e.Index, content(e))
		}
		if changed, err := m.Apply(out); err != nil {
			s.t.Fatal(err)
		} else if changed {
			fmt.Fprintf(&s.out, "%d members %+v\n", id, m.Membership())
		}
	}
	if after := m.State(); after != before {
		fmt.Fprintf(&s.out, "%d is %s in view %d, leader %d\n", id, after.Role, after.View, after.Leader)
	}
}

func content(e consensus.Entry) string {
	switch e.Kind {
	case consensus.View:
		return "(view)"
	case consensus.Members:
		return "(members)"
	}
	return string(e.Data)
}

func (s *script) sync(id consensus.ID) {
	appends := s.appends[id]
	s.appends[id] = nil
	for _, a := range appends {
		s.logs[id].write(a.Entries)
		if err := s.machines[id].Appended(a); err != nil {
			s.t.Fatal(err)
		}
	}
	s.drain(id)
}

// deliver delivers what waits on the wire now, but for messages from or to those that are cut off.
func (s *script) deliver(cut []consensus.ID) bool {
	wire := s.wire
	s.wire = nil
	for _, w := range wire {
		if slices.Contains(cut, w.from) || slices.Contains(cut, w.to) || s.machines[w.to] == nil {
			continue
		}
		if err := s.machines[w.to].Step(w.from, w.data); err != nil {
			s.t.Fatal(err)
		}
		s.drain(w.to)
	}
	return len(wire) > 0
}

func (s *script) stabilize(cut []consensus.ID) {
	for range 1000 {
		busy := s.deliver(cut)
		for _, id := range s.ids() {
			if len(s.appends[id]) > 0 {
				busy = true
				s.sync(id)
			}
		}
		if !busy {
			return
		}
	}
	s.t.Fatal("the network does not come to rest")
}

func (s *script) run(d *datadriven.TestData) string {
	s.out.Reset()
	var id uint64
	var cut []uint64
	d.MaybeScanArgs(s.t, "id", &id)
	d.MaybeScanArgs(s.t, "cut", &cut)
	self := consensus.ID(id)
	switch d.Cmd {
	case "start": // start id=N voters=(…) [from=M: with a copy of M's log] [recover]
		var voters []uint64
		var from uint64
		d.ScanArgs(s.t, "voters", &voters)
		d.MaybeScanArgs(s.t, "from", &from)
		log := &memory{}
		if from != 0 {
			log.entries = slices.Clone(s.logs[consensus.ID(from)].entries)
		}
		last := uint64(len(log.entries))
		cfg := raft.Config{Self: self, Voters: toIDs(voters), Log: log, Last: last, ElectionTicks: 10, HeartbeatTicks: 1}
		if d.HasArg("recover") {
			cfg.Commit, cfg.Fixed = last, last
		}
		m, err := raft.New(cfg)
		if err != nil {
			return err.Error()
		}
		s.machines[self], s.logs[self] = m, log
		s.drain(self)
	case "crash":
		delete(s.machines, self)
		delete(s.appends, self)
	case "campaign":
		if err := s.machines[self].Campaign(); err != nil {
			return err.Error()
		}
		s.drain(self)
	case "tick":
		var n int
		d.ScanArgs(s.t, "n", &n)
		for range n {
			s.machines[self].Tick()
			s.drain(self)
		}
	case "propose":
		view, index, ok := s.machines[self].Next()
		fmt.Fprintf(&s.out, "slot %d/%d %v\n", view, index, ok)
		if err := s.machines[self].Propose(view, index, []byte(d.Input)); err != nil {
			fmt.Fprintf(&s.out, "refused: %v\n", errors.Is(err, coco.ErrNotCommitted))
		}
		s.drain(self)
	case "change":
		var add, learn, remove []uint64
		d.MaybeScanArgs(s.t, "add", &add)
		d.MaybeScanArgs(s.t, "learn", &learn)
		d.MaybeScanArgs(s.t, "remove", &remove)
		index, err := s.machines[self].ProposeChange(raft.Change{AddVoter: toIDs(add), AddLearner: toIDs(learn), Remove: toIDs(remove), Leave: d.HasArg("leave")})
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&s.out, "at %d\n", index)
		s.drain(self)
	case "gone":
		return fmt.Sprint(s.machines[self].Gone(1))
	case "sync":
		s.sync(self)
	case "deliver":
		s.deliver(toIDs(cut))
	case "stabilize":
		s.stabilize(toIDs(cut))
	case "logs":
		for _, id := range s.ids() {
			fmt.Fprintf(&s.out, "%d:", id)
			for _, e := range s.logs[id].entries {
				fmt.Fprintf(&s.out, " %d/%d=%s", e.View, e.Index, content(e))
			}
			s.out.WriteByte('\n')
		}
	default:
		s.t.Fatalf("unknown command %q", d.Cmd)
	}
	if s.out.Len() == 0 {
		return "ok"
	}
	return s.out.String()
}

func toIDs(in []uint64) (out []consensus.ID) {
	for _, v := range in {
		out = append(out, consensus.ID(v))
	}
	return out
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		cryptotest.SetGlobalRandom(t, 1) // the library draws its election timeouts from crypto/rand
		s := &script{t: t, machines: map[consensus.ID]*raft.Machine{}, logs: map[consensus.ID]*memory{}, appends: map[consensus.ID][]*raft.Append{}}
		datadriven.RunTest(t, path, func(_ *testing.T, d *datadriven.TestData) string { return s.run(d) })
	})
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
