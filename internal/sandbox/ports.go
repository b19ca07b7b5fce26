package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"

	"github.com/cocoframework/coco"
)

// DefaultPort is where the loopback URLs begin: web3 tools look there first.
const DefaultPort = 8545

// Nodes' own listeners are below the range from which systems draw ports for outgoing
// connections, so that a node that restarts finds its port free.
const nodePortLow, nodePortHigh = 20_000, 30_000

const loopback = "127.0.0.1"

// assignPorts binds the proxies' listeners and chooses the nodes' addresses. A port in use is
// stepped over; a network that goes on keeps its ports where it can.
func (s *Sandbox) assignPorts() error {
	next := cmp.Or(s.opts.Port, DefaultPort)
	for i := range s.info.Nodes {
		n := &s.info.Nodes[i]
		want := next
		if u, err := url.Parse(n.HTTP); err == nil && u.Port() != "" && s.opts.Port == 0 {
			want, _ = strconv.Atoi(u.Port())
		}
		ln, err := listenFrom(want)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, ln)
		next = ln.Addr().(*net.TCPAddr).Port + 1
		n.HTTP, n.WS = "http://"+ln.Addr().String(), "ws://"+ln.Addr().String()
		if n.Peer, err = nodePort(n.Peer); err != nil {
			return err
		}
		if n.Client, err = nodePort(n.Client); err != nil {
			return err
		}
	}
	return nil
}

// listenFrom binds the first free loopback port at or above want.
func listenFrom(want int) (net.Listener, error) {
	const tries = 1000
	for port := want; port < want+tries && port <= 65535; port++ {
		ln, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err == nil {
			return ln, nil
		}
		var denied *net.OpError
		if !errors.As(err, &denied) {
			return nil, fmt.Errorf("port %d: %w", port, err)
		}
	}
	return nil, fmt.Errorf("%w: no loopback port from %d on is free: name another one with --port", coco.ErrInvalid, want)
}

// nodePort returns the address that a node had, if it is free, or a new one.
func nodePort(had string) (string, error) {
	if had != "" && free(had) {
		return had, nil
	}
	for range 100 {
		port := nodePortLow + rand.IntN(nodePortHigh-nodePortLow)
		if addr := net.JoinHostPort(loopback, strconv.Itoa(port)); free(addr) {
			return addr, nil
		}
	}
	return "", fmt.Errorf("%w: found no free loopback port from %d to %d", coco.ErrInvalid, nodePortLow, nodePortHigh)
}

func free(addr string) bool {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	ln.Close()
	return true
}
