package sim

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// window is how many bytes may be on their way in one direction, as a socket's buffers hold.
const window = 4 << 20

// stream is one direction of a connection: bytes that arrive some time after they were written,
// in order.
//
// Fields: one direction of a connection is one queue under one lock; its two ends and its faults all wait
// for the same change.
type stream struct {
	link func() Link         // how the network behaves now
	tap  func() func([]byte) // the listener on the wire, or nil
	kill func(err error)     // resets the connection; called without mu
	// tampering is how likely the host changes a write on its way.
	tampering func() float64
	tampered  *atomic.Int64

	mu        sync.Mutex
	change    sync.Cond // something below changed, or time has come
	rand      *rand.Rand
	segments  []segment
	held      []byte      // sent, and kept back by a network that lies
	size      int         // bytes in segments
	last      time.Time   // when the newest segment arrives
	finAt     time.Time   // when the end arrives; zero until the writer closed
	stalledAt time.Time   // when the network was cut; zero while it is not
	giveUp    *time.Timer // resets the connection when a stall lasts
	err       error       // the connection was reset
	readEnd   end
	writeEnd  end
}

// end is what one end of a connection does with one direction of it.
type end struct {
	closed   bool
	deadline time.Time
	timer    *time.Timer // wakes waiters at the deadline
}

type segment struct {
	at   time.Time
	data []byte
}

func newStream(r *rand.Rand) *stream {
	s := &stream{rand: r}
	s.change.L = &s.mu
	return s
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change.Broadcast()
}

// expired reports whether an end's deadline has passed.
func (e *end) expired() bool { return !e.deadline.IsZero() && !time.Now().Before(e.deadline) }

func (s *stream) setDeadline(e *end, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	e.deadline = t
	if d := time.Until(t); !t.IsZero() && d > 0 {
		e.timer = time.AfterFunc(d, s.wake)
	}
	s.change.Broadcast()
}

// read returns bytes that have arrived, waiting for some.
func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readEnd.closed:
			return 0, net.ErrClosed
		case s.readEnd.expired():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		if n := s.take(p); n > 0 {
			s.change.Broadcast()
			return n, nil
		}
		if s.err != nil {
			return 0, s.err
		}
		if s.ended() {
			return 0, io.EOF
		}
		s.waitArrival()
	}
}

// take copies what has arrived.
func (s *stream) take(p []byte) int {
	n, horizon := 0, s.horizon()
	for n < len(p) && len(s.segments) > 0 && !s.segments[0].at.After(horizon) {
		head := &s.segments[0]
		m := copy(p[n:], head.data)
		n, head.data = n+m, head.data[m:]
		if len(head.data) == 0 {
			s.segments[0] = segment{}
			s.segments = s.segments[1:]
		}
	}
	s.size -= n
	return n
}

func (s *stream) ended() bool {
	return len(s.segments) == 0 && !s.finAt.IsZero() && !s.finAt.After(s.horizon())
}

// horizon is the time up to which arrivals have happened.
func (s *stream) horizon() time.Time {
	if !s.stalledAt.IsZero() {
		return s.stalledAt
	}
	return time.Now()
}

// waitArrival waits for a change, or for the next bytes or the end to arrive.
func (s *stream) waitArrival() {
	next := s.finAt
	if len(s.segments) > 0 {
		next = s.segments[0].at
	}
	if s.stalledAt.IsZero() && !next.IsZero() {
		defer time.AfterFunc(time.Until(next), s.wake).Stop()
	}
	s.change.Wait()
}

// write sends bytes on their way, waiting while the window is full.
func (s *stream) write(p []byte) (int, error) {
	link, lie := s.link(), s.tampering()
	if tap := s.tap(); tap != nil {
		tap(p)
	}
	s.mu.Lock()
	sent, err := 0, error(nil)
	for err == nil && sent < len(p) {
		switch {
		case s.writeEnd.closed:
			err = net.ErrClosed
		case s.writeEnd.expired():
			err = os.ErrDeadlineExceeded
		case s.err != nil:
			err = s.err
		case s.readEnd.closed:
			err = errBrokenPipe
		case s.size >= window:
			s.change.Wait()
		default:
			n := min(len(p)-sent, window-s.size)
			arrival, ok := s.arrival(link)
			if !ok {
				s.mu.Unlock()
				s.kill(errReset)
				return sent, errReset
			}
			s.send(arrival, append([]byte(nil), p[sent:sent+n]...), lie)
			sent += n
			s.change.Broadcast()
		}
	}
	s.mu.Unlock()
	return sent, err
}

// arrival draws when what is sent now arrives, or that the connection is lost.
func (s *stream) arrival(l Link) (time.Time, bool) {
	delay := l.Delay
	if l.Jitter > 0 {
		delay += time.Duration(s.rand.Int64N(int64(l.Jitter) + 1))
	}
	for lost := 0; l.Loss > 0 && s.rand.Float64() < l.Loss; lost++ {
		if lost == maxRetransmits {
			return time.Time{}, false
		}
		delay += RetransmitDelay << lost
	}
	if at := time.Now().Add(delay); at.After(s.last) {
		s.last = at
	}
	return s.last, true
}

// closeWrite ends the stream after what was written. What is not yet delivered still will be.
func (s *stream) closeWrite() {
	link := s.link()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeEnd.closed {
		return
	}
	s.writeEnd.closed = true
	s.writeEnd.stop()
	s.finAt = time.Now().Add(link.Delay)
	if s.finAt.Before(s.last) {
		s.finAt = s.last
	}
	s.change.Broadcast()
}

// closeRead drops what the reader has not read; the writer finds out.
func (s *stream) closeRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readEnd.closed = true
	s.readEnd.stop()
	s.segments, s.size = nil, 0
	s.change.Broadcast()
}

func (e *end) stop() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}

// reset breaks the stream: what has not been read is lost.
func (s *stream) reset(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.segments, s.size = nil, 0
	s.resumeLocked()
}

// stall stops deliveries; giveUp is called if it lasts for the limit.
func (s *stream) stall(limit time.Duration, giveUp func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || !s.stalledAt.IsZero() {
		return
	}
	s.stalledAt = time.Now()
	s.giveUp = time.AfterFunc(limit, giveUp)
}

func (s *stream) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumeLocked()
}

func (s *stream) resumeLocked() {
	s.stalledAt = time.Time{}
	if s.giveUp != nil {
		s.giveUp.Stop()
		s.giveUp = nil
	}
	s.change.Broadcast()
}
