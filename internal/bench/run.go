package bench

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// work is a kind of load.
type work interface {
	// prepare makes the clients, connected, and what they need on the ledger.
	prepare(ctx context.Context) ([]*client, error)
	// supply readies what the clients will send in the measured window; expect is how many
	// transactions each will probably send, nil if nothing is known.
	supply(ctx context.Context, expect []int) error
	// check compares the ledger with what the clients were told. Its error wraps coco.ErrVerify.
	check(ctx context.Context) error
}

// step sends one request and sees it through. It returns how many of its transactions were
// committed, and how many were refused or have an unknown outcome, also when its context has ended.
// An error ends the client.
type step func() (committed, failed int, err error)

// client is one source of load, run by one goroutine at a time.
type client struct {
	*session
	step      step
	committed uint64 // in the last window
	hist      *histogram
	lost      bool // the last window ended before its last reply
}

type run struct {
	Options
	meter
	clients []*client
	end     time.Time // of the measured window
}

func (r *run) close() {
	for _, c := range r.clients {
		c.close()
	}
}

func (r *run) run(ctx context.Context) (Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var w work
	if r.Work == KV {
		w = &kvWork{run: r}
	} else {
		w = &ethWork{run: r}
	}
	var err error
	if r.clients, err = w.prepare(ctx); err != nil {
		return Report{}, r.explain(ctx, err)
	}
	for _, c := range r.clients {
		c.timeout = r.Timeout
	}
	expect, err := r.warmUp(ctx)
	if err != nil {
		return Report{}, err
	}
	if err := w.supply(ctx, expect); err != nil {
		return Report{}, err
	}
	report, err := r.measure(ctx)
	if err != nil {
		return report, err
	}
	if e, ok := w.(*ethWork); ok {
		report.SignedLate = e.signedLate()
	}
	return report, w.check(ctx)
}

// warmUp runs the load unmeasured, and returns how many transactions each client will probably
// send in the measured window: twice as many as at the rate that it reached, or as its fair share.
func (r *run) warmUp(ctx context.Context) ([]int, error) {
	if r.WarmUp < 0 {
		return nil, nil
	}
	res, err := r.window(ctx, "warm up", r.WarmUp, func() {})
	if err != nil {
		return nil, err
	}
	scale := 2 * r.Duration.Seconds() / res.elapsed.Seconds()
	share := float64(res.committed) / float64(len(r.clients))
	expect := make([]int, len(r.clients))
	for i, c := range r.clients {
		expect[i] = int(math.Ceil(scale*max(float64(c.committed), share))) + 2*r.Batch
		clear(c.kinds)
	}
	return expect, nil
}

func (r *run) measure(ctx context.Context) (Report, error) {
	epoch, err := r.epoch(ctx)
	if err != nil {
		return Report{}, err
	}
	before := readCPU(r.Processes)
	var after map[string]time.Duration
	res, err := r.window(ctx, "measure", r.Duration, func() { after, r.end = readCPU(r.Processes), time.Now() })
	report := Report{
		Work: r.Work, Nodes: r.Nodes, Clients: r.Clients, Batch: r.Batch,
		Committed: res.committed, Errors: res.failed,
		TPS:     math.Round(10*float64(res.committed)/res.elapsed.Seconds()) / 10,
		Latency: res.hist.latency(),
		CPU:     cpuPerTx(before, after, res.committed),
		Window:  res.elapsed,
		Kinds:   make(map[string]uint64),
	}
	for _, c := range r.clients {
		for k, n := range c.kinds {
			report.Kinds[k] += n
		}
	}
	if err != nil {
		return report, err
	}
	last, err := r.epoch(ctx)
	report.Epochs = last - epoch
	return report, err
}

// epoch returns the ledger's epoch, or 0 if it is not asked for.
func (r *run) epoch(ctx context.Context) (uint64, error) {
	if r.Epoch == nil {
		return 0, nil
	}
	return r.Epoch(ctx)
}

// connectAll makes n clients with a connection each, spread over the targets in turn.
func (r *run) connectAll(ctx context.Context, n int) ([]*client, error) {
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = &client{session: newSession(ctx, r.Targets, i, min(r.Timeout, r.patience))}
	}
	var count counters
	err := r.during("connect", n, &count, func() error {
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(16)
		for _, c := range clients {
			group.Go(func() error {
				if groupCtx.Err() != nil {
					return groupCtx.Err()
				}
				err := c.connect()
				count.done.Add(1)
				return err
			})
		}
		return group.Wait()
	})
	if err != nil {
		for _, c := range clients {
			c.close()
		}
		return nil, err
	}
	return clients, nil
}

// firstError keeps the first error that is not a cancellation.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}
