package crowd

import (
	"net"
	"testing"
)

type conn struct {
	net.Conn
	closed bool
}

func (c *conn) Close() error { c.closed = true; return nil }

func TestTheSenderWithMostConnectionsLosesTheOldest(t *testing.T) {
	c := New(3)
	var all []*conn
	var places []*Place
	for _, from := range []string{"a", "b", "b", "b", "a", "c"} {
		x := new(conn)
		all, places = append(all, x), append(places, c.Enter(x, from))
	}
	for i, want := range []bool{true, true, true, false, false, false} {
		if all[i].closed != want {
			t.Errorf("connection %d is closed: %t, expected %t", i, all[i].closed, want)
		}
	}
	c.Leave(places[0])
	c.Leave(places[5])
	c.Leave(places[5])
	if n := c.Len(); n != 2 || all[5].closed {
		t.Errorf("%d are left, expected 2; one that left is closed: %t", n, all[5].closed)
	}
}

func TestAnIPv6SenderIsItsNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1":         "10.0.0.1",
		"::ffff:10.0.0.1":  "10.0.0.1",
		"2001:db8::1":      "2001:db8::/64",
		"2001:db8:0:1::ff": "2001:db8:0:1::/64",
	} {
		if got := AddressOf(&net.TCPAddr{IP: net.ParseIP(text), Port: 7}); got != want {
			t.Errorf("%s: %q, expected %q", text, got, want)
		}
	}
	if got := AddressOf(&net.UnixAddr{Name: "socket", Net: "unix"}); got != "socket" {
		t.Errorf("a socket: %q", got)
	}
}
