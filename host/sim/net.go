package sim

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

var (
	errReset      error = syscall.ECONNRESET
	errRefused    error = syscall.ECONNREFUSED
	errInUse      error = syscall.EADDRINUSE
	errBrokenPipe error = syscall.EPIPE
	errTimedOut   error = syscall.ETIMEDOUT
)

// backlog is how many connections may wait for Accept.
const backlog = 128

// network is the world as one incarnation of a host reaches it.
type network struct {
	world *World
	from  *machine
	life  *life
}

type addr struct{ host, port string }

func (a addr) Network() string { return "sim" }
func (a addr) String() string  { return net.JoinHostPort(a.host, a.port) }

// resolve reads an address as seen from a host: names of the loopback interface, and for
// listeners the unspecified ones, are the host itself.
func (n *network) resolve(address string) (addr, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return addr{}, &net.AddrError{Err: err.Error(), Addr: address}
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(p, 10) != port {
		return addr{}, &net.AddrError{Err: "invalid port", Addr: address}
	}
	switch name {
	case "", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::":
		name = n.from.name
	}
	return addr{name, port}, nil
}

// Listen implements host.Net.
func (n *network) Listen(address string) (net.Listener, error) {
	at, err := n.resolve(address)
	if err == nil && at.host != n.from.name {
		err = &net.AddrError{Err: "not an address of host " + n.from.name, Addr: address}
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "sim", Err: err}
	}
	w := n.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := n.life.err("listen"); err != nil {
		return nil, err
	}
	if at.port == "0" {
		for at.port == "0" || n.from.listeners[at.port] != nil {
			at.port = n.from.port()
		}
	}
	if n.from.listeners[at.port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "sim", Addr: at, Err: errInUse}
	}
	l := &listener{network: n, at: at}
	l.change.L = &l.mu
	n.from.listeners[at.port] = l
	return l, nil
}

// port returns a port that was not handed out before. The world's mu is held.
func (m *machine) port() string {
	if m.nextPort > 65535 {
		m.nextPort = 40000
	}
	p := strconv.Itoa(m.nextPort)
	m.nextPort++
	return p
}

// Dial implements host.Net.
func (n *network) Dial(ctx context.Context, address string) (net.Conn, error) {
	to, err := n.resolve(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "sim", Err: err}
	}
	c, err := n.dial(ctx, to)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "sim", Addr: to, Err: err}
	}
	return c, nil
}

// dial takes one round trip, or until the timeout when the network is cut.
func (n *network) dial(ctx context.Context, to addr) (net.Conn, error) {
	w, p := n.world, link(n.from.name, to.host)
	giveUp := time.Now().Add(DialTimeout)
	for {
		w.mu.Lock()
		l, cut := w.linkOf(p), w.apart(p.a, p.b)
		w.mu.Unlock()
		if !cut {
			if err := sleep(ctx, l.Delay); err != nil {
				return nil, err
			}
			c, err := n.connect(to)
			if err != nil || c != nil {
				if e := sleep(ctx, l.Delay); e != nil && err == nil {
					_ = c.Close()
					return nil, e
				}
				return c, err
			}
		}
		// The network is cut: try again, as TCP does, until time is up.
		if !time.Now().Before(giveUp) {
			return nil, errTimedOut
		}
		if err := sleep(ctx, RetransmitDelay); err != nil {
			return nil, err
		}
	}
}

// connect makes a connection and queues its other end at the listener. It returns neither
// connection nor error when the network is cut.
func (n *network) connect(to addr) (net.Conn, error) {
	w := n.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := n.life.err("dial"); err != nil {
		return nil, err
	}
	if w.apart(n.from.name, to.host) {
		return nil, nil
	}
	if other, ok := w.redirected[to.host]; ok {
		to.host = other
		if w.apart(n.from.name, other) {
			return nil, nil
		}
	}
	target, ok := w.hosts[to.host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: to.host, IsNotFound: true}
	}
	l := target.listeners[to.port]
	if l == nil {
		return nil, errRefused
	}
	from := addr{n.from.name, n.from.port()}
	near, far := w.pipe(from, to)
	if !l.offer(far) {
		return nil, errRefused
	}
	w.made++
	w.conns[near] = w.made
	return near, nil
}

// pipe makes the two ends of a connection. w.mu is held.
func (w *World) pipe(from, to addr) (near, far *conn) {
	p := link(from.host, to.host)
	number := w.dialled[pair{from.host, to.host}]
	w.dialled[pair{from.host, to.host}]++
	direction := func(a, b addr, name string) *stream {
		s := newStream(w.rand("conn", from.host, to.host, fmt.Sprint(number), name))
		s.link = func() Link {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.linkOf(p)
		}
		s.tap = func() func([]byte) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.tap == nil {
				return nil
			}
			tap := w.tap
			return func(data []byte) { tap(a.host, b.host, data) }
		}
		s.tampering = func() float64 {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.tampering[p]
		}
		s.tampered = w.tamperedWith(p)
		return s
	}
	there, back := direction(from, to, "there"), direction(to, from, "back")
	near = &conn{local: from, remote: to, in: back, out: there}
	far = &conn{local: to, remote: from, in: there, out: back}
	there.kill, back.kill = near.reset, near.reset
	pairUp := &ends{world: w, near: near, open: 2}
	near.ends, far.ends = pairUp, pairUp
	return near, far
}

func sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listener is one open port.
type listener struct {
	network *network
	at      addr

	mu      sync.Mutex
	change  sync.Cond
	waiting []*conn
	closed  bool
}

// offer queues a connection for Accept and reports whether there was room.
func (l *listener) offer(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.waiting) == backlog {
		return false
	}
	l.waiting = append(l.waiting, c)
	l.change.Signal()
	return true
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && len(l.waiting) == 0 {
		l.change.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "sim", Addr: l.at, Err: net.ErrClosed}
	}
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	return c, nil
}

// Close implements net.Listener.
func (l *listener) Close() error {
	w := l.network.world
	w.mu.Lock()
	if l.network.from.listeners[l.at.port] == l {
		delete(l.network.from.listeners, l.at.port)
	}
	w.mu.Unlock()
	if !l.shut() {
		return &net.OpError{Op: "close", Net: "sim", Addr: l.at, Err: net.ErrClosed}
	}
	return nil
}

// shut ends Accept and resets the connections that wait for it. It reports whether it was open.
func (l *listener) shut() bool {
	l.mu.Lock()
	was, waiting := !l.closed, l.waiting
	l.closed, l.waiting = true, nil
	l.change.Broadcast()
	l.mu.Unlock()
	for _, c := range waiting {
		c.reset(errReset)
	}
	return was
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.at }
