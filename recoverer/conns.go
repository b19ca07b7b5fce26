package recoverer

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// bounded is a listener with so many open connections at most. One more closes the oldest one of the address that has most, so a stranger, to whom a connection costs
// nothing, does not keep members from connecting.
type bounded struct {
	net.Listener
	max int

	mu   sync.Mutex
	open []*conn // the oldest first; under mu
}

type conn struct {
	net.Conn
	of   *bounded
	from string
}

func (l *bounded) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, of: l, from: addressOf(raw.RemoteAddr())}
	if closed := l.add(c); closed != nil {
		_ = closed.Conn.Close() // below TLS, whose closing message would wait for a peer that does not read
	}
	return c, nil
}

// add adds a connection, and returns the one that makes room for it; nil if there is room.
func (l *bounded) add(c *conn) (closed *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open = append(l.open, c); len(l.open) <= l.max {
		return nil
	}
	count := map[string]int{}
	for _, x := range l.open {
		count[x.from]++
	}
	for _, x := range l.open[:len(l.open)-1] {
		if closed == nil || count[x.from] > count[closed.from] {
			closed = x
		}
	}
	l.open = slices.DeleteFunc(l.open, func(x *conn) bool { return x == closed })
	return closed
}

// addressOf returns the host, and of an IPv6 host the network of 64 bits, as hosts choose the rest.
func addressOf(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := at.Addr().Unmap().WithZone("")
	if network, err := ip.Prefix(64); err == nil && ip.Is6() {
		return network.String()
	}
	return ip.String()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.mu.Lock()
	c.of.open = slices.DeleteFunc(c.of.open, func(x *conn) bool { return x == c })
	c.of.mu.Unlock()
	return c.Conn.Close()
}
