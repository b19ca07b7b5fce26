// Package intake lets signed statements of members into a node, such that sending the same one again and again costs its sender's
// turns and nobody else's.
//
// A statement that is under way is brought to the leader once, whoever else sends the same bytes meanwhile. One that is
// refused for good is refused from memory. Others are checked before they go to the leader, a few at a time, in turns by organisation.
//
// Trust: enclave
package intake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/slots"
	"github.com/cocoframework/coco/wire"
)

const (
	maxStatements     = 8    // that one node checks and brings to the leader at a time
	waitingStatements = 256  // for that
	maxKnown          = 4096 // refused statements that a node remembers
)

// Intake is safe for concurrent use.
type Intake struct {
	slots    *slots.Slots
	patience time.Duration

	mu       sync.Mutex
	underWay map[coco.Digest]*statement // under mu
	known    map[coco.Digest]error      // those that are refused for good; under mu
}

// statement is one that is under way.
type statement struct {
	done    chan struct{} // closed once the fields below are set
	outcome wire.Outcome
	err     error
}

// New returns an intake that waits for the outcome of a statement for so long. Elapsed is host.Clock's.
func New(patience time.Duration, elapsed func() time.Duration) *Intake {
	return &Intake{
		slots: slots.New(maxStatements, waitingStatements, elapsed), patience: patience,
		underWay: map[coco.Digest]*statement{}, known: map[coco.Digest]error{},
	}
}

// Submit brings a statement through check, which says why it is refused for good, and run. Run goes on when ctx ends, for the
// others that wait for it.
func (s *Intake) Submit(ctx context.Context, by coco.Caller, raw []byte, check func() error, run func(context.Context) (wire.Outcome, error)) (wire.Outcome, error) {
	id := coco.Digest(sha256.Sum256(raw))
	s.mu.Lock()
	if err := s.known[id]; err != nil {
		s.mu.Unlock()
		return wire.Outcome{}, err
	}
	st, again := s.underWay[id]
	if !again {
		st = &statement{done: make(chan struct{})}
		s.underWay[id] = st
	}
	s.mu.Unlock()
	if !again {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
		defer cancel()
		s.run(ctx, by, id, st, check, run)
	}
	select {
	case <-st.done:
		return st.outcome, st.err
	case <-ctx.Done():
		return wire.Outcome{}, context.Cause(ctx)
	}
}

func (s *Intake) run(ctx context.Context, by coco.Caller, id coco.Digest, st *statement, check func() error, run func(context.Context) (wire.Outcome, error)) {
	var refused error
	st.err = errEnded // unless what is called returns
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.underWay, id)
		if refused != nil {
			if len(s.known) >= maxKnown {
				clear(s.known)
			}
			s.known[id] = refused
		}
		close(st.done)
	}()
	leave, err := s.slots.Enter(ctx, by.Actor)
	if err != nil {
		st.err = err
		return
	}
	defer leave()
	if refused = check(); refused != nil {
		st.err = refused
		return
	}
	st.outcome, st.err = run(ctx)
}

// errEnded is what the others who wait for a statement learn if handling it panics.
var errEnded = fmt.Errorf("%w: the node failed while it handled this statement", coco.ErrUnknown)
