package gateway

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/fair"
)

var (
	errShare  = fmt.Errorf("%w: this organisation has its share of the requests that the node serves at a time", coco.ErrBusy)
	errBodies = fmt.Errorf("%w: too many bytes of requests at a time", coco.ErrBusy)
)

// shares divide the node's capacity among organisations. The gates bound the total; shares keep one
// organisation from using it up.
type shares struct {
	mu       sync.Mutex
	requests *fair.Shares // all under mu
	streams  *fair.Shares
	bodies   *fair.Shares // bytes

	refused atomic.Uint64
}

func newShares(c *Limits) *shares {
	return &shares{
		requests: fair.New(c.MaxRequests), streams: fair.New(c.MaxStreams),
		bodies: fair.New(c.MaxBodies),
	}
}

// place is what one request holds. It is given back once.
type place struct {
	of     *shares
	caller coco.ActorID
	stream bool
	body   int

	requests int // 0 or 1
}

// enter takes a place for a request with a body of so many bytes. An upgraded connection has none.
func (s *shares) enter(caller coco.ActorID, stream bool, body int) (*place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &place{of: s, caller: caller, stream: stream, body: body, requests: 1}
	switch {
	case !p.kind().Full(1) && !p.kind().Fits(caller, 1): // if it is full, the gate says so
		s.refused.Add(1)
		return nil, errShare
	case body > 0 && s.bodies.Full(body):
		return nil, errBodies
	case body > 0 && !s.bodies.Fits(caller, body):
		s.refused.Add(1)
		return nil, errShare
	}
	p.kind().Take(caller, 1)
	s.bodies.Take(caller, body)
	return p, nil
}

func (p *place) kind() *fair.Shares {
	if p.stream {
		return p.of.streams
	}
	return p.of.requests
}

// pass has the bytes of a request that was entered without a caller's name count as its caller's. The request itself does not count from then on: the one that was
// inside does. The error is coco.ErrBusy if the caller has its share of bytes; then nothing has changed.
func (p *place) pass(to coco.ActorID) error {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.bodies.Give(p.caller, p.body)
	if p.body > 0 && !p.of.bodies.Fits(to, p.body) {
		p.of.bodies.Take(p.caller, p.body)
		p.of.refused.Add(1)
		return errShare
	}
	p.kind().Give(p.caller, p.requests)
	p.of.bodies.Take(to, p.body)
	p.caller, p.requests = to, 0
	return nil
}

func (p *place) leave() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.kind().Give(p.caller, p.requests)
	p.of.bodies.Give(p.caller, p.body)
}

// held is how many bytes of bodies there are.
func (s *shares) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies.Used()
}

// bodySize is what a request's body counts as: if its client does not say, as the largest.
func bodySize(r *http.Request, most int64) int {
	if r.ContentLength < 0 {
		return int(most)
	}
	return int(r.ContentLength)
}
