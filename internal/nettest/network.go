// Package nettest is a consortium of real nodes on simulated hosts, in one process: what the tests of
// package node and the simulation have in common. Members, their hosts and their nodes are numbered
// from 0; host i is called n(i+1).
//
//	n, err := nettest.New(seed, 3, nettest.Options{…})
//	r := n.Start(0, n.Found)        // the first member founds the network
//	err = r.Await(time.Minute)
//	n.Start(1, n.Join(0))           // the second one asks the first
//	n.Crash(0)                      // the host is gone, with all that its disk had not synced
//	n.World.Restart(nettest.Host(0))
//	n.Start(0, n.Join(1))
//
// Whatever a test expects, it says itself: this package starts and stops, and asserts nothing. Run it in
// a bubble of testing/synctest to have virtual time.
//
// Trust: host
package nettest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/ledger/chain"
	"github.com/cocoframework/coco/node"
)

// The ports that a node listens at, on every host.
const (
	PeerPort   = ":7000"
	ClientPort = ":8000"
)

// Host returns the name of a member's host.
func Host(i int) string { return fmt.Sprintf("n%d", i+1) }

// Options say what networks differ in.
type Options struct {
	// Adapters returns the adapters of one node. Required.
	Adapters func() []adapter.Adapter
	// Log returns the log of a node; nil for none.
	Log func(host string) *slog.Logger
	// Constitution changes the constitution before the network begins; nil for none.
	Constitution func(*constitution.Constitution)
}

// Network is a consortium, one node a member.
type Network struct {
	World        *sim.World
	Constitution *constitution.Constitution // of the beginning
	Members      []*Member
	// Alter changes the settings of every node that starts from then on; nil for none. It belongs to the test's goroutine.
	Alter func(*node.Config)

	opts Options

	mu      sync.Mutex
	nodes   map[int]*Node // under mu
	passed  time.Duration // in pauses that no clock counts; under mu
	reached time.Time     // see Reached; under mu
}

// New makes a consortium whose nodes do not run yet.
func New(seed uint64, members int, opts Options) (*Network, error) {
	n := &Network{World: sim.New(seed), opts: opts, nodes: map[int]*Node{}}
	c := &constitution.Constitution{
		Network:  constitution.Network{Name: "sim", Insecure: true},
		Code:     []constitution.Code{{Measurement: sim.Measurement, Note: "simulated"}},
		TEE:      []constitution.TEE{{Platform: virtual.Platform}},
		Adapters: map[string]map[string]any{"kv": {}},
	}
	for i := range members {
		m, err := NewMember(fmt.Sprintf("member%d", i+1))
		if err != nil {
			return nil, err
		}
		n.Members = append(n.Members, m)
		c.Members = append(c.Members, m.Entry())
	}
	if opts.Constitution != nil {
		opts.Constitution(c)
	}
	n.Constitution = c
	return n, c.CompleteNew(adapter.Completer(opts.Adapters()))
}

// Now is what a right clock says: package time's, and the pauses that Pass has made.
func (n *Network) Now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Add(n.passed)
}

// Pass lets time pass that package time does not count, as while hosts sleep or are off: the time of day of the hosts named goes on by
// as much, and what they count does not. A clock that was wrong is right then.
func (n *Network) Pass(d time.Duration, hosts ...string) {
	n.mu.Lock()
	n.passed += d
	n.mu.Unlock()
	for _, host := range hosts {
		n.SetClock(host, 0)
	}
}

// SetClock sets how far a host's time of day is from Now.
func (n *Network) SetClock(host string, off time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.World.SetClock(host, n.passed+off)
}

// Ahead has the clocks of hosts be ahead together for a time, and returns once they are right again.
func (n *Network) Ahead(by, lasts time.Duration, hosts ...string) {
	set := func(off time.Duration) {
		for _, host := range hosts {
			n.SetClock(host, off)
		}
	}
	set(by)
	time.Sleep(lasts)
	at := n.Now().Add(by)
	n.mu.Lock()
	if at.After(n.reached) {
		n.reached = at
	}
	n.mu.Unlock()
	set(0)
}

// Reached is the latest time that clocks had reached that were ahead together; zero if none were.
func (n *Network) Reached() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.reached
}

// Start runs member i's node on its host. The way to start sets Genesis, Join or Recover: Found, Join and Recover below.
func (n *Network) Start(i int, way func(*node.Config)) *Node {
	r := n.StartOn(Host(i), i, way)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[i] = r
	return r
}

// StartOn runs a node of member i on any host. The caller ends it.
func (n *Network) StartOn(host string, i int, way func(*node.Config)) *Node {
	cfg := node.Config{
		Name: host, Host: n.World.Host(host), Addresses: node.Addresses{PeerListen: host + PeerPort, ClientListen: host + ClientPort},
		Adapters: n.opts.Adapters(), Verifiers: attest.Verifiers{virtual.Verifier{}},
		Owner: n.Members[i], Version: "test", Log: slog.New(slog.DiscardHandler),
	}
	if n.opts.Log != nil {
		cfg.Log = n.opts.Log(host)
	}
	way(&cfg)
	if n.Alter != nil {
		n.Alter(&cfg)
	}
	return run(cfg)
}

// Found has a node found the network.
func (n *Network) Found(c *node.Config) { c.Genesis = n.Constitution }

// Join has a node ask the nodes of other members.
func (n *Network) Join(others ...int) func(*node.Config) {
	return func(c *node.Config) {
		c.Approve = n.Constitution.Digest()
		for _, o := range others {
			c.Join = append(c.Join, Host(o)+PeerPort)
		}
	}
}

// Recover has a node go on alone from its ledger, with the shares of all members.
func (n *Network) Recover(c *node.Config) {
	c.Approve = n.Constitution.Digest()
	c.Recover = &node.Recover{Time: n.Now, Release: n.Release}
}

// Release releases the parts of all members.
func (n *Network) Release(_ context.Context, round *recovery.Round) (missing []error, _ error) {
	for _, m := range n.Members {
		r, err := recovery.New(round.Request(), round.Lock(), m.Actor(), m.Share)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		_ = round.Submit(r) // the round names it
	}
	return missing, nil
}

// Node returns the node of member i that runs, or has ended by itself; nil after Halt, Crash or Forget.
func (n *Network) Node(i int) *Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nodes[i]
}

// Running returns the members whose node Node would return.
func (n *Network) Running() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.nodes))
}

// Forget takes a node off the list that was expected to end by itself.
func (n *Network) Forget(i int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.nodes, i)
}

// Halt stops member i's node in good order, and returns what it ended with.
func (n *Network) Halt(i int) error {
	r := n.Node(i)
	n.Forget(i)
	if r == nil {
		return nil
	}
	r.Stop()
	<-r.Done()
	return r.Err()
}

// Crash takes a host away with all that its disk had not synced.
func (n *Network) Crash(i int) {
	n.World.Crash(Host(i))
	_ = n.Halt(i) // it cannot end well without its host
}

// CrashTorn is Crash, but that parts of what was not synced are kept.
func (n *Network) CrashTorn(i int) {
	n.World.CrashTorn(Host(i))
	_ = n.Halt(i)
}

// Longest returns the member whose ledger ends last. It is an error if none opens.
func (n *Network) Longest() (int, error) {
	order, err := n.Ledgers()
	if len(order) == 0 {
		return 0, err
	}
	return order[0], nil
}

// Ledgers returns the members whose ledgers open and hold something, the one that ends last first. The error says why others do not open.
func (n *Network) Ledgers() (order []int, err error) {
	ends := make([]batch.Entry, len(n.Members))
	for i := range n.Members {
		log, e := ledger.OpenReadOnly(n.World.Host(Host(i)).Disk, node.Dir)
		if e == nil && log.Last() == 0 {
			e = errors.Join(fmt.Errorf("%w: it is empty", coco.ErrNotFound), log.Close())
		} else if e == nil {
			ends[i].Index = log.Last()
			ends[i].View, _ = log.ViewOf(log.Last())
			e = log.Close()
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("ledger of %s: %w", Host(i), e))
			continue
		}
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(ends[b].View, ends[a].View), cmp.Compare(ends[b].Index, ends[a].Index))
	})
	return order, err
}

// Repair takes what is damaged or missing in a member's ledger from those of others. Their nodes MUST NOT run.
func (n *Network) Repair(i int, others []int) ([]chain.Repaired, error) {
	log, err := ledger.Open(n.World.Host(Host(i)).Disk, node.Dir, ledger.Options{})
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var have []*ledger.Log
	for _, o := range others {
		other, err := ledger.OpenReadOnly(n.World.Host(Host(o)).Disk, node.Dir)
		if err != nil {
			return nil, err
		}
		defer other.Close()
		have = append(have, other)
	}
	return chain.Repair(log, have)
}

// Transport carries requests of a member's user, on a host of its own, to the node on the host "to", or on the host that each
// URL names if it is empty. It does not check the node: evidence is the subject of package client.
func (n *Network) Transport(m *Member, from, to string) *http.Transport {
	dialer := n.World.Host(from).Net
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			if to != "" {
				return dialer.Dial(ctx, to+ClientPort)
			}
			name, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return dialer.Dial(ctx, name+ClientPort)
		},
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
			Certificates: []tls.Certificate{{Certificate: [][]byte{m.Cert}, PrivateKey: m.Key}},
		},
	}
}

// Node is one start of a node.
type Node struct {
	stop  context.CancelFunc
	done  chan struct{}
	err   error // once done is closed
	ready chan struct{}
	info  node.Info // once ready is closed
}

func run(cfg node.Config) *Node {
	ctx, stop := context.WithCancel(context.Background())
	r := &Node{stop: stop, done: make(chan struct{}), ready: make(chan struct{})}
	var once sync.Once
	go func() {
		defer close(r.done)
		r.err = node.Run(ctx, cfg, func(info node.Info) {
			once.Do(func() { r.info = info; close(r.ready) })
		})
	}()
	return r
}

// Stop asks the node to leave.
func (r *Node) Stop() { r.stop() }

// Done is closed once the node has ended.
func (r *Node) Done() <-chan struct{} { return r.done }

// Err returns what the node ended with. It MUST be called after Done is closed.
func (r *Node) Err() error { return r.err }

// Ready is closed once the node was admitted and served its clients.
func (r *Node) Ready() <-chan struct{} { return r.ready }

// Info returns what the node said of itself. It MUST be called after Ready is closed.
func (r *Node) Info() node.Info { return r.info }

// Ended reports whether Done is closed.
func (r *Node) Ended() bool { return closed(r.done) }

// TakesPart reports whether Ready is closed.
func (r *Node) TakesPart() bool { return closed(r.ready) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// ErrPatience is what Await returns when the node neither takes part nor ends in time.
var ErrPatience = errors.New("it takes no part")

// Await waits until the node takes part. The error is ErrPatience, or wraps what the node ended with.
func (r *Node) Await(patience time.Duration) error {
	select {
	case <-r.ready:
		return nil
	case <-r.done:
		return fmt.Errorf("it stopped: %w", r.err)
	case <-time.After(patience):
		return fmt.Errorf("%w after %v", ErrPatience, patience)
	}
}
