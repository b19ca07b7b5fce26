package stateroot

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/store"
)

// What a sampler spends: a sample takes as long as reading the state and sorting it by hashes.
const (
	sampleEvery = time.Minute // the least time between two samples, unless another node begins to lead
	sampleShare = 50          // of the time that a node runs, one part in so many may go into samples
)

// Sampler computes some of the roots that headers carry again, on every node, from the committed rows. The first new
// root of each view is one of them, as long as the state that it is of is still in memory; then, one at a time, those that
// come when the time of the last sample is paid off. It runs in a goroutine of its own while there is a sample.
type Sampler struct {
	clock host.Clock
	log   *slog.Logger
	state func(number uint64) (*store.Snapshot, bool) // after a recent block; released by the sampler
	wrong func()                                      // a root was found to be wrong; may be nil

	mu        sync.Mutex
	view      uint64         // of the newest block
	inherited rows.KnownRoot // what the last header of the view before carried
	carried   rows.KnownRoot // by the newest header
	fresh     bool           // no root of this view is computed again yet
	due       time.Time
	running   bool
	closed    bool
	wg        sync.WaitGroup
	done      Samples
}

// Samples counts what a sampler has found.
type Samples struct {
	Right, Wrong int
	Last         uint64 // the block whose root was computed last
}

// NewSampler returns a sampler. state returns the state after a recent block, if it is still there; wrong is called
// from the sampler's goroutine for each root that is wrong.
func NewSampler(clock host.Clock, log *slog.Logger, state func(number uint64) (*store.Snapshot, bool), wrong func()) *Sampler {
	return &Sampler{clock: clock, log: log, state: state, wrong: wrong}
}

// Saw is called with every committed block, in order: its view, its number and the root that its header carries.
func (s *Sampler) Saw(view, block uint64, k rows.KnownRoot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if view != s.view {
		s.view, s.inherited, s.fresh = view, s.carried, true
	}
	again := k == s.carried
	s.carried = k
	if again || s.running || s.closed || k.Number >= block {
		return
	}
	first := s.fresh && k != s.inherited
	if !first && s.clock.Now().Before(s.due) {
		return
	}
	state, ok := s.state(k.Number)
	if !ok {
		return // the next one may be of a block that is not as far back
	}
	s.fresh, s.running = s.fresh && !first, true
	s.wg.Go(func() { s.sample(state, view, block, k) })
}

func (s *Sampler) sample(state *store.Snapshot, view, block uint64, k rows.KnownRoot) {
	defer state.Release()
	began := s.clock.Now()
	root, err := Recompute(state, s.open)
	took := s.clock.Now().Sub(began)
	wrong := err == nil && root != k.Root
	switch {
	case errors.Is(err, ErrStopped):
	case err != nil:
		s.log.Error("ethereum: a state root cannot be computed again", "block", k.Number, "err", err)
	case wrong:
		s.log.Error("ethereum: a header carries a wrong state root: clients that check proofs against it must not; ask whoever operates the leader of that view",
			logevent.StateRootWrong.Attr(), "block", block, "named", k.Number, "view", view, "root", k.Root.Hex(), "expected", root.Hex())
		if s.wrong != nil {
			s.wrong()
		}
	}
	s.count(err == nil, wrong, k.Number, max(sampleEvery, sampleShare*took))
}

func (s *Sampler) count(counts, wrong bool, number uint64, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.due = false, s.clock.Now().Add(pause)
	if !counts {
		return
	}
	s.done.Last = number
	if wrong {
		s.done.Wrong++
	} else {
		s.done.Right++
	}
}

func (s *Sampler) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed
}

// Done returns what was found so far.
func (s *Sampler) Done() Samples {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// Close ends a sample under way and waits for it.
func (s *Sampler) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wg.Wait()
}
