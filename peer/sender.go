package peer

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
)

// sender keeps up the connection to one node and writes what is queued for it.
type sender struct {
	transport *Transport
	to        coco.NodeID
	address   string
	stop      context.CancelFunc

	mu     sync.Mutex
	urgent frames // of consensus and about epochs; under mu
	calls  frames // forwards, replies and what is about resident rows; under mu
	ready  chan struct{}
	up     atomic.Bool // the connection is there
}

// frames wait in order.
type frames struct {
	list  [][]byte
	bytes int
}

// take removes frames from the front: all, or as long as those before have fewer bytes than most.
func (f *frames) take(most int) (out [][]byte) {
	n, bytes := 0, 0
	for n < len(f.list) && bytes < most {
		bytes += len(f.list[n])
		n++
	}
	out = f.list[:n:n]
	f.list, f.bytes = f.list[n:], f.bytes-bytes
	if len(f.list) == 0 {
		f.list = nil
	}
	return out
}

// waits reports whether frames of a kind are written after the urgent ones.
func waits(k kind) bool {
	return k == kindForward || k == kindReply || k == kindPayload || k == kindPayloadWord // a word never overtakes the payload that it is about
}

// turnBytes is about how many bytes of the frames that wait are written before urgent frames go first again.
const turnBytes = 256 << 10

// queue adds a frame and reports whether there was room. Those that wait fill half of it at most.
func (s *sender) queue(frame []byte) bool {
	s.mu.Lock()
	of, most := &s.urgent, maxQueued
	if k := kind(frame[0]); waits(k) {
		of, most = &s.calls, maxQueued/2
		if of.bytes == 0 || k == kindPayloadWord { // the largest frame fits, and what is asked for does not count as absent
			most = maxQueued
		}
	}
	room := of.bytes+len(frame) <= most && s.urgent.bytes+s.calls.bytes+len(frame) <= maxQueued
	if room {
		of.list = append(of.list, frame)
		of.bytes += len(frame)
	}
	s.mu.Unlock()
	if !room {
		eraseSecrets(frame)
		return false
	}
	select {
	case s.ready <- struct{}{}:
	default:
	}
	return true
}

// drain removes everything that is queued.
func (s *sender) drain() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(s.urgent.take(math.MaxInt), s.calls.take(math.MaxInt)...)
}

// next removes what is to be written next: all that is urgent, and some of the rest.
func (s *sender) next() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(s.urgent.take(math.MaxInt), s.calls.take(turnBytes)...)
}

// introduce tells the other node what this one's program knows.
func (s *sender) introduce() {
	frame, err := encode(&Program{Rules: s.transport.cfg.Rules})
	if err == nil {
		s.queue(frame)
	}
}

// run connects again and again until ctx ends.
func (s *sender) run(ctx context.Context) {
	t := s.transport
	defer s.lost() // what was queued meanwhile
	pause := redialFirst
	for ctx.Err() == nil {
		conn, err := s.dial(ctx)
		if err != nil {
			t.tampered(s.to.Short(), err)
			t.log.Debug("no connection to a node", "node", s.to.Short(), "address", s.address, "error", err)
			s.lost()
			select {
			case <-ctx.Done():
			case <-t.clock.After(pause):
			}
			pause = min(2*pause, redialLast)
			continue
		}
		pause = redialFirst
		t.log.Debug("connected", "node", s.to.Short(), "address", s.address)
		s.up.Store(true)
		s.introduce()
		t.cfg.Reached(s.to)
		s.write(ctx, conn)
		s.lost()
	}
}

func (s *sender) dial(ctx context.Context) (*channel.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	return s.transport.cfg.Dialer.Dial(ctx, s.to, s.address)
}

// lost tells of a connection that ended, or cannot be made, and drops what is queued for it: those
// frames certainly were not sent.
func (s *sender) lost() {
	s.up.Store(false)
	for _, frame := range s.drain() {
		eraseSecrets(frame)
		if kind(frame[0]) != kindForward {
			continue
		}
		if m, err := decode(frame); err == nil {
			s.transport.cfg.Forwarder.unsent(s.to, m.(*Forward))
		}
	}
	s.transport.cfg.Forwarder.broken(s.to)
	s.transport.cfg.Broken(s.to)
}

// write sends what is queued until the connection ends. The other node sends nothing on it, so a
// read that returns means that the connection is gone.
func (s *sender) write(ctx context.Context, conn *channel.Conn) {
	t := s.transport
	gone := make(chan struct{})
	t.wait.Go(func() {
		defer close(gone)
		_, _ = conn.ReadFrame()
	})
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends a write to a node that does not read
	defer func() {
		stop()
		_ = conn.Close()
		<-gone
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-gone:
			return
		case <-s.ready:
		}
		for frames := s.next(); len(frames) > 0; frames = s.next() {
			_ = conn.SetWriteDeadline(t.clock.Deadline(sendPatience))
			err := conn.WriteFrames(frames)
			eraseSecrets(frames...)
			if err != nil {
				t.log.Debug("connection lost", "node", s.to.Short(), "error", err)
				return
			}
		}
	}
}
