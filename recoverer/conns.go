package recoverer

import (
	"net"

	"github.com/cocoframework/coco/internal/crowd"
)

// bounded is a listener whose connections are a crowd, so a stranger does not keep members from connecting.
type bounded struct {
	net.Listener
	crowd *crowd.Crowd
}

type conn struct {
	net.Conn
	of    *crowd.Crowd
	place *crowd.Place
}

// Accept accepts a connection. The crowd closes another one below TLS, whose closing message would wait for a peer that does not read.
func (l *bounded) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{raw, l.crowd, l.crowd.Enter(raw, crowd.AddressOf(raw.RemoteAddr()))}, nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.Leave(c.place)
	return c.Conn.Close()
}
