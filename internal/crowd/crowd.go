// Package crowd bounds the connections of strangers. A connection costs its maker nothing, so nobody waits for one to end: where there are too many,
// the sender that has most of them loses the oldest. So others find room, however many connections one sender makes.
//
// Trust: enclave
package crowd

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// Crowd are connections whose senders are not known. It is safe for concurrent use.
type Crowd struct {
	max int

	mu   sync.Mutex
	list []*Place // the oldest first; under mu
}

// Place is a connection's place in a crowd.
type Place struct {
	conn net.Conn
	from string
}

// New returns an empty crowd of at most so many connections.
func New(most int) *Crowd { return &Crowd{max: most} }

// Enter counts a connection from a sender, until Leave. It closes another one if there are too many.
func (c *Crowd) Enter(conn net.Conn, from string) *Place {
	p := &Place{conn, from}
	if gone := c.add(p); gone != nil {
		_ = gone.conn.Close() // what reads from it ends
	}
	return p
}

// add adds a place, and returns the one that makes room for it; nil if there is room.
func (c *Crowd) add(p *Place) (gone *Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list = append(c.list, p); len(c.list) <= c.max {
		return nil
	}
	count := map[string]int{}
	for _, x := range c.list {
		count[x.from]++
	}
	for _, x := range c.list[:len(c.list)-1] {
		if gone == nil || count[x.from] > count[gone.from] {
			gone = x
		}
	}
	c.remove(gone)
	return gone
}

// Leave says that a connection has ended, or that its sender is known. Again it does nothing.
func (c *Crowd) Leave(p *Place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(p)
}

// remove needs mu.
func (c *Crowd) remove(p *Place) {
	c.list = slices.DeleteFunc(c.list, func(x *Place) bool { return x == p })
}

// Len returns how many connections there are.
func (c *Crowd) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.list)
}

// AddressOf names the sender of a remote address: the host, and of an IPv6 host the network of 64 bits, as hosts choose the rest.
func AddressOf(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, _ := ip.Prefix(64) // an IPv6 address has as many bits
	return network.String()
}
