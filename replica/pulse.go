package replica

import (
	"slices"
	"time"

	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/pulse"
)

// beatTicks is how many ticks pass between two beats.
const beatTicks = int(pulse.Every / Tick)

// heart is what a replica exchanges with the others about time and freshness; the loop's.
type heart struct {
	machine *pulse.Machine
	ticks   int
	pending *pulse.Confirmed // confirmed, and not applied here yet
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
	return r.cfg.Clock.Elapsed() - time.Duration(r.progress.fresh.Load())
}

// beat begins a round when one is due, and looks at what the last ones have shown.
func (l *loop) beat() {
	if l.pulse.ticks++; l.pulse.ticks%beatTicks == 0 {
		l.round(false)
	}
	l.freshen()
}

// round begins a round and sends all members a beat.
func (l *loop) round(ask bool) {
	m := l.machine.Membership()
	l.pulse.machine.Begin(l.clock.Elapsed(), m)
	l.progress.clocks.Store(l.pulse.machine.Clocks(m))
	for _, id := range slices.Concat(m.Voters, m.Learners, m.Outgoing) {
		l.sendBeat(id, ask)
	}
}

func (l *loop) sendBeat(to consensus.ID, ask bool) {
	if to == l.membership.self {
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

// freshen notes the last round that is confirmed, once what was committed before it is applied here.
func (l *loop) freshen() {
	m := l.machine.Membership()
	if l.pulse.pending == nil {
		c, ok := l.pulse.machine.Confirm(m, l.standing())
		if !ok || int64(c.Began) <= l.progress.fresh.Load() {
			return
		}
		l.pulse.pending = &c
	}
	if c := l.pulse.pending; l.progress.applied.Load() >= c.Known {
		l.progress.fresh.Store(int64(c.Began))
		l.pulse.pending = nil
	}
}
