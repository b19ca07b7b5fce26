// Package signal wakes goroutines that wait for a change of state.
//
// Trust: either
package signal

import "sync"

// Signal is safe for concurrent use. The zero value is one that was never fired.
type Signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// New returns a signal that was never fired.
func New() *Signal { return new(Signal) }

// Wait returns a channel that closes at the next change. Call it before looking at the state.
func (s *Signal) Wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// Fire tells all that wait of a change.
func (s *Signal) Fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
	}
	s.ch = nil
}
