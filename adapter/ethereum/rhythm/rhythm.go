// Package rhythm says when a leader's next block may begin, where the constitution has blocks wait.
//
// Without its settings a block begins as soon as a call waits, and takes all that wait then: batching follows the load, without timers.
// With block_wait_ms a block begins that long after its first call, or once the calls that wait fill it. With block_interval_ms blocks begin at
// multiples of the interval in the ledger's time, as slots do in Ethereum, at most one in each. Calls wait in the core's queue all the while,
// where organisations get turns; nothing is held or ordered here.
//
// All times are the ledger's, in milliseconds since 1970.
//
// Trust: enclave
package rhythm

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/host"
)

// Least times between a block and the next one without transactions.
const (
	emptyEvery      = 1000 // without an interval
	leastEmptyEvery = 100  // with one
)

// Rhythm is what a leader remembers between blocks. It is not safe for concurrent use.
type Rhythm struct {
	clock  host.Clock
	skew   int64  // of the time of the last Execute to the clock then
	waits  uint64 // since when the calls in the queue wait; 0: none does
	sealed uint64 // the time of the newest block
	alarm  alarm
}

// New returns the rhythm of a chain without blocks. wake has the core ask again.
func New(clock host.Clock, wake func()) *Rhythm {
	return &Rhythm{clock: clock, alarm: alarm{clock: clock, wake: wake, done: make(chan struct{})}}
}

// Tell says the time of a batch that begins now. The clock counts from it.
func (r *Rhythm) Tell(time uint64) { r.skew = int64(time) - r.clock.Now().UnixMilli() }

func (r *Rhythm) now() uint64 { return uint64(max(0, r.clock.Now().UnixMilli()+r.skew)) }

// Sealed notes the time of a block that was made here or elsewhere.
func (r *Rhythm) Sealed(time uint64) { r.sealed = max(r.sealed, time) }

// Gathers reports whether calls that wait, so many, shall wait on, and has the core woken when they need not any more. It MUST be told when none waits.
func (r *Rhythm) Gathers(s *settings.Settings, waiting int) bool {
	if waiting > 0 && s.BlockInterval == 0 && s.BlockWait == 0 {
		return false // which costs no look at the clock
	}
	now := r.now()
	at := r.due(s, now, waiting)
	if at > now {
		r.alarm.set(now, at)
	}
	return at > now
}

// due returns when a block may begin of the calls that wait at a time. It is that time, or an earlier one, if it may begin now.
func (r *Rhythm) due(s *settings.Settings, now uint64, waiting int) uint64 {
	if waiting == 0 {
		r.waits = 0
		return now
	}
	if r.waits == 0 || r.waits > now {
		r.waits = now
	}
	switch {
	case s.BlockInterval > 0:
		// A clock that was set back must not hold blocks up for longer than one interval.
		return min(max(slot(r.waits, s.BlockInterval), slot(r.sealed, s.BlockInterval)), slot(now, s.BlockInterval))
	case s.BlockWait > 0 && uint64(waiting) < s.BlockTransactions:
		return r.waits + s.BlockWait
	}
	return now
}

// Empty reports whether a block without transactions may follow the newest one at a time.
func (r *Rhythm) Empty(s *settings.Settings, now uint64) bool { return now >= r.emptyDue(s, now) }

// EmptyNow is Empty at the clock's time, where blocks have an interval: without one the core asks often enough. If it is too early, it has the core
// woken.
func (r *Rhythm) EmptyNow(s *settings.Settings) bool {
	if s.BlockInterval == 0 {
		return false
	}
	now := r.now()
	at := r.emptyDue(s, now)
	r.alarm.set(now, at)
	return now >= at
}

func (r *Rhythm) emptyDue(s *settings.Settings, now uint64) uint64 {
	before := min(r.sealed, now)
	if s.BlockInterval == 0 {
		return before + emptyEvery
	}
	return slot(before+max(leastEmptyEvery, s.BlockInterval)-s.BlockInterval, s.BlockInterval)
}

// Close ends the rhythm's goroutines, and waits for them. Nothing may be asked afterwards.
func (r *Rhythm) Close() {
	r.alarm.once.Do(func() { close(r.alarm.done) })
	r.alarm.ends.Wait()
}

// slot is the first multiple of an interval after a time.
func slot(time, interval uint64) uint64 { return (time/interval + 1) * interval }

// alarm wakes the core at a time.
type alarm struct {
	clock host.Clock
	wake  func()
	at    atomic.Uint64 // for when it is set; 0: it is not
	done  chan struct{}
	once  sync.Once // closes done
	ends  sync.WaitGroup
}

// set costs little if it is set so already.
func (a *alarm) set(now, at uint64) {
	if at <= now || a.at.Swap(at) == at {
		return
	}
	rings := a.clock.After(time.Duration(at-now) * time.Millisecond)
	a.ends.Go(func() {
		select {
		case <-rings:
			a.at.CompareAndSwap(at, 0) // if the ledger's time is not there yet, it is set again
			a.wake()
		case <-a.done:
		}
	})
}
