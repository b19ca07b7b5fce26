// Package sim is a simulated world of hosts in one process: disks in memory that forget on a
// crash what was not synced, a network in memory with delay, loss and partitions, and clocks that
// disagree. Faults are drawn from a seed.
//
// Time is package time's. A test that wants virtual time runs inside a bubble of testing/synctest,
// in which time stands still while any goroutine can run and jumps ahead when none can; all
// waiting in this package is of the kind that such a bubble understands. See
// docs/adr/0001-virtual-time.md.
//
//	synctest.Test(t, func(t *testing.T) {
//		w := sim.New(seed)
//		node := start(w.Host("n1"))
//		w.Partition("n1", "n2")
//		w.Crash("n3")
//		…
//	})
//
// A crash takes the host away from under the code that runs on it: what is open fails, and the
// code cannot reach anything any more. Stopping its goroutines is the test's part. After Restart,
// Host gives the new incarnation to start the code on again.
//
// Trust: host
package sim

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/host"
)

// ErrCrashed is wrapped by whatever is done through a host that has crashed since.
var ErrCrashed = errors.New("host crashed")

// World is a set of hosts and the network between them. Its methods may be called at any time
// from any goroutine.
type World struct {
	seed uint64

	mu         sync.Mutex // guards what follows; taken before any other lock of this package
	hosts      map[string]*machine
	links      map[pair]Link
	link       Link
	cut        map[pair]bool // from a to b
	tampering  map[pair]float64
	tampered   map[pair]*atomic.Int64 // writes, so far
	redirected map[string]string
	conns      map[*conn]uint64 // the dialling ends, and how many connections were made before each
	made       uint64           // connections made so far
	dialled    map[pair]uint64  // … between two hosts, for their seeds
	stallLimit time.Duration
	tap        func(from, to string, b []byte)
}

// Link is how the network behaves between two hosts.
type Link struct {
	// Delay is how long bytes travel one way, Jitter what is added to it at most, evenly. Bytes
	// of one connection stay in order.
	Delay, Jitter time.Duration
	// Loss is the probability that a write is lost. As streams do not lose bytes, that shows as
	// a pause until it is sent again, after RetransmitDelay and twice that for each further
	// loss; after maxRetransmits of them the connection is reset.
	Loss float64
}

const (
	// RetransmitDelay is how long a lost write holds up a connection.
	RetransmitDelay = 200 * time.Millisecond
	maxRetransmits  = 8
	// DialTimeout is how long a dial into a partition waits for it to heal.
	DialTimeout = 5 * time.Second
	// StallLimit is how long a connection survives a partition.
	StallLimit = 20 * time.Second
)

// DefaultLink is the network of a new world: a data centre.
var DefaultLink = Link{Delay: 100 * time.Microsecond, Jitter: 50 * time.Microsecond}

// Measurement is what the virtual TEEs of all simulated hosts measure, unless the test puts
// another Quoter into the host.Host.
var Measurement = virtual.Measure([]byte("coco simulated program"))

// New makes a world without hosts. Worlds of the same seed draw the same faults.
func New(seed uint64) *World {
	return &World{
		seed:       seed,
		hosts:      make(map[string]*machine),
		links:      make(map[pair]Link),
		link:       DefaultLink,
		cut:        make(map[pair]bool),
		tampering:  make(map[pair]float64),
		tampered:   make(map[pair]*atomic.Int64),
		redirected: make(map[string]string),
		conns:      make(map[*conn]uint64),
		dialled:    make(map[pair]uint64),
		stallLimit: StallLimit,
	}
}

// machine is a host's lasting part. An incarnation of it lives from one crash to the next.
type machine struct {
	name      string
	disk      *diskState
	clock     *clock
	up        bool
	life      *life // of the current incarnation
	listeners map[string]*listener
	nextPort  int
}

// life tells the objects of one incarnation whether it is over.
type life struct{ over atomic.Bool }

func (l *life) err(what string) error {
	if l.over.Load() {
		return fmt.Errorf("%s: %w", what, ErrCrashed)
	}
	return nil
}

// Host returns the current incarnation of a host, making it at first use; of a host that is down,
// the one that crashed. Its name is also its network name: listeners of "n1" are reached as
// "n1:PORT".
func (w *World) Host(name string) host.Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.machine(name)
	quoter, err := virtual.NewQuoter(Measurement)
	if err != nil {
		panic(err) // Measurement is a constant
	}
	d := &disk{state: m.disk, life: m.life}
	return host.Host{
		Disk:   d,
		Net:    &network{world: w, from: m, life: m.life},
		Clock:  m.clock,
		Quoter: quoter,
		Sealer: virtual.NewSealer(d, Measurement),
	}
}

// machine returns a host, making it at first use. w.mu is held.
func (w *World) machine(name string) *machine {
	m, ok := w.hosts[name]
	if !ok {
		m = &machine{
			name: name, up: true, life: &life{}, clock: newClock(),
			disk: newDiskState(w.rand("disk", name)), listeners: make(map[string]*listener), nextPort: 40000,
		}
		w.hosts[name] = m
	}
	return m
}

// rand returns a source of its own for each purpose, so that what one part draws does not depend
// on how the scheduler mixes it with the others.
func (w *World) rand(purpose ...string) *rand.Rand {
	h := fnv.New64a()
	for _, p := range purpose {
		fmt.Fprintf(h, "%d %s", len(p), p)
	}
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

// Crash ends a host's incarnation at once: its disk forgets what was not synced, its connections
// are reset, its listeners closed, and everything obtained from it fails from now on.
func (w *World) Crash(name string) { w.crash(name, (*diskState).crash) }

// CrashTorn is Crash with a disk that wrote some of what was not synced: each write since the
// last sync survives whole, in part, or not at all, as the seed says.
func (w *World) CrashTorn(name string) { w.crash(name, (*diskState).crashTorn) }

func (w *World) crash(name string, forget func(*diskState)) {
	w.mu.Lock()
	m := w.machine(name)
	m.up = false
	m.life.over.Store(true)
	forget(m.disk)
	var listeners []*listener
	for _, port := range slices.Sorted(maps.Keys(m.listeners)) {
		listeners = append(listeners, m.listeners[port])
	}
	m.listeners = make(map[string]*listener)
	conns := w.connsOf(func(c *conn) bool { return c.local.host == name || c.remote.host == name })
	w.mu.Unlock()

	for _, l := range listeners {
		l.shut()
	}
	for _, c := range conns {
		c.reset(errReset)
	}
}

// Restart brings a crashed host up again, with the disk that the crash left. A host that is up is
// crashed first.
func (w *World) Restart(name string) {
	w.mu.Lock()
	up := w.machine(name).up
	w.mu.Unlock()
	if up {
		w.Crash(name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.machine(name)
	m.up, m.life = true, &life{}
}

// SetLink sets the behaviour of all links for which SetLinkBetween does not say otherwise.
func (w *World) SetLink(l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link = l
}

// SetLinkBetween sets the behaviour of the link between two hosts, both ways.
func (w *World) SetLinkBetween(a, b string, l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[link(a, b)] = l
}

// Tap has fn see all bytes on the network as they are written. It is called from the writers'
// goroutines and MUST NOT keep or modify the bytes.
func (w *World) Tap(fn func(from, to string, b []byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tap = fn
}

// pair is two hosts: those of a link in either order, as link returns it.
type pair struct{ a, b string }

func link(a, b string) pair {
	if a > b {
		a, b = b, a
	}
	return pair{a, b}
}

// linkOf returns the behaviour between two hosts. w.mu is held.
func (w *World) linkOf(p pair) Link {
	if l, ok := w.links[p]; ok {
		return l
	}
	return w.link
}

// connsOf returns the connections that a predicate picks, in the order in which they were made. w.mu is held.
func (w *World) connsOf(pick func(*conn) bool) []*conn {
	var picked []*conn
	for c := range w.conns {
		if pick(c) {
			picked = append(picked, c)
		}
	}
	slices.SortFunc(picked, func(a, b *conn) int { return cmp.Compare(w.conns[a], w.conns[b]) })
	return picked
}
