//go:build linux

package faults

import (
	"bytes"
	"fmt"
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
}

// newSpace makes a network that reaches the bridge by a cable, under an address.
func newSpace(link, address string) (*space, error) {
	s := &space{link: link}
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
	inner := link + "i"
	if err := ip(nil, "link", "add", link, "type", "veth", "peer", "name", inner); err != nil {
		return nil, err
	}
	if err := ip(s.file, "link", "set", inner, "netns", "/proc/self/fd/3"); err != nil {
		return nil, err
	}
	if err := ip(nil, "link", "set", link, "master", bridge, "up"); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", address + "/16", "dev", inner},
		{"link", "set", inner, "up"},
	} {
		if err := s.do(func() error { return ip(nil, args...) }); err != nil {
			return nil, err
		}
	}
	return s, nil
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
