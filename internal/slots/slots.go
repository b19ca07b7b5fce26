// Package slots bounds how much of something runs at a time, and shares it among organisations.
//
// Two rules decide, both of package fair. An organisation holds at most half of the slots that the others leave, so that
// one whose calls run for seconds never keeps a call of another waiting. And of those that wait, the organisation goes
// next whose calls have run for the shortest time. What waits is bounded and shared by the first rule, too.
//
// Trust: enclave
package slots

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/fair"
)

// ErrFull refuses a caller because too much waits already, of all callers or of its own.
var ErrFull = fmt.Errorf("%w: too many calls of this kind wait already", coco.ErrBusy)

// Slots are safe for concurrent use.
type Slots struct {
	elapsed func() time.Duration

	mu      sync.Mutex
	held    *fair.Shares // all under mu
	queued  *fair.Shares
	turns   *fair.Turns
	waiting []*waiter // in the order in which they came
}

type waiter struct {
	who   coco.ActorID
	enter chan struct{} // closed once it has a slot
}

// New returns n slots, for which most callers may wait. Elapsed is host.Clock's.
func New(n, most int, elapsed func() time.Duration) *Slots {
	return &Slots{elapsed: elapsed, held: fair.New(n), queued: fair.New(most), turns: fair.NewTurns()}
}

// Enter waits for a slot, until ctx ends. If it returns nil, leave MUST be called once. The error is coco.ErrBusy if
// too many wait, or the cause of ctx.
func (s *Slots) Enter(ctx context.Context, who coco.ActorID) (leave func(), err error) {
	s.mu.Lock()
	if s.held.Fits(who, 1) {
		s.take(who)
		s.mu.Unlock()
		return s.leave(who), nil
	}
	if s.queued.Full(1) || !s.queued.Fits(who, 1) {
		s.mu.Unlock()
		return nil, ErrFull
	}
	w := &waiter{who: who, enter: make(chan struct{})}
	s.queued.Take(who, 1)
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case <-w.enter:
		return s.leave(who), nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.remove(i)
	} else { // it got a slot meanwhile
		s.give(who, 0)
	}
	return nil, context.Cause(ctx)
}

// Held returns how many slots are held, and how many callers wait.
func (s *Slots) Held() (held, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.Used(), len(s.waiting)
}

// The methods below need s.mu.

func (s *Slots) take(who coco.ActorID) {
	s.held.Take(who, 1)
	s.turns.Deal(who)
}

func (s *Slots) remove(i int) *waiter {
	w := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	s.queued.Give(w.who, 1)
	return w
}

// give takes a slot back and gives out what is free.
func (s *Slots) give(who coco.ActorID, ran time.Duration) {
	s.held.Give(who, 1)
	s.turns.Charge(who, int64(max(0, ran)))
	for {
		next := -1
		for i, w := range s.waiting {
			if s.held.Fits(w.who, 1) && (next < 0 || s.turns.Start(w.who) < s.turns.Start(s.waiting[next].who)) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		w := s.remove(next)
		s.take(w.who)
		close(w.enter)
	}
}

// leave returns what gives the slot of a caller back. It is made without s.mu.
func (s *Slots) leave(who coco.ActorID) func() {
	began := s.elapsed()
	return func() {
		ran := s.elapsed() - began
		s.mu.Lock()
		defer s.mu.Unlock()
		s.give(who, ran)
	}
}
