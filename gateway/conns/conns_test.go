package conns

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
)

// from is a connection of a remote address.
type from struct {
	net.Conn
	address string
}

func (f *from) RemoteAddr() net.Addr { return name(f.address) }

type name string

func (name) Network() string  { return "tcp" }
func (n name) String() string { return string(n) }

// opener opens connections in turn and remembers which are open.
type opener struct {
	t    *testing.T
	all  *Table
	port int
	open []*Conn
}

func (c *opener) enter(host string) (added, closed *Conn, ok bool) {
	c.t.Helper()
	c.port++
	added, closed, ok = c.all.add(&from{address: net.JoinHostPort(host, fmt.Sprint(c.port))})
	if closed != nil {
		i := slices.Index(c.open, closed)
		if i < 0 {
			c.t.Fatal("a connection is closed that is not open")
		}
		c.open = slices.Delete(c.open, i, i+1)
	}
	if ok {
		c.open = append(c.open, added)
	}
	held := 0
	for _, h := range c.all.holders {
		held += h.conns.Len()
	}
	if len(c.all.open) > c.all.max || held != len(c.all.open) || len(c.open) != held {
		c.t.Fatalf("%d are open of %d at most, %d are held, expected %d", len(c.all.open), c.all.max, held, len(c.open))
	}
	return added, closed, ok
}

func actor(name string) coco.ActorID { return sha256.Sum256([]byte(name)) }

func TestWhoeverHasMostConnectionsMakesRoom(t *testing.T) {
	c := &opener{t: t, all: New(100)}
	honest, _, _ := c.enter("10.0.0.1")
	for range 1000 { // of one network
		c.enter("2001:db8::" + fmt.Sprintf("%x", c.port))
	}
	if !slices.Contains(c.open, honest) {
		t.Error("a stranger's connections closed another address's")
	}
	for range 49 {
		if _, closed, ok := c.enter("10.0.0.2"); !ok || closed == nil || closed.of.key != "2001:db8::/64" {
			t.Fatal("another address finds no room beside a stranger who has all")
		}
	}
	if _, closed, ok := c.enter("10.0.0.3"); !ok || closed.of.key == "10.0.0.1" {
		t.Error("a third address finds no room")
	}
	if _, closed, ok := c.enter("2001:db8::ffff"); !ok || closed.of.key != "2001:db8::/64" {
		t.Error("who has most is given another one's place")
	}
}

func TestAnOrganisationsConnectionsAreClosedWhileTheyAreIdle(t *testing.T) {
	c := &opener{t: t, all: New(10)}
	var busy []*Conn
	var idle *Conn
	for i := range 10 {
		x, _, _ := c.enter("10.0.0.1")
		c.all.Belongs(x, actor("bank"))
		c.all.Belongs(x, actor("bank")) // each request says so
		if i < 9 {
			c.all.Note(x, http.StateActive)
			busy = append(busy, x)
		} else {
			idle = x
		}
	}
	other, closed, ok := c.enter("10.0.0.1") // the same address, another one's or not
	if !ok || closed != idle {
		t.Fatal("a newcomer finds no room beside an idle connection of an organisation that has all others")
	}
	c.all.Belongs(other, actor("insurer"))
	if _, closed, ok := c.enter("10.0.0.1"); ok || closed != nil {
		t.Error("a connection is closed that serves a request")
	}
	c.all.Note(busy[3], http.StateIdle)
	if _, closed, ok := c.enter("10.0.0.9"); !ok || closed != busy[3] {
		t.Error("the connection that has become idle is not the one that is closed")
	}
	if !slices.Contains(c.open, other) {
		t.Error("an organisation with one connection lost it to one with nine")
	}
}

func TestConnectionsThatAreAllAloneStay(t *testing.T) {
	c := &opener{t: t, all: New(4)}
	for i := range 4 {
		c.enter(fmt.Sprintf("10.0.0.%d", i))
	}
	if _, closed, ok := c.enter("10.0.0.9"); ok || closed != nil {
		t.Error("one connection of an address gave way to the first one of another address")
	}
	c.all.mu.Lock()
	c.all.drop(c.open[0])
	c.all.drop(c.open[0])
	c.all.mu.Unlock()
	c.open = c.open[1:]
	if _, _, ok := c.enter("10.0.0.9"); !ok {
		t.Error("no room after a connection has ended")
	}
	c.all.open = nil
	if _, _, ok := c.all.add(&from{address: "10.0.0.1:1"}); ok {
		t.Error("a connection is accepted after all were closed for good")
	}
}
