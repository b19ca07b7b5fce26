// Package guard bounds the work of eth_call and its kin: how many calls run at once, of how many one organisation has
// half, and for how long each. One goroutine, which runs while there are calls, watches all of them: a timer and a
// goroutine each would cost more than a small call.
//
// Trust: enclave
package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/slots"
)

// Guard bounds calls. It is safe for concurrent use.
type Guard struct {
	clock   host.Clock
	timeout func() time.Duration
	slots   *slots.Slots

	mu      sync.Mutex
	running map[*call]struct{}
	watched bool // the goroutine runs
	closed  bool
	wg      sync.WaitGroup
	quit    chan struct{}
}

// call is a call under way.
type call struct {
	cancel context.CancelCauseFunc
	began  time.Duration // by the clock's Elapsed
}

// Late reports whether a context has ended because its call has taken as long as it may.
func Late(ctx context.Context) bool {
	late := (*TimeoutError)(nil)
	return errors.As(context.Cause(ctx), &late)
}

// watchTicks is how often in a timeout the watcher looks, which is once a second at least.
const watchTicks = 8

// TimeoutError says that a call has taken as long as it may.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("execution aborted (timeout = %v)", e.After)
}

// maxWaiting is how many calls may wait for a slot, of which one organisation's fill half. Further ones are refused.
const maxWaiting = 8192

// New returns a guard of a number of slots, of which one organisation holds half. A call may take as long as timeout
// says while it runs.
func New(clock host.Clock, timeout func() time.Duration, parallel int) *Guard {
	return &Guard{
		clock:   clock,
		timeout: timeout,
		slots:   slots.New(max(parallel, 1), maxWaiting, clock.Elapsed),
		running: map[*call]struct{}{},
		quit:    make(chan struct{}),
	}
}

// Do runs fn with a context that ends with ctx or after the timeout, once there is a slot for it. The
// error is a *TimeoutError after the timeout.
func (g *Guard) Do(ctx context.Context, who coco.Caller, fn func(context.Context) error) error {
	leave, err := g.slots.Enter(ctx, who.Actor)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancelCause(ctx)
	c := &call{cancel: cancel, began: g.clock.Elapsed()}
	g.enter(c)
	defer g.leave(c)
	err = fn(ctx)
	if late := (*TimeoutError)(nil); errors.As(context.Cause(ctx), &late) {
		return late
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("execution aborted: %w", context.Cause(ctx))
	}
	return err
}

func (g *Guard) enter(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running[c] = struct{}{}
	if !g.watched && !g.closed {
		g.watched = true
		g.wg.Add(1)
		go g.watch()
	}
}

func (g *Guard) leave(c *call) {
	g.mu.Lock()
	delete(g.running, c)
	g.mu.Unlock()
	c.cancel(nil)
}

// watch ends calls that run for too long. It returns once it has seen none for a while.
func (g *Guard) watch() {
	defer g.wg.Done()
	every := func(timeout time.Duration) time.Duration {
		return min(max(timeout/watchTicks, time.Millisecond), time.Second)
	}
	timeout := g.timeout()
	ticker := g.clock.NewTicker(every(timeout))
	defer func() { ticker.Stop() }()
	for idle := 0; ; {
		if now := g.timeout(); now != timeout { // members have changed it
			ticker.Stop()
			timeout, ticker = now, g.clock.NewTicker(every(now))
		}
		select {
		case <-g.quit:
			return
		case <-ticker.C():
		}
		now := g.clock.Elapsed()
		g.mu.Lock()
		for c := range g.running {
			if now-c.began >= timeout {
				c.cancel(&TimeoutError{After: timeout})
			}
		}
		if idle++; len(g.running) > 0 {
			idle = 0
		}
		if idle > watchTicks {
			g.watched = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
	}
}

// Close ends the watcher. Calls under way end with their own contexts.
func (g *Guard) Close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.quit)
	}
	g.mu.Unlock()
	g.wg.Wait()
}
