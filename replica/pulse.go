package replica

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
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
	ticks   int
	pending *confirmed // what it needs is not applied here yet
	asked   uint64     // the last round that began because a client waits; 0 if none does
	since   int        // ticks, when it began
	waiting []reader
}

// confirmed is a confirmed round, and the voters that confirmed it.
type confirmed struct {
	pulse.Confirmed
	by consensus.Membership
}

// reader waits for a round that began after it came.
type reader struct {
	ctx   context.Context
	round uint64 // 0 if that has not begun
	done  chan struct{}
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
	w := reader{ctx: ctx, done: make(chan struct{})}
	r.loop.inbox.put(event{do: func(l *loop) { l.await(w) }})
	select {
	case <-w.done:
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
	if h.ticks++; h.ticks%beatTicks == 0 {
		l.round(false)
	}
	h.waiting = slices.DeleteFunc(h.waiting, func(w reader) bool { return w.ctx.Err() != nil })
	switch {
	case len(h.waiting) == 0:
		h.asked = 0
	case h.asked == 0 || h.ticks-h.since >= askTicks:
		l.ask()
	}
	l.freshen()
}

// await adds a reader. Those that come while a round is under way share the next one.
func (l *loop) await(w reader) {
	l.pulse.waiting = append(l.pulse.waiting, w)
	if l.pulse.asked == 0 {
		l.ask()
		l.freshen()
	}
}

// ask begins a round that is answered at once, for the readers that have none yet.
func (l *loop) ask() {
	h := &l.pulse
	l.round(true)
	h.asked, h.since = h.machine.Round(), h.ticks
	for i := range h.waiting {
		if h.waiting[i].round == 0 {
			h.waiting[i].round = h.asked
		}
	}
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

// freshen notes the last round that is confirmed, once what was committed before it is applied here. If what was applied meanwhile has changed the
// voters, those that have confirmed it may be voters no more, and others may have elected another leader: then the round proves nothing.
func (l *loop) freshen() {
	h := &l.pulse
	for {
		m := l.machine.Membership()
		if h.pending == nil {
			c, ok := h.machine.Confirm(m, l.standing())
			if !ok || int64(c.Began) <= l.progress.fresh.Load() {
				return
			}
			h.pending = &confirmed{c, m}
		}
		c := h.pending
		if l.progress.applied.Load() < c.Known {
			return
		}
		h.pending = nil
		if !slices.Equal(c.by.Voters, m.Voters) || !slices.Equal(c.by.Outgoing, m.Outgoing) {
			continue
		}
		l.progress.fresh.Store(int64(c.Began))
		l.release(c.Round)
	}
}

// release lets the readers go whose round is confirmed.
func (l *loop) release(round uint64) {
	h := &l.pulse
	h.waiting = slices.DeleteFunc(h.waiting, func(w reader) bool {
		if w.round == 0 || w.round > round {
			return false
		}
		close(w.done)
		return true
	})
	if h.asked <= round {
		if h.asked = 0; len(h.waiting) > 0 {
			l.ask()
		}
	}
}
