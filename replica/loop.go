package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/signal"
)

// One tick of consensus. A follower that hears nothing for electionTicks to twice that stands for
// election; a leader that hears of no majority for as long steps down.
const (
	Tick           = 50 * time.Millisecond
	electionTicks  = 20
	heartbeatTicks = 2
)

// maxInFlight is how many sealed batches may wait for their commit. Execution pauses beyond it,
// the queue fills, and the next batch is larger: that is all of group commit.
const maxInFlight = 2

// event is what others tell the loop. One field is set.
type event struct {
	appended    []*raft.Append
	applied     *commitTask
	sealed      *sealedEvent
	unreachable consensus.ID
	nodes       []coco.NodeID // the nodes that the constitution trusts, after a change
	do          func(*loop)   // run on the loop's goroutine
}

// sealedEvent gives a permit back, with the batch that was sealed under it, if any.
type sealedEvent struct{ entry *consensus.Entry }

// received is a consensus message from an authenticated peer.
type received struct {
	from consensus.ID
	data []byte
}

// loop is the one goroutine that touches consensus. It decides who may execute: a permit for one
// slot of the log at a time, given only while this node leads, everything before its own term is
// applied, no change of members is to be made, and not too much is in flight.
type loop struct {
	log     *slog.Logger
	clock   host.Clock
	self    consensus.ID
	machine *raft.Machine
	inbox   *mailbox[event]
	recv    chan received
	exec    *mailbox[task]
	disk    *mailbox[*raft.Append]
	network Network
	known   *atomic.Uint64
	state   atomic.Pointer[consensus.State]
	members atomic.Pointer[consensus.Membership] // as of the last applied change
	changed *signal.Signal                       // wakes those who wait for another state

	applied   uint64 // by the executor
	ticks     int
	leading   uint64 // the view that this node leads, 0 if none
	termStart uint64 // index of its first entry, 0 until appended
	between   []consensus.Entry
	permit    *permit  // that is out, nil if none is
	inFlight  []uint64 // indexes of sealed batches not known to be committed
	trusted   []coco.NodeID
	writing   int                // appends that the writer has not confirmed
	wrote     time.Duration      // when it confirmed the last one, or got the first one, by Clock.Elapsed
	change    uint64             // index of a change of members that is not applied yet
	forced    func() raft.Change // by a recovery: before anything else
	leaving   bool               // another node is to lead
	sparing   int                // retirements that are not committed yet
	hangUp    int                // ticks until those who left consensus are hung up on; 0 if none did
}

func (l *loop) run(ctx context.Context) error {
	tick := l.clock.NewTicker(Tick)
	defer tick.Stop()
	l.noteMembers()
	for {
		if err := l.pump(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
			l.machine.Tick()
			l.follow(l.machine.State())
			l.tellBehind()
			l.revokeSlow()
			if l.hangUp--; l.hangUp == 0 {
				l.exec.put(task{do: func(x *executor) { x.hooks.MembersChanged(x.chain.applied.Seqno) }})
			}
			l.hangUp = max(0, l.hangUp)
		case m := <-l.recv:
			l.step(m)
			for range len(l.recv) {
				l.step(<-l.recv)
			}
		case <-l.inbox.ready:
			for _, e := range l.inbox.take() {
				if err := l.handle(e); err != nil {
					return err
				}
			}
		}
	}
}

// tellBehind tells nodes that this leader cannot bring up to date, because its ledger begins later, to join again.
func (l *loop) tellBehind() {
	if l.ticks++; l.ticks%electionTicks != 0 || l.leading == 0 {
		return
	}
	for _, id := range l.machine.Behind() {
		l.network.SendBehind(id)
	}
}

func (l *loop) step(m received) {
	if err := l.machine.Step(m.from, m.data); err != nil {
		l.log.Warn("message from a peer refused", "error", err)
	}
}

func (l *loop) handle(e event) error {
	switch {
	case e.appended != nil:
		l.writing -= len(e.appended)
		l.wrote = l.clock.Elapsed()
		for _, a := range e.appended {
			if err := l.machine.Appended(a); err != nil {
				return err
			}
		}
	case e.applied != nil:
		return l.handleApplied(e.applied)
	case e.sealed != nil:
		l.permit.end()
		l.permit = nil
		if e.sealed.entry == nil {
			return nil
		}
		if err := l.drainMachine(); err != nil { // Propose wants to know the log's true end
			return err
		}
		s := e.sealed.entry
		if err := l.machine.Propose(s.View, s.Index, s.Data); err != nil {
			if errors.Is(err, coco.ErrNotCommitted) && s.View != l.leading {
				return nil // another view began; a committed entry will roll the batch back
			}
			return err
		}
		l.between = nil
		l.inFlight = append(l.inFlight, s.Index)
	case e.unreachable != 0:
		l.machine.Unreachable(e.unreachable)
	case e.nodes != nil:
		l.trusted = e.nodes
	case e.do != nil:
		e.do(l)
	}
	return nil
}

func (l *loop) handleApplied(c *commitTask) error {
	out := c.token.(raft.Output)
	if n := len(c.entries); n > 0 {
		l.applied = c.entries[n-1].Index
	}
	changed, err := l.machine.Apply(out)
	if err != nil {
		return err
	}
	if changed {
		m := l.noteMembers()
		l.hangUp = electionTicks // until then they hear that they have left
		l.log.Info("consensus members changed", "voters", len(m.Voters), "learners", len(m.Learners), "joint", len(m.Outgoing) > 0)
	}
	if l.change != 0 && l.applied >= l.change {
		l.change = 0
	}
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
			l.note(out.Append.Entries)
			if l.writing == 0 {
				l.wrote = l.clock.Elapsed()
			}
			l.writing++
			l.disk.put(out.Append)
		}
		for _, m := range out.Messages {
			l.network.SendConsensus(m)
		}
		l.known.Store(l.machine.Commit())
		if len(out.Committed) > 0 {
			l.exec.put(task{commit: &commitTask{entries: out.Committed, token: out}})
		}
	}
}

// follow takes note of the leader.
func (l *loop) follow(s consensus.State) {
	old := l.state.Load()
	if *old == s {
		return
	}
	l.state.Store(&s)
	l.changed.Fire()
	if l.leading != 0 && (s.Role != consensus.Leader || s.View != l.leading) {
		l.log.Info("leadership lost", logevent.LeadershipLost.Attr(), "view", l.leading, "now", s.View)
		l.leading, l.termStart, l.between, l.inFlight, l.change = 0, 0, nil, nil, 0
		l.revoke()
		l.exec.put(task{flush: true})
	}
	if s.Role == consensus.Leader && l.leading == 0 {
		l.log.Info("leading", logevent.Leading.Attr(), "view", s.View)
		l.leading = s.View
	}
}

// note remembers the entries of this node's view that carry no transactions: the next batch
// follows them.
func (l *loop) note(entries []consensus.Entry) {
	for _, e := range entries {
		if l.leading == 0 || e.View != l.leading || e.Kind == consensus.Batch {
			continue
		}
		if l.termStart == 0 {
			l.termStart = e.Index
		}
		l.between = append(l.between, e)
	}
}

// lead does a leader's part: changes of members first, then a permit. It reports whether
// consensus has new work.
func (l *loop) lead(ctx context.Context) (again bool, err error) {
	view, next, ok := l.machine.Next()
	if !ok || view != l.leading || l.termStart == 0 || l.applied < l.termStart {
		return false, nil
	}
	l.inFlight = slices.DeleteFunc(l.inFlight, func(i uint64) bool { return i <= l.applied })
	if l.diskHangs() {
		l.handOver("this node's disk does not answer")
		return false, nil
	}
	if l.leaving && l.handOver("this node leaves") || l.outcast() && l.handOver("the network does not trust this node any more") {
		return false, nil
	}
	if c, want := l.wantedChange(); want {
		if l.permit != nil {
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
		l.change, l.forced = index, nil
		return true, nil
	}
	if l.permit == nil && len(l.inFlight) < maxInFlight {
		l.permit = newPermit(ctx, view, next, l.between)
		l.exec.put(task{permit: l.permit})
	}
	return false, nil
}

// revoke asks for the permit back, and ends the context of an Execute that is under way.
func (l *loop) revoke() {
	if l.permit != nil {
		l.permit.end()
	}
	l.exec.put(task{revoke: true})
}

// revokeSlow asks for the permit of an Execute that takes too long back. The batch ends there, and what waits
// goes into the next one.
func (l *loop) revokeSlow() {
	if l.permit != nil && l.permit.slow(l.clock.Elapsed()) {
		l.log.Warn("a ledger takes too long to execute calls: its batch ends here", "limit", executePatience)
		l.revoke()
	}
}

// DiskPatience is how long a leader waits for its own disk before it lets another one lead.
const DiskPatience = 2 * electionTicks * Tick

// diskHangs reports that the leader's disk has not confirmed a write for too long: the others wait
// for nothing but it.
func (l *loop) diskHangs() bool {
	return l.writing > 0 && l.clock.Elapsed()-l.wrote > DiskPatience
}

// handOver transfers leadership to the voter that has come farthest, once no permit is out: a
// slot that a permit names must not be given twice in one view. It reports whether there is one.
func (l *loop) handOver(why string) bool {
	var best consensus.Progress
	l.machine.Progress(func(p consensus.Progress) {
		if p.Voter && p.Active && p.ID != l.self && p.Match >= best.Match && l.network.Connected(p.ID) {
			best = p
		}
	})
	switch {
	case best.ID == 0:
		return false
	case l.permit != nil:
		l.revoke()
	default:
		l.log.Warn("handing over leadership", "because", why)
		l.machine.Transfer(best.ID)
	}
	return true
}
