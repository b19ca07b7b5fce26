package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
)

// result is what happened in a window.
type result struct {
	committed, failed uint64
	elapsed           time.Duration // of the window
	hist              histogram
}

// window has every client send for d, and calls atEnd when d is over. What is committed by then is
// the result; replies that are under way are waited for, for so long as the run has patience. A window
// that is over before the first reply lasts until the last one, and one in which every client gives
// up ends with that.
func (r *run) window(ctx context.Context, phase string, d time.Duration, atEnd func()) (*result, error) {
	var res result
	var count counters
	var stopped firstError
	err := r.during(phase, 0, &count, func() error {
		sending, cancel := context.WithCancel(ctx)
		defer cancel()
		begin, done := time.Now(), make(chan struct{})
		var wg sync.WaitGroup
		for _, c := range r.clients {
			c.committed, c.hist = 0, new(histogram)
			c.bind(sending)
			wg.Go(func() {
				stopped.set(c.load(ctx, begin.Add(d), &count))
				count.done.Add(1)
			})
		}
		go func() {
			wg.Wait()
			close(done)
		}()
		err := r.watch(ctx, d, &count, done, atEnd)
		res.elapsed = time.Since(begin)
		answered := false // by all nodes, so that the connections are good for what follows
		select {
		case <-done:
			answered = true
		default:
			cancel() // closes the connections, and so ends the clients that wait
			<-done
		}
		for _, c := range r.clients {
			if c.lost || !answered {
				c.close()
			}
			c.bind(ctx)
		}
		if why := r.mostly(); err != nil && ctx.Err() == nil && why != "" {
			err = fmt.Errorf("%w; most often: %s", err, why)
		}
		return err
	})
	res.committed, res.failed = count.committed.Load(), count.failed.Load()
	if res.committed > 0 {
		res.elapsed = min(res.elapsed, d)
	} else {
		res.committed = count.late.Load()
	}
	for _, c := range r.clients {
		res.hist.merge(c.hist)
		c.hist = nil
	}
	if err == nil && res.committed == 0 {
		err = stopped.err
		if err == nil {
			err = fmt.Errorf("%w: bench: nothing was committed within %v", coco.ErrNotCommitted, d)
		}
	}
	return &res, err
}

// mostly is the most frequent kind of failure. It needs clients that are done.
func (r *run) mostly() (kind string) {
	sum, most := make(map[string]uint64), uint64(0)
	for _, c := range r.clients {
		for k, n := range c.kinds {
			if sum[k] += n; sum[k] > most && k != unanswered {
				kind, most = k, sum[k]
			}
		}
	}
	return kind
}

// unanswered is the kind of failure of what had no reply when the wait for it was over.
const unanswered = "unanswered"

// lostPatience is how long every client may be without a connection.
const lostPatience = time.Second

// watch returns once all clients are done or need not be waited for any longer; its error says why
// the window ended early.
func (r *run) watch(ctx context.Context, d time.Duration, count *counters, done <-chan struct{}, atEnd func()) error {
	begin := time.Now()
	end, limit := time.NewTimer(d), time.NewTimer(d+r.patience)
	defer end.Stop()
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ended := false
	connected, progressed, before := begin, begin, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			if !ended {
				atEnd()
			}
			return nil
		case <-end.C:
			ended = true
			atEnd()
		case <-limit.C:
			if count.done.Load() == 0 {
				return r.stalled(ctx)
			}
			return nil
		case now := <-tick.C:
			if !r.disconnected() {
				connected = now
			}
			if n := count.committed.Load() + count.late.Load(); n != before {
				progressed, before = now, n
			}
			switch {
			case now.Sub(connected) > min(lostPatience, r.patience):
				if silent := r.silent(ctx); len(silent) == len(r.Targets) {
					return allSilent(silent)
				}
				connected = time.Now()
			case now.Sub(progressed) > r.patience && (!ended || count.done.Load() == 0):
				return r.stalled(ctx) // a client that is done after the end had a reply: that is no stall
			}
		}
	}
}

// disconnected says whether no client reached any target when it last tried them all.
func (r *run) disconnected() bool {
	for _, c := range r.clients {
		if int(c.failed.Load()) < len(r.Targets) {
			return false
		}
	}
	return true
}

// stalled says why nothing is committed any more.
func (r *run) stalled(ctx context.Context) error {
	silent := r.silent(ctx)
	switch len(silent) {
	case len(r.Targets):
		return allSilent(silent)
	case 0:
		return fmt.Errorf("%w: bench: nothing has been committed for %v, although every node accepts connections: see `coco status`", coco.ErrNotCommitted, r.patience)
	}
	return fmt.Errorf("%w: bench: nothing has been committed for %v: there is no quorum; no answer from %s", coco.ErrNotCommitted, r.patience, strings.Join(silent, ", "))
}

func allSilent(silent []string) error {
	return fmt.Errorf("%w: bench: no node can be reached any more: no answer from %s", coco.ErrUnreachable, strings.Join(silent, ", "))
}

// silent names the targets that accept no connection.
func (r *run) silent(ctx context.Context) []string {
	down := make([]bool, len(r.Targets))
	var wg sync.WaitGroup
	for i := range r.Targets {
		wg.Go(func() {
			l, err := link.Dial(ctx, &r.Targets[i], min(time.Second, r.patience))
			if down[i] = err != nil; !down[i] {
				_ = l.Close()
			}
		})
	}
	wg.Wait()
	var names []string
	for i, d := range down {
		if d {
			names = append(names, r.Targets[i].Label())
		}
	}
	return names
}

// explain says of an error before the first window whether nodes that do not answer are its cause.
func (r *run) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil || kind(err) == "malformed reply" {
		return err
	}
	switch silent := r.silent(ctx); {
	case len(silent) == len(r.Targets):
		return fmt.Errorf("%w (%w)", allSilent(silent), err)
	case 2*len(silent) >= r.Nodes && len(silent) > 0:
		return fmt.Errorf("%w: bench: there is no quorum: no answer from %s", coco.ErrNotCommitted, strings.Join(silent, ", "))
	}
	return err
}

// load sends until end, and at least once. Its session's context may end before ctx: what then has
// no reply is a failure.
func (c *client) load(ctx context.Context, end time.Time, count *counters) error {
	c.lost = false
	for now, more := time.Now(), true; more; more = now.Before(end) {
		committed, failed, err := c.step()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		then := time.Now()
		if committed > 0 {
			c.hist.record(then.Sub(now), uint64(committed))
			if then.After(end) {
				count.late.Add(uint64(committed))
			} else {
				c.committed += uint64(committed)
				count.committed.Add(uint64(committed))
			}
		}
		now = then
		if failed > 0 {
			count.failed.Add(uint64(failed))
		}
		if c.ctx.Err() != nil {
			c.lost = true
			if failed > 0 {
				c.kinds[unanswered] += uint64(failed)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkDeadline is when a target must hold what was acknowledged.
func (r *run) checkDeadline() time.Time {
	const atLeast = 3 * time.Second // whatever the drain took
	deadline := r.end.Add(r.checkPatience)
	if now := time.Now(); r.checkPatience > atLeast && deadline.Before(now.Add(atLeast)) {
		deadline = now.Add(atLeast)
	}
	return deadline
}
