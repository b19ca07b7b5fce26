package replica

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/consensus/reconfig"
	"github.com/cocoframework/coco/pulse"
)

// rolling is a network whose nodes are loops that are moved on by ticks: disks and executors are done at once, messages take a tick. Older nodes neither send
// beats nor know them.
type rolling struct {
	t      *testing.T
	clock  *manual
	nodes  map[consensus.ID]*loop
	logs   map[consensus.ID]*memoryLog
	older  map[consensus.ID]bool
	cut    map[consensus.ID]bool // they reach nobody
	frozen map[consensus.ID]bool // they do nothing: what is sent to them waits
	sent   []message

	ticked  int
	permits map[consensus.ID]*permit
	heads   map[consensus.ID]uint64 // times of the last batches that are applied
	// seals returns the batch for a permit, every fourth tick; nil while nobody writes.
	seals func(consensus.ID, *permit) consensus.Entry
}

// message is on its way to a node.
type message struct {
	to consensus.ID
	do func(*loop)
}

// memoryLog is a ledger in memory.
type memoryLog struct{ entries []consensus.Entry }

func (m *memoryLog) ViewOf(index uint64) (uint64, bool) {
	if index == 0 || index > uint64(len(m.entries)) {
		return 0, false
	}
	return m.entries[index-1].View, true
}

func (m *memoryLog) Read(from, to uint64, _ int) ([]consensus.Entry, error) {
	return slices.Clone(m.entries[from-1 : to-1]), nil
}

func (m *memoryLog) append(entries []consensus.Entry) {
	for _, e := range entries {
		m.entries = append(m.entries[:e.Index-1], e)
	}
}

// wires is one node's Network.
type wires struct {
	*rolling
	self consensus.ID
}

func (w wires) Connected(consensus.ID) bool { return true }
func (w wires) SendBehind(consensus.ID)     {}

func (w wires) SendConsensus(m consensus.Message) {
	w.send(m.To, func(l *loop) { l.step(received{w.self, m.Data}) })
}

func (w wires) SendBeat(to consensus.ID, b pulse.Beat) {
	if !w.older[w.self] && !w.older[to] {
		w.send(to, func(l *loop) { l.hear(w.self, b) })
	}
}

func (w wires) send(to consensus.ID, do func(*loop)) {
	if !w.cut[w.self] && !w.cut[to] {
		w.sent = append(w.sent, message{to, do})
	}
}

func newRolling(t *testing.T, members int, older ...consensus.ID) *rolling {
	t.Helper()
	n := &rolling{
		t: t, clock: &manual{}, nodes: map[consensus.ID]*loop{}, logs: map[consensus.ID]*memoryLog{},
		older: map[consensus.ID]bool{}, cut: map[consensus.ID]bool{}, frozen: map[consensus.ID]bool{}, permits: map[consensus.ID]*permit{}, heads: map[consensus.ID]uint64{},
	}
	var voters ids
	for i := range members {
		voters = append(voters, consensus.ID(i+1))
	}
	for _, id := range older {
		n.older[id] = true
	}
	for _, id := range voters {
		log := &memoryLog{}
		machine, err := raft.New(raft.Config{
			Self: id, Voters: voters, Log: log, ElectionTicks: electionTicks, HeartbeatTicks: heartbeatTicks,
			Accept: func(view uint64, e consensus.Entry) error { return n.nodes[id].accept(view, e) },
		})
		if err != nil {
			t.Fatal(err)
		}
		n.logs[id] = log
		n.nodes[id] = &loop{
			log: slog.New(slog.DiscardHandler), clock: n.clock, machine: machine, inbox: newMailbox[event](), exec: newMailbox[task](), disk: newMailbox[*raft.Append](),
			network: wires{n, id}, progress: newProgress(), status: newStatus(), members: reconfig.New(id, electionTicks), pulse: newHeart(id),
		}
	}
	n.check(n.nodes[1].machine.Campaign())
	n.ticks(3 * electionTicks)
	return n
}

func (n *rolling) check(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// ticks lets time pass.
func (n *rolling) ticks(count int) {
	n.t.Helper()
	for range count {
		n.clock.now += Tick
		n.ticked++
		for _, id := range n.awake() {
			n.nodes[id].tick()
		}
		for range 8 { // what answers come to is done within the tick
			sent := n.sent
			n.sent = nil
			for _, m := range sent {
				if n.frozen[m.to] {
					n.sent = append(n.sent, m)
				} else {
					m.do(n.nodes[m.to])
				}
			}
			for _, id := range n.awake() {
				n.work(id, n.nodes[id])
			}
		}
	}
}

// awake returns the nodes that are not frozen, in order.
func (n *rolling) awake() (out ids) {
	for i := range len(n.nodes) {
		if id := consensus.ID(i + 1); !n.frozen[id] {
			out = append(out, id)
		}
	}
	return out
}

// work does what a node's loop, disk and executor have to do.
func (n *rolling) work(id consensus.ID, l *loop) {
	n.t.Helper()
	for range 4 {
		n.check(l.receive())
		n.check(l.pump(n.t.Context()))
		for _, a := range l.disk.receive() {
			n.logs[id].append(a.Entries)
			l.inbox.put(event{appended: []*raft.Append{a}})
		}
		for _, t := range l.exec.receive() {
			switch {
			case t.commit != nil:
				last := t.commit.entries[len(t.commit.entries)-1].Index
				l.progress.applied.Store(last)
				for _, e := range t.commit.entries {
					n.heads[id] = max(n.heads[id], timeOf(e))
				}
				t.commit.time = n.heads[id]
				l.inbox.put(event{applied: t.commit})
			case t.permit != nil:
				n.permits[id] = t.permit
			case t.revoke && n.permits[id] != nil:
				n.giveBack(id, nil)
			}
		}
		if p := n.permits[id]; p != nil && n.seals != nil && n.ticked%4 == 0 {
			e := n.seals(id, p)
			n.giveBack(id, &e)
		}
	}
}

// giveBack gives a permit back, with a batch or without.
func (n *rolling) giveBack(id consensus.ID, e *consensus.Entry) {
	delete(n.permits, id)
	n.nodes[id].inbox.put(event{sealed: &sealedEvent{e}})
}

// leader returns the node that leads the latest view.
func (n *rolling) leader() (leads consensus.ID, view uint64) {
	for id, l := range n.nodes {
		if s := l.machine.State(); s.Role == consensus.Leader && s.View > view {
			leads, view = id, s.View
		}
	}
	return leads, view
}

// read begins a linearizable read of a node.
func (n *rolling) read(at consensus.ID) (done chan struct{}) {
	done = make(chan struct{})
	l := n.nodes[at]
	if l.pulse.readers.Await(context.Background(), done) {
		l.ask()
	}
	return done
}

func over(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// While a network is upgraded node by node, some nodes send no beats. The newer ones answer linearizable reads all the same, and know how old their state is.
func TestReadsAreLinearizableBesideNodesThatSendNoBeats(t *testing.T) {
	for _, older := range []ids{nil, {1}, {2}, {1, 2}, {2, 3}} {
		t.Run(fmt.Sprint("older nodes ", older), func(t *testing.T) {
			n := newRolling(t, 3, older...)
			if leads, _ := n.leader(); leads != 1 {
				t.Fatalf("node %d leads", leads)
			}
			for id := range n.nodes {
				if n.older[id] {
					continue
				}
				done := n.read(id)
				n.ticks(4)
				if !over(done) {
					t.Errorf("node %d has not answered after %v", id, 4*Tick)
				}
				if age := n.clock.now - time.Duration(n.nodes[id].progress.fresh.Load()); age > 2*pulse.Every {
					t.Errorf("node %d calls its state %v old", id, age)
				}
			}
		})
	}
}

// A node that the others go on without answers no linearizable read, whichever of them send beats.
func TestNoReadIsLetGoByAPartThatTheOthersGoOnWithout(t *testing.T) {
	for _, older := range []ids{nil, {1}, {2}, {3}, {2, 3}, {1, 3}, {1, 2}} {
		for cut := consensus.ID(1); cut <= 3; cut++ {
			n := newRolling(t, 3, older...)
			if n.older[cut] {
				continue
			}
			n.cut[cut] = true
			done := n.read(cut) // the round's messages are lost, and those of all later ones
			n.ticks(4 * electionTicks)
			if leads, view := n.leader(); leads == cut || cut == 1 && view < 2 {
				t.Fatalf("without node %d, node %d leads view %d", cut, leads, view)
			}
			if over(done) {
				t.Errorf("older nodes %v: node %d, which is cut off, answers", older, cut)
			}
			if age := n.clock.now - time.Duration(n.nodes[cut].progress.fresh.Load()); age < 3*electionTicks*Tick {
				t.Errorf("older nodes %v: node %d, which is cut off, calls its state %v old", older, cut, age)
			}
			n.cut[cut] = false
			n.ticks(2 * electionTicks)
			if !over(done) {
				t.Errorf("older nodes %v: node %d does not answer together with the others", older, cut)
			}
		}
	}
}
