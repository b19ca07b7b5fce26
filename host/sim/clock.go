package sim

import (
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco/host"
)

// clock is package time with another idea of the time of day, and of how fast it passes. It goes on when
// its host crashes, so that what waits on it can end.
type clock struct {
	mu      sync.Mutex
	offset  time.Duration // of the time of day
	rate    float64       // how many seconds this clock counts in a true one
	since   time.Time     // when the rate was set
	counted time.Duration // by this clock, from epoch until since
	tickers []*ticker     // in the order in which they were made
	frozen  chan struct{} // closed when the clock goes on; nil while it goes
	thaws   int           // how often it went on
}

// epoch is before the time of every bubble.
var epoch = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

func newClock() *clock { return &clock{rate: 1, since: epoch} }

func (c *clock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elapsed()
}

func (c *clock) elapsed() time.Duration {
	if c.frozen != nil {
		return c.counted
	}
	passed := time.Since(c.since)
	if c.rate != 1 { // exact as long as no drift was asked for
		passed = time.Duration(float64(passed) * c.rate)
	}
	return c.counted + passed
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return epoch.Add(c.elapsed() + c.offset)
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	rings, due, thaws := make(chan time.Time, 1), c.elapsed()+d, c.thaws
	time.AfterFunc(c.truly(d), func() {
		c.untilThawed(due, thaws)
		rings <- time.Now()
	})
	return rings
}

// Deadline implements host.Clock: connections go by the true time.
func (c *clock) Deadline(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.truly(d))
}

// truly returns how long this clock's duration takes. c.mu is held.
func (c *clock) truly(d time.Duration) time.Duration {
	if c.rate == 1 {
		return d
	}
	return max(1, time.Duration(float64(d)/c.rate))
}

func (c *clock) NewTicker(d time.Duration) host.Ticker {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &ticker{clock: c, every: d, t: time.NewTicker(c.truly(d))}
	c.tickers = append(c.tickers, t)
	if c.frozen != nil {
		t.t.Stop()
	}
	return t
}

type ticker struct {
	clock *clock
	every time.Duration // by its clock
	t     *time.Ticker
}

func (t *ticker) C() <-chan time.Time { return t.t.C }

func (t *ticker) Stop() {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.clock.tickers = slices.DeleteFunc(t.clock.tickers, func(other *ticker) bool { return other == t })
	t.t.Stop()
}

// SetClock sets how far a host's time of day is from the true one, now.
func (w *World) SetClock(name string, offset time.Duration) {
	c := w.clockOf(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset + time.Since(epoch) - c.elapsed()
}

// SetClockRate makes a host's clock drift: it counts rate seconds in a true one, for the time of day, for what
// waits from now on, and for all tickers. A rate of 1 ends the drift; the time of day stays as far off as
// it is by then.
func (w *World) SetClockRate(name string, rate float64) {
	c := w.clockOf(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen != nil {
		c.rate = rate
		return
	}
	c.counted, c.since, c.rate = c.elapsed(), time.Now(), rate
	for _, t := range c.tickers {
		t.t.Reset(c.truly(t.every))
	}
}

func (w *World) clockOf(name string) *clock {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.machine(name).clock
}
