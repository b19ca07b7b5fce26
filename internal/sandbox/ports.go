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

// assignPorts binds the proxies' listeners and then chooses the nodes' addresses. A port in use is
// stepped over; a network that goes on keeps its ports where it can.
func (s *Sandbox) assignPorts() error {
	next := cmp.Or(s.opts.Port, DefaultPort)
	for i := range s.info.Nodes {
		n := &s.info.Nodes[i]
		if n.Retired {
			n.HTTP, n.WS = "", ""
			continue
		}
		want := next
		if u, err := url.Parse(n.HTTP); err == nil && u.Port() != "" && s.opts.Port == 0 {
			want, _ = strconv.Atoi(u.Port())
		}
		ln, err := listenFrom(want)
		if err != nil {
			return err
		}
		s.front.listeners = append(s.front.listeners, ln)
		next = ln.Addr().(*net.TCPAddr).Port + 1
		n.HTTP, n.WS = "http://"+ln.Addr().String(), "ws://"+ln.Addr().String()
	}
	return s.assignNodePorts(s.nodeAddresses())
}

// nodeAddresses are where the nodes listen, or were to listen.
func (s *Sandbox) nodeAddresses() map[string]bool {
	all := map[string]bool{}
	for _, n := range s.info.Nodes {
		all[n.Peer], all[n.Client], all[n.Admin] = true, true, true
	}
	return all
}

// assignNodePorts chooses the nodes' addresses: those that they have, where they are free, else
// new ones, which are none of avoid.
func (s *Sandbox) assignNodePorts(avoid map[string]bool) error {
	given := map[string]bool{}
	for i := range s.info.Nodes {
		n := &s.info.Nodes[i]
		for _, addr := range []*string{&n.Peer, &n.Client, &n.Admin} {
			var err error
			if *addr, err = nodePort(*addr, given, avoid); err != nil {
				return err
			}
			given[*addr] = true
		}
	}
	return nil
}

// changeNodePorts gives all nodes other addresses than they have.
func (s *Sandbox) changeNodePorts() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	avoid := s.nodeAddresses()
	for i := range s.info.Nodes {
		n := &s.info.Nodes[i]
		n.Peer, n.Client, n.Admin = "", "", ""
	}
	if err := s.assignNodePorts(avoid); err != nil {
		return err
	}
	s.known.moved = true
	return s.info.Save()
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

// nodePort returns the address that a node had, if it is free and not given to another node, or a new one.
func nodePort(had string, given, avoid map[string]bool) (string, error) {
	if had != "" && !given[had] && free(had) {
		return had, nil
	}
	for range 100 {
		port := nodePortLow + rand.IntN(nodePortHigh-nodePortLow)
		if addr := net.JoinHostPort(loopback, strconv.Itoa(port)); !given[addr] && !avoid[addr] && free(addr) {
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
