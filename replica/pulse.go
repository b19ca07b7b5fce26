package replica

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/pulse"
)

const (
	// beatTicks is how many ticks pass between two beats.
	beatTicks = int(pulse.Every / Tick)
	// askTicks is after how many ticks a round is begun again that clients wait for.
	askTicks = 10
	// latestPatience is how long a linearizable read waits for a quorum.
	latestPatience = 5 * time.Second
)

// heart is what a replica exchanges with the others about time and freshness; the loop's.
type heart struct {
	machine *pulse.Machine
	readers pulse.Readers
	future  future
}

func newHeart(self consensus.ID) heart {
	m := pulse.New(self)
	return heart{machine: m, readers: pulse.Readers{Machine: m, Again: askTicks}}
}

// Hear receives a beat of an authenticated node. Those of one node MUST come in order.
func (r *Replica) Hear(from consensus.ID, b pulse.Beat) {
	r.loop.inbox.put(event{do: func(l *loop) { l.hear(from, b) }})
}

// Reach says that a connection to a node was made: it is sent a beat before anything else that waits for consensus.
func (r *Replica) Reach(id consensus.ID) {
	r.loop.inbox.put(event{do: func(l *loop) { l.sendBeat(id, false) }})
}

// ClockLag returns by how much the ledger's time is behind this machine's clock; negative if it is ahead.
func (r *Replica) ClockLag() time.Duration { return time.Duration(r.progress.lag.Load()) }

// Now returns the ledger's time: what a batch would get that was sealed now. It follows the state by a second.
func (r *Replica) Now() time.Time { return r.cfg.Clock.Now().Add(-r.ClockLag()) }

// Age returns how old the state that this node shows may be: the time since a moment at which it held all that was committed, as a
// quorum has confirmed. Without such a moment it is the time since this node began. The time is counted by this node's host.
func (r *Replica) Age() time.Duration {
	return max(0, r.cfg.Clock.Elapsed()-time.Duration(r.progress.fresh.Load()))
}

// Latest returns once this node has applied all that was committed anywhere before the call, as a quorum confirms that was asked
// after it. No clock counts for that. It fails with coco.ErrBusy if no quorum answers.
func (r *Replica) Latest(ctx context.Context) error {
	done := make(chan struct{})
	r.loop.inbox.put(event{do: func(l *loop) {
		if l.pulse.readers.Await(ctx, done) {
			l.ask()
		}
	}})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the request ended before a majority of the nodes answered", coco.ErrBusy)
	case <-r.cfg.Clock.After(latestPatience):
		return fmt.Errorf("%w: no majority of the nodes, with a leader, has answered this node for %v: ask another one", coco.ErrBusy, latestPatience)
	}
}

// beat begins a round when one is due, and looks at what the last ones have shown.
func (l *loop) beat() {
	h := &l.pulse
	if l.ticks%beatTicks == 0 {
		l.round(false)
	}
	if h.readers.Tick() {
		l.ask()
	}
	l.freshen()
}

// ask begins a round that is answered at once, for the reads that wait.
func (l *loop) ask() {
	l.round(true)
	l.pulse.readers.Began()
	l.freshen()
}

// round begins a round and sends all members a beat.
func (l *loop) round(ask bool) {
	m := l.machine.Membership()
	l.pulse.machine.Begin(l.clock.Elapsed(), m)
	l.progress.clocks.Store(l.pulse.machine.Clocks(m))
	if l.pulse.machine.Silent(m) {
		l.machine.ReadIndex(l.pulse.machine.Round())
	}
	for _, id := range slices.Concat(m.Voters, m.Learners, m.Outgoing) {
		l.sendBeat(id, ask)
	}
}

func (l *loop) sendBeat(to consensus.ID, ask bool) {
	if to == l.members.Self {
		return
	}
	b := l.pulse.machine.Beat(to, uint64(max(0, l.clock.Now().UnixMilli())), l.standing())
	b.Ask = ask
	l.network.SendBeat(to, b)
}

// standing is this node's own part in consensus.
func (l *loop) standing() pulse.Standing {
	s, known := l.machine.State(), l.machine.Commit()
	leads := s.Role == consensus.Leader && l.slots.view == s.View && l.slots.start != 0 && known >= l.slots.start
	return pulse.Standing{View: s.View, Known: known, Leads: leads}
}

func (l *loop) hear(from consensus.ID, b pulse.Beat) {
	l.pulse.machine.Hear(from, b)
	if b.Ask {
		l.sendBeat(from, false)
	}
	l.progress.clocks.Store(l.pulse.machine.Clocks(l.machine.Membership()))
	l.freshen()
}

// proven notes the rounds that consensus has confirmed.
func (l *loop) proven(reads []raft.Read) {
	for _, r := range reads {
		l.pulse.machine.Prove(r.Round, r.Index)
	}
	if len(reads) > 0 {
		l.freshen()
	}
}

// freshen notes the last round that is confirmed, once what was committed before it is applied here.
func (l *loop) freshen() {
	fresh, begin := l.pulse.readers.Freshen(l.machine.Membership(), l.standing(), l.progress.applied.Load())
	l.progress.fresh.Store(int64(fresh))
	if begin {
		l.ask()
	}
}
