package pulse

import (
	"context"
	"slices"
	"time"

	"github.com/cocoframework/coco/consensus"
)

// Readers are the reads that wait for a round that begins after them, and the rounds that are confirmed. It belongs to one goroutine.
type Readers struct {
	Machine *Machine
	// Again is after how many ticks a round is begun once more that readers wait for.
	Again int

	fresh   time.Duration // when the last round began that is confirmed and applied
	last    uint64        // that round
	pending *pending
	asked   uint64 // the last round that began because a read waits; 0 if none does
	since   int    // ticks since then
	waiting []reader
}

// pending is a confirmed round whose entries are not applied yet, and the voters that confirmed it.
type pending struct {
	Confirmed
	by consensus.Membership
}

// reader waits for a round; 0 if that has not begun.
type reader struct {
	ctx   context.Context
	round uint64
	done  chan<- struct{}
}

// Await adds a read, whose channel is closed once its round is confirmed. It reports whether that round is to begin now; otherwise one is under way,
// and the reads that come meanwhile share the next one.
func (r *Readers) Await(ctx context.Context, done chan<- struct{}) (begin bool) {
	r.waiting = append(r.waiting, reader{ctx: ctx, done: done})
	return r.asked == 0
}

// Tick lets one tick pass, and reports whether a round is to begin for the reads that wait.
func (r *Readers) Tick() (begin bool) {
	r.since++
	r.waiting = slices.DeleteFunc(r.waiting, func(w reader) bool { return w.ctx.Err() != nil })
	if len(r.waiting) == 0 {
		r.asked = 0
		return false
	}
	return r.asked == 0 || r.since >= r.Again
}

// Began says that the machine's round has begun for the reads that have none.
func (r *Readers) Began() {
	r.asked, r.since = r.Machine.Round(), 0
	for i := range r.waiting {
		if r.waiting[i].round == 0 {
			r.waiting[i].round = r.asked
		}
	}
}

// Freshen looks for rounds that are confirmed, lets their reads go, and returns when the last one began that this node has applied enough
// for. Applied is the last entry that is applied. It reports whether a round is to begin for the reads that are left.
//
// If what was applied meanwhile has changed the voters, those that have confirmed a round may be voters no more, and others may have elected another
// leader: then the round proves nothing.
func (r *Readers) Freshen(m consensus.Membership, own Standing, applied uint64) (fresh time.Duration, begin bool) {
	for {
		if r.pending == nil {
			c, ok := r.Machine.Confirm(m, own)
			if !ok || c.Round <= r.last {
				return r.fresh, begin
			}
			r.pending = &pending{c, m}
		}
		c := r.pending
		if applied < c.Known {
			return r.fresh, begin
		}
		r.pending = nil
		if !slices.Equal(c.by.Voters, m.Voters) || !slices.Equal(c.by.Outgoing, m.Outgoing) {
			continue
		}
		r.fresh, r.last = c.Began, c.Round
		r.waiting = slices.DeleteFunc(r.waiting, func(w reader) bool {
			if w.round == 0 || w.round > c.Round {
				return false
			}
			close(w.done)
			return true
		})
		if r.asked <= c.Round {
			r.asked = 0
			begin = len(r.waiting) > 0
		}
	}
}
