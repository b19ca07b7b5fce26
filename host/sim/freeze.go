package sim

import "time"

// Freeze stops what runs on a host, as SIGSTOP or a hypervisor that pauses a machine does: from now on nothing passes between it and the other
// hosts, and nothing on it that waits for time to pass goes on. Others see what a partition shows. What runs is not interrupted in the
// middle of its work, which takes no time here.
func (w *World) Freeze(name string) {
	w.Isolate(name)
	w.clockOf(name).freeze()
}

// Thaw ends Freeze. If the host's clock has counted the time meanwhile, as that of a process that was stopped has, all that waits longer than it should is due
// at once. If not, as on a machine that was paused with its clock, the host does not know that time has passed, and its time of day is behind.
func (w *World) Thaw(name string, counted bool) {
	w.clockOf(name).thaw(counted)
	w.Rejoin(name)
}

// freeze stops the clock.
func (c *clock) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen != nil {
		return
	}
	c.counted = c.elapsed()
	c.since, c.frozen = time.Now(), make(chan struct{})
	for _, t := range c.tickers {
		t.t.Stop()
	}
}

func (c *clock) thaw(counted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen == nil {
		return
	}
	if !counted {
		c.since = time.Now()
	}
	close(c.frozen)
	c.frozen = nil
	c.thaws++
	for _, t := range c.tickers {
		t.t.Reset(c.truly(t.every))
	}
}

// untilThawed waits while the clock is frozen, and if it was since it had gone on so many times, for as long as it has still to count until due.
func (c *clock) untilThawed(due time.Duration, thaws int) {
	for {
		c.mu.Lock()
		frozen, rest, same := c.frozen, due-c.elapsed(), c.thaws == thaws
		thaws = c.thaws
		if rest > 0 {
			rest = c.truly(rest)
		}
		c.mu.Unlock()
		switch {
		case frozen != nil:
			<-frozen
		case same || rest <= 0:
			return
		default:
			time.Sleep(rest)
		}
	}
}
