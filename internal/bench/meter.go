package bench

import (
	"sync/atomic"
	"time"
)

// meter tells progress while a phase's work runs.
type meter struct {
	progress func(Sample)
}

const sampleInterval = 250 * time.Millisecond

// counters of a phase; the work adds to them and the meter reads them.
type counters struct {
	done, committed, failed atomic.Uint64
	late                    atomic.Uint64 // committed when the window was over
}

// during runs work and samples its counters until it returns.
func (m *meter) during(phase string, total int, c *counters, work func() error) error {
	if m.progress == nil {
		return work()
	}
	begin := time.Now()
	last, before := begin, uint64(0)
	sample := func(now time.Time) {
		s := Sample{
			Phase: phase, Done: int(c.done.Load()), Total: total, Elapsed: now.Sub(begin),
			Committed: c.committed.Load(), Errors: c.failed.Load(),
		}
		if d := now.Sub(last); d > 0 {
			s.TPS = float64(s.Committed-before) / d.Seconds()
		}
		last, before = now, s.Committed
		m.progress(s)
	}
	sample(begin)
	result := make(chan error, 1)
	go func() { result <- work() }()
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			sample(now)
		case err := <-result:
			sample(time.Now())
			return err
		}
	}
}
