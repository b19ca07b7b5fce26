package sim

import (
	"slices"
	"sync/atomic"
	"time"
)

// SetTampering makes the network between two hosts lie: each write is, with this probability, not
// delivered as it was sent. It is garbled, replayed, put after the one that follows, left out, or followed by bytes
// that no host sent, as the seed says. 0 ends it. Over TLS every one of these ends the
// connection, and does nothing else.
func (w *World) SetTampering(a, b string, probability float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tampering[link(a, b)] = probability
}

// Tampered returns how many writes between two hosts were tampered with so far. Those made while the network is cut, or one of the hosts frozen, do not
// count: nobody can read them before that is over.
func (w *World) Tampered(a, b string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tamperedWith(link(a, b)).Load()
}

// tamperedWith returns the counter of a link. w.mu is held.
func (w *World) tamperedWith(p pair) *atomic.Int64 {
	if w.tampered[p] == nil {
		w.tampered[p] = new(atomic.Int64)
	}
	return w.tampered[p]
}

// send queues bytes for delivery, or whatever the network makes of them. s.mu is held.
func (s *stream) send(at time.Time, data []byte, lie float64) {
	queue := func(data []byte) {
		s.segments = append(s.segments, segment{at, data})
		s.size += len(data)
	}
	if held := s.held; held != nil {
		s.held = nil
		defer queue(held)
	}
	if lie == 0 || s.rand.Float64() >= lie {
		queue(data)
		return
	}
	if s.stalledAt.IsZero() {
		s.tampered.Add(1)
	}
	switch s.rand.IntN(5) {
	case 0: // garbled
		data[s.rand.IntN(len(data))] ^= 1 << s.rand.IntN(8)
		queue(data)
	case 1: // replayed
		queue(data)
		queue(slices.Clone(data))
	case 2: // overtaken by the next write, or lost if none follows
		s.held = data
	case 3: // lost, and what follows is not
	case 4: // forged
		forged := make([]byte, 1+s.rand.IntN(100))
		for i := range forged {
			forged[i] = byte(s.rand.Uint32())
		}
		queue(data)
		queue(forged)
	}
}
