package rpc

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

// callGuard bounds the work of eth_call and its kin: how many run at once, and for how long. One
// goroutine, which runs while there are calls, watches all of them: a timer and a goroutine each
// would cost more than a small call.
type callGuard struct {
	clock   host.Clock
	timeout time.Duration
	slots   *slots.Slots

	mu      sync.Mutex
	running map[*guardedCall]struct{}
	watched bool // the goroutine runs
	closed  bool
	wg      sync.WaitGroup
	quit    chan struct{}
}

// guardedCall is a call under way.
type guardedCall struct {
	cancel context.CancelCauseFunc
	ticks  int // of the watcher since the call began
}

// guardTicks is how often in a timeout the watcher looks.
const guardTicks = 8

var errCallTimeout = errors.New("timeout")

// maxWaiting is how many calls may wait for a slot, of which one organisation's fill half. Further ones are refused.
const maxWaiting = 8192

// newCallGuard returns a guard of a number of slots, of which one organisation holds half.
func newCallGuard(clock host.Clock, timeout time.Duration, parallel int) *callGuard {
	return &callGuard{
		clock:   clock,
		timeout: timeout,
		slots:   slots.New(max(parallel, 1), maxWaiting, clock.Elapsed),
		running: map[*guardedCall]struct{}{},
		quit:    make(chan struct{}),
	}
}

// do runs fn with a context that ends with ctx or after the timeout, once there is a slot for it.
func (g *callGuard) do(ctx context.Context, who coco.Caller, fn func(context.Context) error) error {
	leave, err := g.slots.Enter(ctx, who.Actor)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancelCause(ctx)
	c := &guardedCall{cancel: cancel}
	g.enter(c)
	defer g.leave(c)
	err = fn(ctx)
	if context.Cause(ctx) == errCallTimeout {
		return rpcErrorf(codeServer, "execution aborted (timeout = %v)", g.timeout)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("execution aborted: %w", context.Cause(ctx))
	}
	return err
}

func (g *callGuard) enter(c *guardedCall) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running[c] = struct{}{}
	if !g.watched && !g.closed {
		g.watched = true
		g.wg.Add(1)
		go g.watch()
	}
}

func (g *callGuard) leave(c *guardedCall) {
	g.mu.Lock()
	delete(g.running, c)
	g.mu.Unlock()
	c.cancel(nil)
}

// watch ends calls that run for too long. It returns once it has seen none for a while.
func (g *callGuard) watch() {
	defer g.wg.Done()
	ticker := g.clock.NewTicker(max(g.timeout/guardTicks, time.Millisecond))
	defer ticker.Stop()
	for idle := 0; ; {
		select {
		case <-g.quit:
			return
		case <-ticker.C():
		}
		g.mu.Lock()
		for c := range g.running {
			if c.ticks++; c.ticks > guardTicks {
				c.cancel(errCallTimeout)
			}
		}
		if idle++; len(g.running) > 0 {
			idle = 0
		}
		if idle > guardTicks {
			g.watched = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
	}
}

// close ends the watcher. Calls under way end with their own contexts.
func (g *callGuard) close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.quit)
	}
	g.mu.Unlock()
	g.wg.Wait()
}
