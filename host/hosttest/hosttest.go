// Package hosttest is the contract that every host keeps, as tests. An implementation runs them
// all with Run.
//
// Trust: host
package hosttest

import (
	"slices"
	"testing"

	"github.com/cocoframework/coco/host"
)

// Env is what one test gets to work with.
type Env struct {
	// Host is the machine under test, its disk empty.
	Host host.Host
	// Peer is a machine that reaches Host's listeners; it may be the same one.
	Peer host.Host
	// Listen is an address that Host can listen on, with port 0.
	Listen string
	// Reopen ends all that uses Host's disk, as the end of its process would, and returns the
	// machine as a new process finds it.
	Reopen func() host.Host
}

// Run runs all tests. With is called for each of them, in a test of its own: it sets a machine up
// and calls the test.
func Run(t *testing.T, with func(t *testing.T, test func(*testing.T, Env))) {
	run(t, slices.Concat(diskTests, netTests, clockTests), with)
}

// RunDisk runs the tests of a disk alone.
func RunDisk(t *testing.T, with func(t *testing.T, test func(*testing.T, Env))) {
	run(t, diskTests, with)
}

func run(t *testing.T, tests []contract, with func(t *testing.T, test func(*testing.T, Env))) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { with(t, c.test) })
	}
}

// contract is one test and what it holds.
type contract struct {
	name string
	test func(*testing.T, Env)
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got returns the value of a call that must not fail.
func got[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}
