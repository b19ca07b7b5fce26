package replica

import (
	"sync"
)

// mailbox hands values to one goroutine, in order. Putting never blocks, so two goroutines may put
// into each other's; what fills it must be bounded by other means.
type mailbox[T any] struct {
	mu    sync.Mutex
	items []T
	ready chan struct{} // holds a token while items wait
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{ready: make(chan struct{}, 1)} }

func (m *mailbox[T]) put(items ...T) {
	m.mu.Lock()
	m.items = append(m.items, items...)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// receive removes and returns everything that waits. The slice is the caller's.
func (m *mailbox[T]) receive() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}
