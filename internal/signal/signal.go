// Package signal wakes goroutines that wait for a change of state.
//
// Trust: either
package signal

import "sync"

// Signal is safe for concurrent use.
type Signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// New returns a signal that was never fired.
func New() *Signal { return &Signal{ch: make(chan struct{})} }

// Wait returns a channel that closes at the next change. Call it before looking at the state.
func (s *Signal) Wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ch
}

// Fire tells all that wait of a change.
func (s *Signal) Fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ch)
	s.ch = make(chan struct{})
}
