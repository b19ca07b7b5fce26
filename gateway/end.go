package gateway

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// ending is the end of a gateway. Its steps come in this order, and none is taken back.
type ending struct {
	leaving    atomic.Bool     // connections end with their next answer
	draining   context.Context // done once Shutdown begins: ends upgraded connections
	drain      context.CancelFunc
	base       context.Context // every request's; done once Shutdown's patience ends
	cancelBase context.CancelFunc
}

func (e *ending) init() {
	e.base, e.cancelBase = context.WithCancel(context.Background())
	e.draining, e.drain = context.WithCancel(e.base)
}

// flushPatience is how long Shutdown waits for answers to leave whose handlers have returned, and
// for connections that have not sent a request.
const flushPatience = time.Second

// lameDuck is how long Shutdown refuses requests before it closes idle connections. A client whose
// request crosses the closing of its connection cannot know what became of it; a client whose request is
// refused can.
const lameDuck = 200 * time.Millisecond

// Leave says that Shutdown follows: from now on each connection is closed with its next answer, and there
// are no new upgraded ones. Requests are served as before.
func (g *Gateway) Leave() { g.end.leaving.Store(true) }

// Shutdown ends the gateway. New requests are refused at once, upgraded connections are told to
// end by their request's context, and running requests are waited for. Once ctx is done whatever
// is left is cancelled and its connections are closed; Shutdown returns when every handler has
// returned.
func (g *Gateway) Shutdown(ctx context.Context) error {
	gates := []*gate{&g.gates.requests, &g.gates.anonymous, &g.gates.streams}
	for _, gate := range gates {
		gate.close()
	}
	g.Leave()
	g.end.drain()
	if g.conns.Any() {
		select {
		case <-ctx.Done():
		case <-g.cfg.Clock.After(lameDuck):
		}
	}
	flushed := make(chan struct{})
	flushing, stopFlushing := context.WithCancel(ctx)
	defer stopFlushing()
	go func() {
		defer close(flushed)
		_ = g.server.Shutdown(flushing) // closes the listener first, then idle connections
	}()
	var err error
	for _, gate := range gates {
		select {
		case <-gate.drained:
		case <-ctx.Done():
			err = fmt.Errorf("gateway: shutdown: requests were cut off: %w", ctx.Err())
		}
	}
	select {
	case <-flushed:
	case <-g.cfg.Clock.After(flushPatience):
	case <-ctx.Done():
	}
	stopFlushing()
	<-flushed
	g.end.cancelBase()
	g.conns.CloseAll()
	_ = g.server.Close() // errors of connections that are being cut mean nothing
	g.upgrades.closeIf(func(*upgraded) bool { return true })
	for _, gate := range gates {
		<-gate.drained
	}
	return err
}
