//go:build linux

package faults

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// bridge joins the nodes' links. It is in the room, so no other run can have one of that name.
const bridge = "coco-br"

// hubAddress is where the clients and the proxies are.
const hubAddress = "10.99.0.1"

// makeHub makes the bridge and the room's own end of it.
func makeHub() error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", bridge, "type", "bridge"},
		{"addr", "add", hubAddress + "/16", "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if err := ip(nil, args...); err != nil {
			return err
		}
	}
	return nil
}

// ip runs the program of that name; file, if not nil, is its descriptor 3.
func ip(file *os.File, args ...string) error { return run(command(file, args...)) }

func command(file *os.File, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", args...)
	if file != nil {
		cmd.ExtraFiles = []*os.File{file}
	}
	return cmd
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, bytes.TrimSpace(out))
	}
	return nil
}

// space is a network namespace, for as long as the file is open or a process is in it.
type space struct {
	file *os.File
	link string // the end of its cable that is plugged into the bridge
	port string // the other end
	host string // its address
	card string // its hardware address
}

// newSpace makes a network that reaches the bridge by a cable, under an address.
func newSpace(link, address string) (*space, error) {
	s := &space{link: link, port: link + "i", host: address, card: cardOf(address)}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("a network namespace: %w", err)
		}
		s.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := ip(nil, "link", "add", link, "type", "veth", "peer", "name", s.port, "address", s.card); err != nil {
		return nil, err
	}
	if err := ip(s.file, "link", "set", s.port, "netns", "/proc/self/fd/3"); err != nil {
		return nil, err
	}
	if err := ip(nil, "link", "set", link, "master", bridge, "up"); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", address + "/16", "dev", s.port},
		{"link", "set", s.port, "up"},
	} {
		if err := s.do(func() error { return ip(nil, args...) }); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// cardOf makes a hardware address of an address.
func cardOf(address string) string {
	b := net.ParseIP(address).To4()
	return net.HardwareAddr(append([]byte{2, 0}, b...)).String()
}

// acquaint makes namespaces, and the room, know each other's hardware addresses for good. So what is
// sent to one that is cut off gets lost without a word, as it does between places far apart.
// Neighbours that look for each other in vain would tell TCP, which then tries more often.
func acquaint(all []*space) error {
	for _, of := range all {
		known := []string{"neigh", "replace", of.host, "lladdr", of.card, "nud", "permanent", "dev"}
		if err := ip(nil, append(known, bridge)...); err != nil {
			return err
		}
		for _, s := range all {
			if s == of {
				continue
			}
			if err := s.do(func() error { return ip(nil, append(known, s.port)...) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// do calls f in the namespace: processes that it starts are there.
func (s *space) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return f()
	})
}

// plug takes the cable out of the bridge, or puts it in.
func (s *space) plug(in bool) error {
	state := "down"
	if in {
		state = "up"
	}
	return ip(nil, "link", "set", s.link, state)
}

// onThread calls f on a thread that ends with it, so that nothing else meets its namespaces.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks it
		done <- f()
	}()
	return <-done
}
