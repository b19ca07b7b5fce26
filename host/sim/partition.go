package sim

import (
	"maps"
	"slices"
)

// Partition cuts the network between two hosts, both ways: connections stall, and are reset when it lasts
// longer than StallLimit; dials wait and fail.
func (w *World) Partition(a, b string) {
	w.PartitionOneWay(a, b)
	w.PartitionOneWay(b, a)
}

// PartitionOneWay cuts the network from one host to another. What the other sends on open connections
// still arrives, until their senders miss the acknowledgements for longer than StallLimit; new
// connections cannot be made in either direction, as they need a round trip.
func (w *World) PartitionOneWay(from, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := pair{from, to}
	if w.cut[p] {
		return
	}
	w.cut[p] = true
	for _, c := range w.between(from, to) {
		c.sentBy(from).stall(w.stallLimit, func() { c.reset(errTimedOut) })
	}
}

// Heal ends all partitions between two hosts. Connections that survived it go on where they stalled.
func (w *World) Heal(a, b string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.cut, pair{a, b})
	delete(w.cut, pair{b, a})
	for _, c := range w.between(a, b) {
		c.in.resume()
		c.out.resume()
	}
}

// Isolate cuts a host off from all others that exist by now.
func (w *World) Isolate(name string) { w.eachOther(name, w.Partition) }

// Mute cuts a host off one way: it hears all others that exist by now, and none hears it.
func (w *World) Mute(name string) { w.eachOther(name, w.PartitionOneWay) }

// Deafen is the other way round: all hear the host, and it hears none.
func (w *World) Deafen(name string) {
	w.eachOther(name, func(name, other string) { w.PartitionOneWay(other, name) })
}

// Rejoin heals all partitions of a host.
func (w *World) Rejoin(name string) { w.eachOther(name, w.Heal) }

// Redirect has new connections to a host's name reach another host, as when that one takes over its address.
// The empty name ends it.
func (w *World) Redirect(name, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to == "" {
		delete(w.redirected, name)
	} else {
		w.redirected[name] = to
	}
}

func (w *World) eachOther(name string, do func(a, b string)) {
	w.mu.Lock()
	others := slices.Sorted(maps.Keys(w.hosts))
	w.mu.Unlock()
	for _, other := range others {
		if other != name {
			do(name, other)
		}
	}
}

// apart reports whether no connection can be made between two hosts. w.mu is held.
func (w *World) apart(a, b string) bool { return w.cut[pair{a, b}] || w.cut[pair{b, a}] }

// between returns the connections between two hosts. w.mu is held.
func (w *World) between(a, b string) []*conn {
	p := link(a, b)
	return w.connsOf(func(c *conn) bool { return link(c.local.host, c.remote.host) == p })
}

// sentBy returns the direction of a connection in which a host sends. Both are, of a connection
// within one host, which is never cut.
func (c *conn) sentBy(host string) *stream {
	if c.local.host == host {
		return c.out
	}
	return c.in
}
