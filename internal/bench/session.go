package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
)

// session is a client's way to the network: a link that is made again when it breaks, to the next
// target if the same one does not answer. One goroutine uses it.
type session struct {
	ctx     context.Context
	targets []link.Target
	at      int // the target in use
	link    link.Link
	timeout time.Duration
	kinds   map[string]uint64 // failures, those made good included
	failed  atomic.Int32      // connections in a row that could not be made; the window's watch reads it
}

// bind makes ctx the end of what the session does, also of the requests that wait for a reply.
func (s *session) bind(ctx context.Context) {
	s.ctx = ctx
	if s.link != nil {
		s.link.Bind(ctx, s.timeout)
	}
}

func newSession(ctx context.Context, targets []link.Target, at int, timeout time.Duration) *session {
	return &session{ctx: ctx, targets: targets, at: at % len(targets), timeout: timeout, kinds: make(map[string]uint64)}
}

func (s *session) connect() error {
	if s.link != nil {
		return nil
	}
	l, err := link.Dial(s.ctx, &s.targets[s.at], s.timeout)
	if err != nil {
		s.failed.Add(1)
		s.at = (s.at + 1) % len(s.targets)
		return err
	}
	s.failed.Store(0)
	s.link = l
	return nil
}

func (s *session) close() {
	if s.link != nil {
		_ = s.link.Close() // nothing of it is waited for
		s.link = nil
	}
}

// Waits between attempts grow from backoffMin to backoffMax. Servers say Retry-After: 1, a whole
// second, which is for people's programs: a load generator that obeyed would measure its own sleep.
const (
	backoffMin = time.Millisecond
	backoffMax = 250 * time.Millisecond
)

// patience is the wait between attempts of one request, and the end of it.
type patience struct {
	ctx      context.Context
	deadline time.Time
	wait     time.Duration
}

func (s *session) patience() patience {
	return patience{ctx: s.ctx, deadline: time.Now().Add(s.timeout), wait: backoffMin}
}

// pause waits before another attempt and reports whether there may be one.
func (p *patience) pause() bool {
	d := p.wait/2 + rand.N(p.wait/2+1)
	p.wait = min(2*p.wait, backoffMax)
	if time.Now().Add(d).After(p.deadline) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// send has ask put a request to the current link until it is answered, within p. A request whose
// reply got lost is sent again, so it MUST be one that may be carried out twice.
func (s *session) send(p *patience, ask func(link.Link) ([]byte, error)) ([]byte, error) {
	for {
		target := &s.targets[s.at]
		err := s.connect()
		if err == nil {
			var reply []byte
			if reply, err = ask(s.link); err == nil {
				return reply, nil
			}
			var status *link.StatusError
			if !errors.As(err, &status) {
				s.close()
			} else if !status.Passing() {
				return nil, err
			}
		}
		if s.ctx.Err() != nil {
			return nil, s.ctx.Err()
		}
		s.kinds["retried: "+kind(err)]++
		if !p.pause() {
			var status *link.StatusError
			switch {
			case errors.As(err, &status):
				return nil, fmt.Errorf("%s: %w", target.Label(), err)
			case errors.Is(err, coco.ErrUnreachable) || errors.Is(err, coco.ErrCorrupt):
				return nil, err
			}
			return nil, fmt.Errorf("%w: %s does not reply: %w", coco.ErrUnreachable, target.Label(), err)
		}
	}
}

// kind is the short name under which a failure is counted.
func kind(err error) string {
	var status *link.StatusError
	var rpc *rpcError
	switch {
	case errors.As(err, &status):
		return "HTTP status " + strconv.Itoa(status.Code)
	case errors.As(err, &rpc):
		return fmt.Sprintf("JSON-RPC %d %s", rpc.Code, cut([]byte(rpc.Message)))
	case errors.Is(err, coco.ErrUnreachable):
		return "unreachable"
	case errors.Is(err, coco.ErrCorrupt):
		return "malformed reply"
	}
	return "connection broken"
}

// cut shortens what another program said.
func cut(b []byte) []byte { return b[:min(len(b), 64)] }
