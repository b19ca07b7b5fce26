package local

import (
	"context"
	"net"
	"time"

	"github.com/cocoframework/coco/host"
)

// Net is the operating system's TCP. Connections send small messages at once (TCP_NODELAY) and
// notice within about half a minute that a silent peer is gone. Dialled ones notice within seconds,
// on Linux, if there is something on its way.
type Net struct{}

var _ host.Net = Net{}

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// Listen implements host.Net.
func (Net) Listen(addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

// Dial implements host.Net.
func (Net) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	hurry(c)
	return prompt(c), nil
}

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return prompt(c), nil
}

// prompt turns Nagle's algorithm off. It is Go's default, but throughput of the whole network
// hangs on it, so it is not left to a default; a failure means that the connection is already
// gone, which its first use reports.
func prompt(c net.Conn) net.Conn {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true)
	}
	return c
}
