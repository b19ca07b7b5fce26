package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/consensus/reconfig"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/signal"
)

// One tick of consensus. A follower that receives nothing from a leader for electionTicks to twice that stands for
// election. A leader that receives nothing from a majority for as long steps down.
const (
	Tick           = 50 * time.Millisecond
	electionTicks  = 20
	heartbeatTicks = 2
)

// event is what other goroutines tell the loop. One field is set.
type event struct {
	appended    []*raft.Append
	applied     *commitTask
	sealed      *sealedEvent
	unreachable consensus.ID
	nodes       []balance.Seat // the nodes that the constitution trusts, after a change
	do          func(*loop)    // run on the loop's goroutine
}

// sealedEvent gives a permit back, with the batch that was sealed under it, if any.
type sealedEvent struct{ entry *consensus.Entry }

// received is a consensus message from an authenticated peer.
type received struct {
	from consensus.ID
	data []byte
}

// loop is the one goroutine that touches consensus. On a leader it makes the changes of members, and gives the executor permits
// when none is to be made. Decisions are in its values: slots, writes and members; the loop carries them out.
type loop struct {
	log      *slog.Logger
	clock    host.Clock
	machine  *raft.Machine
	inbox    *mailbox[event]
	recv     chan received
	exec     *mailbox[task]
	disk     *mailbox[*raft.Append]
	network  Network
	progress *progress
	status   *status

	ticks   int
	slots   slots
	writes  writes
	members reconfig.Plan
	pulse   heart
}

// status is what other goroutines may read of consensus.
type status struct {
	state   atomic.Pointer[consensus.State]
	members atomic.Pointer[consensus.Membership] // as of the last applied change
	changed *signal.Signal                       // fires at each change of state
}

func newStatus() *status {
	s := &status{changed: signal.New()}
	s.state.Store(&consensus.State{})
	s.members.Store(&consensus.Membership{})
	return s
}

// writes is what the writer still has to confirm.
type writes struct {
	open int           // appends that are not confirmed
	at   time.Duration // when the last one was confirmed, or the first one was handed over, by Clock.Elapsed
}

// add notes an append that the writer was given.
func (w *writes) add(elapsed time.Duration) {
	if w.open == 0 {
		w.at = elapsed
	}
	w.open++
}

// confirm notes appends that the writer has confirmed.
func (w *writes) confirm(n int, elapsed time.Duration) {
	w.open -= n
	w.at = elapsed
}

// DiskPatience is how long a leader waits for its own disk before it lets another one lead.
const DiskPatience = 2 * electionTicks * Tick

// hang reports that the disk has not confirmed a write for too long: the other nodes wait for nothing else.
func (w *writes) hang(elapsed time.Duration) bool { return w.open > 0 && elapsed-w.at > DiskPatience }

func (l *loop) run(ctx context.Context) error {
	tick := l.clock.NewTicker(Tick)
	defer tick.Stop()
	l.noteMembers()
	l.round(false)
	for {
		if err := l.pump(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
			l.tick()
		case m := <-l.recv:
			if err := l.stepAll(m); err != nil {
				return err
			}
		case <-l.inbox.ready:
			if err := l.receive(); err != nil {
				return err
			}
		}
	}
}

func (l *loop) tick() {
	l.ticks++
	l.machine.Tick()
	l.follow(l.machine.State())
	l.tellBehind()
	l.beat()
	l.revokeSlow()
	if l.members.Tick() {
		l.exec.put(task{do: func(x *executor) { x.hooks.MembersChanged(x.chain.applied.Seqno) }})
	}
}

// receive handles what other goroutines have put into the inbox.
func (l *loop) receive() error {
	for _, e := range l.inbox.receive() {
		if err := l.handle(e); err != nil {
			return err
		}
	}
	return nil
}

// tellBehind tells nodes that this leader cannot bring up to date, because its ledger begins later, to join again.
func (l *loop) tellBehind() {
	if l.ticks%electionTicks != 0 || l.slots.view == 0 {
		return
	}
	for _, id := range l.machine.Behind() {
		l.network.SendBehind(id)
	}
}

// stepAll hands a message to consensus, and those that wait behind it. Beats are in the inbox before a message that their sender sent
// after them is received, and are heard before it: what a leader knows of the clocks, its followers then know when they judge its batches.
func (l *loop) stepAll(m received) error {
	for more := len(l.recv); ; more-- {
		if err := l.receive(); err != nil {
			return err
		}
		l.step(m)
		if more == 0 {
			return nil
		}
		m = <-l.recv
	}
}

func (l *loop) step(m received) {
	if l.ignores(m.from) {
		return
	}
	if err := l.machine.Step(m.from, m.data); err != nil {
		l.refused(m.from, err)
	}
}

func (l *loop) handle(e event) error {
	switch {
	case e.appended != nil:
		l.writes.confirm(len(e.appended), l.clock.Elapsed())
		for _, a := range e.appended {
			if err := l.machine.Appended(a); err != nil {
				return err
			}
		}
	case e.applied != nil:
		return l.handleApplied(e.applied)
	case e.sealed != nil:
		l.slots.returned()
		if e.sealed.entry != nil {
			return l.propose(e.sealed.entry)
		}
	case e.unreachable != 0:
		l.machine.Unreachable(e.unreachable)
	case e.nodes != nil:
		l.members.Trust(e.nodes)
	case e.do != nil:
		e.do(l)
	}
	return nil
}

// propose hands a sealed batch to consensus.
func (l *loop) propose(e *consensus.Entry) error {
	if err := l.drainMachine(); err != nil { // Propose wants to know the log's true end
		return err
	}
	if err := l.machine.Propose(e.View, e.Index, e.Data); err != nil {
		if errors.Is(err, coco.ErrNotCommitted) && e.View != l.slots.view {
			return nil // another view began; a committed entry will roll the batch back
		}
		return err
	}
	l.slots.proposed(e.Index)
	return nil
}

func (l *loop) handleApplied(c *commitTask) error {
	out := c.token.(raft.Output)
	if n := len(c.entries); n > 0 {
		l.slots.applied = c.entries[n-1].Index
		l.pulse.future.Applied(l.slots.applied, c.time)
	}
	changed, err := l.machine.Apply(out)
	if err != nil {
		return err
	}
	if changed {
		m := l.noteMembers()
		l.progress.clocks.Store(l.pulse.machine.Clocks(m)) // before a batch is sealed among them
		l.members.Changed()
		l.log.Info("consensus members changed", "voters", len(m.Voters), "learners", len(m.Learners), "joint", len(m.Outgoing) > 0)
	}
	l.members.Applied(l.slots.applied)
	l.freshen()
	return nil
}

// pump does everything that consensus asks for, then gives out what may be given out.
func (l *loop) pump(ctx context.Context) error {
	for {
		if err := l.drainMachine(); err != nil {
			return err
		}
		again, err := l.lead(ctx)
		if err != nil || !again {
			return err
		}
	}
}

func (l *loop) drainMachine() error {
	for {
		out, ok, err := l.machine.Ready()
		if err != nil || !ok {
			return err
		}
		l.follow(l.machine.State())
		if out.Append != nil {
			l.slots.appended(out.Append.Entries)
			for _, e := range out.Append.Entries {
				l.pulse.future.Append(e.View, e.Index, timeOf(e))
			}
			l.writes.add(l.clock.Elapsed())
			l.disk.put(out.Append)
		}
		for _, m := range out.Messages {
			l.network.SendConsensus(m)
		}
		l.progress.known.Store(l.machine.Commit())
		l.proven(out.Reads)
		if len(out.Committed) > 0 {
			l.exec.put(task{commit: &commitTask{entries: out.Committed, token: out, held: l.held(out.Committed[len(out.Committed)-1].Index)}})
		}
	}
}

// follow notes a change of the view, the leader or this node's role.
func (l *loop) follow(s consensus.State) {
	old := l.status.state.Load()
	if *old == s {
		return
	}
	l.status.state.Store(&s)
	l.status.changed.Fire()
	if l.slots.view != 0 && (s.Role != consensus.Leader || s.View != l.slots.view) {
		l.log.Info("leadership lost", logevent.LeadershipLost.Attr(), "view", l.slots.view, "now", s.View)
		l.slots.lose()
		l.members.Lose()
		l.revoke()
		l.exec.put(task{flush: true})
	}
	if s.Role == consensus.Leader && l.slots.view == 0 {
		l.log.Info("leading", logevent.Leading.Attr(), "view", s.View)
		l.slots.lead(s.View)
	}
}

// lead does a leader's part: changes of members first, then a permit. It reports whether
// consensus has new work.
func (l *loop) lead(ctx context.Context) (again bool, err error) {
	view, next, ok := l.machine.Next()
	if !ok || !l.slots.open(view) {
		return false, nil
	}
	if l.writes.hang(l.clock.Elapsed()) {
		l.handOver("this node's disk does not answer")
		return false, nil
	}
	if why := l.members.HandOver(); why != "" && l.handOver(why) {
		return false, nil
	}
	if c, want := l.wantedChange(); want {
		if l.slots.permit != nil {
			l.revoke()
			return false, nil
		}
		index, err := l.machine.ProposeChange(c)
		if errors.Is(err, coco.ErrBusy) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("change of members: %w", err)
		}
		l.members.Proposed(index)
		return true, nil
	}
	if p := l.slots.give(ctx, next); p != nil {
		l.exec.put(task{permit: p})
	}
	return false, nil
}

// wantedChange returns the change of members that is to be made now.
func (l *loop) wantedChange() (raft.Change, bool) {
	if l.members.Idle() {
		return raft.Change{}, false
	}
	return l.members.Next(l.group())
}

// revoke asks for the permit back, and ends the context of an Execute that is under way.
func (l *loop) revoke() {
	if l.slots.permit != nil {
		l.slots.permit.end()
	}
	l.exec.put(task{revoke: true})
}

// revokeSlow asks for the permit back if an Execute runs for too long. The batch ends there, and the calls that wait
// go into the next one.
func (l *loop) revokeSlow() {
	if l.slots.permit != nil && l.slots.permit.slow(l.clock.Elapsed()) {
		l.log.Warn("a ledger takes too long to execute calls: its batch ends here", "limit", executePatience)
		l.revoke()
	}
}

// handOver transfers leadership to the voter that has come farthest, once no permit is out: a
// slot that a permit names must not be given twice in one view. It reports whether there is such a voter.
func (l *loop) handOver(why string) bool {
	to := l.members.Successor(l.group())
	switch {
	case to == 0:
		return false
	case l.slots.permit != nil:
		l.revoke()
	default:
		l.log.Warn("handing over leadership", "because", why)
		l.machine.Transfer(to)
	}
	return true
}

// noteMembers publishes the members of consensus.
func (l *loop) noteMembers() consensus.Membership {
	m := l.machine.Membership()
	l.status.members.Store(&m)
	return m
}
