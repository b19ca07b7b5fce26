package sim

import "time"

// Partition cuts the network between two hosts: connections stall, and are reset when it lasts
// longer than StallLimit; dials wait and fail.
func (w *World) Partition(a, b string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := link(a, b)
	if w.cut[p] {
		return
	}
	w.cut[p] = true
	for _, c := range w.connsOf(func(c *conn) bool { return link(c.local.host, c.remote.host) == p }) {
		c.stall(w.stallLimit)
	}
}

// Heal ends a partition. Connections that survived it go on where they stalled.
func (w *World) Heal(a, b string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := link(a, b)
	delete(w.cut, p)
	for _, c := range w.connsOf(func(c *conn) bool { return link(c.local.host, c.remote.host) == p }) {
		c.resume()
	}
}

// Isolate cuts a host off from all others that exist by now.
func (w *World) Isolate(name string) { w.eachOther(name, w.Partition) }

// Rejoin heals all partitions of a host.
func (w *World) Rejoin(name string) { w.eachOther(name, w.Heal) }

func (w *World) eachOther(name string, do func(a, b string)) {
	w.mu.Lock()
	var others []string
	for other := range w.hosts {
		if other != name {
			others = append(others, other)
		}
	}
	w.mu.Unlock()
	for _, other := range others {
		do(name, other)
	}
}

// stall and resume act on both directions of a connection.
func (c *conn) stall(limit time.Duration) {
	c.in.stall(limit, func() { c.reset(errTimedOut) })
	c.out.stall(0, nil)
}

func (c *conn) resume() {
	c.in.resume()
	c.out.resume()
}
