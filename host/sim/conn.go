package sim

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// conn is one end of a connection.
type conn struct {
	local, remote addr
	in, out       *stream
	ends          *ends
	closed        sync.Once
}

// ends counts the ends of a connection that are open, so that the world can forget it.
type ends struct {
	world *World
	near  *conn
	open  int // guarded by world.mu
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// Close implements net.Conn. What was written before still arrives.
func (c *conn) Close() error {
	err := c.wrap("close", net.ErrClosed)
	c.closed.Do(func() {
		err = nil
		c.out.closeWrite()
		c.in.closeRead()
		w := c.ends.world
		w.mu.Lock()
		defer w.mu.Unlock()
		if c.ends.open--; c.ends.open == 0 {
			delete(w.conns, c.ends.near)
		}
	})
	return err
}

// reset breaks the connection on both ends.
func (c *conn) reset(err error) {
	c.in.reset(err)
	c.out.reset(err)
	w := c.ends.world
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c.ends.near)
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readEnd, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeEnd, t)
	return nil
}

// wrap gives an error the form that package net's have, except for io.EOF.
func (c *conn) wrap(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "sim", Source: c.local, Addr: c.remote, Err: err}
}
