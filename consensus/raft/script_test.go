package raft_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/cockroachdb/datadriven"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
)

// script plays a network of machines: every effect is asked for by name. Whatever the script says,
// no two machines commit different entries, and none sends a snapshot.
type script struct {
	t         *testing.T
	machines  map[consensus.ID]*raft.Machine
	logs      map[consensus.ID]*memory
	appends   map[consensus.ID][]*raft.Append
	recovered map[consensus.ID]bool
	stalled   map[consensus.ID]bool // what they commit is not applied
	committed map[uint64]consensus.Entry
	wire      []wired
	held      []wired // by the network, until it is told to release them
	out       strings.Builder
}

type wired struct {
	from, to consensus.ID
	data     []byte
}

func (w wired) message(t *testing.T) *pb.Message {
	m := new(pb.Message)
	if err := proto.Unmarshal(w.data, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		cryptotest.SetGlobalRandom(t, 1) // the library draws its election timeouts from crypto/rand
		s := &script{
			t: t, machines: map[consensus.ID]*raft.Machine{}, logs: map[consensus.ID]*memory{},
			appends: map[consensus.ID][]*raft.Append{}, recovered: map[consensus.ID]bool{}, stalled: map[consensus.ID]bool{}, committed: map[uint64]consensus.Entry{},
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			return s.run(d)
		})
	})
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
			fmt.Fprintf(&s.out, "%d is over: %v\n", id, err)
			delete(s.machines, id)
			return
		}
		if !ok {
			break
		}
		for _, msg := range out.Messages {
			w := wired{id, msg.To, msg.Data}
			if w.message(s.t).GetType() == pb.MsgSnap {
				s.t.Fatalf("%d sends a snapshot", id)
			}
			s.wire = append(s.wire, w)
		}
		if out.Append != nil {
			s.appends[id] = append(s.appends[id], out.Append)
		}
		s.apply(id, out)
	}
	if after := m.State(); after != before {
		fmt.Fprintf(&s.out, "%d is %s in view %d, leader %d\n", id, after.Role, after.View, after.Leader)
	}
}

func (s *script) apply(id consensus.ID, out raft.Output) {
	m := s.machines[id]
	if s.stalled[id] {
		return
	}
	for _, e := range out.Committed {
		fmt.Fprintf(&s.out, "%d commits %d/%d %s\n", id, e.View, e.Index, content(e))
		if was, ok := s.committed[e.Index]; ok && !reflect.DeepEqual(was, e) {
			s.t.Errorf("%d commits %d/%d %s, but another one has committed %d/%d %s", id, e.View, e.Index, content(e), was.View, was.Index, content(was))
		}
		s.committed[e.Index] = e
	}
	changed, err := m.Apply(out)
	if err != nil {
		s.t.Fatal(err)
	}
	if changed {
		fmt.Fprintf(&s.out, "%d members %+v\n", id, m.Membership())
	}
	if n := len(out.Committed); n > 0 && !s.recovered[id] {
		if at, ok := m.MembershipAt(out.Committed[n-1].Index); !ok || !reflect.DeepEqual(at, m.Membership()) {
			s.t.Errorf("%d has members %+v, but its log says %+v (%v)", id, m.Membership(), at, ok)
		}
	}
}

func content(e consensus.Entry) string {
	switch e.Kind {
	case consensus.View:
		return "(view)"
	case consensus.Members:
		return "(members)"
	}
	if len(e.Data) > 100 {
		return fmt.Sprintf("(%d bytes)", len(e.Data))
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

// step delivers a message. A machine that refuses it says why in Ready.
func (s *script) step(w wired) {
	err := s.machines[w.to].Step(w.from, w.data)
	s.drain(w.to)
	if err != nil && s.machines[w.to] != nil {
		s.t.Fatalf("%s refused: %v", describe(w.message(s.t)), err)
	}
}

// deliver delivers what waits on the wire now, but for messages from or to those that are cut off.
func (s *script) deliver(cut []consensus.ID) bool {
	wire := s.wire
	s.wire = nil
	for _, w := range wire {
		if slices.Contains(cut, w.from) || slices.Contains(cut, w.to) || s.machines[w.to] == nil {
			continue
		}
		s.step(w)
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

// pick takes the messages of some senders, receivers or types off the wire. With keep, copies
// stay there: the network duplicates them, or has delayed them.
func (s *script) pick(d *datadriven.TestData, keep bool) (picked []wired) {
	var from, to []uint64
	var kind string
	var n int
	d.MaybeScanArgs(s.t, "from", &from)
	d.MaybeScanArgs(s.t, "to", &to)
	d.MaybeScanArgs(s.t, "type", &kind)
	d.MaybeScanArgs(s.t, "n", &n)
	var rest []wired
	for _, w := range s.wire {
		match := (len(from) == 0 || slices.Contains(from, uint64(w.from))) && (len(to) == 0 || slices.Contains(to, uint64(w.to))) &&
			(kind == "" || w.message(s.t).GetType().String() == kind) && (n == 0 || len(picked) < n)
		if match {
			picked = append(picked, w)
		}
		if !match || keep {
			rest = append(rest, w)
		}
	}
	s.wire = rest
	return picked
}

func describe(m *pb.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d->%d %v view %d", m.GetFrom(), m.GetTo(), m.GetType(), m.GetTerm())
	switch m.GetType() {
	case pb.MsgApp:
		fmt.Fprintf(&b, " after %d/%d:", m.GetLogTerm(), m.GetIndex())
		for _, e := range m.GetEntries() {
			fmt.Fprintf(&b, " %d/%d", e.GetTerm(), e.GetIndex())
		}
		fmt.Fprintf(&b, ", committed %d", m.GetCommit())
	case pb.MsgAppResp:
		fmt.Fprintf(&b, " index %d", m.GetIndex())
	case pb.MsgVote, pb.MsgPreVote:
		fmt.Fprintf(&b, " log ends %d/%d", m.GetLogTerm(), m.GetIndex())
	}
	if m.GetReject() {
		b.WriteString(" refused")
	}
	return b.String()
}

// start id=N voters=(…) [from=M: with a copy of M's log] [recover]
// … base=(index,view) [learners=(…)] [outgoing=(…)]: begins after a snapshot; [whole]: with all entries of M nevertheless
func (s *script) start(d *datadriven.TestData, self consensus.ID) string {
	var voters, fixed, learners, outgoing, base []uint64
	var from uint64
	d.ScanArgs(s.t, "voters", &voters)
	d.MaybeScanArgs(s.t, "fixed", &fixed)
	d.MaybeScanArgs(s.t, "learners", &learners)
	d.MaybeScanArgs(s.t, "outgoing", &outgoing)
	d.MaybeScanArgs(s.t, "base", &base)
	d.MaybeScanArgs(s.t, "from", &from)
	log := &memory{}
	cfg := raft.Config{Self: self, Voters: toIDs(voters), Log: log, ElectionTicks: 10, HeartbeatTicks: 1}
	if from != 0 {
		*log = *s.logs[consensus.ID(from)]
		log.entries = slices.Clone(log.entries)
	}
	if base != nil {
		cfg.Base, cfg.Voters = raft.Base{Index: base[0], View: base[1]}, nil
		cfg.Members = consensus.Membership{Voters: toIDs(voters), Learners: toIDs(learners), Outgoing: toIDs(outgoing)}
		if d.HasArg("whole") {
			cfg.First = log.before + 1
		} else {
			log.cut(base[0])
		}
	}
	cfg.Last = log.last()
	if d.HasArg("recover") {
		cfg.Commit, cfg.Fixed = cfg.Last, cfg.Last
	}
	if fixed != nil {
		cfg.Voters, cfg.Members.Voters = toIDs(fixed), toIDs(voters)
	}
	m, err := raft.New(cfg)
	if err != nil {
		return err.Error()
	}
	s.machines[self], s.logs[self], s.recovered[self] = m, log, d.HasArg("recover")
	s.drain(self)
	return ""
}

func (s *script) propose(d *datadriven.TestData, self consensus.ID) {
	data := []byte(d.Input)
	var size int
	d.MaybeScanArgs(s.t, "size", &size)
	if size > 0 {
		data = make([]byte, size)
	}
	view, index, ok := s.machines[self].Next()
	fmt.Fprintf(&s.out, "slot %d/%d %v\n", view, index, ok)
	if err := s.machines[self].Propose(view, index, data); err != nil {
		fmt.Fprintf(&s.out, "refused: %v\n", errors.Is(err, coco.ErrNotCommitted))
	}
	s.drain(self)
}

func (s *script) run(d *datadriven.TestData) string {
	s.out.Reset()
	var id, at uint64
	var cut []uint64
	var n int
	d.MaybeScanArgs(s.t, "id", &id)
	d.MaybeScanArgs(s.t, "at", &at)
	d.MaybeScanArgs(s.t, "cut", &cut)
	d.MaybeScanArgs(s.t, "n", &n)
	self := consensus.ID(id)
	switch d.Cmd {
	case "start":
		s.out.WriteString(s.start(d, self))
	case "crash":
		delete(s.machines, self)
		delete(s.appends, self)
	case "campaign":
		if err := s.machines[self].Campaign(); err != nil {
			return err.Error()
		}
		s.drain(self)
	case "tick":
		for range n {
			s.machines[self].Tick()
			s.drain(self)
		}
	case "propose":
		s.propose(d, self)
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
	case "stall": // id applies nothing any more
		s.stalled[self] = true
	case "state":
		st := s.machines[self].State()
		return fmt.Sprintf("%s in view %d, leader %d", st.Role, st.View, st.Leader)
	case "gone":
		return fmt.Sprint(s.machines[self].Gone(1))
	case "behind":
		return fmt.Sprint(s.machines[self].Behind())
	case "members":
		m, ok := s.machines[self].MembershipAt(at)
		return fmt.Sprintf("%+v %v", m, ok)
	case "holds":
		s.logs[self].entries, s.logs[self].before = slices.Concat(s.logs[consensus.ID(at)].entries[:s.logs[self].before], s.logs[self].entries), 0
		s.machines[self].Holds(1)
	case "lose": // the log of id does not return entries up to `at`, which are missing, or damaged
		s.logs[self].lost, s.logs[self].why = at, map[bool]error{false: coco.ErrMissing, true: coco.ErrCorrupt}[d.HasArg("damaged")]
	case "sync":
		s.sync(self)
	case "deliver": // deliver [cut=(…)] | [from=(…)] [to=(…)] [type=…] [n=…] [copy]
		if !slices.ContainsFunc(d.CmdArgs, func(a datadriven.CmdArg) bool { return a.Key != "cut" }) {
			s.deliver(toIDs(cut))
			break
		}
		for _, w := range s.pick(d, d.HasArg("copy")) {
			s.step(w)
		}
	case "drop":
		fmt.Fprintf(&s.out, "%d messages\n", len(s.pick(d, false)))
	case "hold": // hold [from=(…)] [to=(…)] [type=…] [n=…] [copy]
		picked := s.pick(d, d.HasArg("copy"))
		s.held = append(s.held, picked...)
		for _, w := range picked {
			fmt.Fprintln(&s.out, describe(w.message(s.t)))
		}
	case "release":
		s.wire, s.held = append(s.held, s.wire...), nil
	case "wire":
		for _, w := range s.wire {
			fmt.Fprintln(&s.out, describe(w.message(s.t)))
		}
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
